#include "tests/support/vision_world_internal.h"

#include <string.h>

const struct truth_type vision_world_types[TYPES] = {
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
    {"beacon", MMORTS__FRAME__KIND__KIND_BUILDING, 4, MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED, 0,
     60},
    {"gold", MMORTS__FRAME__KIND__KIND_RESOURCE, 0, 0, 0, -1},
};

// --- random changes --------------------------------------------------------------------------

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
        .owner = vision_world_types[type].kind == MMORTS__FRAME__KIND__KIND_RESOURCE
                     ? 0
                     : below(world, world->options.empires + 1),
        .health = 100 + (int32_t)type,
        .sight = (int32_t)vision_world_types[type].sight,
        .enabled = true,
        .stealthed = vision_world_types[type].flags & 8,
        .sense = vision_world_types[type].sense,
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

static const Mmorts__Frame__Attribute attributes[ATTRIBUTES] = {
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_ACTIVITY,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_HEXES,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_ENABLED,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_STEALTHED,
    MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_TYPE,
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
    unsigned which = below(world, ATTRIBUTES);
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
    case 5:
        entity->stealthed = chance(world, 40);
        value = entity->stealthed;
        break;
    default:
        entity->sense = below(world, 3);
        value = (int32_t)entity->sense;
        break;
    }
    add_attribute(world, which, slot, value);
}

// An order about a subject takes effect no sooner than the earlier ones about it.
static void add_order(struct vision_world *world, uint32_t alliance, uint32_t from, uint32_t to,
                      bool share, uint64_t at_tick)
{
    for (size_t i = 0; i < world->order_count; i++) {
        if (world->orders[i].alliance == alliance && world->orders[i].from == from &&
            world->orders[i].to == to && world->orders[i].at_tick > at_tick)
            at_tick = world->orders[i].at_tick;
    }
    world->orders[world->order_count].alliance = alliance;
    world->orders[world->order_count].from = from;
    world->orders[world->order_count].to = to;
    world->orders[world->order_count].share = share;
    world->orders[world->order_count++].at_tick = at_tick;
}

static void change_alliance(struct vision_world *world, struct vision *core)
{
    uint32_t alliance = 1 + below(world, ALLIANCES - 1);
    uint32_t empire = 1 + below(world, world->options.empires);
    bool join = chance(world, 55);
    uint64_t at_tick = world->tick + below(world, 6);
    if (world->order_count == ORDERS)
        return;
    enum mm_err err = join ? vision_ally(core, alliance, empire, at_tick)
                           : vision_unally(core, alliance, empire, at_tick);
    bool *ordered = &world->allied_ordered[alliance][empire];
    if (err != MM_OK && !(err == MM_NOT_FOUND && !*ordered))
        abort();
    if (*ordered == join)
        return;
    *ordered = join;
    add_order(world, alliance, empire, 0, join, at_tick);
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
    add_order(world, 0, from, to, share, at_tick);
}

static void carry_out_orders(struct vision_world *world)
{
    size_t kept = 0;
    for (size_t i = 0; i < world->order_count; i++) {
        if (world->orders[i].at_tick > world->tick)
            world->orders[kept++] = world->orders[i];
        else if (world->orders[i].alliance == 0)
            world->shares[world->orders[i].from][world->orders[i].to] = world->orders[i].share;
        else
            world->allied[world->orders[i].alliance][world->orders[i].from] =
                world->orders[i].share;
    }
    world->order_count = kept;
}

// --- the frame -------------------------------------------------------------------------------

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
    for (unsigned i = 0; i < ATTRIBUTES; i++) {
        mmorts__frame__attribute_column__init(&world->columns[i]);
        world->columns[i].attribute = attributes[i];
        world->columns[i].entity = world->u32[21 + i];
        world->columns[i].value = world->i32[6 + i];
        world->column_list[i] = &world->columns[i];
    }
    world->frame.spawned = &world->spawned;
    world->frame.moved = &world->moved;
    world->frame.chunks = &world->chunk_columns;
    world->frame.columns = world->column_list;
    world->frame.n_columns = ATTRIBUTES;
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
        world->names[i] = (char *)(uintptr_t)vision_world_types[i].name;
        t->kind[i] = vision_world_types[i].kind;
        t->sight_hexes[i] = vision_world_types[i].sight;
        t->sight_type[i] = vision_world_types[i].sense;
        t->health_max[i] = 100 + i;
        t->flags[i] = vision_world_types[i].flags;
    }
    Mmorts__Frame__TerrainColumns *terrains = &world->terrain_columns;
    mmorts__frame__terrain_columns__init(terrains);
    terrains->n_name = terrains->n_move_cost_percent = terrains->n_sight_cost = TERRAINS;
    terrains->name = world->names;
    terrains->move_cost_percent = world->u32[18];
    terrains->sight_cost = world->u32[20];
    for (uint8_t i = 0; i < TERRAINS; i++)
        terrains->sight_cost[i] = sight_cost_of(i);
    mmorts__frame__catalogue__init(&world->catalogue);
    world->catalogue.types = t;
    world->catalogue.terrains = terrains;
    world->catalogue.chunk_radius = (uint32_t)world->options.chunk_radius;
    mmorts__frame__sight_rules__init(&world->sight_rules);
    world->sight_rules.fog_lifted = !world->options.fog_of_war;
    world->sight_rules.terrain_blocks = world->options.terrain_blocks;
    world->catalogue.sight = &world->sight_rules;
    world->frame.catalogue = &world->catalogue;

    Mmorts__Frame__EmpireColumns *e = &world->empires;
    mmorts__frame__empire_columns__init(e);
    e->n_empire = e->n_id = e->n_player_id = e->n_name = e->n_home_q = e->n_home_r =
        world->options.empires;
    e->empire = world->u32[19];
    e->id = world->u64[1];
    e->player_id = world->u64[2];
    e->name = world->names;
    e->home_q = world->i32[14];
    e->home_r = world->i32[15];
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
        add_attribute(world, 6, slot, (int32_t)entity->sense);
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
                   vision_world_types[world->now[slot].type].kind == MMORTS__FRAME__KIND__KIND_UNIT
                       ? 35
                       : 3))
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
    if (chance(world, 8) && !world->shares_kept)
        change_alliance(world, core);
}

static uint32_t interval(const struct vision_world *world)
{
    return world->options.interval ? world->options.interval : 1;
}

static void look_around(struct vision_world *world, bool snapshot)
{
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        struct truth_entity *entity = &world->now[slot];
        if (!entity->alive || entity->owner == 0 || !entity->enabled || entity->sight <= 0) {
            entity->looks_sight = 0;
            continue;
        }
        bool is_new = entity->looks_sight == 0 || entity->looks_id != entity->id ||
                      entity->looks_for != entity->owner;
        if (!is_new && !snapshot && world->tick % interval(world) != 0)
            continue;
        entity->looks_id = entity->id;
        entity->looks_for = entity->owner;
        entity->looks_q = entity->q;
        entity->looks_r = entity->r;
        entity->looks_sight = entity->sight;
        entity->looks_sense = entity->sense;
    }
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
    look_around(world, snapshot);
    if (snapshot)
        fill_snapshot(world);
    for (uint32_t empire = 1; empire <= world->options.empires; empire++)
        vision_truth_update(world, empire);
    world->restarted = false;
    return &world->frame;
}

// --- life ------------------------------------------------------------------------------------

void vision_world_restarted(struct vision_world *world)
{
    world->restarted = true;
    for (uint32_t empire = 1; empire <= world->options.empires; empire++)
        memset(world->truth[empire].sees, 0, sizeof world->truth[empire].sees);
}

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
    options.update_interval_ticks = interval(world);
    options.alliances_share = !world->options.beacons_only;
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
