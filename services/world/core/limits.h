#ifndef WORLD_CORE_LIMITS_H
#define WORLD_CORE_LIMITS_H

// Every bound of the simulation. What happens at a bound stands beside it; bounds an operator may
// choose are in struct world_rules, these are their ceilings.
enum {
    WORLD_NAME_BYTES = 32,          // name of a type or terrain, NUL included
    WORLD_USERNAME_BYTES = 64,      // longer names are cut at a character
    WORLD_TYPES_MAX = 512,          // more: the rules are refused
    WORLD_TERRAINS_MAX = 64,        // more: the rules are refused
    WORLD_SIGHT_HEXES_MAX = 32,     // of a type or an entity; more: refused
    WORLD_START_KINDS_MAX = 16,     // lines of the starting units
    WORLD_BANDS_MAX = 32,           // lines of the map generator
    WORLD_NODE_RULES_MAX = 16,      // lines of scattered and of home resource nodes, each
    WORLD_ORDERS_MAX = 8,           // orders queued by one unit; then COMMAND_QUEUE_FULL
    WORLD_COMMAND_UNITS_MAX = 256,  // units in one command; more: COMMAND_NO_UNITS
    WORLD_COMMAND_KINDS = 11,       // orders that a command can give
    WORLD_COOLDOWN_MAX = 12000,     // ticks between two commands of a kind: ten minutes
    WORLD_ROUTE_STEPS_MAX = 128,    // steps a unit remembers; a longer way is planned in pieces
    WORLD_PATH_WINDOW_BITS = 8,     // 256 x 256 hexes for a search hex by hex
    WORLD_CHART_WORK = 500,         // what charting a chunk takes of a tick's budget, see ways.c
    WORLD_CHARTED_MAX = 3072,       // chunks charted at a time; then others are charted no longer
    WORLD_PLAN_WORK_MIN = 1000,     // that a tick's planning may take whatever the rules say
    WORLD_PLAN_OVERRUN = 64,        // by which planning may overrun: a search's last chunk
    WORLD_WAY_GROUPS_MAX = 8,       // groups that share ways in one tick; then the oldest ends
    WORLD_SEARCH_STEPS_MAX = 4096,  // steps of one search; a longer way leads to its first part
    WORLD_RESULTS_KEPT = 64,        // last results per player; older ones: COMMAND_REPEATED
    WORLD_SEQ_RANGES_MAX = 8,       // ranges of sequence numbers per player that are told apart
    WORLD_SPAWN_KEY_BYTES_MAX = 64, // longer keys: INVALID_ARGUMENT
    WORLD_SPAWN_COUNT_MAX = 100,    // entities of one spawn
    WORLD_SPAWN_RADIUS_MAX = 24,    // how far from the wanted place a spawn looks for room
    WORLD_SPREAD_RADIUS_MAX = 16,   // how far from a shared target a group spreads
    WORLD_ALERT_HEXES_MAX = 12,     // how far off an idle soldier takes notice, at most
    WORLD_ATTACK_RANGE_MAX = 12,    // hexes
    WORLD_RESOURCES_MAX = 16,       // types that yield something; more: the rules are refused
    WORLD_GATHER_RADIUS = 10,       // how far from a dry node a worker looks for another
    WORLD_ITEMS_MAX = 8,            // items that costs are made of; more: the rules are refused
    WORLD_BUILDERS_MAX = 32,        // of those who were told to build so many go, the first ones
    WORLD_BILLS_PER_PLAYER_MAX = 8, // unpaid at a time; then COMMAND_QUEUE_FULL
    WORLD_BILL_TICKS_MAX = 200,     // a bill paid later is given back: COMMAND_EXPIRED
    WORLD_WANDER_RADIUS_MAX = 32,   // hexes
    WORLD_CHANGES_MAX = 16,         // of one SetEntity; more: INVALID_ARGUMENT
    WORLD_ANNOUNCEMENTS_MAX = 16,   // in one tick; then RESOURCE_EXHAUSTED
    WORLD_ANNOUNCEMENT_BYTES_MAX = 500,
    WORLD_STACK_MAX = 200,      // units on one hex, at most ever
    WORLD_EVENTS_MAX = 1 << 18, // told in one tick
    WORLD_CAMP_RULES_MAX = 8,   // kinds of camps; more: the rules are refused
    WORLD_CAMP_GUARDS_MAX = 6,  // of one camp; more: the rules are refused
    WORLD_EXPLORED_MAX = 64,    // chunks that are looked around in one tick; others' come later
    WORLD_RANKS_MAX = 4,        // of veterans; more: the rules are refused
    WORLD_SYSTEMS_MAX = 32,
    WORLD_STAGES_MAX = 8,
    WORLD_THREADS_MAX = 64,                  // that a world is lent
    WORLD_PARTS_MAX = 4 * WORLD_THREADS_MAX, // of one system, or of one piece of work
    WORLD_CHUNKS_MAX = 1 << 17,              // then no empire can be founded: RESOURCE_EXHAUSTED
    WORLD_EMPIRES_MAX = 1 << 16,             // then Join says RESOURCE_EXHAUSTED
    WORLD_SPAWN_KEYS_MAX = 1 << 20,
    WORLD_SHARES_MAX = 1 << 20,     // who lends whom; more: RESOURCE_EXHAUSTED
    WORLD_SHARES_PER_CALL = 4096,   // in one SetSharing; more: INVALID_ARGUMENT
    WORLD_LENDERS_MAX = 1024,       // of one empire; more: INVALID_ARGUMENT
    WORLD_SAVE_BYTES_MAX = 1 << 30, // a saved state is never larger
};

#define WORLD_ENTITIES_MAX ((uint32_t)1 << 21) // then spawns are refused: RESOURCE_EXHAUSTED
#define WORLD_TICK_RATE_HZ 20

#endif
