#ifndef WORLD_CORE_COMPONENTS_H
#define WORLD_CORE_COMPONENTS_H

#include "services/world/core/limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What entities are made of. Every component is a plain struct of integers; its field table says
// how it is hashed and saved, so a new component is a struct, a table and a line in
// world_components.

enum world_component_id {
    WORLD_IDENTITY, // who it is and whose
    WORLD_PLACE,    // where
    WORLD_HEALTH,
    WORLD_ACTIVITY, // what players see it doing
    WORLD_AMOUNT,   // resource nodes
    WORLD_ORDERS,   // units with something to do
    WORLD_MOVER,    // units under way: what changes with every step
    WORLD_ROUTE,    // units under way: what changes with every plan
    WORLD_FIGHT,    // those who fight somebody
    WORLD_GATHER,   // workers at work on a node
    WORLD_CARGO,    // workers that ever gathered: what they carry
    WORLD_SITE,     // buildings that were ever under construction: how far they are
    WORLD_WORK,     // workers on a building
    WORLD_SIGHT,    // those whose sight was ever switched off, or is not as their type's
    WORLD_RALLY,    // buildings that send those trained there somewhere
    WORLD_VETERAN,  // who ever killed somebody
    WORLD_CAMP,     // lairs: the creatures that guard them
    WORLD_COMPONENTS,
};

// What systems use besides components, as further bits of their declarations.
enum world_use {
    WORLD_USES_GRID = 48, // who stands where, and on whose side
    WORLD_USES_MAP,
    WORLD_USES_PATHS,   // the queue of those who wait for a path, and the search for one
    WORLD_USES_LIVES,   // entities die of it
    WORLD_USES_EVENTS,  // it tells players what happened
    WORLD_USES_EMPIRES, // their totals and settlements
    WORLD_USES_DUE,     // struct world's `due`
    WORLD_USES_ALARMS,  // who has seen an enemy
    WORLD_USES_STATS,   // what entities can do in a fight
};
#define WORLD_BIT(id) (UINT64_C(1) << (id))

struct world_identity {
    uint64_t serial; // from 1, never used twice; public ids are made of it
    uint32_t owner;  // empire number, 0 = nobody
    uint16_t type;
    uint8_t kind; // the type's, at hand
    uint8_t spare;
};

struct world_place {
    int32_t q, r;
    uint32_t cell;
};

struct world_health {
    int32_t value;
};

struct world_activity {
    uint8_t value; // Mmorts__Frame__Activity
};

struct world_amount {
    int32_t value;
};

enum world_order_kind {
    WORLD_ORDER_NONE = 0,
    WORLD_ORDER_MOVE = 1,
    WORLD_ORDER_ATTACK = 2,      // target, until one of the two is no more or out of sight
    WORLD_ORDER_ATTACK_MOVE = 3, // a move that stops to fight whom it meets
    WORLD_ORDER_GATHER = 4,      // target, and when it is dry those like it near its hex
    WORLD_ORDER_BUILD = 5,       // target, until it is complete and undamaged
    WORLD_ORDER_PATROL = 6,      // as attack-move; done, it goes behind the other patrols
    WORLD_ORDER_WANDER = 7,      // about its hex, within `type` hexes; never done
    WORLD_ORDER_KINDS,
};

struct world_order {
    uint64_t target; // entity handle, where the kind has one
    int32_t q, r;
    uint8_t kind; // enum world_order_kind
    uint8_t spare;
    uint16_t type; // of the node to gather from, which may be gone by then; or a radius
    uint8_t spare2[4];
};

struct world_orders {
    uint8_t count;
    uint8_t begun; // the first order is being carried out
    uint8_t spare[6];
    struct world_order list[WORLD_ORDERS_MAX]; // the first is the present one
};

enum world_move_phase {
    WORLD_MOVE_WAITING_FOR_PATH = 1,
    WORLD_MOVE_WALKING = 2,
    WORLD_MOVE_ARRIVED = 3, // as near as it could get: the order is done
};

struct world_mover {
    uint64_t since;  // tick of the last step, or in which it set out
    uint64_t due;    // tick of the next step; while waiting for a path: the place in the queue
    uint16_t next;   // step of the route to take next
    uint16_t best;   // least distance to the goal so far
    uint8_t phase;   // enum world_move_phase
    uint8_t blocked; // ticks spent behind another unit
    uint8_t replans; // plans since it last got nearer
    uint8_t avoid;   // the next plan goes around units that stand near
};

struct world_route {
    int32_t goal_q, goal_r;
    uint16_t steps;   // of the route as far as it is planned
    uint8_t complete; // its last step is onto the goal
    uint8_t spare;
    uint8_t packed[WORLD_ROUTE_STEPS_MAX / 2]; // two directions a byte, the lower half first
};

struct world_fight {
    uint64_t target;            // entity handle
    uint64_t ready;             // tick from which on it may strike again
    uint64_t look;              // tick of the next look at where the target went
    int32_t anchor_q, anchor_r; // where it stood when it began
    uint8_t ordered;            // by an attack order: no leash, and the order ends with the fight
    uint8_t tries;              // looks in a row without getting there
    uint8_t spare[6];
};

enum world_gather_phase {
    WORLD_GATHER_TO_NODE = 1,
    WORLD_GATHER_DIGGING = 2,
    WORLD_GATHER_TO_HOME = 3,
};

struct world_gather {
    uint64_t node; // entity handle
    uint64_t due;  // tick in which it is looked at next
    uint16_t type; // of the node
    uint8_t phase; // enum world_gather_phase
    uint8_t tries; // looks in a row without getting there
    uint8_t last;  // there is nothing left to gather: it brings home what it has, then is done
    uint8_t spare[3];
};

struct world_cargo {
    int32_t amount;
    uint16_t type; // of the node it is from
    uint16_t spare;
};

struct world_site {
    uint32_t work;                  // ticks of one worker's work that are done
    uint32_t needed;                // it is complete when work is as much
    uint32_t paid[WORLD_ITEMS_MAX]; // by item, until it is complete
};

static inline bool world_site_open(const struct world_site *site)
{
    return site && site->work < site->needed;
}

enum world_work_phase {
    WORLD_WORK_TO_SITE = 1,
    WORLD_WORK_AT_SITE = 2,
};

struct world_work {
    uint64_t target; // entity handle
    uint64_t due;    // tick in which it is looked at next
    uint8_t phase;   // enum world_work_phase
    uint8_t tries;   // looks in a row without getting there
    uint8_t spare[6];
};

enum { WORLD_BLIND_SITE = 1, WORLD_BLIND_ORDERED = 2 };

// What of an entity's sight is its own; and whether any of it ever was.
enum {
    WORLD_OWN_HEXES = 1,
    WORLD_OWN_TYPE = 2,
    WORLD_OWN_STEALTH = 4,
    WORLD_OWN_EVER = 8,
};

struct world_sight {
    uint8_t off;       // bits of WORLD_BLIND_*: while any is set it sees nothing
    uint8_t own;       // bits of WORLD_OWN_*: what of the following counts; the others are 0
    uint8_t hexes;     // how far it sees
    uint8_t type;      // Mmorts__Frame__SightType
    uint8_t stealthed; // 0 or 1
    uint8_t spare[3];
};

struct world_rally {
    uint64_t node; // handle of the resource node that was seen there, or 0
    int32_t q, r;  // its own hex: nowhere
    uint16_t type; // of the node
    uint16_t spare[3];
};

struct world_veteran {
    uint32_t kills;
    uint8_t rank; // 0: none yet; else the rules' combat.ranks[rank - 1]
    uint8_t spare[3];
};

// The first guard_count of each array count.
struct world_camp {
    uint64_t guard[WORLD_CAMP_GUARDS_MAX]; // entity handles; 0: killed
    uint64_t due[WORLD_CAMP_GUARDS_MAX];   // of one that was killed: the tick in which it is back
    uint16_t type[WORLD_CAMP_GUARDS_MAX];
    uint32_t respawn_ticks;
    uint8_t guard_count;
    uint8_t roam_hexes;
    uint8_t spare[6];
};

static inline unsigned world_route_direction(const struct world_route *route, uint32_t step)
{
    return (route->packed[step / 2] >> (step % 2 * 4)) & 15u;
}

// --- their description ---------------------------------------------------------------------------

struct world_field {
    const char *name;
    uint16_t offset;
    uint8_t bytes; // 1, 2, 4 or 8; raw bytes if raw is set
    uint8_t raw;   // this many raw bytes instead of one integer
    uint8_t count; // array elements, at least 1
    uint8_t stride;
    uint8_t since; // states of a version before have it not, and it is 0 (save.h)
};

enum world_storage {
    WORLD_TABLE,  // every entity has it: rows by slot
    WORLD_SPARSE, // few have it: rows packed, found by slot
};

struct world_component {
    const char *name;
    enum world_storage storage;
    uint16_t bytes;
    uint8_t field_count;
    const struct world_field *fields;
};

extern const struct world_component world_components[WORLD_COMPONENTS];

// Bytes that are in no field of a component are 0, always: so a row is its own image (the fields
// in place, little-endian), and hashing goes by words instead of fields.
uint64_t world_component_hash(enum world_component_id id, uint32_t slot, const void *row);
// The same hash from nothing but the fields' values: what the above must be.
uint64_t world_component_hash_fields(enum world_component_id id, uint32_t slot, const void *row);
enum { WORLD_ROW_BYTES_MAX = 512 };

#endif
