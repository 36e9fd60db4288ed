// Look-ups and their thread; written without Criterion so that it runs under ThreadSanitizer.

#include "libcommon/io/resolve.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outcome {
    bool done;
    int calls;
    enum mm_err err;
    struct mm_resolve_result result;
};

static void resolved(enum mm_err err, const struct mm_resolve_result *result, void *arg)
{
    struct outcome *outcome = arg;
    outcome->done = true;
    outcome->calls++;
    outcome->err = err;
    if (result)
        outcome->result = *result;
}

static struct outcome look_up(struct mm_loop *loop, const char *host)
{
    struct outcome outcome = {0};
    struct mm_resolve *resolve;
    if (mm_resolve_start(loop, host, 4711, resolved, &outcome, &resolve) != MM_OK)
        exit(1);
    EXPECT_THAT(outcome.calls == 0, "not called back before start returns");
    EXPECT_THAT(mm_loop_run_until(loop, &outcome.done, TEST_PATIENCE_MS), "called back");
    return outcome;
}

int main(void)
{
    struct mm_loop *loop;
    if (mm_loop_create(NULL, &loop) != MM_OK)
        return 1;
    struct outcome literal = look_up(loop, "127.0.0.1");
    struct sockaddr_in address;
    memcpy(&address, &literal.result.addresses[0].address, sizeof address);
    EXPECT_THAT(literal.err == MM_OK && literal.result.count == 1,
                "a literal address is one address");
    EXPECT_THAT(address.sin_family == AF_INET && ntohs(address.sin_port) == 4711 &&
                    ntohl(address.sin_addr.s_addr) == INADDR_LOOPBACK,
                "address and port are as given");
    struct outcome name = look_up(loop, "localhost");
    EXPECT_THAT(name.err == MM_OK && name.result.count >= 1, "localhost has an address");
    // With the dot at its end: where nobody answers, a search list would make many waits of one.
    struct outcome nobody = look_up(loop, "nobody.invalid.");
    EXPECT_THAT(nobody.err == MM_NOT_FOUND || nobody.err == MM_UNAVAILABLE, "no such name");
    char long_name[400];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    EXPECT_THAT(look_up(loop, long_name).err == MM_NOT_FOUND, "a name too long is no name");

    // Cancelled at every stage; the last threads outlive the loop.
    struct outcome cancelled = {0};
    for (int i = 0; i < 40; i++) {
        struct mm_resolve *resolve;
        if (mm_resolve_start(loop, i % 2 ? "localhost" : "127.0.0.1", 1, resolved, &cancelled,
                             &resolve) != MM_OK)
            return 1;
        mm_resolve_cancel(resolve);
    }
    const bool never = false;
    (void)mm_loop_run_until(loop, &never, 20);
    EXPECT_THAT(cancelled.calls == 0, "a cancelled look-up does not call back");
    mm_loop_destroy(loop);
    return plain_finish();
}
