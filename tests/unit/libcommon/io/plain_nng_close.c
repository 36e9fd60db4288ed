// A socket that takes long to close because the process is stopped meanwhile is not given up.

#include "libcommon/io/nng_close.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOPS = 4, STOPPED_MS = 2200, BETWEEN_MS = 300 }; // longer than it is waited for

// Opens and closes sockets until there is something to read. The status says how it went.
static int open_and_close(int orders, int answers, const char *url)
{
    struct pollfd end = {.fd = orders, .events = POLLIN};
    for (bool said = false; poll(&end, 1, 0) == 0; said = true) {
        nng_socket server, client;
        if (nng_rep0_open(&server) != 0 || nng_listen(server, url, NULL, 0) != 0 ||
            nng_req0_open(&client) != 0 || nng_dial(client, url, NULL, 0) != 0)
            return 2;
        bool closed = mm_nng_close(client) && mm_nng_close(server);
        if (!closed || mm_nng_is_stuck())
            return 1;
        if (!said && write(answers, "x", 1) != 1)
            return 2;
    }
    return 0;
}

int main(void)
{
    int orders[2], answers[2], status = -1;
    char byte, url[160], *dir = test_dir_make();
    if (pipe(orders) != 0 || pipe(answers) != 0)
        test_fail("pipe");
    snprintf(url, sizeof url, "ipc://%s/socket", dir);
    pid_t child = fork();
    if (child == 0)
        _exit(open_and_close(orders[0], answers[1], url));
    close(answers[1]);
    bool begun = read(answers[0], &byte, 1) == 1;
    for (int i = 0; begun && i < STOPS; i++) {
        (void)poll(NULL, 0, BETWEEN_MS);
        if (kill(child, SIGSTOP) != 0 || waitpid(child, &status, WUNTRACED) != child ||
            !WIFSTOPPED(status))
            break;
        (void)poll(NULL, 0, STOPPED_MS);
        (void)kill(child, SIGCONT);
    }
    (void)!write(orders[1], "x", 1);
    bool ended = !begun || WIFSTOPPED(status) ? waitpid(child, &status, 0) == child : true;
    EXPECT(begun && ended);
    EXPECT_THAT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "no socket is given up");
    free(dir);
    return plain_finish();
}
