// Sync stands still for two seconds, as on a machine that is too busy, and goes on: real clients in
// both encodings, compressed and not, are told the ticks that piled up as one. No view is frozen,
// nobody is told everything anew, and every picture is what the empire sees (load_truth.h). With
// one process of sync, which reads all of vision's stream, and with two, which read their parts.
// If this program stands still itself meanwhile, more may pile up than sync bears: then only the
// pictures count, and it is tried again.

#include "libcommon/base/check.h"
#include "services/sync/core/core.h"
#include "tests/support/bench.h"
#include "tests/support/load_clients.h"
#include "tests/support/load_game.h"
#include "tests/support/load_truth.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PLAYERS = 40, // each with 20 units on the move: something changes for it in every tick
    ENTER_MS = 60000,
    CATCH_UP_MS = 60000,
    TRIES_MS = 240000,
    PLAY_MS = 500,
    STILL_TICKS = 40,
    STILL_MS = 2500, // at most: the watchdog ends a process that stands still for 5 s
};

struct scene {
    uint32_t syncs;
    struct load_game *game;
    struct load_truth *truth;
    struct load_clients *clients;
    uint64_t lost; // clients, while they came in: on a busy machine some are told to try again
};

static const char *const sync_names[] = {"sync", "sync-2"};

// None of which counts up while sync bears what piles up.
static const char *const still[] = {
    "mmorts_sync_views_frozen_total",
    "mmorts_sync_full_states_total",
    "mmorts_sync_behind_total",
    "mmorts_sync_inconsistencies_total",
};
enum { STILL = sizeof still / sizeof *still };

static void play(struct scene *scene, unsigned milliseconds)
{
    load_clients_run(scene->clients, bench_now_ns() + (uint64_t)milliseconds * 1000000);
}

static double sum(const struct scene *scene, const char *metric)
{
    double value = 0;
    for (uint32_t i = 0; i < scene->syncs; i++)
        value += load_game_metric(scene->game, sync_names[i], metric);
    return value;
}

static void signal_all(const struct scene *scene, int number)
{
    for (uint32_t i = 0; i < scene->syncs; i++)
        load_game_signal(scene->game, sync_names[i], number);
}

static void wait_all_told(struct scene *scene)
{
    uint64_t tick = load_truth_tick(scene->truth) + 1;
    if (!load_clients_wait_tick(scene->clients, tick, CATCH_UP_MS))
        test_fail("not everybody is told of tick %llu", (unsigned long long)tick);
}

static void open_scene(struct scene *scene)
{
    load_raise_limits(2 * PLAYERS);
    scene->game = load_game_start(PLAYERS, 5, scene->syncs);
    scene->truth =
        load_truth_start(load_game_world_rpc(scene->game), load_game_world_stream(scene->game));
    struct load_options options = {
        .port = load_game_port(scene->game),
        .count = PLAYERS,
        .mixed = true,
        .come_back = true,
        .token = load_game_token,
        .arg = scene->game,
    };
    scene->clients = load_clients_new(&options);
    load_clients_open(scene->clients, 0, PLAYERS);
    if (!load_clients_wait_playing(scene->clients, PLAYERS, ENTER_MS))
        test_fail("%u of %u clients are in the game", load_clients_playing(scene->clients),
                  PLAYERS);
    wait_all_told(scene);
    scene->lost = load_clients_figures(scene->clients)->lost;
}

// The most ticks behind `from` that any client was told as one.
static uint64_t longest_gap(const struct scene *scene, uint64_t from)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < PLAYERS; i++) {
        const struct load_view *view = load_clients_view(scene->clients, i);
        for (size_t n = 1; n < view->log_count; n++) {
            uint64_t gap = view->log[n].tick - view->log[n - 1].tick;
            longest = view->log[n].tick > from && gap > longest ? gap : longest;
        }
    }
    return longest;
}

// How many clients were told at least half of those ticks as one.
static uint32_t count_folded(const struct scene *scene, uint64_t from, uint64_t to)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < PLAYERS; i++) {
        const struct load_view *view = load_clients_view(scene->clients, i);
        bool folded = false;
        for (size_t n = 1; n < view->log_count; n++)
            folded |= view->log[n].tick > from && view->log[n - 1].tick <= to &&
                      2 * (view->log[n].tick - view->log[n - 1].tick) >= to - from;
        count += folded;
    }
    return count;
}

// True: most of what piled up was told as one, to everybody. Where the reading of it is as slow as
// the telling, nothing piles up.
static bool stand_still(struct scene *scene)
{
    double folded = sum(scene, "mmorts_sync_folded_ticks_total"), before[STILL];
    for (int i = 0; i < STILL; i++)
        before[i] = sum(scene, still[i]);
    int64_t until = test_now_ms() + STILL_MS;
    uint64_t from = load_truth_tick(scene->truth), to = from;
    signal_all(scene, SIGSTOP);
    while (to < from + STILL_TICKS && test_now_ms() < until) {
        play(scene, 20);
        to = load_truth_tick(scene->truth);
    }
    signal_all(scene, SIGCONT);
    wait_all_told(scene);
    play(scene, PLAY_MS);
    folded = sum(scene, "mmorts_sync_folded_ticks_total") - folded;
    uint32_t clients = count_folded(scene, from, to);
    printf("of %llu ticks %.0f were folded, of each process; %u of %u clients were told as one\n",
           (unsigned long long)(to - from), folded / scene->syncs, clients, PLAYERS);
    if (longest_gap(scene, from) > SYNC_AHEAD_TICKS)
        return false;
    for (int i = 0; i < STILL; i++)
        EXPECT_THAT(sum(scene, still[i]) == before[i], still[i]);
    return to - from >= STILL_TICKS / 2 && 2 * folded >= (double)(scene->syncs * (to - from)) &&
           clients == PLAYERS;
}

static void judge(struct scene *scene)
{
    struct load_witness witnesses[PLAYERS];
    for (uint32_t i = 0; i < PLAYERS; i++)
        witnesses[i] = (struct load_witness){load_game_empire(scene->game, i),
                                             load_clients_view(scene->clients, i)};
    uint32_t whose = 0;
    const char *fault = load_clients_fault(scene->clients, &whose);
    if (fault)
        printf("client %u: %s\n", whose, fault);
    EXPECT(!fault);
    EXPECT(load_clients_playing(scene->clients) == PLAYERS);
    EXPECT(load_clients_figures(scene->clients)->lost == scene->lost);
    EXPECT(load_clients_figures(scene->clients)->compressed > PLAYERS);
    uint64_t first, newest;
    load_clients_told(scene->clients, &first, &newest);
    load_truth_wait(scene->truth, newest, CATCH_UP_MS);
    load_game_stop(scene->game);
    struct load_verdict verdict = load_truth_judge(scene->truth, witnesses, PLAYERS);
    printf("%llu pictures of %.1f entities checked, %llu wrong, %llu of ticks that were folded\n",
           (unsigned long long)verdict.checked, (double)verdict.seen / (double)verdict.checked,
           (unsigned long long)verdict.wrong, (unsigned long long)verdict.late);
    if (verdict.wrong)
        printf("%s\n", verdict.first);
    EXPECT(verdict.wrong == 0 && verdict.unknown == 0);
    // At least half of half of the ticks (stand_still), but for the one that told of them.
    EXPECT(verdict.late >= PLAYERS * (STILL_TICKS / 4 - 1));
    EXPECT(verdict.seen > 25 * verdict.checked);
}

static void run(uint32_t syncs)
{
    struct scene scene = {.syncs = syncs};
    open_scene(&scene);
    int64_t until = test_now_ms() + TRIES_MS;
    while (!stand_still(&scene))
        if (test_now_ms() > until)
            test_fail("nothing is folded");
    judge(&scene);
    load_truth_free(scene.truth);
    load_clients_free(scene.clients);
}

int main(void)
{
    run(1);
    run(2);
    return plain_finish();
}
