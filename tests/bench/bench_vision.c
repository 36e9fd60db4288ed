// Ticks of the vision core with 1k, 10k and 100k entities, a quarter of which take a step in every
// tick; 20 to an empire, empires near enough to see each other. Compared, in the same run and with
// the same moves, with counting every mover's whole disc off and on again (remove_add), and with
// counting everything anew (recompute). All three must come to the same frames.

#include "libcommon/base/rng.h"
#include "services/vision/core/internal.h"
#include "tests/support/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PER_EMPIRE = 20,
    HOME_SPACING = 11,
    WANDER = 7,
    WARM_TICKS = 3,
    TICKS = 15,
    RECOMPUTE_TICKS = 3,
    ENTITIES_MAX = 100000,
};

struct scene {
    uint32_t entities;
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

// Four kinds in the shares of a game under way: workers, soldiers, scouts, buildings.
static const uint32_t sights[] = {4, 5, 7, 8};
enum { KINDS = 4, BUILDING = 3 };

static uint32_t kind_of(uint32_t entity)
{
    uint32_t place = entity % PER_EMPIRE;
    return place < 8 ? 0 : place < 14 ? 1 : place < 16 ? 2 : BUILDING;
}

static void fill_catalogue(struct scene *scene)
{
    static char *names[] = {"worker", "soldier", "scout", "house"};
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
        t->sight_hexes[i] = sights[i];
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

static struct scene *scene_new(uint32_t entities)
{
    struct scene *scene = zeroed(1, sizeof *scene);
    scene->entities = entities;
    scene->empires = entities / PER_EMPIRE;
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
        uint32_t empire = i / PER_EMPIRE;
        s->entity[i] = i + 1;
        s->id[i] = mm_rng_u64(&scene->rng);
        s->type[i] = kind_of(i);
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

// A quarter of the entities, units all, take a step.
static void scene_move(struct scene *scene, uint64_t tick)
{
    size_t n = 0;
    uint32_t offset = (uint32_t)mm_rng_below(&scene->rng, PER_EMPIRE);
    for (uint32_t i = 0; n < scene->entities / 4 && i < scene->entities; i++) {
        if (kind_of(i) == BUILDING || (i + offset) % 16 >= 5)
            continue;
        struct hex_axial to =
            hex_neighbor(scene->at[i], (unsigned)mm_rng_below(&scene->rng, HEX_DIRECTIONS));
        if (hex_distance(to, scene->home[i / PER_EMPIRE]) > WANDER)
            to = hex_neighbor(scene->at[i],
                              hex_direction_towards(scene->at[i], scene->home[i / PER_EMPIRE]));
        scene->at[i] = to;
        scene->moved.entity[n] = i + 1;
        scene->moved.q[n] = to.q;
        scene->moved.r[n++] = to.r;
    }
    scene->moved.n_entity = scene->moved.n_q = scene->moved.n_r = n;
    scene->delta.tick = tick;
}

static struct vision *core_new(bool whole_discs)
{
    struct vision_options options = vision_options_default();
    struct vision *core;
    if (vision_new(&options, &core) != MM_OK)
        abort();
    core->whole_discs = whole_discs;
    return core;
}

static double timed(struct vision *core, const Mmorts__Frame__TickFrame *frame,
                    const Mmorts__Frame__VisionFrame **out)
{
    uint64_t start = bench_now_ns();
    if (vision_apply(core, frame, out) != MM_OK) {
        fprintf(stderr, "frame refused: %s\n", vision_refusal(core));
        exit(1);
    }
    return (double)(bench_now_ns() - start) / 1e6;
}

// What one way of counting came to; the same moves must come to the same in every way.
struct outcome {
    double tick_ms;
    size_t hexes, entered, left;
    struct vision_stats stats;
};

// Each in a scene of its own, one after the other: side by side they would fight for the caches.
static struct outcome play(uint32_t entities, bool whole_discs)
{
    struct scene *scene = scene_new(entities);
    struct vision *core = core_new(whole_discs);
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
        outcome.hexes += out->n_hex_q;
        outcome.entered += out->n_entered;
        outcome.left += out->n_left;
    }
    outcome.tick_ms = bench_median(took_ms, TICKS);
    vision_stats(core, &outcome.stats);
    vision_free(core);
    scene_free(scene);
    return outcome;
}

// Every tick from nothing: the state after the same moves, told whole.
static struct outcome recompute(uint32_t entities)
{
    struct scene *scene = scene_new(entities);
    struct vision *core = core_new(false);
    const Mmorts__Frame__VisionFrame *out;
    struct outcome outcome = {0};
    double took_ms[RECOMPUTE_TICKS];
    for (int i = 0; i < WARM_TICKS + TICKS; i++)
        scene_move(scene, (uint64_t)i + 2);
    for (int i = 0; i < RECOMPUTE_TICKS; i++) {
        fill_snapshot(scene, (uint64_t)i + 1);
        took_ms[i] = timed(core, &scene->snapshot, &out);
    }
    outcome.tick_ms = bench_median(took_ms, RECOMPUTE_TICKS);
    vision_stats(core, &outcome.stats);
    vision_free(core);
    scene_free(scene);
    return outcome;
}

static void must_agree(const struct outcome *x, const struct outcome *y, bool frames)
{
    if (x->stats.visible_hexes != y->stats.visible_hexes ||
        x->stats.sight_pairs != y->stats.sight_pairs ||
        (frames && (x->hexes != y->hexes || x->entered != y->entered || x->left != y->left))) {
        fprintf(stderr, "the ways of counting disagree\n");
        exit(1);
    }
}

static void measure(struct bench *bench, uint32_t entities, const char *label)
{
    struct outcome steps = play(entities, false);
    struct outcome discs = play(entities, true);
    struct outcome anew = recompute(entities);
    must_agree(&steps, &discs, true);
    must_agree(&steps, &anew, false);

    const struct {
        const char *what, *unit;
        double value, baseline;
    } figures[] = {
        {"tick_ms", "ms", steps.tick_ms, 0},
        {"remove_add", "ms", steps.tick_ms, discs.tick_ms},
        {"recompute", "ms", steps.tick_ms, anew.tick_ms},
        {"hexes_told", "1/tick", (double)steps.hexes / TICKS, 0},
        {"entered", "1/tick", (double)steps.entered / TICKS, 0},
        {"bytes_per_empire", "bytes", (double)steps.stats.state_bytes / (double)steps.stats.empires,
         0},
        {"bytes_per_explored_hex", "bytes",
         (double)steps.stats.state_bytes / (double)steps.stats.explored_hexes, 0},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        char name[64];
        // What one way is to another is told once, of the largest game, under its plain name too.
        bool plain = figures[i].baseline > 0 && entities == ENTITIES_MAX;
        if (plain) {
            snprintf(name, sizeof name, "vision.%s", figures[i].what);
            bench_compare(bench, name, figures[i].value, figures[i].baseline, figures[i].unit);
        }
        snprintf(name, sizeof name, "vision.%s.%s", figures[i].what, label);
        if (figures[i].baseline > 0)
            bench_compare(bench, name, figures[i].value, figures[i].baseline, figures[i].unit);
        else
            bench_figure(bench, name, figures[i].value, figures[i].unit);
    }
}

int main(void)
{
    struct bench *bench = bench_open(
        "vision", "vision core: 25% of the entities step each tick, 20 entities to an empire");
    measure(bench, 1000, "1k");
    measure(bench, 10000, "10k");
    measure(bench, ENTITIES_MAX, "100k");
    return bench_close(bench);
}
