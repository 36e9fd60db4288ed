#ifndef WORLD_CORE_WORLD_H
#define WORLD_CORE_WORLD_H

#include "gen/frame.pb-c.h"
#include "gen/world.pb-c.h"
#include "libcommon/base/arena.h"
#include "libcommon/base/buf.h"
#include "libcommon/base/err.h"
#include "libcommon/base/progress.h"
#include "libcommon/hex/hex.h"
#include "services/world/core/rules.h"
#include "services/world/core/workers.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The authoritative simulation of one session: a value that steps from tick to tick. The same
// creation and the same inputs give the same states on every machine. No I/O, no clock, no
// threads but those it is lent; integers only. Not thread-safe, but any one thread at a time may
// use it.
//
// Out of memory within a step cannot be undone and is treated as a bug (the process ends and comes
// back from its journal); every bound that players or services can reach is an error value.

struct world;

struct world_params {
    const struct world_rules *rules; // checked; copied
    uint64_t seed;                   // of the map
    uint8_t secret[16];              // keys the public ids
};

// A session at tick 0 with its first pocket of chunks and no empire. INVALID_ARGUMENT: rules that
// world_rules_check refuses. RESOURCE_EXHAUSTED: out of memory.
enum mm_err MM_MUST_USE world_create(const struct world_params *params, struct world **out);
void world_free(struct world *world);
// Works out what a world that was loaded lacks, though it has paid for it: without this its next
// ticks do, and take longer. Changes nothing that shows. At most some 150 ms.
void world_warm(struct world *world);

// --- stepping ------------------------------------------------------------------------------------

typedef Mmorts__World__Input world_input;

// What became of one input.
struct world_result {
    // It changed the state and so belongs into the journal. An input that is refused, repeated or
    // without effect leaves the state exactly as it would be without it.
    bool applied;
    enum mm_err err;     // of everything but commands
    uint32_t reason;     // of a command or settlement: Mmorts__World__CommandReason
    const char *message; // static, for people; "" when all is well
    uint64_t tick;       // in which it (or what it repeats) took effect
    // Of COMMAND_RATE_LIMITED and COMMAND_COOLDOWN: in so many ticks it will not be refused for
    // that again; 0: not told.
    uint32_t retry_after_ticks;

    uint32_t empire; // of join
    uint64_t empire_id;
    struct hex_axial home;
    bool founded;
    uint64_t last_client_seq;

    // Of a command that has to be paid first: the open bill. What comes of it is told by the result
    // of its settlement, which names the same bill; reason means nothing yet.
    uint64_t bill;

    uint64_t *entities; // of spawn: public ids, in the step's arena
    size_t entity_count;
    bool repeated_key;
};

// Puts inputs into the order in which a tick takes them: pause and resume, joins, spawns,
// despawns, changes of entities, settlements, announcements, alliances, shared sight, then commands
// by (player, client_seq); equal ones in the order given.
void world_inputs_sort(const world_input **inputs, size_t count);

// Steps to the next tick. `inputs` must be sorted; results[i] belongs to inputs[i]. Memory of
// results comes from arena and lives as long as that. While the session is paused, inputs are
// taken but systems do not run.
void world_step(struct world *world, const world_input *const *inputs, size_t count,
                struct mm_arena *arena, struct world_result *results);

// Lends the world threads from the next step on; copied. NULL: takes them back. States and frames
// are the same with any number of them.
void world_set_workers(struct world *world, const struct world_workers *workers);

// Told of the progress of what takes long: of loading, and of snapshots (frames of everything),
// which cannot be given up. NULL: nobody is.
void world_set_progress(struct world *world, struct mm_progress *progress);

// Told before (begins) and after each system, so that a shell can time them: on the thread that
// runs the system, which with workers is any, several at once. NULL: nobody.
typedef void (*world_system_hook)(void *ctx, size_t system, const char *name, bool begins);
void world_set_system_hook(struct world *world, world_system_hook hook, void *ctx);
size_t world_system_count(void);
const char *world_system_name(size_t system);

// --- looking -------------------------------------------------------------------------------------

uint64_t world_tick(const struct world *world);
bool world_is_paused(const struct world *world);
const struct world_rules *world_rules_of(const struct world *world);
uint64_t world_seed(const struct world *world);
uint32_t world_empire_count(const struct world *world);
uint32_t world_entity_count(const struct world *world);
uint32_t world_mover_count(const struct world *world);
uint32_t world_chunk_count(const struct world *world);
uint32_t world_paths_waiting(const struct world *world);

struct world_entity_view {
    uint32_t slot;
    uint64_t id;
    uint32_t type;
    uint32_t owner;
    struct hex_axial at;
    int32_t health;
    uint32_t activity; // Mmorts__Frame__Activity
    uint32_t progress; // of its construction, in permille
};
// By public id. False if there is no such entity.
bool world_find_entity(const struct world *world, uint64_t id, struct world_entity_view *out);
// Entities in slot order: start with *cursor = 0; false at the end.
bool world_next_entity(const struct world *world, uint32_t *cursor, struct world_entity_view *out);
// By slot; false if nobody lives there.
bool world_entity_at_slot(const struct world *world, uint32_t slot, struct world_entity_view *out);

struct world_empire_view {
    uint32_t number;
    uint64_t id;
    uint64_t player_id;
    const char *name;
    struct hex_axial home;
    uint64_t last_client_seq;
};
// By number (from 1), or by player. False if there is none.
bool world_empire(const struct world *world, uint32_t number, struct world_empire_view *out);
bool world_empire_of_player(const struct world *world, uint64_t player_id,
                            struct world_empire_view *out);

// Bills that wait to be settled, by number: start with *cursor = 0; false at the end. Whoever runs
// the world has production decide on each, and gives what it said as an input.
struct world_bill_view {
    uint64_t number;
    uint32_t empire;
    uint32_t cost[WORLD_ITEMS_MAX]; // by item of the rules
};
bool world_next_bill(const struct world *world, uint64_t *cursor, struct world_bill_view *out);
// All bills below this one are settled.
uint64_t world_bill_floor(const struct world *world);
// Below this one there were bills ever.
uint64_t world_bill_next(const struct world *world);

// Terrain of a hex, or -1 where there is no map.
int world_terrain_at(const struct world *world, struct hex_axial at);

// --- frames --------------------------------------------------------------------------------------

// What the last step changed. Everything hangs on arena. NULL when the arena is full.
Mmorts__Frame__TickFrame *world_frame(const struct world *world, struct mm_arena *arena);

// Everything there is after the last step.
Mmorts__Frame__TickFrame *world_snapshot_frame(const struct world *world, struct mm_arena *arena);

struct world_chunk_wish {
    struct hex_axial at; // in the chunk
    uint64_t known;      // the version that the asker has; 0: none
};
// The chunks that hold the given hexes, each once and only those generated that are another than
// the asker knows; unchanged[*unchanged_count] (room for `count`) are the places of those that are
// not. NULL when the arena is full.
Mmorts__Frame__ChunkColumns *world_chunk_columns(const struct world *world,
                                                 const struct world_chunk_wish *wishes,
                                                 size_t count, struct mm_arena *arena,
                                                 uint32_t *unchanged, size_t *unchanged_count);
Mmorts__Frame__Catalogue *world_catalogue(const struct world *world, struct mm_arena *arena);
// Another one whenever the rules are others; never 0.
uint64_t world_catalogue_version(const struct world *world);

// --- hashes and saved states ---------------------------------------------------------------------

// Hash of the whole state, a function of the state alone; kept up to date by every step.
uint64_t world_state_hash(const struct world *world);
// The same, computed from nothing: for verification.
uint64_t world_state_hash_full(const struct world *world);

// Checks every invariant the core relies on (grid equals positions, nobody on Dead hexes, stacking
// limit, counts, orders). OK, or DATA_LOSS and what is wrong.
enum mm_err MM_MUST_USE world_verify(const struct world *world, char *problem,
                                     size_t problem_bytes);

// The state between two steps as bytes: columnar, little-endian, versioned, ending in a checksum.
// Errors stick in out->err.
void world_save(const struct world *world, struct mm_buf *out);
// From bytes, which may be hostile. DATA_LOSS: not a sound state. UNIMPLEMENTED: of another
// version. RESOURCE_EXHAUSTED: out of memory.
enum mm_err MM_MUST_USE world_load(const uint8_t *data, size_t len, struct world **out);
// The same, with somebody who waits and may give it up (CANCELLED); `progress` stays the world's.
enum mm_err MM_MUST_USE world_load_watched(const uint8_t *data, size_t len,
                                           struct mm_progress *progress, struct world **out);

// The version of the simulation that made these bytes; 0: they are no saved state.
uint32_t world_saved_version(const uint8_t *data, size_t len);

// A state that a version before this one saved, as a state of this one: its hash is another one
// than it had then (*saved_hash), so no journal goes on from it. Errors as of world_load;
// UNIMPLEMENTED: of this version, a later one, or one that is no longer read.
enum mm_err MM_MUST_USE world_load_older(const uint8_t *data, size_t len, struct world **out,
                                         uint64_t *saved_hash);

// Gives a state other rules between two steps. Types and terrains keep their meaning by their
// names. FAILED_PRECONDITION, and nothing changes, if something in use is missing in the new rules
// or a rule changed that a running session cannot change (chunk radius).
enum mm_err MM_MUST_USE world_change_rules(struct world *world, const struct world_rules *rules,
                                           char *problem, size_t problem_bytes);

#endif
