#ifndef LAUNCHER_PORTS_H
#define LAUNCHER_PORTS_H

#include <stdbool.h>
#include <stdint.h>

// Whether a port of loopback can be listened at; if not, errno says why.
bool ports_can_listen(uint16_t port);

// Waits a moment for the port to become free; else dies with a message that names it, its use, and
// the option that moves it.
void ports_check(const char *use, uint16_t port, const char *option);

#endif
