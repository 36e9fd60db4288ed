#ifndef VISION_CORE_VISION_H
#define VISION_CORE_VISION_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/err.h"
#include "libcommon/base/progress.h"
#include "libcommon/hex/chunk.h"
#include "libcommon/hex/hex.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What every empire sees, has seen and remembers, kept up to date from world's tick frames.
//
// Pure: no clock, no I/O, no threads; the same frames give the same answers everywhere. The cost of
// a tick follows what changes in it, not how many empires, entities or chunks there are.
//
// The rules, in short (services/vision/README.md tells them at length):
// - A hex is visible to an empire if one of its observers (or one of an empire that lends it its
//   sight) has it within range, and world has made its chunk. What was visible once is explored.
// - An entity is in sight of an empire that owns it, or that sees its hex and, if the entity is
//   stealthed, has a detector's sight on it.
// - Some entities are remembered when they leave sight (struct vision_memory_policy), as they were
//   in the last tick in which they were seen. A memory ends when the entity is seen again,
//   when it expires, or when its place comes into sight and the entity is not there.
struct vision;

// How long what is remembered; 0 ticks = for ever ("permanent"). The defaults are those of
// vision_memory_policy_default().
struct vision_memory_policy {
    bool enabled;
    bool buildings;
    bool npcs;
    bool heroes;
    bool endgame;
    uint64_t settlement_ticks; // buildings whose type says settlement
    uint64_t building_ticks;
    uint64_t npc_ticks;
    uint64_t hero_ticks;
    uint64_t endgame_ticks;
    // Memories of one empire at most. Beyond, the timed one that expires first gives way, or, if
    // there is none, the one that was seen longest ago.
    uint32_t per_empire_max;
};

struct vision_memory_policy vision_memory_policy_default(void);

struct vision_options {
    int32_t chunk_radius; // of world's tessellation
    // Where an observer stands and how far it sees is taken over in ticks divisible by this; that
    // it appears, ends, changes hands or ceases to see, at once. At least 1.
    uint32_t update_interval_ticks;
    uint32_t entities_max; // highest entity index accepted
    uint32_t empires_max;  // highest empire number accepted
    uint32_t chunks_max;   // chunks known at most
    // Members of an alliance lend each other everything; false: only what their observers of
    // SIGHT_SHARED types see.
    bool alliances_share;
    struct vision_memory_policy memory;
};

struct vision_options vision_options_default(void);

// MM_INVALID_ARGUMENT: a chunk radius out of range, a limit or an interval of 0.
// MM_RESOURCE_EXHAUSTED: memory.
enum mm_err MM_MUST_USE vision_new(const struct vision_options *options, struct vision **out);
void vision_free(struct vision *vision);

// --- ticks -----------------------------------------------------------------------------------

// Applies one tick frame. *out is the diff of that tick for all empires that it changes something
// for; it is the core's, valid until the next call that changes the core.
//
// A snapshot replaces everything known of the world; what is explored and remembered stays, and
// *out is then empty but for its tick: readers ask for whole views (vision_view).
//
// MM_INVALID_ARGUMENT: the frame contradicts itself or what was known (columns of unequal length,
// an entity that is not there, a type that does not exist, ...): nothing was changed;
// vision_refusal() says why. MM_FAILED_PRECONDITION: not a snapshot, and there was none before or
// memory ran out since. MM_RESOURCE_EXHAUSTED: a limit or out of memory; in the midst of a frame,
// so only a snapshot goes on from here. MM_CANCELLED: the same, because it was given up.
enum mm_err MM_MUST_USE vision_apply(struct vision *vision, const Mmorts__Frame__TickFrame *frame,
                                     const Mmorts__Frame__VisionFrame **out);

// Told of the progress of whatever takes long, from here on, and asked whether to give it up. NULL:
// nobody is.
void vision_set_progress(struct vision *vision, struct mm_progress *progress);

// Why the last frame was refused; "" if it was not. Never NULL.
const char *vision_refusal(const struct vision *vision);

// The tick of the last frame applied; 0 before the first.
uint64_t vision_tick(const struct vision *vision);
// Whether a snapshot was applied and frames can follow it.
bool vision_is_live(const struct vision *vision);

// --- sharing ---------------------------------------------------------------------------------

// From tick `at_tick` on (at once in the next frame if that is past) `from` lends its own sight
// (not what it borrows itself) to `to`. Orders about a pair take effect in the order in which they
// were given, if need be later than their tick. Repeating changes nothing. MM_INVALID_ARGUMENT: 0,
// equal or above the limit. MM_RESOURCE_EXHAUSTED: memory.
enum mm_err MM_MUST_USE vision_share(struct vision *vision, uint32_t from, uint32_t to,
                                     uint64_t at_tick);
// MM_NOT_FOUND: there is no such relation.
enum mm_err MM_MUST_USE vision_unshare(struct vision *vision, uint32_t from, uint32_t to,
                                       uint64_t at_tick);
// Whether it was ordered to, orders that wait for their tick included; allies need no order.
bool vision_shares(const struct vision *vision, uint32_t from, uint32_t to);

// How many were ordered to lend to an empire (as vision_shares counts).
uint32_t vision_ordered_lenders(const struct vision *vision, uint32_t to);

// For those who must know who lends by order. A relation counts from the order that begins it to
// the tick in which its end takes effect: so whoever is told sees no less than is shown.
struct vision_lenders {
    uint64_t *pairs; // borrower << 32 | lender, ascending; free with mm_free
    size_t count;
    uint32_t last; // all is said of the borrowers asked for up to this one
};
// Of the borrowers first to last, as many whole ones as pairs_max leaves room for, but at least one
// of those that have any. Only empires that world has told of. Costs a look at every empire.
// MM_RESOURCE_EXHAUSTED: memory.
enum mm_err MM_MUST_USE vision_lenders(const struct vision *vision, uint32_t first, uint32_t last,
                                       size_t pairs_max, struct vision_lenders *out);
// Whether somebody's lenders by order are others than at the last call; all of them are among the
// borrowers *first to *last.
bool vision_lenders_news(struct vision *vision, uint32_t *first, uint32_t *last);

// From tick `at_tick` on the empire is a member of the alliance, or no longer: all its members lend
// each other their sight (options.alliances_share). The same rules as for orders about a pair. An
// alliance has any number but 0; it comes with its first member and goes with its last.
// MM_INVALID_ARGUMENT: a number of 0 or above the limit. MM_RESOURCE_EXHAUSTED: memory.
enum mm_err MM_MUST_USE vision_ally(struct vision *vision, uint64_t alliance, uint32_t empire,
                                    uint64_t at_tick);
// MM_NOT_FOUND: it is no member.
enum mm_err MM_MUST_USE vision_unally(struct vision *vision, uint64_t alliance, uint32_t empire,
                                      uint64_t at_tick);
// Whether it is, orders that wait for their tick included.
bool vision_is_ally(const struct vision *vision, uint64_t alliance, uint32_t empire);

// --- questions -------------------------------------------------------------------------------

bool vision_knows_empire(const struct vision *vision, uint32_t empire);
// Whose empire it is; 0: nobody is known.
uint64_t vision_player_of(const struct vision *vision, uint32_t empire);
// No empire has a higher number.
uint32_t vision_empires_end(const struct vision *vision);

Mmorts__Frame__Visibility vision_hex_state(const struct vision *vision, uint32_t empire,
                                           struct hex_axial at);
// By public id; false also if there is no such entity (which an asker cannot tell apart).
// *at_out (may be NULL) is its place if it is in sight.
bool vision_sees_entity(const struct vision *vision, uint32_t empire, uint64_t id,
                        struct hex_axial *at_out);

// Why an empire sees a hex or an entity, or why it does not: the question of whoever may know
// everything. Values as in mmorts.vision.SightReason and SightShare.
enum vision_reason {
    VISION_SEEN_OWN_ENTITY = 1,
    VISION_SEEN_OWN_SIGHT,
    VISION_SEEN_LENT,
    VISION_SEEN_WITHOUT_FOG,
    VISION_UNSEEN_SHROUD,
    VISION_UNSEEN_FOG,
    VISION_UNSEEN_STEALTH,
    VISION_UNSEEN_NO_ENTITY,
    VISION_UNSEEN_NO_MAP,
};

enum vision_share_kind {
    VISION_SHARE_OWN,
    VISION_SHARE_ORDERED,
    VISION_SHARE_ALLIANCE,
    VISION_SHARE_BEACON,
};

// An observer whose sight reaches the hex.
struct vision_source_of {
    uint64_t id;
    uint32_t empire;
    struct hex_axial at; // from where it looks
    int32_t range_hexes;
    int32_t distance_hexes;
    bool detects;
    enum vision_share_kind share;
    uint64_t alliance; // 0: none
};

enum { VISION_SOURCES_MAX = 32 };

struct vision_explanation {
    enum vision_reason reason;
    bool visible;
    Mmorts__Frame__Visibility state; // of the hex
    struct hex_axial at;             // the hex; {0, 0} without entity
    uint32_t owner;
    bool stealthed;
    struct vision_source_of sources[VISION_SOURCES_MAX]; // own first, then by empire and entity
    size_t source_count;                                 // how many there are in all
};

// The entity with that public id, or the hex if it is 0. Costs a look at every observer of those
// whose sight the empire has. MM_NOT_FOUND: no such empire.
enum mm_err MM_MUST_USE vision_explain(const struct vision *vision, uint32_t empire, uint64_t id,
                                       struct hex_axial at, struct vision_explanation *out);

// Everything one empire sees, has explored and remembers. Free with vision_view_free().
// MM_NOT_FOUND: no such empire.
enum mm_err MM_MUST_USE vision_view(const struct vision *vision, uint32_t empire,
                                    Mmorts__Frame__VisionFrame **out);
void vision_view_free(Mmorts__Frame__VisionFrame *view);

// What the empire remembers of the entity; false: nothing.
struct vision_memory;
bool vision_recall(const struct vision *vision, uint32_t empire, uint64_t id,
                   struct vision_memory *out);

// Writes the memory into row `row` of columns whose arrays are there already.
void vision_memory_to_columns(Mmorts__Frame__MemoryColumns *columns, size_t row,
                              const struct vision_memory *memory);

// What an empire has explored and remembers, in pages: chunks by (b, a) of their coordinates, then
// memories by id.
struct vision_page_place {
    bool memories; // chunks are done
    bool begun;    // there is a last one: `after` is its hex_chunk_pack or id
    uint64_t after;
};

struct vision_page {
    struct vision_explored *chunks; // cells: borrowed from the core, until the next frame
    size_t chunk_count;
    struct vision_memory *memories;
    size_t memory_count;
    bool more;
    struct vision_page_place next; // if there is more
};

// At most `size` (> 0) chunks and memories together. Costs a look at all that the empire has of the
// kind. Free with vision_page_free(). MM_NOT_FOUND: no such empire. MM_RESOURCE_EXHAUSTED: memory.
enum mm_err MM_MUST_USE vision_page(const struct vision *vision, uint32_t empire,
                                    struct vision_page_place from, size_t size,
                                    struct vision_page *out);
void vision_page_free(struct vision_page *page);

// The terrain of a cell that world has made; 0 if it has not.
uint8_t vision_terrain(const struct vision *vision, struct hex_axial at);

// --- what is kept in a database --------------------------------------------------------------

// What an empire has explored of one chunk. `cells` is a bitset (libcommon/base/bitset.h) of
// 3R(R+1)+1 bits in the order of the chunk's cells.
struct vision_explored {
    uint32_t empire;
    struct hex_chunk chunk;
    uint64_t first_seen; // ticks
    uint64_t last_seen;
    const uint64_t *cells;
};

struct vision_memory {
    uint32_t empire;
    uint64_t id;
    uint32_t type;
    uint32_t owner;
    struct hex_axial at;
    int32_t health;
    uint64_t first_seen; // ticks
    uint64_t last_seen;
    uint64_t expires_at; // 0: never
};

struct vision_forgotten {
    uint32_t empire;
    uint64_t id;
};

// Changes to be written: `forgotten` first, then the others as replacements. A copy of its own, to
// be read on any thread.
struct vision_save {
    struct vision_explored *explored;
    size_t explored_count;
    struct vision_memory *memories;
    size_t memory_count;
    struct vision_forgotten *forgotten;
    size_t forgotten_count;
    uint64_t *words; // the explored rows' bits
};

// What changed since it was last taken: all of what is remembered and forgotten, and with that
// explored rows up to rows_max in all, oldest changes first; empty when nothing is left.
// MM_RESOURCE_EXHAUSTED: memory; nothing was taken.
enum mm_err MM_MUST_USE vision_save_take(struct vision *vision, size_t rows_max,
                                         struct vision_save *out);
// Writing failed: what was taken counts as changed again. Frees it.
void vision_save_return(struct vision *vision, struct vision_save *save);
void vision_save_free(struct vision_save *save);
// Rows waiting to be saved; and of these the explored ones.
size_t vision_save_pending(const struct vision *vision);
size_t vision_save_pending_explored(const struct vision *vision);

// Brings back what was saved; before the first frame. MM_INVALID_ARGUMENT: nonsense, ignored.
enum mm_err MM_MUST_USE vision_load_explored(struct vision *vision,
                                             const struct vision_explored *row);
enum mm_err MM_MUST_USE vision_load_memory(struct vision *vision, const struct vision_memory *row);
// What is loaded was saved at this tick, or later than anything before it; `all`: and no change to
// what is remembered was left out then (as vision_save_take has it). Until the core has come to
// that tick (or to a snapshot) no memory gives way; then the same have that gave way the first
// time.
void vision_loaded_as_of(struct vision *vision, uint64_t tick, bool all);
// Whether that tick is still to come. Until then nothing is to be saved.
bool vision_is_replaying(const struct vision *vision);

// World's state as the core knows it: a snapshot frame that vision_resume() takes, but for the
// catalogue, which the caller adds (and takes out again) as world gave it. Names of empires and
// the like, which vision does not use, are empty. MM_FAILED_PRECONDITION: not live.
enum mm_err MM_MUST_USE vision_checkpoint(const struct vision *vision,
                                          Mmorts__Frame__TickFrame **out);
void vision_checkpoint_free(Mmorts__Frame__TickFrame *frame);

// Applies a checkpoint to a core that was loaded with what was saved along with it. As
// vision_apply() of a snapshot, except that what is remembered at a place in sight is not taken
// for just revealed.
enum mm_err MM_MUST_USE vision_resume(struct vision *vision,
                                      const Mmorts__Frame__TickFrame *checkpoint);

// --- figures ---------------------------------------------------------------------------------

struct vision_stats {
    uint64_t empires;
    uint64_t alliances;
    uint64_t allies; // summed over alliances
    uint64_t entities;
    uint64_t observers;
    uint64_t chunks;
    uint64_t views;        // (empire, chunk) pairs with anything explored
    uint64_t views_active; // of these, with anything visible
    uint64_t memories;
    uint64_t explored_hexes;
    uint64_t visible_hexes;
    uint64_t sight_pairs; // (empire, entity) pairs in sight
    uint64_t steps;       // observer moves by one hex: only the difference was touched
    uint64_t discs;       // whole discs added or removed
    uint64_t evicted;     // memories that gave way to newer ones
    uint64_t state_bytes; // memory held
};

void vision_stats(const struct vision *vision, struct vision_stats *out);

#endif
