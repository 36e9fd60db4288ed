#include "tests/support/vision_world.h"

#include "libcommon/base/rng.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REACH = 20, // entities stay within this of the origin
    MARGIN = 9, // more than the widest sight
    SIDE = 2 * (REACH + MARGIN) + 1,
    HEXES = SIDE * SIDE,
    SLOTS = 256,
    EMPIRES = 40,
    MEMORIES = 512,
    CHUNKS = 1024,
    FRAME_ROWS = 4 * SLOTS,
    ORDERS = 16,
};

struct truth_type {
    const char *name;
    Mmorts__Frame__Kind kind;
    uint32_t sight;
    Mmorts__Frame__SightType sense;
    uint32_t flags;
    int memory; // ticks, 0 = permanent, -1 = not remembered
};

static const struct truth_type types[] = {
    {"scout", MMORTS__FRAME__KIND__KIND_UNIT, 4, 0, 0, -1},
    {"soldier", MMORTS__FRAME__KIND__KIND_UNIT, 2, 0, 0, -1},
    {"hut", MMORTS__FRAME__KIND__KIND_BUILDING, 3, 0, 0, 60},
    {"wall", MMORTS__FRAME__KIND__KIND_BUILDING, 0, 0, 0, 60},
    {"settlement", MMORTS__FRAME__KIND__KIND_BUILDING, 5, 0, 4, 0},
    {"hero", MMORTS__FRAME__KIND__KIND_UNIT, 3, 0, 1, 35},
    {"titan", MMORTS__FRAME__KIND__KIND_UNIT, 6, 0, 2, 0},
    {"spy", MMORTS__FRAME__KIND__KIND_UNIT, 2, 0, 8, -1},
    {"shade", MMORTS__FRAME__KIND__KIND_BUILDING, 1, 0, 8, 60},
    {"seer", MMORTS__FRAME__KIND__KIND_UNIT, 3, MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR, 0, -1},
    {"bear", MMORTS__FRAME__KIND__KIND_NPC, 2, 0, 0, 0},
    {"gold", MMORTS__FRAME__KIND__KIND_RESOURCE, 0, 0, 0, -1},
};
enum { TYPES = sizeof types / sizeof *types, TERRAINS = 5 };

struct truth_entity {
    bool alive;
    uint64_t id;
    uint32_t type, owner;
    int q, r;
    int32_t health, sight;
    bool enabled, stealthed;
    uint64_t died; // tick in which the slot was given up
};

struct truth_memory {
    bool used;
    struct vision_memory row;
};

// What one empire knows: once by the truth, once by what its reader was told.
struct knowledge {
    uint8_t state[HEXES];    // 0 shroud, 1 fog, 2 visible
    uint8_t detected[HEXES]; // truth only
    uint8_t terrain[HEXES];  // + 1
    bool sees[SLOTS];
    uint64_t sees_id[SLOTS];
    uint64_t first_seen[SLOTS];
    struct truth_memory memories[MEMORIES];
};

struct vision_world {
    struct vision_world_options options;
    struct mm_rng rng;
    struct hex_tiling tiling;
    uint64_t tick;
    uint64_t next_id;
    struct truth_entity now[SLOTS], before[SLOTS];
    bool shares[EMPIRES][EMPIRES];  // in effect
    bool ordered[EMPIRES][EMPIRES]; // as it will be when all orders are
    struct {
        uint32_t from, to;
        bool share;
        uint64_t at_tick;
    } orders[ORDERS];
    size_t order_count;
    struct {
        int q, r;
        bool known;
    } chunks[CHUNKS];
    size_t chunk_count;
    bool hex_known[HEXES];
    struct knowledge truth[EMPIRES], told[EMPIRES];
    struct knowledge last;
    bool restarted;
    bool shares_kept;

    bool quiet;
    size_t differences;
    char first[240];

    // The frame's columns.
    Mmorts__Frame__TickFrame frame;
    Mmorts__Frame__Catalogue catalogue;
    Mmorts__Frame__TypeColumns type_columns;
    Mmorts__Frame__TerrainColumns terrain_columns;
    Mmorts__Frame__EmpireColumns empires;
    Mmorts__Frame__ChunkColumns chunk_columns;
    Mmorts__Frame__SpawnColumns spawned;
    Mmorts__Frame__PositionColumns moved;
    Mmorts__Frame__AttributeColumn columns[6];
    Mmorts__Frame__AttributeColumn *column_list[6];
    char *names[TYPES + EMPIRES];
    uint32_t u32[40][FRAME_ROWS];
    int32_t i32[20][FRAME_ROWS];
    uint64_t u64[4][FRAME_ROWS];
    uint8_t *cells;
};

// --- plain geometry
// ------------------------------------------------------------------------------------

static int steps(int dq, int dr)
{
    int a = abs(dq), b = abs(dr), c = abs(dq + dr);
    return a > b ? (a > c ? a : c) : (b > c ? b : c);
}

static int hex_at(int q, int r)
{
    int i = q + REACH + MARGIN, k = r + REACH + MARGIN;
    return i < 0 || k < 0 || i >= SIDE || k >= SIDE ? -1 : k * SIDE + i;
}

static int hex_q(int hex)
{
    return hex % SIDE - REACH - MARGIN;
}

static int hex_r(int hex)
{
    return hex / SIDE - REACH - MARGIN;
}

static uint8_t terrain_at(int q, int r)
{
    uint32_t h = (uint32_t)q * 73856093u ^ (uint32_t)r * 19349663u;
    return (uint8_t)((h >> 3) % TERRAINS);
}

// --- random changes
// ------------------------------------------------------------------------------------

static uint32_t below(struct vision_world *world, uint32_t bound)
{
    return (uint32_t)mm_rng_below(&world->rng, bound);
}

static bool chance(struct vision_world *world, uint32_t percent)
{
    return below(world, 100) < percent;
}

static void random_place(struct vision_world *world, int *q, int *r)
{
    do {
        *q = (int)below(world, 2 * REACH + 1) - REACH;
        *r = (int)below(world, 2 * REACH + 1) - REACH;
    } while (steps(*q, *r) > REACH);
}

static void add_spawn(struct vision_world *world, uint32_t slot)
{
    const struct truth_entity *entity = &world->now[slot];
    size_t n = world->spawned.n_entity++;
    world->spawned.n_id = world->spawned.n_type = world->spawned.n_owner = n + 1;
    world->spawned.n_q = world->spawned.n_r = n + 1;
    world->spawned.entity[n] = slot;
    world->spawned.id[n] = entity->id;
    world->spawned.type[n] = entity->type;
    world->spawned.owner[n] = entity->owner;
    world->spawned.q[n] = entity->q;
    world->spawned.r[n] = entity->r;
}

static void spawn_one(struct vision_world *world)
{
    uint32_t slot = 1 + below(world, SLOTS - 1);
    struct truth_entity *entity = &world->now[slot];
    if (entity->alive || (entity->died != 0 && entity->died == world->tick))
        return;
    uint32_t type = below(world, TYPES);
    *entity = (struct truth_entity){
        .alive = true,
        .id = ++world->next_id * UINT64_C(0x9e3779b97f4a7c15),
        .type = type,
        .owner = types[type].kind == MMORTS__FRAME__KIND__KIND_RESOURCE
                     ? 0
                     : below(world, world->options.empires + 1),
        .health = 100 + (int32_t)type,
        .sight = (int32_t)types[type].sight,
        .enabled = true,
        .stealthed = types[type].flags & 8,
    };
    random_place(world, &entity->q, &entity->r);
    // Near the others, so that they meet.
    if (chance(world, 70)) {
        entity->q /= 2;
        entity->r /= 2;
    }
    add_spawn(world, slot);
}

static void move_one(struct vision_world *world, uint32_t slot)
{
    static const int dq[] = {1, 1, 0, -1, -1, 0}, dr[] = {0, -1, -1, 0, 1, 1};
    struct truth_entity *entity = &world->now[slot];
    int q, r;
    if (chance(world, 4)) {
        random_place(world, &q, &r);
    } else {
        uint32_t d = below(world, 6);
        int far = chance(world, 8) ? 2 : 1;
        q = entity->q + far * dq[d];
        r = entity->r + far * dr[d];
        if (steps(q, r) > REACH)
            return;
    }
    entity->q = q;
    entity->r = r;
    size_t n = world->moved.n_entity++;
    world->moved.n_q = world->moved.n_r = n + 1;
    world->moved.entity[n] = slot;
    world->moved.q[n] = q;
    world->moved.r[n] = r;
}

static const Mmorts__Frame__Attribute attributes[6] = {
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_ACTIVITY,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_HEXES,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_ENABLED,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_STEALTHED,
};

static void add_attribute(struct vision_world *world, unsigned which, uint32_t slot, int32_t value)
{
    Mmorts__Frame__AttributeColumn *column = &world->columns[which];
    size_t n = column->n_entity++;
    column->n_value = n + 1;
    column->entity[n] = slot;
    column->value[n] = value;
}

static void change_attribute(struct vision_world *world, uint32_t slot)
{
    struct truth_entity *entity = &world->now[slot];
    unsigned which = below(world, 6);
    int32_t value = 0;
    switch (which) {
    case 0:
        value = entity->health = (int32_t)below(world, 100);
        break;
    case 1:
        if (!chance(world, 30))
            return;
        entity->owner = below(world, world->options.empires + 1);
        value = (int32_t)entity->owner;
        break;
    case 2:
        value = (int32_t)below(world, 3);
        break;
    case 3:
        value = entity->sight = (int32_t)below(world, MARGIN);
        break;
    case 4:
        entity->enabled = chance(world, 60);
        value = entity->enabled;
        break;
    default:
        entity->stealthed = chance(world, 40);
        value = entity->stealthed;
        break;
    }
    add_attribute(world, which, slot, value);
}

static void change_sharing(struct vision_world *world, struct vision *core)
{
    uint32_t from = 1 + below(world, world->options.empires);
    uint32_t to = 1 + below(world, world->options.empires);
    if (from == to)
        return;
    bool share = chance(world, 50);
    uint64_t at_tick = world->tick + below(world, 6);
    if (world->order_count == ORDERS)
        return;
    enum mm_err err =
        share ? vision_share(core, from, to, at_tick) : vision_unshare(core, from, to, at_tick);
    if (err != MM_OK && !(err == MM_NOT_FOUND && !world->ordered[from][to]))
        abort();
    if (world->ordered[from][to] == share)
        return;
    world->ordered[from][to] = share;
    for (size_t i = 0; i < world->order_count; i++) {
        if (world->orders[i].from == from && world->orders[i].to == to &&
            world->orders[i].at_tick > at_tick)
            at_tick = world->orders[i].at_tick;
    }
    world->orders[world->order_count].from = from;
    world->orders[world->order_count].to = to;
    world->orders[world->order_count].share = share;
    world->orders[world->order_count++].at_tick = at_tick;
}

static void carry_out_orders(struct vision_world *world)
{
    size_t kept = 0;
    for (size_t i = 0; i < world->order_count; i++) {
        if (world->orders[i].at_tick > world->tick)
            world->orders[kept++] = world->orders[i];
        else
            world->shares[world->orders[i].from][world->orders[i].to] = world->orders[i].share;
    }
    world->order_count = kept;
}

// --- the frame
// -------------------------------------------------------------------------------------------

static void add_chunk(struct vision_world *world, size_t c)
{
    Mmorts__Frame__ChunkColumns *columns = &world->chunk_columns;
    size_t n = columns->n_q++;
    columns->n_r = n + 1;
    columns->q[n] = world->chunks[c].q;
    columns->r[n] = world->chunks[c].r;
    struct hex_chunk at =
        hex_chunk_of(&world->tiling, (struct hex_axial){columns->q[n], columns->r[n]});
    for (uint32_t cell = 0; cell < world->tiling.cells; cell++) {
        struct hex_axial h = hex_chunk_hex(&world->tiling, at, cell);
        world->cells[n * world->tiling.cells + cell] = terrain_at(h.q, h.r);
        int hex = hex_at(h.q, h.r);
        if (hex >= 0)
            world->hex_known[hex] = true;
    }
    columns->cells.data = world->cells;
    columns->cells.len = (n + 1) * world->tiling.cells;
    world->chunks[c].known = true;
}

static void clear_frame(struct vision_world *world)
{
    mmorts__frame__tick_frame__init(&world->frame);
    world->frame.tick = world->tick;
    world->frame.despawned = world->u32[0];
    mmorts__frame__spawn_columns__init(&world->spawned);
    world->spawned.entity = world->u32[1];
    world->spawned.type = world->u32[2];
    world->spawned.owner = world->u32[3];
    world->spawned.id = world->u64[0];
    world->spawned.q = world->i32[0];
    world->spawned.r = world->i32[1];
    mmorts__frame__position_columns__init(&world->moved);
    world->moved.entity = world->u32[4];
    world->moved.q = world->i32[2];
    world->moved.r = world->i32[3];
    mmorts__frame__chunk_columns__init(&world->chunk_columns);
    world->chunk_columns.q = world->i32[4];
    world->chunk_columns.r = world->i32[5];
    for (unsigned i = 0; i < 6; i++) {
        mmorts__frame__attribute_column__init(&world->columns[i]);
        world->columns[i].attribute = attributes[i];
        world->columns[i].entity = world->u32[5 + i];
        world->columns[i].value = world->i32[6 + i];
        world->column_list[i] = &world->columns[i];
    }
    world->frame.spawned = &world->spawned;
    world->frame.moved = &world->moved;
    world->frame.chunks = &world->chunk_columns;
    world->frame.columns = world->column_list;
    world->frame.n_columns = 6;
}

static void fill_catalogue(struct vision_world *world)
{
    Mmorts__Frame__TypeColumns *t = &world->type_columns;
    mmorts__frame__type_columns__init(t);
    t->n_name = t->n_kind = t->n_sight_hexes = t->n_sight_type = t->n_health_max = TYPES;
    t->n_ticks_per_hex = t->n_flags = TYPES;
    t->name = world->names;
    t->kind = (Mmorts__Frame__Kind *)world->u32[12];
    t->sight_hexes = world->u32[13];
    t->sight_type = (Mmorts__Frame__SightType *)world->u32[14];
    t->health_max = world->u32[15];
    t->ticks_per_hex = world->u32[16];
    t->flags = world->u32[17];
    for (uint32_t i = 0; i < TYPES; i++) {
        world->names[i] = (char *)(uintptr_t)types[i].name;
        t->kind[i] = types[i].kind;
        t->sight_hexes[i] = types[i].sight;
        t->sight_type[i] = types[i].sense;
        t->health_max[i] = 100 + i;
        t->flags[i] = types[i].flags;
    }
    Mmorts__Frame__TerrainColumns *terrains = &world->terrain_columns;
    mmorts__frame__terrain_columns__init(terrains);
    terrains->n_name = terrains->n_move_cost_percent = terrains->n_sight_cost = TERRAINS;
    terrains->name = world->names;
    terrains->move_cost_percent = terrains->sight_cost = world->u32[18];
    mmorts__frame__catalogue__init(&world->catalogue);
    world->catalogue.types = t;
    world->catalogue.terrains = terrains;
    world->catalogue.chunk_radius = (uint32_t)world->options.chunk_radius;
    world->frame.catalogue = &world->catalogue;

    Mmorts__Frame__EmpireColumns *e = &world->empires;
    mmorts__frame__empire_columns__init(e);
    e->n_empire = e->n_id = e->n_player_id = e->n_name = e->n_home_q = e->n_home_r =
        world->options.empires;
    e->empire = world->u32[19];
    e->id = world->u64[1];
    e->player_id = world->u64[2];
    e->name = world->names;
    e->home_q = world->i32[12];
    e->home_r = world->i32[13];
    for (uint32_t i = 0; i < world->options.empires; i++)
        e->empire[i] = i + 1;
    world->frame.empires = e;
}

static void fill_snapshot(struct vision_world *world)
{
    clear_frame(world);
    world->frame.snapshot = 1;
    fill_catalogue(world);
    for (size_t c = 0; c < world->chunk_count; c++) {
        if (world->chunks[c].known)
            add_chunk(world, c);
    }
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        const struct truth_entity *entity = &world->now[slot];
        if (!entity->alive)
            continue;
        add_spawn(world, slot);
        add_attribute(world, 0, slot, entity->health);
        add_attribute(world, 3, slot, entity->sight);
        add_attribute(world, 4, slot, entity->enabled);
        add_attribute(world, 5, slot, entity->stealthed);
    }
}

static void random_changes(struct vision_world *world, struct vision *core)
{
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        struct truth_entity *entity = &world->now[slot];
        if (entity->alive && below(world, 1000) < 12) {
            entity->alive = false;
            entity->died = world->tick;
            world->frame.despawned[world->frame.n_despawned++] = slot;
        }
    }
    uint32_t alive = 0;
    for (uint32_t slot = 1; slot < SLOTS; slot++)
        alive += world->now[slot].alive;
    for (uint32_t i = 0; i < 4 && alive + i < world->options.entities; i++)
        spawn_one(world);
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        if (!world->now[slot].alive)
            continue;
        // Buildings move too: what matters here is that positions change.
        if (chance(world,
                   types[world->now[slot].type].kind == MMORTS__FRAME__KIND__KIND_UNIT ? 35 : 3))
            move_one(world, slot);
        while (chance(world, 8))
            change_attribute(world, slot);
    }
    if (chance(world, 30) && world->chunk_count > 0) {
        size_t c = below(world, (uint32_t)world->chunk_count);
        if (!world->chunks[c].known)
            add_chunk(world, c);
    }
    if (chance(world, 6) && !world->shares_kept)
        change_sharing(world, core);
}

// --- the truth
// ---------------------------------------------------------------------------------------------

static bool lends_to(const struct vision_world *world, uint32_t from, uint32_t to)
{
    return from == to || (from != 0 && world->shares[from][to]);
}

static void look(const struct vision_world *world, uint32_t empire, bool *visible, bool *detected)
{
    memset(visible, 0, HEXES);
    memset(detected, 0, HEXES);
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        const struct truth_entity *entity = &world->now[slot];
        if (!entity->alive || entity->owner == 0 || !entity->enabled || entity->sight <= 0 ||
            !lends_to(world, entity->owner, empire))
            continue;
        int range = entity->sight;
        for (int q = entity->q - range; q <= entity->q + range; q++) {
            for (int r = entity->r - range; r <= entity->r + range; r++) {
                int hex = hex_at(q, r);
                if (steps(q - entity->q, r - entity->r) > range || !world->hex_known[hex])
                    continue;
                visible[hex] = true;
                if (types[entity->type].sense == MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR)
                    detected[hex] = true;
            }
        }
    }
    for (int hex = 0; hex < HEXES && !world->options.fog_of_war; hex++)
        visible[hex] = world->hex_known[hex];
}

static struct truth_memory *memory_of(struct knowledge *knowledge, uint64_t id)
{
    for (size_t i = 0; i < MEMORIES; i++) {
        if (knowledge->memories[i].used && knowledge->memories[i].row.id == id)
            return &knowledge->memories[i];
    }
    return NULL;
}

static struct truth_memory *memory_slot(struct knowledge *knowledge)
{
    for (size_t i = 0; i < MEMORIES; i++) {
        if (!knowledge->memories[i].used)
            return &knowledge->memories[i];
    }
    abort();
}

static uint32_t alive_slot(const struct vision_world *world, uint64_t id)
{
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        if (world->now[slot].alive && world->now[slot].id == id)
            return slot;
    }
    return 0;
}

static void part(struct vision_world *world, uint32_t empire, uint32_t slot)
{
    struct knowledge *knowledge = &world->truth[empire];
    const struct truth_entity *seen = &world->before[slot];
    int memory = types[seen->type].memory;
    bool gone = alive_slot(world, seen->id) == 0;
    int hex = hex_at(seen->q, seen->r);
    bool visible = knowledge->state[hex] == 2;
    bool revealed = visible && world->last.state[hex] != 2;
    if (memory < 0 || (gone && seen->owner == empire) || (visible && (gone || revealed)))
        return;
    struct truth_memory *slot_of = memory_slot(knowledge);
    slot_of->used = true;
    slot_of->row = (struct vision_memory){
        .empire = empire,
        .id = seen->id,
        .type = seen->type,
        .owner = seen->owner,
        .at = {seen->q, seen->r},
        .health = seen->health,
        .first_seen = world->last.first_seen[slot],
        .last_seen = world->tick - 1,
        .expires_at = memory == 0 ? 0 : world->tick + (uint64_t)memory,
    };
}

static bool yields(const struct vision_memory *x, const struct vision_memory *y)
{
    uint64_t a[] = {x->expires_at == 0, x->expires_at, x->last_seen, x->id};
    uint64_t b[] = {y->expires_at == 0, y->expires_at, y->last_seen, y->id};
    for (int i = 0; i < 4; i++) {
        if (a[i] != b[i])
            return a[i] < b[i];
    }
    return false;
}

static void limit_memories(struct vision_world *world, struct knowledge *knowledge)
{
    for (;;) {
        size_t count = 0;
        struct truth_memory *first = NULL;
        for (size_t i = 0; i < MEMORIES; i++) {
            struct truth_memory *memory = &knowledge->memories[i];
            if (!memory->used)
                continue;
            count++;
            if (!first || yields(&memory->row, &first->row))
                first = memory;
        }
        if (count <= world->options.memories_max)
            return;
        first->used = false;
    }
}

static void update_truth(struct vision_world *world, uint32_t empire)
{
    static bool visible[HEXES], detected[HEXES];
    struct knowledge *knowledge = &world->truth[empire];
    world->last = *knowledge;
    look(world, empire, visible, detected);
    for (int hex = 0; hex < HEXES; hex++) {
        knowledge->state[hex] = visible[hex] ? 2 : knowledge->state[hex] != 0;
        if (visible[hex])
            knowledge->terrain[hex] = (uint8_t)(terrain_at(hex_q(hex), hex_r(hex)) + 1);
    }
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        const struct truth_entity *entity = &world->now[slot];
        int hex = hex_at(entity->q, entity->r);
        bool sees = entity->alive && (entity->owner == empire ||
                                      (visible[hex] && (!entity->stealthed || detected[hex])));
        bool same = world->last.sees[slot] && world->last.sees_id[slot] == entity->id;
        knowledge->sees[slot] = sees;
        knowledge->sees_id[slot] = entity->id;
        if (sees && !same) {
            struct truth_memory *memory = memory_of(knowledge, entity->id);
            knowledge->first_seen[slot] = memory ? memory->row.first_seen : world->tick;
            if (memory)
                memory->used = false;
        }
    }
    for (size_t i = 0; i < MEMORIES; i++) {
        struct truth_memory *memory = &knowledge->memories[i];
        if (!memory->used)
            continue;
        int hex = hex_at(memory->row.at.q, memory->row.at.r);
        bool revealed = visible[hex] && (world->restarted || world->last.state[hex] != 2);
        bool expired = memory->row.expires_at != 0 && memory->row.expires_at <= world->tick;
        if (revealed || expired)
            memory->used = false;
    }
    for (uint32_t slot = 1; slot < SLOTS && !world->restarted; slot++) {
        if (!world->last.sees[slot])
            continue;
        bool still = knowledge->sees[slot] && knowledge->sees_id[slot] == world->last.sees_id[slot];
        if (!still)
            part(world, empire, slot);
    }
    limit_memories(world, knowledge);
}

const Mmorts__Frame__TickFrame *vision_world_tick(struct vision_world *world, bool snapshot,
                                                  struct vision *core)
{
    world->tick++;
    memcpy(world->before, world->now, sizeof world->before);
    clear_frame(world);
    if (!chance(world, 5))
        random_changes(world, core);
    carry_out_orders(world);
    if (snapshot)
        fill_snapshot(world);
    for (uint32_t empire = 1; empire <= world->options.empires; empire++)
        update_truth(world, empire);
    world->restarted = false;
    return &world->frame;
}

// --- what a reader is told
// -----------------------------------------------------------------------------------

__attribute__((format(printf, 2, 3))) static void differ(struct vision_world *world,
                                                         const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (world->differences++ == 0)
        snprintf(world->first, sizeof world->first, "tick %" PRIu64 ": %s", world->tick, text);
    if (!world->quiet && world->differences < 20)
        fprintf(stderr, "seed %" PRIu64 " tick %" PRIu64 ": %s\n", world->options.seed, world->tick,
                text);
}

struct cursor {
    size_t hex, entered, left, remembered, forgotten;
};

static uint32_t told_slot(const struct knowledge *told, uint64_t id)
{
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        if (told->sees[slot] && told->sees_id[slot] == id)
            return slot;
    }
    return 0;
}

static void read_forgotten(struct vision_world *world, uint32_t empire, uint64_t id)
{
    struct truth_memory *memory = memory_of(&world->told[empire], id);
    if (memory)
        memory->used = false;
    else
        differ(world, "empire %u forgets %016" PRIx64 " that it was not told of", empire, id);
}

static void read_left(struct vision_world *world, uint32_t empire, uint64_t id)
{
    uint32_t slot = told_slot(&world->told[empire], id);
    if (slot)
        world->told[empire].sees[slot] = false;
    else
        differ(world, "empire %u is told that %016" PRIx64 " left, which it did not see", empire,
               id);
}

static void read_remembered(struct vision_world *world, uint32_t empire,
                            const Mmorts__Frame__MemoryColumns *m, size_t i)
{
    if (memory_of(&world->told[empire], m->id[i]))
        differ(world, "empire %u remembers %016" PRIx64 " twice", empire, m->id[i]);
    struct truth_memory *memory = memory_slot(&world->told[empire]);
    memory->used = true;
    memory->row = (struct vision_memory){
        .empire = empire,
        .id = m->id[i],
        .type = m->type[i],
        .owner = m->owner[i],
        .at = {m->q[i], m->r[i]},
        .health = m->health[i],
        .first_seen = m->first_seen[i],
        .last_seen = m->last_seen[i],
        .expires_at = m->expires_at[i],
    };
    if ((m->mode[i] == MMORTS__FRAME__CACHE_MODE__CACHE_PERMANENT) != (m->expires_at[i] == 0))
        differ(world, "empire %u: mode and expiry of %016" PRIx64 " disagree", empire, m->id[i]);
}

static void read_entered(struct vision_world *world, uint32_t empire, uint32_t slot)
{
    struct knowledge *told = &world->told[empire];
    if (slot == 0 || slot >= SLOTS || !world->now[slot].alive || told->sees[slot]) {
        differ(world, "empire %u is told that entity %u entered", empire, slot);
        return;
    }
    told->sees[slot] = true;
    told->sees_id[slot] = world->now[slot].id;
    struct truth_memory *memory = memory_of(told, told->sees_id[slot]);
    if (memory)
        memory->used = false;
}

static void read_hex(struct vision_world *world, uint32_t empire,
                     const Mmorts__Frame__VisionFrame *frame, size_t i)
{
    struct knowledge *told = &world->told[empire];
    int hex = hex_at(frame->hex_q[i], frame->hex_r[i]);
    if (hex < 0) {
        // Without fog whole chunks are seen, also where they reach beyond what is compared here.
        if (world->options.fog_of_war)
            differ(world, "empire %u is told of a hex out of its reach", empire);
        return;
    }
    if (told->state[hex] == (uint8_t)frame->hex_state[i])
        differ(world, "empire %u: hex (%d, %d) changes to what it was", empire, frame->hex_q[i],
               frame->hex_r[i]);
    if ((told->state[hex] == 0) != (frame->hex_terrain[i] != 0))
        differ(world, "empire %u: terrain of (%d, %d) told twice or not at all", empire,
               frame->hex_q[i], frame->hex_r[i]);
    told->state[hex] = (uint8_t)frame->hex_state[i];
    if (frame->hex_terrain[i])
        told->terrain[hex] = (uint8_t)frame->hex_terrain[i];
}

static void read_group(struct vision_world *world, const Mmorts__Frame__VisionFrame *frame,
                       size_t e, struct cursor *at)
{
    uint32_t empire = frame->empire[e];
    if (empire == 0 || empire > world->options.empires ||
        (e > 0 && frame->empire[e - 1] >= empire)) {
        differ(world, "frame speaks of empire %u", empire);
        return;
    }
    if (frame->hex_count[e] + frame->entered_count[e] + frame->left_count[e] +
            frame->remembered_count[e] + frame->forgotten_count[e] ==
        0)
        differ(world, "frame has nothing for empire %u", empire);
    for (uint32_t i = 0; i < frame->forgotten_count[e]; i++)
        read_forgotten(world, empire, frame->forgotten[at->forgotten++]);
    for (uint32_t i = 0; i < frame->left_count[e]; i++)
        read_left(world, empire, frame->left[at->left++]);
    for (uint32_t i = 0; i < frame->remembered_count[e]; i++)
        read_remembered(world, empire, frame->remembered, at->remembered++);
    for (uint32_t i = 0; i < frame->entered_count[e]; i++)
        read_entered(world, empire, frame->entered[at->entered++]);
    for (uint32_t i = 0; i < frame->hex_count[e]; i++)
        read_hex(world, empire, frame, at->hex++);
}

static void read_frame(struct vision_world *world, const Mmorts__Frame__VisionFrame *frame)
{
    size_t n = frame->n_empire;
    if (n > 0 &&
        (frame->n_hex_count != n || frame->n_entered_count != n || frame->n_left_count != n ||
         frame->n_remembered_count != n || frame->n_forgotten_count != n || !frame->remembered)) {
        differ(world, "counts of unequal length");
        return;
    }
    if (frame->tick != world->tick || frame->snapshot)
        differ(world, "frame of tick %" PRIu64, frame->tick);
    struct cursor at = {0};
    for (size_t e = 0; e < n; e++)
        read_group(world, frame, e, &at);
    if (at.hex != frame->n_hex_q || at.entered != frame->n_entered || at.left != frame->n_left ||
        at.forgotten != frame->n_forgotten ||
        at.remembered != (frame->remembered ? frame->remembered->n_id : 0))
        differ(world, "counts do not add up to the columns");
}

// --- comparison
// ------------------------------------------------------------------------------------------------

static void compare_memories(struct vision_world *world, uint32_t empire, struct knowledge *told)
{
    struct knowledge *truth = &world->truth[empire];
    for (size_t i = 0; i < MEMORIES; i++) {
        if (told->memories[i].used && !memory_of(truth, told->memories[i].row.id))
            differ(world, "empire %u remembers %016" PRIx64 " beyond its time", empire,
                   told->memories[i].row.id);
        if (!truth->memories[i].used)
            continue;
        const struct vision_memory *want = &truth->memories[i].row;
        const struct truth_memory *memory = memory_of(told, want->id);
        if (!memory) {
            differ(world, "empire %u does not remember %016" PRIx64 " (%s)", empire, want->id,
                   types[want->type].name);
            continue;
        }
        const struct vision_memory *have = &memory->row;
        if (have->type != want->type || have->owner != want->owner || have->at.q != want->at.q ||
            have->at.r != want->at.r || have->health != want->health ||
            have->first_seen != want->first_seen || have->last_seen != want->last_seen ||
            have->expires_at != want->expires_at)
            differ(world,
                   "empire %u remembers %s owner %u (%d,%d) health %d %" PRIu64 "-%" PRIu64
                   "-%" PRIu64 ", not owner %u (%d,%d) health %d %" PRIu64 "-%" PRIu64 "-%" PRIu64,
                   empire, types[have->type % TYPES].name, have->owner, have->at.q, have->at.r,
                   have->health, have->first_seen, have->last_seen, have->expires_at, want->owner,
                   want->at.q, want->at.r, want->health, want->first_seen, want->last_seen,
                   want->expires_at);
    }
}

static void compare_empire(struct vision_world *world, uint32_t empire, struct knowledge *told)
{
    const struct knowledge *truth = &world->truth[empire];
    for (int hex = 0; hex < HEXES; hex++) {
        if (told->state[hex] != truth->state[hex])
            differ(world, "empire %u: hex (%d, %d) is %u, not %u", empire, hex_q(hex), hex_r(hex),
                   told->state[hex], truth->state[hex]);
        if (told->terrain[hex] != truth->terrain[hex])
            differ(world, "empire %u: terrain of (%d, %d)", empire, hex_q(hex), hex_r(hex));
    }
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        bool same = !truth->sees[slot] || told->sees_id[slot] == truth->sees_id[slot];
        if (told->sees[slot] != truth->sees[slot] || !same)
            differ(world, "empire %u: entity %u (%s, owner %u) is %s sight", empire, slot,
                   types[world->now[slot].type].name, world->now[slot].owner,
                   told->sees[slot] ? "wrongly in" : "missing from");
    }
    compare_memories(world, empire, told);
}

// Everything a whole view tells, as a reader would have it.
static void read_view(struct vision_world *world, const struct vision *core, uint32_t empire,
                      struct knowledge *told)
{
    memset(told, 0, sizeof *told);
    Mmorts__Frame__VisionFrame *view;
    if (vision_view(core, empire, &view) != MM_OK) {
        differ(world, "no view of empire %u", empire);
        return;
    }
    for (size_t i = 0; i < view->n_hex_q; i++) {
        int hex = hex_at(view->hex_q[i], view->hex_r[i]);
        if (hex < 0 && !world->options.fog_of_war)
            continue;
        if (hex < 0 || told->state[hex] != 0 || view->hex_terrain[i] == 0) {
            differ(world, "empire %u: view has hex (%d, %d) wrong", empire, view->hex_q[i],
                   view->hex_r[i]);
            continue;
        }
        told->state[hex] = (uint8_t)view->hex_state[i];
        told->terrain[hex] = (uint8_t)view->hex_terrain[i];
    }
    for (size_t i = 0; i < view->n_entered; i++) {
        uint32_t slot = view->entered[i];
        if (slot >= SLOTS || told->sees[slot])
            differ(world, "empire %u: view has entity %u twice", empire, slot);
        else
            told->sees[slot] = true;
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        told->sees_id[slot] = world->now[slot].id;
    struct knowledge kept = world->told[empire];
    world->told[empire] = *told;
    for (size_t i = 0; i < view->remembered->n_id; i++)
        read_remembered(world, empire, view->remembered, i);
    *told = world->told[empire];
    world->told[empire] = kept;
    if (view->tick != world->tick || !view->snapshot)
        differ(world, "view of tick %" PRIu64, view->tick);
    vision_view_free(view);
}

size_t vision_world_compare(struct vision_world *world, const struct vision *core,
                            const Mmorts__Frame__VisionFrame *frame)
{
    static struct knowledge told;
    size_t before = world->differences;
    if (frame)
        read_frame(world, frame);
    for (uint32_t empire = 1; empire <= world->options.empires; empire++) {
        if (!frame) {
            read_view(world, core, empire, &told);
            world->told[empire] = told;
        }
        compare_empire(world, empire, &world->told[empire]);
    }
    return world->differences - before;
}

size_t vision_world_compare_answers(struct vision_world *world, const struct vision *core)
{
    static struct knowledge told;
    size_t before = world->differences;
    for (uint32_t empire = 1; empire <= world->options.empires; empire++) {
        read_view(world, core, empire, &told);
        compare_empire(world, empire, &told);
        const struct knowledge *truth = &world->truth[empire];
        for (int hex = 0; hex < HEXES; hex++) {
            struct hex_axial at = {hex_q(hex), hex_r(hex)};
            if ((int)vision_hex_state(core, empire, at) != truth->state[hex])
                differ(world, "empire %u: asked for hex (%d, %d)", empire, at.q, at.r);
        }
        for (uint32_t slot = 1; slot < SLOTS; slot++) {
            const struct truth_entity *entity = &world->now[slot];
            struct hex_axial at;
            bool sees = vision_sees_entity(core, empire, entity->id, &at);
            if (sees != (truth->sees[slot] && entity->alive) ||
                (sees && (at.q != entity->q || at.r != entity->r)))
                differ(world, "empire %u: asked for entity %u", empire, slot);
        }
        for (uint32_t to = 1; to <= world->options.empires; to++) {
            if (vision_shares(core, empire, to) != world->ordered[empire][to])
                differ(world, "empires %u, %u: sharing", empire, to);
        }
    }
    return world->differences - before;
}

void vision_world_restarted(struct vision_world *world)
{
    world->restarted = true;
    for (uint32_t empire = 1; empire <= world->options.empires; empire++)
        memset(world->truth[empire].sees, 0, sizeof world->truth[empire].sees);
}

// --- life
// ----------------------------------------------------------------------------------------------------------

static void find_chunks(struct vision_world *world)
{
    for (int hex = 0; hex < HEXES; hex++) {
        struct hex_axial center = hex_chunk_center(
            &world->tiling,
            hex_chunk_of(&world->tiling, (struct hex_axial){hex_q(hex), hex_r(hex)}));
        size_t c = 0;
        while (c < world->chunk_count &&
               (world->chunks[c].q != center.q || world->chunks[c].r != center.r))
            c++;
        if (c < world->chunk_count)
            continue;
        if (world->chunk_count == CHUNKS)
            abort();
        world->chunks[c].q = center.q;
        world->chunks[c].r = center.r;
        world->chunks[c].known =
            steps(center.q, center.r) <= REACH / 2 || mm_rng_chance(&world->rng, 1, 2);
        world->chunk_count++;
    }
}

struct vision_world *vision_world_new(const struct vision_world_options *options)
{
    struct vision_world *world = calloc(1, sizeof *world);
    if (!world || options->empires >= EMPIRES || options->entities >= SLOTS)
        abort();
    world->options = *options;
    mm_rng_seed(&world->rng, options->seed);
    if (hex_tiling_init(&world->tiling, options->chunk_radius) != MM_OK)
        abort();
    find_chunks(world);
    world->cells = malloc(world->chunk_count * world->tiling.cells);
    if (!world->cells)
        abort();
    return world;
}

void vision_world_free(struct vision_world *world)
{
    free(world->cells);
    free(world);
}

struct vision_options vision_world_core_options(const struct vision_world *world)
{
    struct vision_options options = vision_options_default();
    options.chunk_radius = world->options.chunk_radius;
    options.fog_of_war = world->options.fog_of_war;
    options.entities_max = SLOTS;
    options.memory.building_ticks = 60;
    options.memory.hero_ticks = 35;
    options.memory.per_empire_max = world->options.memories_max;
    return options;
}

Mmorts__Frame__Catalogue *vision_world_catalogue(struct vision_world *world)
{
    return &world->catalogue;
}

void vision_world_keep_shares(struct vision_world *world)
{
    world->shares_kept = true;
}

void vision_world_set_quiet(struct vision_world *world, bool quiet)
{
    world->quiet = quiet;
}

const char *vision_world_first_difference(const struct vision_world *world)
{
    return world->first;
}
