// Ticks of the vision core, in the scene of tests/support/vision_scene.h: 20 wandering observers to
// an empire. Sizes: 50, 500 and 5,000 empires, and 500 where ten times as much stands while the
// same number move.
//
// Compared, in the same run, with the same moves and by the same core (so that whatever follows the
// counting costs each the same): counting every mover's whole disc off and on again (remove_add),
// and joining all discs of all observers anew in every tick, 64 hexes at a time and without
// counters (recompute). All three must come to the same frames, hex by hex. Times are CPU time of
// this one thread, the median of the ticks.

#include "services/vision/core/state.h"
#include "tests/support/bench.h"
#include "tests/support/vision_scene.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WARM_TICKS = 10,
    TICKS = 25,
    ALLIANCE = 100,
};

enum way { STEPS, REMOVE_ADD, RECOMPUTE, WAYS };

static struct vision *core_new(enum way way)
{
    struct vision_options options = vision_options_default();
    struct vision *core;
    if (vision_new(&options, &core) != MM_OK)
        abort();
    core->whole_discs = way == REMOVE_ADD;
    core->discs_anew = way == RECOMPUTE;
    return core;
}

static double timed(struct vision *core, const Mmorts__Frame__TickFrame *frame,
                    const Mmorts__Frame__VisionFrame **out)
{
    uint64_t start = bench_cpu_ns();
    if (vision_apply(core, frame, out) != MM_OK) {
        fprintf(stderr, "frame refused: %s\n", vision_refusal(core));
        exit(1);
    }
    return (double)(bench_cpu_ns() - start) / 1e6;
}

// What one way of counting came to; the same moves must come to the same in every way.
struct outcome {
    double tick_ms;
    double steps;
    uint64_t hexes, entered, left;
    uint64_t digest; // of all frames told, whatever the order within an empire
    struct vision_stats stats;
};

static uint64_t mixed(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t x = a * UINT64_C(0x9e3779b97f4a7c15) ^ b * UINT64_C(0xc2b2ae3d27d4eb4f) ^ c;
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 32;
}

static uint64_t digest_of(const Mmorts__Frame__VisionFrame *out)
{
    uint64_t sum = 0;
    size_t hex = 0, entered = 0, left = 0;
    for (size_t e = 0; e < out->n_empire; e++) {
        uint64_t key = out->tick << 20 ^ out->empire[e];
        for (size_t end = hex + out->hex_count[e]; hex < end; hex++)
            sum += mixed(key, hex_pack((struct hex_axial){out->hex_q[hex], out->hex_r[hex]}),
                         (uint64_t)out->hex_state[hex] << 8 | out->hex_terrain[hex]);
        for (size_t end = entered + out->entered_count[e]; entered < end; entered++)
            sum += mixed(key, out->entered[entered], 1);
        for (size_t end = left + out->left_count[e]; left < end; left++)
            sum += mixed(key, out->left[left], 2);
    }
    return sum;
}

// Each in a scene of its own, one after the other: side by side they would fight for the caches.
static struct outcome play(uint32_t empires, uint32_t per_empire, enum way way)
{
    struct scene *scene = scene_new(empires, per_empire);
    struct vision *core = core_new(way);
    const Mmorts__Frame__VisionFrame *out;
    struct outcome outcome = {0};
    double took_ms[TICKS];
    timed(core, &scene->snapshot, &out);
    for (int i = 0; i < WARM_TICKS + TICKS; i++) {
        scene_move(scene, (uint64_t)i + 2);
        double ms = timed(core, &scene->delta, &out);
        if (i < WARM_TICKS)
            continue;
        took_ms[i - WARM_TICKS] = ms;
        outcome.steps += (double)scene->moved.n_entity / TICKS;
        outcome.hexes += out->n_hex_q;
        outcome.entered += out->n_entered;
        outcome.left += out->n_left;
        outcome.digest += digest_of(out);
    }
    outcome.tick_ms = bench_median(took_ms, TICKS);
    vision_stats(core, &outcome.stats);
    vision_free(core);
    scene_free(scene);
    return outcome;
}

static void must_agree(const struct outcome *x, const struct outcome *y)
{
    if (x->stats.visible_hexes != y->stats.visible_hexes ||
        x->stats.sight_pairs != y->stats.sight_pairs || x->hexes != y->hexes ||
        x->entered != y->entered || x->left != y->left || x->digest != y->digest) {
        fprintf(stderr, "the ways of counting disagree\n");
        exit(1);
    }
}

static void figure(struct bench *bench, const char *what, const char *label, double value,
                   const char *unit)
{
    char name[64];
    snprintf(name, sizeof name, "vision.%s.%s", what, label);
    bench_figure(bench, name, value, unit);
}

// One size in all three ways; returns the milliseconds of a tick.
static double measure(struct bench *bench, uint32_t empires, const char *label, bool headline)
{
    struct outcome ways[WAYS];
    for (enum way way = STEPS; way < WAYS; way++) {
        ways[way] = play(empires, SCENE_MOVERS, way);
        must_agree(&ways[STEPS], &ways[way]);
    }
    const struct outcome *steps = &ways[STEPS];
    figure(bench, "tick_ms", label, steps->tick_ms, "ms");
    figure(bench, "ns_per_step", label, steps->tick_ms * 1e6 / steps->steps, "ns");
    figure(bench, "hexes_told", label, (double)steps->hexes / TICKS, "1/tick");
    figure(bench, "entered", label, (double)steps->entered / TICKS, "1/tick");
    figure(bench, "bytes_per_empire", label,
           (double)steps->stats.state_bytes / (double)steps->stats.empires, "bytes");
    figure(bench, "bytes_per_explored_hex", label,
           (double)steps->stats.state_bytes / (double)steps->stats.explored_hexes, "bytes");
    static const char *const names[WAYS] = {NULL, "remove_add", "recompute"};
    for (enum way way = REMOVE_ADD; way < WAYS; way++) {
        char name[64];
        // What one way is to another is told once under its plain name too.
        snprintf(name, sizeof name, "vision.%s", names[way]);
        if (headline)
            bench_compare(bench, name, steps->tick_ms, ways[way].tick_ms, "ms");
        snprintf(name, sizeof name, "vision.%s.%s", names[way], label);
        bench_compare(bench, name, steps->tick_ms, ways[way].tick_ms, "ms");
    }
    return steps->tick_ms;
}

// Slope of the line through (log steps, log time): 1 = cost grows as what moves does.
static double exponent(const double *steps, const double *ms, size_t count)
{
    double x = 0, y = 0, xx = 0, xy = 0, n = (double)count;
    for (size_t i = 0; i < count; i++) {
        double lx = log(steps[i]), ly = log(ms[i]);
        x += lx, y += ly, xx += lx * lx, xy += lx * ly;
    }
    return (n * xy - x * y) / (n * xx - x * x);
}

// Everybody of an alliance lends to a hundredth, and everybody borrows back; then all that ends.
static void alliance(struct bench *bench)
{
    struct scene *scene = scene_new(500, SCENE_MOVERS);
    struct vision *core = core_new(STEPS);
    const Mmorts__Frame__VisionFrame *out;
    timed(core, &scene->snapshot, &out);
    struct vision_stats alone, allied, parted;
    vision_stats(core, &alone);
    for (uint32_t x = 1; x < ALLIANCE; x++) {
        for (uint32_t y = 1; y < ALLIANCE; y++) {
            if (x != y && vision_share(core, x, y, 0) != MM_OK)
                abort();
        }
    }
    scene->delta.tick = 2;
    double formed_ms = timed(core, &scene->delta, &out);
    for (uint32_t x = 1; x < ALLIANCE; x++) {
        if (vision_share(core, x, ALLIANCE, 0) != MM_OK ||
            vision_share(core, ALLIANCE, x, 0) != MM_OK)
            abort();
    }
    scene->delta.tick = 3;
    double joined_ms = timed(core, &scene->delta, &out);
    size_t joined_hexes = out->n_hex_q;
    vision_stats(core, &allied);
    for (uint32_t x = 1; x < ALLIANCE; x++) {
        if (vision_unshare(core, x, ALLIANCE, 0) != MM_OK ||
            vision_unshare(core, ALLIANCE, x, 0) != MM_OK)
            abort();
    }
    scene->delta.tick = 4;
    double left_ms = timed(core, &scene->delta, &out);
    for (uint32_t x = 1; x < ALLIANCE; x++) {
        for (uint32_t y = 1; y < ALLIANCE; y++) {
            if (x != y && vision_unshare(core, x, y, 0) != MM_OK)
                abort();
        }
    }
    scene->delta.tick = 5;
    timed(core, &scene->delta, &out);
    vision_stats(core, &parted);
    if (parted.visible_hexes != alone.visible_hexes || parted.sight_pairs != alone.sight_pairs ||
        allied.visible_hexes <= alone.visible_hexes) {
        fprintf(stderr, "an alliance left something behind\n");
        exit(1);
    }
    bench_figure(bench, "vision.alliance_100.formed_ms", formed_ms, "ms");
    bench_figure(bench, "vision.alliance_100.joined_ms", joined_ms, "ms");
    bench_figure(bench, "vision.alliance_100.joined_hexes", (double)joined_hexes, "hexes");
    bench_figure(bench, "vision.alliance_100.left_ms", left_ms, "ms");
    vision_free(core);
    scene_free(scene);
}

int main(int argc, char **argv)
{
    struct bench *bench =
        bench_open("vision", "vision core: 20 observers to an empire, sight 8, 4 steps a second");
    if (argc > 1) { // for a profiler: the steps alone, of so many empires
        struct outcome steps = play((uint32_t)strtoul(argv[1], NULL, 10), SCENE_MOVERS, STEPS);
        bench_figure(bench, "vision.tick_ms", steps.tick_ms, "ms");
        return bench_close(bench);
    }
    double steps[] = {1000, 10000, 100000}, ms[3];
    ms[0] = measure(bench, 50, "1k", false);
    ms[1] = measure(bench, 500, "10k", true);
    ms[2] = measure(bench, 5000, "100k", false);
    bench_figure(bench, "vision.exponent", exponent(steps, ms, 3), "");
    struct outcome still = play(500, SCENE_MOVERS * 10, STEPS);
    bench_compare(bench, "vision.still_10x", still.tick_ms, ms[1], "ms");
    alliance(bench);
    return bench_close(bench);
}
