#include "tests/support/vision_scene.h"

#include "libcommon/base/idmap.h"
#include <stdlib.h>
#include <string.h>

static void *zeroed(size_t count, size_t bytes)
{
    void *memory = calloc(count + 1, bytes);
    if (!memory)
        abort();
    return memory;
}

// Entities are numbered empire by empire within each round: the first of all empires, then the
// second of all, and so on. The rounds from SCENE_MOVERS on are buildings.
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
        t->sight_hexes[i] = SCENE_SIGHT;
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
    for (uint32_t i = 0; i < n; i++) {
        e->empire[i] = i + 1;
        e->name[i] = (char *)(uintptr_t) "";
    }
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

void scene_snapshot(struct scene *scene, uint64_t tick)
{
    for (uint32_t i = 0; i < scene->entities; i++) {
        scene->spawned.q[i] = scene->at[i].q;
        scene->spawned.r[i] = scene->at[i].r;
    }
    scene->snapshot.tick = tick;
}

struct scene *scene_new(uint32_t empires, uint32_t per_empire)
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
        scene->home[e] = hex_scale(hex_spiral(e), SCENE_HOME_SPACING);
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
        s->type[i] = round_of(scene, i) < SCENE_MOVERS ? 0 : BUILDING;
        s->owner[i] = empire + 1;
        scene->at[i] = hex_add(scene->home[empire],
                               hex_spiral(mm_rng_below(&scene->rng, hex_disc_count(SCENE_WANDER))));
    }
    mmorts__frame__tick_frame__init(&scene->snapshot);
    scene->snapshot.snapshot = 1;
    scene->snapshot.catalogue = &scene->catalogue;
    scene->snapshot.empires = &scene->empire_columns;
    scene->snapshot.chunks = &scene->chunks;
    scene->snapshot.spawned = s;
    scene_snapshot(scene, 1);
    mmorts__frame__tick_frame__init(&scene->delta);
    mmorts__frame__position_columns__init(&scene->moved);
    scene->delta.moved = &scene->moved;
    scene->moved.entity = zeroed(entities, 4);
    scene->moved.q = zeroed(entities, 4);
    scene->moved.r = zeroed(entities, 4);
    return scene;
}

void scene_free(struct scene *scene)
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
void scene_move(struct scene *scene, uint64_t tick)
{
    size_t n = 0;
    bool marches = scene->march_every_ticks != 0 && tick % scene->march_every_ticks == 0;
    for (uint32_t e = 0; e < scene->empires && marches; e++)
        scene->home[e] = hex_neighbor(scene->home[e], 0);
    for (uint32_t i = 0; i < scene->empires * SCENE_MOVERS; i++) {
        uint32_t empire = empire_of(scene, i);
        if ((round_of(scene, i) + empire + tick) % SCENE_STEP_EVERY_TICKS != 0)
            continue;
        struct hex_axial to =
            hex_neighbor(scene->at[i], (unsigned)mm_rng_below(&scene->rng, HEX_DIRECTIONS));
        if (hex_distance(to, scene->home[empire]) > SCENE_WANDER)
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
