#include "tests/support/sync_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCOUT, SOLDIER, SETTLEMENT, GOLD, HERO, TYPES };
const char *const sync_world_types[] = {"scout", "soldier", "settlement", "gold", "hero"};
const char *const sync_world_terrains[] = {"dead", "plains", "forest \"x\""};
static const uint32_t kinds[] = {1, 1, 2, 3, 1};
static const int32_t sights[] = {4, 2, 4, 0, 3};
static const uint32_t healths[] = {60, 100, 5000, 1, 300};
enum { HERO_MEMORY_TICKS = 60 };

uint32_t sync_world_kind(uint32_t type)
{
    return kinds[type];
}

uint64_t sync_world_empire_id(uint32_t empire)
{
    return UINT64_C(0x1234567890ab0000) + empire * UINT64_C(77777);
}

uint32_t sync_world_terrain(int32_t q, int32_t r)
{
    return (uint32_t)((q * 7 + r * 13 + q * r) & 0xff) % 3;
}

static void *must(void *memory)
{
    if (!memory) {
        fprintf(stderr, "out of memory\n");
        abort();
    }
    return memory;
}

static int32_t distance(int32_t q1, int32_t r1, int32_t q2, int32_t r2)
{
    int32_t q = q1 - q2, r = r1 - r2;
    return (abs(q) + abs(r) + abs(q + r)) / 2;
}

struct sync_world *sync_world_new(uint64_t seed)
{
    struct sync_world *world = must(calloc(1, sizeof *world));
    world->history = must(calloc(SYNC_WORLD_HISTORY, sizeof *world->history));
    mm_rng_seed(&world->rng, seed);
    world->now.tick = 1000 + seed % 100;
    world->next_id = 1;
    for (int i = 0; i < 3; i++)
        sync_world_tick(world, 40);
    return world;
}

void sync_world_free(struct sync_world *world)
{
    free(world->history);
    free(world);
}

// --- what happens --------------------------------------------------------------------------------

static uint32_t below(struct sync_world *world, uint32_t bound)
{
    return (uint32_t)mm_rng_below(&world->rng, bound);
}

static int32_t place(struct sync_world *world)
{
    return (int32_t)below(world, SYNC_WORLD_SIDE) - SYNC_WORLD_SIDE / 2;
}

static uint32_t pick(struct sync_world *world)
{
    for (int tries = 0; tries < 50; tries++) {
        uint32_t slot = 1 + below(world, SYNC_WORLD_SLOTS - 1);
        if (world->now.entities[slot].alive)
            return slot;
    }
    return 0;
}

static void spawn(struct sync_world *world)
{
    uint32_t slot = 1 + below(world, SYNC_WORLD_SLOTS - 1);
    struct sync_world_entity *e = &world->now.entities[slot];
    if (e->alive || world->was_freed[slot] || world->before.entities[slot].alive)
        return;
    uint32_t type = below(world, TYPES);
    *e = (struct sync_world_entity){
        .alive = true,
        .id = (world->next_id++ * UINT64_C(0x9e3779b97f4a7c15)) | 1,
        .type = type,
        .owner = type == GOLD ? 0 : 1 + below(world, SYNC_WORLD_EMPIRES),
        .q = place(world),
        .r = place(world),
        .health = (int32_t)healths[type],
        .progress = 1000,
    };
}

static void add_event(struct sync_world *world, uint32_t kind, uint32_t entity, uint32_t other,
                      int32_t value, uint32_t detail)
{
    if (world->event_count == sizeof world->events / sizeof *world->events)
        return;
    world->events[world->event_count].kind = kind;
    world->events[world->event_count].entity = entity;
    world->events[world->event_count].other = other;
    world->events[world->event_count].value = value;
    world->events[world->event_count++].detail = detail;
}

static void change(struct sync_world *world, uint32_t slot)
{
    struct sync_world_entity *e = &world->now.entities[slot];
    switch (below(world, 13)) {
    case 12:
        if (e->type != GOLD)
            e->rank = below(world, 3);
        break;
    case 0:
        e->health = (int32_t)below(world, 100);
        break;
    case 1:
        e->activity = below(world, 6);
        break;
    case 2:
        e->carried = (int32_t)below(world, 10);
        break;
    case 3:
        e->target_q = place(world);
        e->target_r = place(world);
        break;
    case 4:
        e->progress = below(world, 1001);
        break;
    case 5:
        e->amount = (int32_t)below(world, 1000);
        break;
    case 6:
        if (e->type != GOLD && below(world, 4) == 0)
            e->owner = below(world, SYNC_WORLD_EMPIRES + 1);
        break;
    case 7:
        e->alive = false;
        add_event(world, 2, slot, pick(world), 0, 0);
        break;
    case 8:
        add_event(world, 1 + 2 * below(world, 2), slot, pick(world), 7, GOLD);
        break;
    default:
        if (e->type != SETTLEMENT && e->type != GOLD) {
            e->q += (int32_t)below(world, 3) - 1;
            e->r += (int32_t)below(world, 3) - 1;
            if (below(world, 60) == 0)
                e->q = place(world);
            int32_t low = -SYNC_WORLD_SIDE / 2, high = SYNC_WORLD_SIDE / 2 - 1;
            e->q = e->q < low ? low : e->q > high ? high : e->q;
            e->r = e->r < low ? low : e->r > high ? high : e->r;
        }
    }
}

// --- what is seen --------------------------------------------------------------------------------

static bool sees_hex(const struct sync_world *world, uint32_t empire, int32_t q, int32_t r)
{
    for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++) {
        const struct sync_world_entity *e = &world->now.entities[s];
        if (e->alive && e->owner == empire && distance(e->q, e->r, q, r) <= sights[e->type])
            return true;
    }
    return false;
}

static struct sync_world_memory *memory_place(struct sync_world_view *view)
{
    for (uint32_t i = 0; i < SYNC_WORLD_SLOTS; i++) {
        if (!view->memories[i].known)
            return &view->memories[i];
    }
    return NULL;
}

static bool same_entity(const struct sync_world *world, uint32_t slot)
{
    return world->now.entities[slot].alive &&
           world->now.entities[slot].id == world->before.entities[slot].id;
}

static void look(struct sync_world *world, uint32_t empire)
{
    struct sync_world_view *view = &world->now.views[empire];
    const struct sync_world_view *before = &world->before.views[empire];
    for (int32_t r = -SYNC_WORLD_SIDE / 2; r < SYNC_WORLD_SIDE / 2; r++) {
        for (int32_t q = -SYNC_WORLD_SIDE / 2; q < SYNC_WORLD_SIDE / 2; q++) {
            uint8_t *state = &view->hexes[sync_world_hex(q, r)];
            if (sees_hex(world, empire, q, r))
                *state = 2;
            else if (*state == 2)
                *state = 1;
        }
    }
    for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++) {
        const struct sync_world_entity *e = &world->now.entities[s];
        view->sees[s] = e->alive && view->hexes[sync_world_hex(e->q, e->r)] == 2;
    }
    // What was in sight, is not, and still exists may be remembered as it was last seen.
    for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++) {
        const struct sync_world_entity *was = &world->before.entities[s];
        if (!before->sees[s] || !same_entity(world, s) || view->sees[s] ||
            (was->type != SETTLEMENT && was->type != HERO))
            continue;
        struct sync_world_memory *memory = memory_place(view);
        if (memory)
            *memory = (struct sync_world_memory){
                .known = true,
                .id = was->id,
                .first_seen = world->before.tick,
                .last_seen = world->before.tick,
                .expires_at = was->type == HERO ? world->now.tick + HERO_MEMORY_TICKS : 0,
                .type = was->type,
                .owner = was->owner,
                .q = was->q,
                .r = was->r,
                .health = was->health,
            };
    }
    for (uint32_t i = 0; i < SYNC_WORLD_SLOTS; i++) {
        struct sync_world_memory *memory = &view->memories[i];
        if (!memory->known)
            continue;
        bool seen = false;
        for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++)
            seen |= view->sees[s] && world->now.entities[s].id == memory->id;
        bool place_seen = view->hexes[sync_world_hex(memory->q, memory->r)] == 2;
        bool expired = memory->expires_at && memory->expires_at <= world->now.tick;
        if (seen || place_seen || expired)
            memory->known = false;
    }
}

// Health of some that an empire has lost sight of: another, or again what it was.
static void shift(struct sync_world *world)
{
    for (int i = 0; i < SYNC_WORLD_SLOTS; i++) {
        uint32_t empire = 1 + below(world, SYNC_WORLD_EMPIRES), slot = pick(world);
        const struct sync_world_absence *absence = &world->absences[empire][slot];
        if (slot == 0 || absence->id == 0 || absence->id != world->now.entities[slot].id)
            continue;
        struct sync_world_entity *e = &world->now.entities[slot];
        e->health = absence->health_changed ? absence->health : absence->health / 2 + 1;
    }
}

// Counts values that came back to what they were while nobody looked.
static void note_absences(struct sync_world *world, uint32_t empire)
{
    for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++) {
        struct sync_world_absence *absence = &world->absences[empire][s];
        const struct sync_world_entity *was = &world->before.entities[s];
        const struct sync_world_entity *is = &world->now.entities[s];
        bool sees = world->now.views[empire].sees[s];
        if (world->before.views[empire].sees[s] && !sees)
            *absence = (struct sync_world_absence){
                .id = was->id, .activity = was->activity, .rank = was->rank, .health = was->health};
        if (absence->id == 0)
            continue;
        if (!is->alive || is->id != absence->id) {
            absence->id = 0;
        } else if (!sees) {
            absence->activity_changed |= is->activity != absence->activity;
            absence->rank_changed |= is->rank != absence->rank;
            absence->health_changed |= is->health != absence->health;
        } else {
            absence->id = 0;
            world->returned += (absence->activity_changed && is->activity == absence->activity) ||
                               (absence->rank_changed && is->rank == absence->rank) ||
                               (absence->health_changed && is->health == absence->health);
        }
    }
}

static void keep(struct sync_world *world)
{
    world->history[world->now.tick % SYNC_WORLD_HISTORY] = world->now;
}

void sync_world_tick(struct sync_world *world, unsigned activity)
{
    memset(world->was_freed, 0, sizeof world->was_freed);
    for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++)
        world->was_freed[s] = world->before.entities[s].alive && !world->now.entities[s].alive;
    world->before = world->now;
    world->now.tick++;
    world->event_count = 0;
    unsigned count = activity ? below(world, activity) : 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t slot = pick(world);
        if (slot && below(world, 5) > 0)
            change(world, slot);
        else
            spawn(world);
    }
    if (world->shifty)
        shift(world);
    for (uint32_t empire = 1; empire <= SYNC_WORLD_EMPIRES; empire++)
        look(world, empire);
    for (uint32_t empire = 1; empire <= SYNC_WORLD_EMPIRES; empire++)
        note_absences(world, empire);
    keep(world);
}

void sync_world_skip(struct sync_world *world, uint64_t ticks)
{
    world->now.tick += ticks;
    world->before = world->now;
    memset(world->was_freed, 0, sizeof world->was_freed);
    world->event_count = 0;
    keep(world);
}

const struct sync_world_truth *sync_world_at(const struct sync_world *world, uint64_t tick)
{
    const struct sync_world_truth *truth = &world->history[tick % SYNC_WORLD_HISTORY];
    return truth->tick == tick ? truth : NULL;
}

// --- frames --------------------------------------------------------------------------------------

// Columns of at most this many entries, on their way into a message.
enum { COLUMN = 64 * SYNC_WORLD_HEXES };

static Mmorts__Frame__TickFrame *copy_tick(const Mmorts__Frame__TickFrame *frame)
{
    size_t len = mmorts__frame__tick_frame__get_packed_size(frame);
    uint8_t *bytes = must(malloc(len + 1));
    mmorts__frame__tick_frame__pack(frame, bytes);
    Mmorts__Frame__TickFrame *copy = must(mmorts__frame__tick_frame__unpack(NULL, len, bytes));
    free(bytes);
    return copy;
}

static Mmorts__Frame__VisionFrame *copy_vision(const Mmorts__Frame__VisionFrame *frame)
{
    size_t len = mmorts__frame__vision_frame__get_packed_size(frame);
    uint8_t *bytes = must(malloc(len + 1));
    mmorts__frame__vision_frame__pack(frame, bytes);
    Mmorts__Frame__VisionFrame *copy = must(mmorts__frame__vision_frame__unpack(NULL, len, bytes));
    free(bytes);
    return copy;
}

static int32_t attribute_of(const struct sync_world_entity *e, uint32_t attribute)
{
    switch (attribute) {
    case 1:
        return e->health;
    case 2:
        return (int32_t)e->owner;
    case 3:
        return (int32_t)e->activity;
    case 7:
        return (int32_t)e->progress;
    case 8:
        return e->amount;
    case 9:
        return e->carried;
    case 14:
        return (int32_t)e->rank;
    case 10:
        return e->target_q;
    default:
        return e->target_r;
    }
}

static const uint32_t attributes[] = {1, 2, 3, 7, 8, 9, 10, 11, 14};
enum { ATTRIBUTES = 9 };

struct columns {
    Mmorts__Frame__SpawnColumns spawned;
    Mmorts__Frame__PositionColumns moved;
    Mmorts__Frame__AttributeColumn column[ATTRIBUTES];
    Mmorts__Frame__AttributeColumn *column_list[ATTRIBUTES];
    uint32_t despawned[SYNC_WORLD_SLOTS], spawn_slot[SYNC_WORLD_SLOTS];
    uint32_t spawn_type[SYNC_WORLD_SLOTS], spawn_owner[SYNC_WORLD_SLOTS];
    uint64_t spawn_id[SYNC_WORLD_SLOTS];
    int32_t spawn_q[SYNC_WORLD_SLOTS], spawn_r[SYNC_WORLD_SLOTS];
    uint32_t move_slot[SYNC_WORLD_SLOTS];
    int32_t move_q[SYNC_WORLD_SLOTS], move_r[SYNC_WORLD_SLOTS];
    uint32_t attribute_slot[ATTRIBUTES][SYNC_WORLD_SLOTS];
    int32_t attribute_value[ATTRIBUTES][SYNC_WORLD_SLOTS];
};

static void add_spawn(struct columns *c, uint32_t slot, const struct sync_world_entity *e)
{
    size_t n = c->spawned.n_entity++;
    c->spawn_slot[n] = slot;
    c->spawn_id[n] = e->id;
    c->spawn_type[n] = e->type;
    c->spawn_owner[n] = e->owner;
    c->spawn_q[n] = e->q;
    c->spawn_r[n] = e->r;
}

static void add_entity(struct columns *c, uint32_t slot, const struct sync_world_entity *was,
                       const struct sync_world_entity *is, Mmorts__Frame__TickFrame *frame)
{
    bool same = was->alive && is->alive && was->id == is->id;
    if (was->alive && !same)
        c->despawned[frame->n_despawned++] = slot;
    if (!is->alive)
        return;
    struct sync_world_entity initial = *is;
    if (!same) {
        initial.health = (int32_t)healths[is->type];
        initial.activity = 0;
        initial.progress = 1000;
        initial.rank = 0;
        initial.amount = initial.carried = initial.target_q = initial.target_r = 0;
        add_spawn(c, slot, is);
        was = &initial;
    } else if (was->q != is->q || was->r != is->r) {
        size_t n = c->moved.n_entity++;
        c->move_slot[n] = slot;
        c->move_q[n] = is->q;
        c->move_r[n] = is->r;
    }
    for (uint32_t a = 0; a < ATTRIBUTES; a++) {
        int32_t value = attribute_of(is, attributes[a]);
        if (value == attribute_of(was, attributes[a]))
            continue;
        size_t n = c->column[a].n_entity++;
        c->attribute_slot[a][n] = slot;
        c->attribute_value[a][n] = value;
    }
}

static void finish(struct columns *c, Mmorts__Frame__TickFrame *frame)
{
    Mmorts__Frame__SpawnColumns *s = &c->spawned;
    s->n_id = s->n_type = s->n_owner = s->n_q = s->n_r = s->n_entity;
    s->entity = c->spawn_slot;
    s->id = c->spawn_id;
    s->type = c->spawn_type;
    s->owner = c->spawn_owner;
    s->q = c->spawn_q;
    s->r = c->spawn_r;
    c->moved.n_q = c->moved.n_r = c->moved.n_entity;
    c->moved.entity = c->move_slot;
    c->moved.q = c->move_q;
    c->moved.r = c->move_r;
    frame->despawned = c->despawned;
    frame->spawned = s;
    frame->moved = &c->moved;
    frame->columns = c->column_list;
    for (uint32_t a = 0; a < ATTRIBUTES; a++) {
        if (c->column[a].n_entity == 0)
            continue;
        c->column[a].attribute = (Mmorts__Frame__Attribute)attributes[a];
        c->column[a].n_value = c->column[a].n_entity;
        c->column[a].entity = c->attribute_slot[a];
        c->column[a].value = c->attribute_value[a];
        frame->columns[frame->n_columns++] = &c->column[a];
    }
}

static struct columns *columns_new(void)
{
    struct columns *c = must(calloc(1, sizeof *c));
    mmorts__frame__spawn_columns__init(&c->spawned);
    mmorts__frame__position_columns__init(&c->moved);
    for (uint32_t a = 0; a < ATTRIBUTES; a++)
        mmorts__frame__attribute_column__init(&c->column[a]);
    return c;
}

Mmorts__Frame__TickFrame *sync_world_frame(const struct sync_world *world)
{
    Mmorts__Frame__TickFrame frame = MMORTS__FRAME__TICK_FRAME__INIT;
    frame.tick = world->now.tick;
    frame.state = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING;
    struct columns *c = columns_new();
    for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++)
        add_entity(c, s, &world->before.entities[s], &world->now.entities[s], &frame);
    finish(c, &frame);
    Mmorts__Frame__EventColumns events = MMORTS__FRAME__EVENT_COLUMNS__INIT;
    Mmorts__Frame__EventKind kind[64];
    uint32_t entity[64], other[64], detail[64];
    int32_t value[64];
    for (uint32_t i = 0; i < world->event_count; i++) {
        kind[i] = (Mmorts__Frame__EventKind)world->events[i].kind;
        entity[i] = world->events[i].entity;
        other[i] = world->events[i].other;
        detail[i] = world->events[i].detail;
        value[i] = world->events[i].value;
    }
    events.n_kind = events.n_entity = events.n_other = events.n_value = events.n_detail =
        world->event_count;
    events.kind = kind;
    events.entity = entity;
    events.other = other;
    events.value = value;
    events.detail = detail;
    frame.events = &events;
    Mmorts__Frame__TickFrame *copy = copy_tick(&frame);
    free(c);
    return copy;
}

const struct wire_map *sync_world_map(void)
{
    static const char *const kind_names[] = {"unknown", "unit", "building", "resource", "npc"};
    static struct wire_type types[TYPES];
    static const struct wire_map map = {types, TYPES, sync_world_terrains, 3};
    for (uint32_t i = 0; i < TYPES; i++)
        types[i] = (struct wire_type){sync_world_types[i], kind_names[kinds[i]], healths[i]};
    return &map;
}

static void fill_catalogue(Mmorts__Frame__Catalogue *catalogue, Mmorts__Frame__TypeColumns *types,
                           Mmorts__Frame__TerrainColumns *terrains)
{
    static char *names[TYPES], *terrain_names[3];
    static Mmorts__Frame__Kind kind[TYPES];
    static Mmorts__Frame__SightType sight_type[TYPES];
    static uint32_t sight[TYPES], health[TYPES], ticks[TYPES], flags[TYPES];
    static uint32_t cost[3] = {0, 100, 150}, sight_cost[3] = {1, 1, 1};
    for (uint32_t i = 0; i < TYPES; i++) {
        names[i] = (char *)(uintptr_t)sync_world_types[i];
        kind[i] = (Mmorts__Frame__Kind)kinds[i];
        sight[i] = (uint32_t)sights[i];
        health[i] = healths[i];
        ticks[i] = 8;
    }
    for (uint32_t i = 0; i < 3; i++)
        terrain_names[i] = (char *)(uintptr_t)sync_world_terrains[i];
    mmorts__frame__catalogue__init(catalogue);
    mmorts__frame__type_columns__init(types);
    mmorts__frame__terrain_columns__init(terrains);
    types->n_name = types->n_kind = types->n_sight_hexes = types->n_sight_type = TYPES;
    types->n_health_max = types->n_ticks_per_hex = types->n_flags = TYPES;
    types->name = names;
    types->kind = kind;
    types->sight_hexes = sight;
    types->sight_type = sight_type;
    types->health_max = health;
    types->ticks_per_hex = ticks;
    types->flags = flags;
    terrains->n_name = terrains->n_move_cost_percent = terrains->n_sight_cost = 3;
    terrains->name = terrain_names;
    terrains->move_cost_percent = cost;
    terrains->sight_cost = sight_cost;
    catalogue->types = types;
    catalogue->terrains = terrains;
    catalogue->chunk_radius = 9;
    catalogue->tick_rate_hz = 20;
}

Mmorts__Frame__TickFrame *sync_world_snapshot(const struct sync_world *world)
{
    Mmorts__Frame__TickFrame frame = MMORTS__FRAME__TICK_FRAME__INIT;
    Mmorts__Frame__Catalogue catalogue;
    Mmorts__Frame__TypeColumns types;
    Mmorts__Frame__TerrainColumns terrains;
    fill_catalogue(&catalogue, &types, &terrains);
    frame.tick = world->now.tick;
    frame.snapshot = true;
    frame.state = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING;
    frame.catalogue = &catalogue;
    Mmorts__Frame__EmpireColumns empires = MMORTS__FRAME__EMPIRE_COLUMNS__INIT;
    uint32_t number[SYNC_WORLD_EMPIRES];
    uint64_t id[SYNC_WORLD_EMPIRES], player[SYNC_WORLD_EMPIRES];
    char text[SYNC_WORLD_EMPIRES][16], *name[SYNC_WORLD_EMPIRES];
    int32_t home[SYNC_WORLD_EMPIRES] = {0};
    for (uint32_t i = 0; i < SYNC_WORLD_EMPIRES; i++) {
        number[i] = i + 1;
        id[i] = sync_world_empire_id(i + 1);
        player[i] = 100 + i;
        (void)snprintf(text[i], sizeof text[i], "empire %u", i + 1);
        name[i] = text[i];
    }
    empires.n_empire = empires.n_id = empires.n_player_id = empires.n_name = SYNC_WORLD_EMPIRES;
    empires.n_home_q = empires.n_home_r = SYNC_WORLD_EMPIRES;
    empires.empire = number;
    empires.id = id;
    empires.player_id = player;
    empires.name = name;
    empires.home_q = empires.home_r = home;
    frame.empires = &empires;
    struct columns *c = columns_new();
    static const struct sync_world_entity nothing;
    for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++)
        add_entity(c, s, &nothing, &world->now.entities[s], &frame);
    finish(c, &frame);
    Mmorts__Frame__TickFrame *copy = copy_tick(&frame);
    free(c);
    return copy;
}

// --- vision's frames -----------------------------------------------------------------------------

struct vision_columns {
    uint32_t empire[SYNC_WORLD_EMPIRES], count[5][SYNC_WORLD_EMPIRES];
    int32_t *hex_q, *hex_r;
    Mmorts__Frame__Visibility *hex_state;
    uint32_t *hex_terrain;
    uint32_t entered[SYNC_WORLD_SLOTS * SYNC_WORLD_EMPIRES];
    uint64_t left[SYNC_WORLD_SLOTS * SYNC_WORLD_EMPIRES];
    uint64_t forgotten[SYNC_WORLD_SLOTS * SYNC_WORLD_EMPIRES];
    struct sync_world_memory memories[SYNC_WORLD_SLOTS * SYNC_WORLD_EMPIRES];
    size_t memory_count;
};

static struct vision_columns *vision_columns_new(void)
{
    struct vision_columns *c = must(calloc(1, sizeof *c));
    c->hex_q = must(calloc(COLUMN, sizeof *c->hex_q));
    c->hex_r = must(calloc(COLUMN, sizeof *c->hex_r));
    c->hex_state = must(calloc(COLUMN, sizeof *c->hex_state));
    c->hex_terrain = must(calloc(COLUMN, sizeof *c->hex_terrain));
    return c;
}

static const struct sync_world_memory *remembered(const struct sync_world_view *view, uint64_t id)
{
    for (uint32_t i = 0; i < SYNC_WORLD_SLOTS; i++) {
        if (view->memories[i].known && view->memories[i].id == id)
            return &view->memories[i];
    }
    return NULL;
}

static void add_view(struct vision_columns *c, Mmorts__Frame__VisionFrame *f,
                     const struct sync_world_truth *was, const struct sync_world_truth *is,
                     uint32_t empire, bool snapshot)
{
    const struct sync_world_view *before = &was->views[empire], *now = &is->views[empire];
    size_t e = f->n_empire++;
    size_t hexes = f->n_hex_q, entered = f->n_entered, left = f->n_left;
    size_t memories = c->memory_count, forgotten = f->n_forgotten;
    c->empire[e] = empire;
    for (int32_t r = -SYNC_WORLD_SIDE / 2; r < SYNC_WORLD_SIDE / 2; r++) {
        for (int32_t q = -SYNC_WORLD_SIDE / 2; q < SYNC_WORLD_SIDE / 2; q++) {
            size_t at = sync_world_hex(q, r);
            uint8_t old = snapshot ? 0 : before->hexes[at];
            if (now->hexes[at] == old)
                continue;
            c->hex_q[f->n_hex_q] = q;
            c->hex_r[f->n_hex_q] = r;
            c->hex_state[f->n_hex_q] = (Mmorts__Frame__Visibility)now->hexes[at];
            c->hex_terrain[f->n_hex_q++] = old == 0 ? sync_world_terrain(q, r) + 1 : 0;
        }
    }
    for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++) {
        bool same = was->entities[s].id == is->entities[s].id;
        bool saw = !snapshot && before->sees[s];
        if (now->sees[s] && !(saw && same))
            c->entered[f->n_entered++] = s;
        if (saw && !(now->sees[s] && same))
            c->left[f->n_left++] = was->entities[s].id;
    }
    for (uint32_t i = 0; i < SYNC_WORLD_SLOTS; i++) {
        const struct sync_world_memory *m = &now->memories[i];
        if (m->known && (snapshot || !remembered(before, m->id)))
            c->memories[c->memory_count++] = *m;
        const struct sync_world_memory *old = &before->memories[i];
        if (snapshot || !old->known || remembered(now, old->id))
            continue;
        bool seen = false;
        for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++)
            seen |= now->sees[s] && is->entities[s].id == old->id;
        if (!seen)
            c->forgotten[f->n_forgotten++] = old->id;
    }
    c->count[0][e] = (uint32_t)(f->n_hex_q - hexes);
    c->count[1][e] = (uint32_t)(f->n_entered - entered);
    c->count[2][e] = (uint32_t)(f->n_left - left);
    c->count[3][e] = (uint32_t)(c->memory_count - memories);
    c->count[4][e] = (uint32_t)(f->n_forgotten - forgotten);
    if (!snapshot &&
        c->count[0][e] + c->count[1][e] + c->count[2][e] + c->count[3][e] + c->count[4][e] == 0)
        f->n_empire--;
}

static Mmorts__Frame__VisionFrame *finish_vision(struct vision_columns *c,
                                                 Mmorts__Frame__VisionFrame *f)
{
    static uint64_t id[SYNC_WORLD_SLOTS * 5], first[SYNC_WORLD_SLOTS * 5];
    static uint64_t last[SYNC_WORLD_SLOTS * 5], expires[SYNC_WORLD_SLOTS * 5];
    static uint32_t type[SYNC_WORLD_SLOTS * 5], owner[SYNC_WORLD_SLOTS * 5];
    static int32_t q[SYNC_WORLD_SLOTS * 5], r[SYNC_WORLD_SLOTS * 5], health[SYNC_WORLD_SLOTS * 5];
    static Mmorts__Frame__CacheMode mode[SYNC_WORLD_SLOTS * 5];
    Mmorts__Frame__MemoryColumns m = MMORTS__FRAME__MEMORY_COLUMNS__INIT;
    for (size_t i = 0; i < c->memory_count; i++) {
        id[i] = c->memories[i].id;
        first[i] = c->memories[i].first_seen;
        last[i] = c->memories[i].last_seen;
        expires[i] = c->memories[i].expires_at;
        type[i] = c->memories[i].type;
        owner[i] = c->memories[i].owner;
        q[i] = c->memories[i].q;
        r[i] = c->memories[i].r;
        health[i] = c->memories[i].health;
        mode[i] = expires[i] ? 2 : 1;
    }
    m.n_id = m.n_type = m.n_owner = m.n_q = m.n_r = m.n_health = c->memory_count;
    m.n_first_seen = m.n_last_seen = m.n_mode = m.n_expires_at = c->memory_count;
    m.id = id;
    m.first_seen = first;
    m.last_seen = last;
    m.expires_at = expires;
    m.type = type;
    m.owner = owner;
    m.q = q;
    m.r = r;
    m.health = health;
    m.mode = mode;
    f->remembered = &m;
    f->empire = c->empire;
    f->n_hex_count = f->n_entered_count = f->n_left_count = f->n_empire;
    f->n_remembered_count = f->n_forgotten_count = f->n_empire;
    f->hex_count = c->count[0];
    f->entered_count = c->count[1];
    f->left_count = c->count[2];
    f->remembered_count = c->count[3];
    f->forgotten_count = c->count[4];
    f->n_hex_r = f->n_hex_state = f->n_hex_terrain = f->n_hex_q;
    f->hex_q = c->hex_q;
    f->hex_r = c->hex_r;
    f->hex_state = c->hex_state;
    f->hex_terrain = c->hex_terrain;
    f->entered = c->entered;
    f->left = c->left;
    f->forgotten = c->forgotten;
    Mmorts__Frame__VisionFrame *copy = copy_vision(f);
    f->remembered = NULL;
    free(c->hex_q);
    free(c->hex_r);
    free(c->hex_state);
    free(c->hex_terrain);
    free(c);
    return copy;
}

Mmorts__Frame__VisionFrame *sync_world_vision(const struct sync_world *world)
{
    Mmorts__Frame__VisionFrame f = MMORTS__FRAME__VISION_FRAME__INIT;
    f.tick = world->now.tick;
    struct vision_columns *c = vision_columns_new();
    for (uint32_t empire = 1; empire <= SYNC_WORLD_EMPIRES; empire++)
        add_view(c, &f, &world->before, &world->now, empire, false);
    return finish_vision(c, &f);
}

Mmorts__Frame__VisionFrame *sync_world_get_view(const struct sync_world *world, uint32_t empire)
{
    Mmorts__Frame__VisionFrame f = MMORTS__FRAME__VISION_FRAME__INIT;
    f.tick = world->now.tick;
    f.snapshot = true;
    struct vision_columns *c = vision_columns_new();
    add_view(c, &f, &world->before, &world->now, empire, true);
    return finish_vision(c, &f);
}
