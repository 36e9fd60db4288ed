#ifndef LAUNCHER_OPTIONS_H
#define LAUNCHER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct launcher_options {
    const char *data;        // directory of all state
    const char *services;    // directory of the services' settings; NULL: look for it
    const char *status_file; // NULL: none
    uint16_t base_port;      // first port of the private servers and operations endpoints
    uint16_t players_port;
    uint32_t bots;
    uint32_t start_within_s; // what is started at one time has to be ready by then
    uint32_t syncs;          // sync processes, which share the players' port
    const char *operators;   // names whose tokens carry all permissions, comma separated
    bool test;               // the login server's knobs for tests are open
};

// False when the program is to exit with *exit_status, after a message or the help text.
bool launcher_options_parse(int argc, char **argv, struct launcher_options *out, int *exit_status);

#endif
