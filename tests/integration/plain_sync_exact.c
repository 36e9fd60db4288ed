// Every client sees exactly what its empire sees, at every tick: the whole game with the scenario
// `patrol-v1`, two processes of sync, real clients in both encodings, compressed and not, of each
// of which 5% read too slowly, services that are killed and clients that come back, of whom some go
// on where they stopped and the others are told everything; afterwards every picture is held
// against an independent count (load_truth.h). The argument is the number of players; 120 without
// one.

#include "libcommon/base/check.h"
#include "tests/support/bench.h"
#include "tests/support/load_clients.h"
#include "tests/support/load_game.h"
#include "tests/support/load_truth.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PLAYERS = 120,
    SYNCS = 2, // processes, between which the clients come and go
    ENTER_MS = 60000,
    BACK_MS = 60000,
    BEHIND_MS = 180000,
    TALKERS = 60,              // more than the sockets of the slow ones hold
    TALK_MS = 3000,            // for the talk to arrive,
    CATCH_UP_SLOWLY_MS = 4000, // and to be read: a player may speak ten times a minute
    CATCH_UP_MS = 60000,
    PLAY_MS = 2500,
    SLOW_EVERY = 20,
    CUTS = 6,
};

// What the slow ones read in a second, well below what they are sent; but in the binary encoding
// that is so little that the sockets have room for minutes of it. So at first everybody talks,
// which is more than they hold, and then the slow ones read enough to come up again.
static const uint32_t slow_bytes[LOAD_KINDS] = {6000, 40, 2000, 40};
static const uint32_t catch_up_bytes[LOAD_KINDS] = {30000, 30000, 30000, 30000};

// Of those who are cut off at once, half of all, a process remembers a part.
static char views_max[12];
enum { REMEMBERED_EVERY = 5 };
// Little room in the sockets, so that who is slow falls behind soon, and is not cut off for it.
static const char *const settings[][2] = {
    {"send_waiting: ", "4096"},
    {"send_buffer: ", "4096"},
    {"behind: ", "300s"},
    {"views_max: ", views_max},
    {NULL, NULL},
};

struct scene {
    uint32_t players;
    struct load_game *game;
    struct load_truth *truth;
    struct load_clients *clients;
    double folded; // ticks that were told together with later ones
};

static void count_folded(struct scene *scene, const char *sync)
{
    scene->folded += load_game_metric(scene->game, sync, "mmorts_sync_folded_ticks_total");
}

static void play(struct scene *scene, unsigned milliseconds)
{
    load_clients_run(scene->clients, bench_now_ns() + (uint64_t)milliseconds * 1000000);
}

static void wait_playing(struct scene *scene, int timeout_ms, const char *after)
{
    if (!load_clients_wait_playing(scene->clients, scene->players, timeout_ms))
        test_fail("after %s: %u of %u clients are in the game; the last lost: %s", after,
                  load_clients_playing(scene->clients), scene->players,
                  load_clients_figures(scene->clients)->loss);
}

static void slow_down(struct scene *scene, const uint32_t bytes[LOAD_KINDS])
{
    for (uint32_t i = 0; i < scene->players; i++)
        if (load_is_picked(i, SLOW_EVERY))
            load_clients_slow(scene->clients, i, bytes ? bytes[i % LOAD_KINDS] : 0);
}

static void open_scene(struct scene *scene)
{
    load_raise_limits(2 * scene->players);
    (void)snprintf(views_max, sizeof views_max, "%u", scene->players / REMEMBERED_EVERY);
    scene->game = load_game_start_with(scene->players, 7, SYNCS, settings);
    scene->truth =
        load_truth_start(load_game_world_rpc(scene->game), load_game_world_stream(scene->game));
    struct load_options options = {
        .port = load_game_port(scene->game),
        .count = scene->players,
        .narrow_every = SLOW_EVERY,
        .mixed = true,
        .come_back = true,
        .token = load_game_token,
        .arg = scene->game,
    };
    scene->clients = load_clients_new(&options);
    load_clients_open(scene->clients, 0, scene->players);
    wait_playing(scene, ENTER_MS, "the start");
}

// Kills a service and plays on until it is back and everybody is told of what is true now.
static void survive(struct scene *scene, const char *service)
{
    // What is told lags behind what we record ourselves, and further on a busy machine: of what
    // dies with the service nobody is told tick by tick.
    uint64_t from, to, last;
    if (!load_clients_wait_tick(scene->clients, load_truth_tick(scene->truth), CATCH_UP_MS))
        test_fail("before the end of %s not everybody is told of every tick", service);
    load_clients_told(scene->clients, &from, &last);
    if (strncmp(service, "sync", 4) == 0)
        count_folded(scene, service);
    load_game_kill(scene->game, service);
    int64_t until = test_now_ms() + BACK_MS;
    while (!load_game_is_ready(scene->game)) {
        play(scene, 20);
        if (test_now_ms() > until)
            test_fail("%s does not come back", service);
    }
    // What was on its way when it died does not count.
    play(scene, 200);
    wait_playing(scene, BACK_MS, service);
    // Of a tick that is later than all that anybody heard of before, and the slow ones, too.
    slow_down(scene, NULL);
    uint64_t tick = load_truth_tick(scene->truth);
    load_clients_told(scene->clients, &last, &to);
    tick = (to > tick ? to : tick) + 1;
    if (!load_clients_wait_tick(scene->clients, tick, CATCH_UP_MS))
        test_fail("after the end of %s not everybody is told of tick %llu", service,
                  (unsigned long long)tick);
    // What each has been told of last may be the very one that ends the gap.
    load_clients_told(scene->clients, &last, &to);
    load_truth_excuse(scene->truth, from, to > tick ? to : tick);
    slow_down(scene, slow_bytes);
    play(scene, PLAY_MS);
}

// Connections end wherever they are, and begin again at either process: the one that knows the
// client tells it what it missed, the other everything.
static void cut(struct scene *scene)
{
    const struct load_figures *figures = load_clients_figures(scene->clients);
    for (uint32_t i = 0; i < CUTS; i++) {
        uint32_t half = i % 2 * (scene->players / 2);
        load_clients_close(scene->clients, half, half + scene->players / 2);
        play(scene, 50 + 300 * i);
        load_clients_open(scene->clients, half, half + scene->players / 2);
        wait_playing(scene, BACK_MS, "reconnecting");
        play(scene, 400);
    }
    play(scene, PLAY_MS);
    printf("%llu went on where they had stopped, %llu of them in JSON; %llu could not, the last: "
           "%s; %llu were forgotten where they had been\n",
           (unsigned long long)figures->resumed, (unsigned long long)figures->json_resumed,
           (unsigned long long)figures->unresumed, figures->unresumed_why,
           (unsigned long long)figures->forgotten);
    // About half of those that were cut, of both encodings.
    uint64_t few = (uint64_t)scene->players * CUTS / 2 / 10;
    EXPECT(figures->json_resumed > few / 4);
    EXPECT(figures->resumed - figures->json_resumed > few / 4);
    EXPECT(figures->forgotten > 0);
}

// How often the slow ones of each kind were not told of every tick, because they could not follow
// or came back.
static void count_behind(const struct scene *scene, size_t times[LOAD_KINDS])
{
    for (uint32_t i = 0; i < scene->players; i++) {
        const struct load_view *view = load_clients_view(scene->clients, i);
        for (size_t n = 1; load_is_picked(i, SLOW_EVERY) && n < view->log_count; n++)
            times[i % LOAD_KINDS] += view->log[n].began_anew;
    }
}

static bool all_fell_behind(const size_t times[LOAD_KINDS])
{
    for (size_t kind = 0; kind < LOAD_KINDS; kind++)
        if (times[kind] == 0)
            return false;
    return true;
}

static void talk(struct scene *scene)
{
    static uint32_t count;
    count++;
    for (uint32_t i = 0, said = 0; i < scene->players && said < TALKERS; i++)
        if (!load_is_picked(i, SLOW_EVERY))
            said += load_clients_chat(scene->clients, i, count);
}

// Those who only read slowly fall behind, before anything is killed: in both encodings, compressed
// or not.
static void fall_behind(struct scene *scene)
{
    size_t times[LOAD_KINDS] = {0};
    int64_t end = test_now_ms() + BEHIND_MS;
    while (!all_fell_behind(times)) {
        if (test_now_ms() > end)
            test_fail("the slow fell behind %zu times in JSON, %zu in binary, %zu and %zu of these "
                      "compressed",
                      times[0], times[1], times[2], times[3]);
        slow_down(scene, slow_bytes);
        talk(scene);
        play(scene, TALK_MS);
        slow_down(scene, catch_up_bytes);
        play(scene, CATCH_UP_SLOWLY_MS);
        memset(times, 0, sizeof times);
        count_behind(scene, times);
    }
    EXPECT(load_clients_playing(scene->clients) == scene->players); // nobody was cut off
    printf("fell behind: %zu times in JSON, %zu in binary, %zu and %zu of these compressed\n",
           times[0], times[1], times[2], times[3]);
    slow_down(scene, slow_bytes);
}

static void judge(struct scene *scene)
{
    uint64_t tick = load_truth_tick(scene->truth) + 1;
    EXPECT(load_clients_wait_tick(scene->clients, tick, CATCH_UP_MS));
    struct load_witness *witnesses = calloc(scene->players, sizeof *witnesses);
    MM_CHECK(witnesses);
    for (uint32_t i = 0; i < scene->players; i++)
        witnesses[i] = (struct load_witness){load_game_empire(scene->game, i),
                                             load_clients_view(scene->clients, i)};
    uint32_t whose = 0;
    const char *fault = load_clients_fault(scene->clients, &whose);
    if (fault)
        printf("client %u: %s\n", whose, fault);
    EXPECT(!fault);
    count_folded(scene, "sync");
    count_folded(scene, "sync-2");
    uint64_t first, newest;
    load_clients_told(scene->clients, &first, &newest);
    load_truth_wait(scene->truth, newest, CATCH_UP_MS);
    load_game_stop(scene->game);
    struct load_verdict verdict = load_truth_judge(scene->truth, witnesses, scene->players);
    printf("%llu pictures of %.1f entities checked, %llu wrong, %llu late (%.0f ticks were "
           "folded), %llu of ticks that were not recorded, %llu unknown\n",
           (unsigned long long)verdict.checked, (double)verdict.seen / (double)verdict.checked,
           (unsigned long long)verdict.wrong, (unsigned long long)verdict.late, scene->folded,
           (unsigned long long)verdict.missed, (unsigned long long)verdict.unknown);
    if (verdict.wrong)
        printf("%s\n", verdict.first);
    EXPECT(verdict.wrong == 0);
    // Only where sync could not keep up may it skip a tick.
    EXPECT(verdict.late == 0 || scene->folded > 0);
    EXPECT(load_clients_figures(scene->clients)->compressed > scene->players);
    // Most of the time was played, and all that was told could be checked but for what was told
    // before world's new stream was found.
    EXPECT(verdict.checked > (uint64_t)scene->players * 150);
    EXPECT(verdict.unknown == 0);
    EXPECT(verdict.seen > 25 * verdict.checked);
    free(witnesses);
    load_truth_free(scene->truth);
}

int main(int argc, char **argv)
{
    struct scene scene = {.players = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : PLAYERS};
    if (scene.players < SLOW_EVERY)
        test_fail("at least %d players", SLOW_EVERY);
    open_scene(&scene);
    play(&scene, PLAY_MS);
    fall_behind(&scene);
    play(&scene, PLAY_MS);
    survive(&scene, "sync");
    survive(&scene, "sync-2");
    survive(&scene, "vision");
    survive(&scene, "world");
    cut(&scene);
    slow_down(&scene, NULL);
    judge(&scene);
    load_clients_free(scene.clients);
    return plain_finish();
}
