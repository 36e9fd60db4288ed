#include "tools/launcher/ports.h"

#include "libcommon/base/clock.h"
#include "tools/launcher/files.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool ports_can_listen(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // Connections of an earlier run that linger must not count.
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        launcher_die("cannot make a socket: %s", strerror(errno));
    bool can = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return can;
}

enum { PORT_PAUSE_MS = 20 };

bool ports_check(const char *use, uint16_t port, uint64_t deadline_ms)
{
    while (!ports_can_listen(port)) {
        int error = errno;
        if (error != EADDRINUSE || mm_clock_ms() >= deadline_ms) {
            fprintf(stderr, "mmorts-launcher: port %u, for %s, cannot be used: %s\n", port, use,
                    strerror(error));
            return false;
        }
        poll(NULL, 0, PORT_PAUSE_MS);
    }
    return true;
}
