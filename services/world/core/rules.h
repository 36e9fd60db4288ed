#ifndef WORLD_CORE_RULES_H
#define WORLD_CORE_RULES_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/buf.h"
#include "libcommon/base/err.h"
#include "services/world/core/limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The game's data: what types and terrains there are, how maps are made, what an empire starts
// with. Read from YAML by the shell (rules_yaml.h); plain values without pointers. A state keeps
// the rules it was made with, so that its journal replays to equal hashes whatever the files say
// by now.

struct world_type {
    char name[WORLD_NAME_BYTES];
    char yields[WORLD_NAME_BYTES]; // the item that is gathered there, or won by killing it, or ""
    uint32_t kind;                 // Mmorts__Frame__Kind
    uint32_t sight_hexes;
    uint32_t sight_type;    // Mmorts__Frame__SightType
    uint32_t health_max;    // at least 1
    uint32_t ticks_per_hex; // on terrain of cost 100; 0: stays put
    uint32_t flags;         // bits of Mmorts__Frame__TypeFlag
    uint32_t amount;        // what a fresh resource node holds; what killing a creature brings
    uint32_t blocks;        // 1: no unit passes or stands on its hex
    uint32_t attack;        // of each strike; 0: does not fight
    uint32_t defence;       // what it takes off each strike; at least 1 always comes through
    uint32_t attack_range_hexes;
    uint32_t attack_cooldown_ticks;
    uint32_t gather_amount;                // of each portion; 0: does not gather
    uint32_t gather_ticks;                 // of work for a portion
    uint32_t carry;                        // at most so much at a time
    uint32_t build_ticks;                  // of one worker's work; 0: is not built
    uint32_t cost[WORLD_ITEMS_MAX];        // of building it, by item
    uint32_t builds[WORLD_TYPES_MAX / 32]; // bit per type: what it can build
};

struct world_terrain {
    char name[WORLD_NAME_BYTES];
    uint32_t move_cost_percent; // 100 = normal, 0 = impassable, at most 255
    uint32_t sight_cost;
};

// One line of the noise generator: the first band whose conditions hold gives the terrain.
// Heights and moistures are in permille.
struct world_band {
    uint32_t terrain;
    uint32_t height_from, height_below;
    uint32_t moisture_from, moisture_below;
};

// Resource nodes scattered over a terrain, and those every home is sure to have.
struct world_scatter {
    uint32_t type;
    uint32_t terrain;
    uint32_t per_myriad; // chance of each hex of that terrain, of 10,000
};
struct world_home_node {
    uint32_t type;
    uint32_t count;
    uint32_t distance_from, distance_to; // hexes from the settlement
};

// Neutral camps: a lair, and creatures about it that come again as long as it stands.
struct world_camp_rules {
    uint32_t lair;          // type, an npc that stays put
    uint32_t per_myriad;    // chance of each chunk far enough from every home, of 10,000
    uint32_t roam_hexes;    // how far from the lair its guards wander
    uint32_t respawn_ticks; // until one that was killed is there again
    uint32_t guard_count;
    uint32_t guards[WORLD_CAMP_GUARDS_MAX]; // types, npcs that move
};

struct world_start {
    uint32_t type;
    uint32_t count;
};

enum world_generator { WORLD_GENERATOR_BLANK = 0, WORLD_GENERATOR_NOISE = 1 };

struct world_map_rules {
    uint32_t generator; // enum world_generator
    uint32_t chunk_radius;
    uint32_t open_terrain; // of `blank`, and of clearings and roads
    uint32_t wavelength_hexes;
    uint32_t octaves;
    uint32_t home_spacing_chunks;  // least distance between two homes
    uint32_t home_grow_chunks;     // chunks around a home that its founding brings into being
    uint32_t clearing_hexes;       // open land around a home
    uint32_t road_width_hexes;     // half width of the open land between neighbouring homes
    uint32_t explored_chunks_max;  // exploring brings new ones into being until there are so many
    uint32_t camp_distance_chunks; // of a camp from every home, also from those nobody has yet
    uint32_t band_count, scatter_count, home_node_count, camp_count;
    struct world_band bands[WORLD_BANDS_MAX];
    struct world_scatter scatter[WORLD_NODE_RULES_MAX];
    struct world_home_node home_nodes[WORLD_NODE_RULES_MAX];
    struct world_camp_rules camps[WORLD_CAMP_RULES_MAX];
};

struct world_movement_rules {
    uint32_t units_per_hex;
    uint32_t path_nodes_per_tick;   // work on paths in one tick; orders beyond wait their turn
    uint32_t path_nodes_per_search; // then a search leads as near as it got; a tick's half at most
    uint32_t patience_ticks;        // a unit waits so long before it looks for a way around
    uint32_t replans_max;           // ways around without getting nearer, then it stays
    uint32_t rest_ticks; // at the end of a patrol's leg; who wanders up to four times that
};

// What becomes of who has killed so many.
struct world_rank {
    uint32_t kills;                           // more than the rank before
    uint32_t attack_percent, defence_percent; // of the type's, 100 to 1000
};

struct world_combat_rules {
    uint32_t guard;       // 1: idle soldiers set upon enemies in sight by themselves
    uint32_t leash_hexes; // how far from its post a soldier follows whom it was not told to attack
    uint32_t rank_count;
    struct world_rank ranks[WORLD_RANKS_MAX];
};

struct world_sight_rules {
    uint32_t fog_of_war;     // 0: every empire sees every hex (but stealth still hides)
    uint32_t terrain_blocks; // 1: a terrain's sight_cost shortens the sight across it
};

struct world_construction_rules {
    uint32_t refund_percent; // of the cost, when a building is given up before it is complete
};

struct world_command_rules {
    uint32_t per_second; // commands of one player in the long run
    uint32_t burst;
    uint32_t units_max; // of one command
    // So long after one of a kind was taken the player's next one is refused; 0: at once again.
    uint32_t cooldown_ticks[WORLD_COMMAND_KINDS];
};

// The names of the kinds of commands, as clients give them.
extern const char *const world_command_names[WORLD_COMMAND_KINDS];

struct world_rules {
    uint32_t type_count, terrain_count, start_count;
    uint32_t spawn_keys_kept; // the oldest key is forgotten when a newer one needs its place
    uint32_t entities_max;
    uint32_t item_count; // that costs are made of
    struct world_type types[WORLD_TYPES_MAX];
    struct world_terrain terrains[WORLD_TERRAINS_MAX]; // 0 is Dead
    char items[WORLD_ITEMS_MAX][WORLD_NAME_BYTES];     // their names, as production knows them
    struct world_start start[WORLD_START_KINDS_MAX];   // the first is the settlement
    struct world_map_rules map;
    struct world_movement_rules movement;
    struct world_combat_rules combat;
    struct world_sight_rules sight;
    struct world_construction_rules construction;
    struct world_command_rules commands;
};

// Zeroed rules with terrain 0 and the defaults of every number; no types. What a loader starts
// from.
void world_rules_init(struct world_rules *rules);

// What is wrong with rules, and where in their files the key stands that says so.
struct world_rules_fault {
    char text[160];
    enum world_rules_file { WORLD_RULES_TYPES, WORLD_RULES_MAP } file;
    // The element of a list, or the pair of a map: "camps.kinds[1]", "types[7]"; "": the whole
    // file.
    char in[48];
    // The keys in it: "sight", "guards.wolf"; "": itself. Of several between bars, all of which
    // take part, the first that the file has.
    char keys[64];
};

// INVALID_ARGUMENT, and the first fault, unless every number is in range and every reference leads
// somewhere.
enum mm_err MM_MUST_USE world_rules_find_fault(const struct world_rules *rules,
                                               struct world_rules_fault *fault);

// The same with the text alone. INVALID_ARGUMENT unless every number is in range and every
// reference leads somewhere; then problem (of problem_bytes) says what is wrong.
enum mm_err MM_MUST_USE world_rules_check(const struct world_rules *rules, char *problem,
                                          size_t problem_bytes);

// Whether it may be the name of a type, terrain or item: a-z, 0-9 and _, no digit first.
bool world_rules_name_sound(const char *name);

// Index of the type, terrain or item of that name, or -1.
int world_rules_type(const struct world_rules *rules, const char *name);
int world_rules_terrain(const struct world_rules *rules, const char *name);
int world_rules_item(const struct world_rules *rules, const char *name);

// Whether workers gather from it.
bool world_type_is_node(const struct world_type *type);

// Whether the one type can build the other, or (builder) anything at all.
bool world_type_builds(const struct world_type *type, uint32_t built);
bool world_type_is_builder(const struct world_type *type);
bool world_type_is_free(const struct world_type *type); // costs nothing

// Ticks a unit of that type needs for a step onto that terrain; 0: never gets there.
uint32_t world_rules_step_ticks(const struct world_rules *rules, uint32_t type, uint32_t terrain);

// Rules as bytes, for saved states, and back. Decoding checks everything: DATA_LOSS for bytes that
// are no rules. *used is how many bytes they took.
void world_rules_encode(const struct world_rules *rules, struct mm_buf *out);
enum mm_err MM_MUST_USE world_rules_decode(struct world_rules *rules, const uint8_t *data,
                                           size_t len, size_t *used);
// The same of rules as a state of that version has them (save.h); what it lacks has its default.
enum mm_err MM_MUST_USE world_rules_decode_older(struct world_rules *rules, uint32_t version,
                                                 const uint8_t *data, size_t len, size_t *used);

// Equal rules have equal hashes.
uint64_t world_rules_hash(const struct world_rules *rules);

#endif
