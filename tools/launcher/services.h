#ifndef LAUNCHER_SERVICES_H
#define LAUNCHER_SERVICES_H

#include <stdbool.h>

// The six services, in the order of their ports: 7100, 7110, ... from the base port on.
struct launcher_service {
    const char *name, *upper;
    unsigned stage; // needs those of earlier stages to have become ready
    bool has_stream;
    bool per_session; // auth is for all sessions, and sync opens a room for each
};

enum { LAUNCHER_SERVICES = 6 };
extern const struct launcher_service launcher_services[LAUNCHER_SERVICES];

#endif
