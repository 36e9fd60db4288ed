// Ticks of the vision core: every empire has 20 observers with a sight of 8 hexes, who wander
// within 7 hexes of its home and take a step 4 times a second, a fifth of them in each tick. Homes
// are 11 hexes apart, so that neighbours see each other's units. What an empire owns is scattered
// over the entity table, as after long play. Sizes: 500, 1,000, ... empires, and one where ten
// times as much stands as in the one before while the same number move.
//
// Compared, in the same run, with the same moves and by the same core (so that whatever follows the
// counting costs each the same): counting every mover's whole disc off and on again (remove_add),
// and joining all discs of all observers anew in every tick, 64 hexes at a time and without
// counters (recompute). All three must come to the same frames, hex by hex. Times are CPU time of
// this one thread, the median of the ticks.

#include "libcommon/base/rng.h"
#include "services/vision/core/internal.h"
#include "tests/support/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOVERS = 20, // observers of an empire
    STEP_EVERY_TICKS = 5,
    SIGHT = 8,
    HOME_SPACING = 11,
    WANDER = 7,
    WARM_TICKS = 10,
    TICKS = 25,
    ALLIANCE = 100,
};

enum way { STEPS, REMOVE_ADD, RECOMPUTE, WAYS };

struct scene {
    uint32_t entities;
    uint32_t per_empire;
    uint32_t empires;
    struct mm_rng rng;
    struct hex_axial *home; // per empire
    struct hex_axial *at;   // per entity
    struct hex_tiling tiling;
    Mmorts__Frame__TickFrame snapshot;
    Mmorts__Frame__Catalogue catalogue;
    Mmorts__Frame__TypeColumns types;
    Mmorts__Frame__TerrainColumns terrains;
    Mmorts__Frame__EmpireColumns empire_columns;
    Mmorts__Frame__ChunkColumns chunks;
    Mmorts__Frame__SpawnColumns spawned;
    Mmorts__Frame__TickFrame delta;
    Mmorts__Frame__PositionColumns moved;
};

static void *zeroed(size_t count, size_t bytes)
{
    void *memory = calloc(count + 1, bytes);
    if (!memory)
        abort();
    return memory;
}

// Entities are numbered empire by empire within each round: the first of all empires, then the
// second of all, and so on. The rounds from MOVERS on are buildings.
enum { KINDS = 2, BUILDING = 1 };

static uint32_t empire_of(const struct scene *scene, uint32_t entity)
{
    return entity % scene->empires;
}

static uint32_t round_of(const struct scene *scene, uint32_t entity)
{
    return entity / scene->empires;
}

static void fill_catalogue(struct scene *scene)
{
    static char *names[] = {"scout", "tower"};
    Mmorts__Frame__TypeColumns *t = &scene->types;
    mmorts__frame__type_columns__init(t);
    t->n_name = t->n_kind = t->n_sight_hexes = t->n_sight_type = t->n_health_max = KINDS;
    t->n_ticks_per_hex = t->n_flags = KINDS;
    t->name = names;
    t->kind = zeroed(KINDS, sizeof *t->kind);
    t->sight_hexes = zeroed(KINDS, 4);
    t->sight_type = zeroed(KINDS, sizeof *t->sight_type);
    t->health_max = zeroed(KINDS, 4);
    t->ticks_per_hex = zeroed(KINDS, 4);
    t->flags = zeroed(KINDS, 4);
    for (uint32_t i = 0; i < KINDS; i++) {
        t->kind[i] =
            i == BUILDING ? MMORTS__FRAME__KIND__KIND_BUILDING : MMORTS__FRAME__KIND__KIND_UNIT;
        t->sight_hexes[i] = SIGHT;
    }
    mmorts__frame__terrain_columns__init(&scene->terrains);
    scene->terrains.n_name = scene->terrains.n_move_cost_percent = scene->terrains.n_sight_cost = 2;
    scene->terrains.name = names;
    scene->terrains.move_cost_percent = scene->terrains.sight_cost = zeroed(2, 4);
    mmorts__frame__catalogue__init(&scene->catalogue);
    scene->catalogue.types = t;
    scene->catalogue.terrains = &scene->terrains;
    scene->catalogue.chunk_radius = HEX_CHUNK_RADIUS_DEFAULT;
}

static void fill_empires(struct scene *scene)
{
    Mmorts__Frame__EmpireColumns *e = &scene->empire_columns;
    size_t n = scene->empires;
    mmorts__frame__empire_columns__init(e);
    e->n_empire = e->n_id = e->n_player_id = e->n_name = e->n_home_q = e->n_home_r = n;
    e->empire = zeroed(n, 4);
    e->id = zeroed(n, 8);
    e->player_id = zeroed(n, 8);
    e->name = zeroed(n, sizeof *e->name);
    e->home_q = zeroed(n, 4);
    e->home_r = zeroed(n, 4);
    for (uint32_t i = 0; i < n; i++)
        e->empire[i] = i + 1;
}

// Every chunk that anybody may come to see.
static void fill_chunks(struct scene *scene)
{
    Mmorts__Frame__ChunkColumns *c = &scene->chunks;
    mmorts__frame__chunk_columns__init(c);
    struct mm_idmap *seen = mm_idmap_new(1 << 24);
    size_t capacity = (size_t)scene->empires * 12 + 64;
    c->q = zeroed(capacity, 4);
    c->r = zeroed(capacity, 4);
    size_t reach = 20;
    struct hex_axial *around = zeroed(hex_disc_count((int32_t)reach), sizeof *around);
    for (uint32_t e = 0; e < scene->empires; e++) {
        size_t n = hex_disc(scene->home[e], (int32_t)reach, around);
        for (size_t i = 0; i < n; i++) {
            struct hex_chunk at = hex_chunk_of(&scene->tiling, around[i]);
            if (mm_idmap_has(seen, hex_chunk_pack(at)) || c->n_q == capacity)
                continue;
            if (mm_idmap_set(seen, hex_chunk_pack(at), 1) != MM_OK)
                abort();
            struct hex_axial center = hex_chunk_center(&scene->tiling, at);
            c->q[c->n_q] = center.q;
            c->r[c->n_q++] = center.r;
        }
    }
    c->n_r = c->n_q;
    c->cells.len = c->n_q * scene->tiling.cells;
    c->cells.data = zeroed(c->cells.len, 1);
    memset(c->cells.data, 1, c->cells.len);
    free(around);
    mm_idmap_free(seen);
}

static void fill_snapshot(struct scene *scene, uint64_t tick)
{
    for (uint32_t i = 0; i < scene->entities; i++) {
        scene->spawned.q[i] = scene->at[i].q;
        scene->spawned.r[i] = scene->at[i].r;
    }
    scene->snapshot.tick = tick;
}

static struct scene *scene_new(uint32_t empires, uint32_t per_empire)
{
    uint32_t entities = empires * per_empire;
    struct scene *scene = zeroed(1, sizeof *scene);
    scene->entities = entities;
    scene->empires = empires;
    scene->per_empire = per_empire;
    mm_rng_seed(&scene->rng, entities);
    if (hex_tiling_init(&scene->tiling, HEX_CHUNK_RADIUS_DEFAULT) != MM_OK)
        abort();
    scene->home = zeroed(scene->empires, sizeof *scene->home);
    scene->at = zeroed(entities, sizeof *scene->at);
    for (uint32_t e = 0; e < scene->empires; e++)
        scene->home[e] = hex_scale(hex_spiral(e), HOME_SPACING);
    fill_catalogue(scene);
    fill_empires(scene);
    fill_chunks(scene);
    Mmorts__Frame__SpawnColumns *s = &scene->spawned;
    mmorts__frame__spawn_columns__init(s);
    s->n_entity = s->n_id = s->n_type = s->n_owner = s->n_q = s->n_r = entities;
    s->entity = zeroed(entities, 4);
    s->id = zeroed(entities, 8);
    s->type = zeroed(entities, 4);
    s->owner = zeroed(entities, 4);
    s->q = zeroed(entities, 4);
    s->r = zeroed(entities, 4);
    for (uint32_t i = 0; i < entities; i++) {
        uint32_t empire = empire_of(scene, i);
        s->entity[i] = i + 1;
        s->id[i] = mm_rng_u64(&scene->rng);
        s->type[i] = round_of(scene, i) < MOVERS ? 0 : BUILDING;
        s->owner[i] = empire + 1;
        scene->at[i] = hex_add(scene->home[empire],
                               hex_spiral(mm_rng_below(&scene->rng, hex_disc_count(WANDER))));
    }
    mmorts__frame__tick_frame__init(&scene->snapshot);
    scene->snapshot.snapshot = 1;
    scene->snapshot.catalogue = &scene->catalogue;
    scene->snapshot.empires = &scene->empire_columns;
    scene->snapshot.chunks = &scene->chunks;
    scene->snapshot.spawned = s;
    fill_snapshot(scene, 1);
    mmorts__frame__tick_frame__init(&scene->delta);
    mmorts__frame__position_columns__init(&scene->moved);
    scene->delta.moved = &scene->moved;
    scene->moved.entity = zeroed(entities, 4);
    scene->moved.q = zeroed(entities, 4);
    scene->moved.r = zeroed(entities, 4);
    return scene;
}

static void scene_free(struct scene *scene)
{
    void *columns[] = {scene->types.kind,
                       scene->types.sight_hexes,
                       scene->types.sight_type,
                       scene->types.health_max,
                       scene->types.ticks_per_hex,
                       scene->types.flags,
                       scene->terrains.sight_cost,
                       scene->empire_columns.empire,
                       scene->empire_columns.id,
                       scene->empire_columns.player_id,
                       scene->empire_columns.name,
                       scene->empire_columns.home_q,
                       scene->empire_columns.home_r,
                       scene->chunks.q,
                       scene->chunks.r,
                       scene->chunks.cells.data,
                       scene->spawned.entity,
                       scene->spawned.id,
                       scene->spawned.type,
                       scene->spawned.owner,
                       scene->spawned.q,
                       scene->spawned.r,
                       scene->moved.entity,
                       scene->moved.q,
                       scene->moved.r,
                       scene->home,
                       scene->at,
                       scene};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        free(columns[i]);
}

// Every fifth observer takes a step; all of them do so within five ticks.
static void scene_move(struct scene *scene, uint64_t tick)
{
    size_t n = 0;
    for (uint32_t i = 0; i < scene->empires * MOVERS; i++) {
        uint32_t empire = empire_of(scene, i);
        if ((round_of(scene, i) + empire + tick) % STEP_EVERY_TICKS != 0)
            continue;
        struct hex_axial to =
            hex_neighbor(scene->at[i], (unsigned)mm_rng_below(&scene->rng, HEX_DIRECTIONS));
        if (hex_distance(to, scene->home[empire]) > WANDER)
            to = hex_neighbor(scene->at[i],
                              hex_direction_towards(scene->at[i], scene->home[empire]));
        scene->at[i] = to;
        scene->moved.entity[n] = i + 1;
        scene->moved.q[n] = to.q;
        scene->moved.r[n++] = to.r;
    }
    scene->moved.n_entity = scene->moved.n_q = scene->moved.n_r = n;
    scene->delta.tick = tick;
}

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
        ways[way] = play(empires, MOVERS, way);
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
    struct scene *scene = scene_new(500, MOVERS);
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
        struct outcome steps = play((uint32_t)strtoul(argv[1], NULL, 10), MOVERS, STEPS);
        bench_figure(bench, "vision.tick_ms", steps.tick_ms, "ms");
        return bench_close(bench);
    }
    double steps[] = {1000, 10000, 100000}, ms[3];
    ms[0] = measure(bench, 50, "1k", false);
    ms[1] = measure(bench, 500, "10k", true);
    ms[2] = measure(bench, 5000, "100k", false);
    bench_figure(bench, "vision.exponent", exponent(steps, ms, 3), "");
    struct outcome still = play(500, MOVERS * 10, STEPS);
    bench_compare(bench, "vision.still_10x", still.tick_ms, ms[1], "ms");
    alliance(bench);
    return bench_close(bench);
}
