// What the load tool's own clients cost (tests/support/load_clients.h): CPU time of this process
// for an update, from a server of canned ones. --help for sizes.

#include "libcommon/base/check.h"
#include "tests/support/bench.h"
#include "tests/support/load_canned.h"
#include "tests/support/load_clients.h"
#include "tests/support/load_game.h"
#include "tests/support/process.h"

#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS = 1000, TICKS = 60, ENTER_MS = 60000, TOLD_MS = 60000, SWEEP_BYTES = 64 << 20 };

static const char *token(void *arg, uint32_t index)
{
    (void)arg;
    (void)index;
    return "none";
}

static void measure(struct bench *bench, uint32_t count, uint32_t ticks, bool without_ring)
{
    load_raise_limits(count);
    struct load_canned *canned = load_canned_start(count, SWEEP_BYTES);
    struct load_options options = {.port = load_canned_port(canned),
                                   .count = count,
                                   .token = token,
                                   .without_ring = without_ring};
    struct load_clients *clients = load_clients_new(&options);
    load_clients_open(clients, 0, count);
    if (!load_clients_wait_playing(clients, count, ENTER_MS))
        test_fail("not all clients are in: %s", load_clients_figures(clients)->loss);
    load_clients_reset(clients);
    uint64_t cpu_ns = bench_cpu_ns();
    load_canned_tell(canned, ticks, 1);
    if (!load_clients_wait_tick(clients, ticks + 1, TOLD_MS))
        test_fail("not all updates came");
    cpu_ns = bench_cpu_ns() - cpu_ns;
    const struct load_figures *figures = load_clients_figures(clients);
    MM_CHECK(figures->updates == (uint64_t)count * ticks);
    for (uint32_t i = 0; i < count; i++) {
        const struct load_view *view = load_clients_view(clients, i);
        if (view->fault[0] || view->hash != load_canned_hash(ticks))
            test_fail("client %u shows something else: %s", i, view->fault);
    }
    char name[64];
    (void)snprintf(name, sizeof name, "load_clients.us_per_update.n%u%s", count,
                   without_ring ? ".without_ring" : "");
    bench_figure(bench, name, (double)cpu_ns / 1000 / (double)figures->updates, "us");
    load_clients_free(clients);
    load_canned_stop(canned);
}

int main(int argc, char **argv)
{
    uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : CLIENTS;
    uint32_t ticks = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : TICKS;
    if (count == 0 || ticks == 0 || argc > 3) {
        (void)fputs("usage: bench_load_clients [CLIENTS [TICKS]]\n", stderr);
        return 2;
    }
    struct bench *bench = bench_open("load_clients", "canned updates of the size of patrol-v1's");
    measure(bench, count, ticks, false);
    measure(bench, count, ticks, true);
    return bench_close(bench);
}
