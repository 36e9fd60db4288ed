#ifndef TESTS_SUPPORT_VISION_WORLD_INTERNAL_H
#define TESTS_SUPPORT_VISION_WORLD_INTERNAL_H

#include "libcommon/base/rng.h"
#include "tests/support/vision_world.h"

#include <stdlib.h>

// What the files of the random world share: vision_world.c (the world and its frames),
// vision_truth.c (what each empire may know) and vision_reader.c (what it was told, compared).

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
    ALLIANCES = 4, // numbered from 1
    ATTRIBUTES = 7,
};

struct truth_type {
    const char *name;
    Mmorts__Frame__Kind kind;
    uint32_t sight;
    Mmorts__Frame__SightType sense;
    uint32_t flags;
    int memory; // ticks, 0 = permanent, -1 = not remembered
};

enum { TYPES = 13, TERRAINS = 5 };
extern const struct truth_type vision_world_types[TYPES];

struct truth_entity {
    bool alive;
    uint64_t id;
    uint32_t type, owner;
    int q, r;
    int32_t health, sight;
    bool enabled, stealthed;
    uint32_t sense; // Mmorts__Frame__SightType
    uint64_t died;  // tick in which the slot was given up
    // As an observer: from where, how far and for whom it looks; sight 0: not at all.
    uint64_t looks_id;
    int looks_q, looks_r, looks_sight;
    uint32_t looks_sense;
    uint32_t looks_for;
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
    bool shares[EMPIRES][EMPIRES];   // in effect
    bool ordered[EMPIRES][EMPIRES];  // as it will be when all orders are
    bool allied[ALLIANCES][EMPIRES]; // members, in effect
    bool allied_ordered[ALLIANCES][EMPIRES];
    struct {
        uint32_t alliance; // 0: from shares with to; else `from` is to be a member
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
    Mmorts__Frame__SightRules sight_rules;
    Mmorts__Frame__TypeColumns type_columns;
    Mmorts__Frame__TerrainColumns terrain_columns;
    Mmorts__Frame__EmpireColumns empires;
    Mmorts__Frame__ChunkColumns chunk_columns;
    Mmorts__Frame__SpawnColumns spawned;
    Mmorts__Frame__PositionColumns moved;
    Mmorts__Frame__AttributeColumn columns[ATTRIBUTES];
    Mmorts__Frame__AttributeColumn *column_list[ATTRIBUTES];
    char *names[TYPES + EMPIRES];
    uint32_t u32[40][FRAME_ROWS];
    int32_t i32[20][FRAME_ROWS];
    uint64_t u64[4][FRAME_ROWS];
    uint8_t *cells;
};

// --- plain geometry, and memories by id ------------------------------------------------------

static inline int steps(int dq, int dr)
{
    int a = abs(dq), b = abs(dr), c = abs(dq + dr);
    return a > b ? (a > c ? a : c) : (b > c ? b : c);
}

static inline int hex_at(int q, int r)
{
    int i = q + REACH + MARGIN, k = r + REACH + MARGIN;
    return i < 0 || k < 0 || i >= SIDE || k >= SIDE ? -1 : k * SIDE + i;
}

static inline int hex_q(int hex)
{
    return hex % SIDE - REACH - MARGIN;
}

static inline int hex_r(int hex)
{
    return hex / SIDE - REACH - MARGIN;
}

static inline uint8_t terrain_at(int q, int r)
{
    uint32_t h = (uint32_t)q * 73856093u ^ (uint32_t)r * 19349663u;
    return (uint8_t)((h >> 3) % TERRAINS);
}

static inline uint32_t sight_cost_of(uint8_t terrain)
{
    static const uint32_t costs[TERRAINS] = {0, 0, 1, 32, 0};
    return costs[terrain];
}

static inline struct truth_memory *memory_of(struct knowledge *knowledge, uint64_t id)
{
    for (size_t i = 0; i < MEMORIES; i++) {
        if (knowledge->memories[i].used && knowledge->memories[i].row.id == id)
            return &knowledge->memories[i];
    }
    return NULL;
}

static inline struct truth_memory *memory_slot(struct knowledge *knowledge)
{
    for (size_t i = 0; i < MEMORIES; i++) {
        if (!knowledge->memories[i].used)
            return &knowledge->memories[i];
    }
    abort();
}

// vision_reader.c
__attribute__((format(printf, 2, 3))) void vision_world_differ(struct vision_world *world,
                                                               const char *format, ...);
void vision_world_compare_empire(struct vision_world *world, uint32_t empire,
                                 struct knowledge *told);
// Everything a whole view tells, as a reader would have it.
void vision_world_read_view(struct vision_world *world, const struct vision *core, uint32_t empire,
                            struct knowledge *told);

// vision_truth.c: whether the observer sees the hex, whether the empire has its sight, and what the
// empire knows after this tick.
bool vision_truth_reaches(const struct vision_world *world, const struct truth_entity *observer,
                          int q, int r);
bool vision_truth_lends(const struct vision_world *world, const struct truth_entity *observer,
                        uint32_t to);
void vision_truth_update(struct vision_world *world, uint32_t empire);

#endif
