#ifndef LAUNCHER_PORTS_H
#define LAUNCHER_PORTS_H

#include <stdbool.h>
#include <stdint.h>

// Whether a port of loopback can be listened at; if not, errno says why.
bool ports_can_listen(uint16_t port);

// Waits until then for the port to become free. False after a message that names it and its use.
bool ports_check(const char *use, uint16_t port, uint64_t deadline_ms);

#endif
