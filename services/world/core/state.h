#ifndef WORLD_CORE_STATE_H
#define WORLD_CORE_STATE_H

// What a world consists of: for the files of the core alone, not for the shell.

#include "libcommon/base/id.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/progress.h"
#include "libcommon/base/strmap.h"
#include "libcommon/base/vec.h"
#include "libcommon/hex/path.h"
#include "libcommon/hex/route.h"
#include "services/world/core/ecs.h"
#include "services/world/core/grid.h"
#include "services/world/core/map.h"
#include "services/world/core/schedule.h"
#include "services/world/core/shared.h"
#include "services/world/core/sides.h"
#include "services/world/core/workers.h"
#include "services/world/core/world.h"

// The last results of one player (kept.h).
struct world_kept_result {
    uint64_t client_seq; // 0: none
    uint64_t tick;
    uint32_t reason; // of a command that had to be paid: what came of it
};

// A building that was ordered and is not paid yet. Whatever production says comes as an input.
struct world_bill {
    uint64_t number;
    uint64_t player_id, client_seq; // of the command
    uint64_t tick;
    uint32_t type;
    int32_t q, r;
    uint32_t queued;
    uint32_t cost[WORLD_ITEMS_MAX];
    uint32_t builder_count;
    uint64_t builders[WORLD_BUILDERS_MAX]; // handles
};

struct world_player {
    uint64_t player_id;
    uint32_t empire;
    char name[WORLD_USERNAME_BYTES];
    uint64_t last_client_seq;
    uint64_t allowance;      // commands allowed at once, times WORLD_TICK_RATE_HZ
    uint64_t allowance_tick; // as of this tick
    uint32_t kept_next;      // place of the next result
    // The tick of the last command of each kind that was taken; 0: none that counts.
    uint64_t taken_tick[WORLD_COMMAND_KINDS];
    struct world_kept_result kept[WORLD_RESULTS_KEPT];
    uint64_t hash; // as counted in players_hash
};

// What an empire's workers have ever brought home of one resource. Totals, so that production can
// take over what it has not taken yet, however much it missed, and nothing twice.
struct world_deposit {
    uint64_t total;
    uint64_t told; // derived: the tick in which it last changed
    uint32_t type; // of the nodes
};

struct world_empire_row {
    uint64_t player_id;
    struct hex_axial home;
    uint32_t site;     // home site number
    uint64_t alliance; // whose members it does not fight; 0: none
    uint32_t deposit_count;
    struct world_deposit deposits[WORLD_RESOURCES_MAX];
    uint64_t refunds[WORLD_ITEMS_MAX]; // by item: all that was ever given back
    uint64_t refund_told;              // derived: the tick in which one last changed
    uint32_t settlements; // derived: the first one's slot, 0 = none; next_settlement goes on
    uint32_t lenders;     // derived: how many of `shares` are its
};

// A spawn that was carried out; its entities have consecutive serials. Or, with a count of 0,
// another server command with a key.
struct world_spawn_key {
    uint8_t bytes[WORLD_SPAWN_KEY_BYTES_MAX];
    uint32_t len;
    uint32_t count;
    uint64_t first_serial;
    uint64_t tick;
};

// Something that happened in this tick; slots, also of those that died in it.
struct world_event {
    uint32_t kind; // Mmorts__Frame__EventKind
    uint32_t entity, other;
    int32_t value;
    uint32_t detail;
};

// A total that changed: which empire's, and which of its deposits.
struct world_deposit_news {
    uint32_t empire, index;
};

// An idle soldier has seen an enemy.
struct world_alarm {
    uint32_t slot, enemy;
};

struct world_announcement {
    char text[WORLD_ANNOUNCEMENT_BYTES_MAX + 1];
};
// What counts of an entity in a fight. No two members have bytes between them.
struct world_stats {
    uint32_t attack, defence, attack_range_hexes, attack_cooldown_ticks;
    uint32_t sight_hexes, sight_type, ticks_per_hex, flags;
};
// Each type with each rank and none; while the rules change, of both rules, and one to change over.
enum { WORLD_STATS_MAX = 2 * WORLD_TYPES_MAX * (WORLD_RANKS_MAX + 1) + 1 };

// Units that were sent from one place to another in this tick: they share what is learned of the
// ways there.
struct world_way_group {
    struct hex_chunk start, goal;
    uint32_t members; // so far
    bool learned;     // the field holds something
    struct hex_route_field *field;
};

struct world_path_request {
    uint64_t ticket;
    uint32_t slot;
};

struct world {
    // --- the state: saved and hashed -------------------------------------------------------------
    struct world_rules rules;
    uint64_t seed;
    uint8_t secret[16];
    uint64_t tick;
    bool paused;
    uint64_t serial_next;  // of the next entity
    uint64_t ticket_next;  // of the next path request
    uint64_t spawns_total; // keys ever taken: key n lies in ring place n % kept
    uint64_t bill_next;    // number of the next bill
    struct world_map map;
    struct world_ecs ecs;
    struct {
        MM_VEC(struct world_player);
    } players;
    struct {
        MM_VEC(struct world_empire_row);
    } empires; // number - 1
    struct {
        MM_VEC(struct world_spawn_key);
    } spawn_keys; // ring once it is full
    struct {
        MM_VEC(struct world_bill);
    } bills; // unsettled, by number
    struct {
        MM_VEC(uint64_t);
    } shares;             // who borrows sight << 32 | from whom, ascending
    uint32_t allies_lend; // Mmorts__World__AlliesLend

    // --- derived: rebuilt on loading -------------------------------------------------------------
    uint64_t rules_hash;
    bool terrain_hides; // sight has to be followed from hex to hex
    int32_t sight_max;  // of any type
    int32_t alert_max;  // how far off any type that fights takes notice of enemies; 0: none does
    uint32_t
        sight_own[WORLD_SIGHT_HEXES_MAX + 1]; // how many entities see so far by WORLD_OWN_HEXES
    uint64_t players_hash, spawn_keys_hash, empires_hash, bills_hash, shares_hash;
    struct world_grid grid;
    struct world_sides sides;
    struct world_shared stats;       // struct world_stats
    struct mm_idmap *player_of_id;   // player_id -> index in players
    struct mm_idmap *slot_of_serial; // serial -> slot
    struct mm_strmap *spawn_of_key;  // key -> place in spawn_keys
    struct {
        MM_VEC(struct world_path_request);
    } queue; // by ticket; requests that were withdrawn or renewed are passed over
    size_t queue_head;
    struct mm_id_key entity_key;
    struct mm_id_key empire_key;
    struct {
        MM_VEC(uint32_t);
    } explored; // chunks that somebody came into in this step
    uint8_t move_cost_percent[WORLD_TERRAINS_MAX];
    uint32_t cost_min, cost_unit; // of the terrains: the least cost, and what divides them all

    // --- of this tick ----------------------------------------------------------------------------
    uint32_t empires_before; // those founded in this tick come after
    uint32_t chunks_before;
    bool state_changed; // running or paused since this tick
    struct {
        MM_VEC(struct world_event);
    } events; // at most WORLD_EVENTS_MAX; further ones are not told
    struct {
        MM_VEC(struct world_deposit_news);
    } deposited; // totals that changed, each once
    struct {
        MM_VEC(uint32_t);
    } refunded; // empires whose totals changed, each once
    struct {
        MM_VEC(struct world_announcement);
    } announcements;

    struct world_alarms {
        MM_VEC(struct world_alarm);
    } alarms[WORLD_PARTS_MAX]; // of the present tick's watch, by part
    uint32_t alarm_parts;
    uint32_t plan_work; // what planning ways has taken of movement.path_nodes_per_tick
    bool plan_cut;      // a search was cut off when that was spent: the next tick begins it anew

    // --- tools -----------------------------------------------------------------------------------
    struct hex_path_workspace *paths;
    struct hex_route *routes; // NULL: the chunks are too large for overlays
    struct world_way_group way_groups[WORLD_WAY_GROUPS_MAX];
    uint32_t way_group_count; // begun in this planning
    uint8_t *search_steps;    // WORLD_SEARCH_STEPS_MAX
    struct mm_arena *scratch; // within one function
    uint64_t *due;            // bit per slot, all clear between systems
    uint32_t due_slots;
    uint32_t *next_settlement; // by slot: the empire's next one, in slot order
    struct world_workers workers;
    struct mm_progress *progress; // of what takes long; NULL: nobody waits
    bool side_by_side;            // parts run at this moment
    world_system_hook hook;
    void *hook_ctx;
};

// --- entities.c ----------------------------------------------------------------------------------

uint64_t world_entity_public_id(const struct world *world, uint32_t slot);
uint32_t world_slot_of_id(const struct world *world, uint64_t id); // WORLD_SLOT_NONE if none

// What an entity of that type counts as on its hex.
unsigned world_counts_as(const struct world *world, uint32_t type);

// Places a new entity; the cell must have been found free. Room must have been reserved.
uint32_t world_entity_create(struct world *world, uint32_t type, uint32_t owner, uint32_t cell);
// Puts it on the map: into the grid and the counts of sides.
void world_entity_enter(struct world *world, uint32_t slot, uint32_t cell);
void world_entity_destroy(struct world *world, uint32_t slot);
// Room for `more` entities in every table. RESOURCE_EXHAUSTED.
enum mm_err MM_MUST_USE world_reserve_entities(struct world *world, uint32_t more);
// Moves an entity to another cell.
void world_entity_move(struct world *world, uint32_t slot, uint32_t cell, struct hex_axial at);

// Whether one more entity of that kind of counting may be on the cell.
bool world_cell_free(const struct world *world, uint32_t cell, unsigned counts_as);

// The free cell nearest to `at` (and in the region of cell `like`, unless that is
// WORLD_CELL_NONE), rings outwards; WORLD_CELL_NONE if there is none within radius.
uint32_t world_nearest_free(const struct world *world, struct hex_axial at, int32_t radius,
                            unsigned counts_as, uint32_t like);

// Carries out what systems put off.
void world_flush(struct world *world);

// --- found.c -------------------------------------------------------------------------------------

// Generates the chunks within `radius` chunks of a place, with their scattered nodes.
enum mm_err MM_MUST_USE world_grow(struct world *world, struct hex_chunk center, int32_t radius);
// Somebody with eyes has come into the chunk: world_explore sees to it that there is land around.
void world_explore_chunk(struct world *world, uint32_t chunk);
void world_explore(struct world *world);

// Perhaps a camp, in a chunk that has just come into being and is empty yet.
void world_camp_place(struct world *world, uint32_t chunk, const uint64_t *reserved);
// Guards of lairs that were killed, or have not come yet, come when it is time.
void world_camps_tend(struct world *world);
// Whether a lair's camp is as it can be.
bool world_camp_sound(const struct world *world, uint32_t slot);
void world_join(struct world *world, const Mmorts__World__JoinRequest *request,
                struct world_result *result);
uint64_t world_empire_public_id(const struct world *world, uint32_t number);
struct world_player *world_player_find(const struct world *world, uint64_t player_id);
uint64_t world_player_hash(const struct world_player *player);
uint64_t world_empire_hash(uint32_t number, const struct world_empire_row *row);
void world_player_changed(struct world *world, struct world_player *player);

// --- spawns.c ------------------------------------------------------------------------------------

void world_spawn(struct world *world, const Mmorts__World__SpawnRequest *request,
                 struct mm_arena *arena, struct world_result *result);
void world_despawn(struct world *world, const Mmorts__World__DespawnRequest *request,
                   struct world_result *result);
uint64_t world_spawn_key_hash(const struct world_spawn_key *key);
void world_set_entity(struct world *world, const Mmorts__World__SetEntityRequest *request,
                      struct world_result *result);
void world_announce(struct world *world, const Mmorts__World__AnnounceRequest *request,
                    struct world_result *result);

// alliance.c
void world_set_alliances(struct world *world, const Mmorts__World__SetAlliancesRequest *request,
                         struct world_result *result);
// Whether the two do not fight each other; empire 0 is nobody's ally.
bool world_allied(const struct world *world, uint32_t empire, uint32_t other);

// --- sharing.c -----------------------------------------------------------------------------------

void world_set_sharing(struct world *world, const Mmorts__World__SetSharingRequest *request,
                       struct world_result *result);
// Whether the empire (which may be 0) sees by anybody else's eyes at all.
bool world_borrows(const struct world *world, uint32_t empire);
// Whether an entity's owner, who is not the empire, lends it what this entity sees.
bool world_lends(const struct world *world, uint32_t slot, uint32_t empire);
uint64_t world_share_hash(uint64_t share);
// Counts a share that is in `shares`, or was, to what is derived; `by` is 1 or UINT32_MAX.
void world_share_count(struct world *world, uint64_t share, uint32_t by);

// The keys of server commands (spawns.c). Find: the known one or NULL, with an error in the result
// if the key is none.
const struct world_spawn_key *world_key_find(const struct world *world, ProtobufCBinaryData key,
                                             struct world_result *result);
void world_key_remember(struct world *world, ProtobufCBinaryData key, uint32_t count,
                        uint64_t first_serial);

// --- commands.c ----------------------------------------------------------------------------------

void world_command(struct world *world, const Mmorts__World__Command *command,
                   struct world_result *result);

// --- orders.c, plan.c, move.c --------------------------------------------------------------------

// Replaces what a unit has to do (or appends, if queued and there is room).
bool world_order_give(struct world *world, uint32_t slot, const struct world_order *order,
                      bool queued);
// What it is in the middle of, other than walking, ends.
void world_task_drop(struct world *world, uint32_t slot);
// Sends an idle unit somewhere at once, from within a system; the kind is one that leads to a hex.
void world_order_begin(struct world *world, uint32_t slot, enum world_order_kind kind,
                       struct hex_axial goal);
// Sends an idle unit onto the hex beside it, by the way that is known: nothing is searched.
void world_order_step(struct world *world, uint32_t slot, unsigned direction);
// The present order is over: the unit takes up the next one, or is idle.
void world_order_done(struct world *world, uint32_t slot);
void world_orders_clear(struct world *world, uint32_t slot);
void world_set_activity(struct world *world, uint32_t slot, uint32_t activity);
// Sends a unit on its way: from the next planning on.
void world_mover_start(struct world *world, uint32_t slot, struct hex_axial goal);
// The same of an idle unit to the hex beside it: it needs no planning.
void world_mover_step(struct world *world, uint32_t slot, unsigned direction);
// Takes it off its way: it stays where it is.
void world_mover_stop(struct world *world, uint32_t slot);
// Has its route planned anew; with `avoid` around the units that stand near it.
void world_mover_replan(struct world *world, uint32_t slot, bool avoid);
// The ticks its step onto that cell takes; at least 1.
uint32_t world_step_ticks(const struct world *world, uint32_t slot, uint32_t cell);

void world_system_orders(struct world *world);
void world_system_plan(struct world *world);
void world_system_move(struct world *world);

// --- ways.c --------------------------------------------------------------------------------------

struct world_way_request {
    struct hex_axial from, to;
    uint32_t work_max;  // a search gives up then
    uint32_t spend_max; // of all searches and charts together; then it is put off
    bool last_word;     // what spend_max allows will do: it is put off to chart chunks alone
    bool avoid;         // around the units that stand near `from`
    bool partial;       // a way that only leads nearer will do
};

struct world_way {
    uint32_t steps;  // in world->search_steps; a far way's first ones
    uint32_t work;   // in hexes looked at, charts included
    uint32_t charts; // chunks that were charted for it
    bool complete;   // they lead to the goal
    bool later;      // no answer: asked again, with new charts or more to spend, it comes farther
};

// RESOURCE_EXHAUSTED: out of memory. The map's tiling is known.
enum mm_err MM_MUST_USE world_ways_init(struct world *world);
void world_ways_free(struct world *world);
// Before each tick's planning.
void world_ways_begin(struct world *world);
// The costs of terrains changed: no chunk is charted any more.
void world_ways_forget(struct world *world);
// Around the units that bar a route whose step `next` is to be taken, and on along it, by the
// bounds of the request. False: that is not to be had cheaply, or later.
bool world_way_around(struct world *world, const struct world_way_request *request,
                      const struct world_route *route, uint32_t next, struct world_way *way);
// False: no step leads nearer, or later. Takes no more than spend_max and WORLD_PLAN_OVERRUN.
bool world_way_find(struct world *world, const struct world_way_request *request,
                    struct world_way *way);
// --- stats.c -------------------------------------------------------------------------------------

static inline const struct world_stats *world_stats_of(const struct world *world, uint32_t slot)
{
    world_ecs_reads(&world->ecs, WORLD_USES_STATS);
    return world_shared_get(&world->stats, slot);
}

// Its type, its rank or the rules are others than before.
void world_stats_derive(struct world *world, uint32_t slot);
// Whether they are what they should be.
bool world_stats_sound(const struct world *world, uint32_t slot);
// The rank of one who has killed so many, 0 for none.
uint8_t world_rank_of_kills(const struct world_rules *rules, uint32_t kills);
void world_system_promote(struct world *world);

// --- sight.c -------------------------------------------------------------------------------------

// How far an entity sees (or would see, while it sees nothing), in which way, and who sees it.
uint32_t world_sight_hexes(const struct world *world, uint32_t slot);
uint32_t world_sight_type(const struct world *world, uint32_t slot);
bool world_is_stealthed(const struct world *world, uint32_t slot);
// Makes one of them (WORLD_OWN_HEXES, _TYPE, _STEALTH) the entity's own; or all as its type's.
void world_sight_set(struct world *world, uint32_t slot, uint8_t what, uint32_t value);
void world_sight_as_type(struct world *world, uint32_t slot);
// An entity came with its sight (from a saved state), or goes: what is known of all.
void world_sight_enter(struct world *world, uint32_t slot);
void world_sight_leave(struct world *world, uint32_t slot);
// As struct world's sight_max and alert_max, of all entities.
int32_t world_sight_max(const struct world *world);
int32_t world_alert_max(const struct world *world);
// Whether the one entity sees the other.
bool world_sees(const struct world *world, uint32_t slot, uint32_t other);
// Whether the empire sees it now, by its own entities or by those of others that lend it their
// sight: by the rule with which vision shows things.
bool world_empire_sees(const struct world *world, uint32_t empire, uint32_t slot);
// The same of a hex.
bool world_empire_sees_hex(const struct world *world, uint32_t empire, struct hex_axial at);

// --- combat.c ------------------------------------------------------------------------------------

// Whether an entity takes another for an enemy by itself.
bool world_is_hostile(const struct world *world, uint32_t slot, uint32_t other);
// Whether a unit stands within range of a place or there is a way to a hex that is.
bool world_can_reach(const struct world *world, uint32_t slot, struct hex_axial target,
                     int32_t range);
// What is nearest to an attacker or worker: the free hex within range of the target; ties go by the
// order of the rings. False: there is none that it can walk to.
bool world_place_to_stand(const struct world *world, uint32_t slot, struct hex_axial target,
                          int32_t range, struct hex_axial *out);
// A worker sets out for a hex beside the target, unless it is on its way to one; counts its looks
// in a row without getting there. False: there were so many that it is no use.
bool world_walk_beside(struct world *world, uint32_t slot, struct hex_axial target, uint8_t *tries);
// Sets upon an entity (by its handle); what it did before must be over.
void world_fight_begin(struct world *world, uint32_t slot, uint64_t target, bool ordered);
uint32_t world_divide_watch(struct world *world);
void world_watch_part(struct world *world, uint32_t part);
void world_system_guard(struct world *world);
void world_system_fight(struct world *world);

// --- gather.c ------------------------------------------------------------------------------------

// Sets to work on a node (by its handle; gone is allowed: then on one like it near `about`).
void world_gather_begin(struct world *world, uint32_t slot, uint64_t node, uint32_t node_type);
void world_system_gather(struct world *world);
// Adds to what an empire ever brought home, or won, of what a type yields.
void world_deposit_add(struct world *world, uint32_t empire, uint32_t type, uint32_t amount);
// A settlement came into being or ends: its empire's list.
void world_settlement_enter(struct world *world, uint32_t slot);
void world_settlement_leave(struct world *world, uint32_t slot);

// --- build.c -------------------------------------------------------------------------------------

// Puts a building under construction onto a free cell, those who are to work on it not included.
uint32_t world_site_create(struct world *world, uint32_t type, uint32_t owner, uint32_t cell,
                           const uint32_t *paid);
// So much more of the work is done, 0 to all; then the building begins to work itself.
void world_site_advance(struct world *world, uint32_t slot, uint32_t work);
// Moves the units of a cell to the nearest free ones. False, and nobody moves: there is no room.
bool world_step_aside(struct world *world, uint32_t cell);
void world_work_begin(struct world *world, uint32_t slot, uint64_t target);
void world_system_build(struct world *world);
// Switches a reason for not seeing on or off.
void world_sight_switch(struct world *world, uint32_t slot, uint8_t bit, bool off);
// Whether a building is complete; everything else is.
static inline bool world_is_complete(const struct world *world, uint32_t slot)
{
    return !world_site_open(WORLD_GET(&world->ecs, WORLD_SITE, world_site, slot));
}
static inline bool world_is_blind(const struct world *world, uint32_t slot)
{
    const struct world_sight *sight = WORLD_GET(&world->ecs, WORLD_SIGHT, world_sight, slot);
    return sight && sight->off != 0;
}

// --- command_buildings.c -------------------------------------------------------------------------

// Sends who was trained in a building to its rally point, if it has one.
void world_rally_follow(struct world *world, uint32_t building, uint32_t slot);

// --- bills.c -------------------------------------------------------------------------------------

void world_bill_open(struct world *world, const struct world_bill *bill);
// The open bill of a command, or NULL.
const struct world_bill *world_bill_of(const struct world *world, uint64_t player_id,
                                       uint64_t client_seq);
uint32_t world_bills_of_player(const struct world *world, uint64_t player_id);
uint64_t world_bill_hash(const struct world_bill *bill);
void world_settle(struct world *world, const Mmorts__World__Settlement *settlement,
                  struct world_result *result);
// Adds to what an empire was ever given back.
void world_refund(struct world *world, uint32_t empire, const uint32_t *amounts);

// --- world.c -------------------------------------------------------------------------------------

// Says why an input changes nothing; the message is static.
void world_fail(struct world_result *result, enum mm_err err, const char *message);

// Allocates a world with empty tables for checked rules. NULL when out of memory.
struct world *world_alloc(const struct world_rules *rules);
// Tells of something that happened; see EventColumns in frame.proto.
void world_tell(struct world *world, uint32_t kind, uint32_t entity, uint32_t other, int32_t value,
                uint32_t detail);
// What follows from rules, seed and secret.
void world_derive(struct world *world);

// --- load.c --------------------------------------------------------------------------------------

// A saved state without its checksum at the end, and without a look at the state hash it names:
// what comes of bytes that are wrong in spite of both.
enum mm_err MM_MUST_USE world_load_unchecked(const uint8_t *data, size_t len, struct world **out,
                                             uint64_t *state_hash);

// --- save.c --------------------------------------------------------------------------------------

uint64_t world_hash_combine(const struct world *world, uint64_t map, uint64_t entities,
                            uint64_t players, uint64_t empires, uint64_t keys, uint64_t bills,
                            uint64_t shares);

#endif
