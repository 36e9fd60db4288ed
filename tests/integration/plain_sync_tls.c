// The same exactness over TLS (see plain_sync_exact.c): real clients in both encodings, compressed
// and not, of which some read too slowly for what they are sent, connections that end in the midst
// of records and come back; every picture is held against an independent count.

#include "libcommon/base/check.h"
#include "tests/support/bench.h"
#include "tests/support/certificate.h"
#include "tests/support/load_clients.h"
#include "tests/support/load_game.h"
#include "tests/support/load_truth.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PLAYERS = 80,
    SLOW_EVERY = 20,
    SLOW_BYTES = 1000, // a second: less than JSON takes
    CUTS = 4,
    PLAY_MS = 2000,
    SLOWLY_MS = 10000,
    PATIENCE_MS = 60000,
};

static void play(struct load_clients *clients, unsigned milliseconds)
{
    load_clients_run(clients, bench_now_ns() + (uint64_t)milliseconds * 1000000);
}

static void wait_playing(struct load_clients *clients, const char *after)
{
    if (!load_clients_wait_playing(clients, PLAYERS, PATIENCE_MS))
        test_fail("after %s: %u of %d clients are in the game; the last lost: %s", after,
                  load_clients_playing(clients), PLAYERS, load_clients_figures(clients)->loss);
}

static void slow_down(struct load_clients *clients, uint32_t bytes)
{
    for (uint32_t i = 0; i < PLAYERS; i++)
        if (load_is_picked(i, SLOW_EVERY))
            load_clients_slow(clients, i, bytes);
}

// How often slow clients were not told of every tick, because they could not follow.
static size_t count_behind(struct load_clients *clients)
{
    size_t times = 0;
    for (uint32_t i = 0; i < PLAYERS; i++) {
        const struct load_view *view = load_clients_view(clients, i);
        for (size_t n = 1; load_is_picked(i, SLOW_EVERY) && n < view->log_count; n++)
            times += view->log[n].began_anew;
    }
    return times;
}

static void cut(struct load_clients *clients)
{
    for (uint32_t i = 0; i < CUTS; i++) {
        uint32_t half = i % 2 * (PLAYERS / 2);
        load_clients_close(clients, half, half + PLAYERS / 2);
        play(clients, 50 + 200 * i);
        load_clients_open(clients, half, half + PLAYERS / 2);
        wait_playing(clients, "reconnecting");
    }
    EXPECT(load_clients_figures(clients)->resumed > PLAYERS / 4);
}

static void judge(struct load_game *game, struct load_clients *clients, struct load_truth *truth)
{
    struct load_witness witnesses[PLAYERS];
    uint32_t whose = 0;
    EXPECT(load_clients_wait_tick(clients, load_truth_tick(truth) + 1, PATIENCE_MS));
    for (uint32_t i = 0; i < PLAYERS; i++)
        witnesses[i] =
            (struct load_witness){load_game_empire(game, i), load_clients_view(clients, i)};
    const char *fault = load_clients_fault(clients, &whose);
    if (fault)
        printf("client %u: %s\n", whose, fault);
    EXPECT(!fault);
    uint64_t first, newest;
    load_clients_told(clients, &first, &newest);
    load_truth_wait(truth, newest, PATIENCE_MS);
    load_game_stop(game);
    struct load_verdict verdict = load_truth_judge(truth, witnesses, PLAYERS);
    printf("%llu pictures checked, %llu wrong, %llu of unknown ticks; %s\n",
           (unsigned long long)verdict.checked, (unsigned long long)verdict.wrong,
           (unsigned long long)verdict.unknown, verdict.wrong ? verdict.first : "");
    EXPECT(verdict.wrong == 0);
    EXPECT(verdict.unknown == 0);
    EXPECT(verdict.checked > (uint64_t)PLAYERS * 100);
    EXPECT(verdict.seen > 25 * verdict.checked);
}

int main(void)
{
    char *directory = test_dir_make(), pem[PATH_MAX], authority[PATH_MAX];
    test_certificate_make(directory, "sync");
    (void)snprintf(pem, sizeof pem, "%s/sync.pem", directory);
    (void)snprintf(authority, sizeof authority, "%s/sync-ca.pem", directory);
    const char *const settings[][2] = {{"    certificate: ", pem},
                                       {"    key: ", pem},
                                       {"send_waiting: ", "4096"}, // who is slow falls behind,
                                       {"send_buffer: ", "4096"},
                                       {"behind: ", "300s"}, // and is not cut off for it
                                       {NULL, NULL}};
    struct load_game *game = load_game_start_with(PLAYERS, 11, 1, settings);
    struct load_truth *truth =
        load_truth_start(load_game_world_rpc(game), load_game_world_stream(game));
    struct load_options options = {
        .port = load_game_port(game),
        .count = PLAYERS,
        .narrow_every = SLOW_EVERY,
        .mixed = true,
        .come_back = true,
        .token = load_game_token,
        .arg = game,
        .tls_authority = authority,
    };
    struct load_clients *clients = load_clients_new(&options);
    load_clients_open(clients, 0, PLAYERS);
    wait_playing(clients, "the start");
    play(clients, PLAY_MS);
    slow_down(clients, SLOW_BYTES);
    play(clients, SLOWLY_MS);
    slow_down(clients, 0);
    play(clients, PLAY_MS);
    EXPECT(count_behind(clients) > 0);
    EXPECT(load_clients_playing(clients) == PLAYERS); // nobody was cut off
    cut(clients);
    play(clients, PLAY_MS);
    judge(game, clients, truth);
    load_truth_free(truth);
    load_clients_free(clients);
    free(directory);
    return plain_finish();
}
