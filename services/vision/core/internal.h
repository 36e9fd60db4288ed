#ifndef VISION_CORE_INTERNAL_H
#define VISION_CORE_INTERNAL_H

#include "libcommon/base/bitset.h"
#include "libcommon/base/heap.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/pool.h"
#include "libcommon/base/prefetch.h"
#include "libcommon/base/vec.h"
#include "libcommon/hex/sight.h"
#include "services/vision/core/vision.h"

#include <string.h>

// What the core's files share. The picture:
//
//   entity --stands on--> chunk cell          chunk --watchers--> actives (empires that see some
//     |                                          |                 cell of it); per cell one bit
//     |                                          |                 for each watcher that sees it
//     +--viewers: empires that have it in sight  |
//                                              view (empire, chunk): explored bits, for ever
//   observer: an entity with a seat                +-- active: counters and bits, while anything
//     = a disc counted in its empire's views           of the chunk is visible to the empire
//
// Within a tick everything is brought to the tick's end (mirror, counters), while what may have
// changed is noted (changes, dirty actives); each noted thing is compared with what was told last
// (visible bits, viewers) and the differences are the tick's frame. Nothing depends on the order in
// which changes of one tick are applied. Moves, counters and visible bits are an empire's own and
// are done at its turn, unless it borrows sight; viewers concern all and are compared after that.

// Planted bugs: the tests build the core with this macro redefined and prove that their checker
// finds each of them. In any other build the conditions are constant and vanish.
#ifndef VISION_FAULT
#define VISION_FAULT(name) 0
#endif

#define VISION_SIGHT_HEXES_MAX HEX_DISC_RADIUS_MAX
// A chunk's bitset at most.
#define VISION_CHUNK_WORDS_MAX                                                                     \
    MM_BITSET_WORDS(3 * HEX_CHUNK_RADIUS_MAX * (HEX_CHUNK_RADIUS_MAX + 1) + 1)
// A square around an observer's widest disc.
#define VISION_GRID_PLACES   ((2 * VISION_SIGHT_HEXES_MAX + 1) * (2 * VISION_SIGHT_HEXES_MAX + 1))
#define VISION_TYPES_MAX     4096
#define VISION_REFUSAL_BYTES 160

// SENSE_BEACON counts only the observers of SIGHT_SHARED types: what allies see of an empire that
// does not lend them everything. It is lent as sight and has no lent plane of its own.
enum vision_sense { SENSE_SIGHT, SENSE_DETECT, SENSE_BEACON, SENSES };
enum vision_source { SOURCE_OWN, SOURCE_LENT, SOURCES };

// Counts are bits of 64 cells side by side: so 64 counters are added to at once, and those of a
// chunk lie in three cache lines. A count is its bits' number, and VISION_COUNT_FULL times its
// count in the next plane; that is not 0 only where the bits are not all 0, so that they tell what
// is counted at all.
#ifndef VISION_COUNT_BITS // tests compile the core with less
#define VISION_COUNT_BITS 4
#endif
#define VISION_COUNT_FULL ((1U << VISION_COUNT_BITS) - 1)

// How many observers (own) or lending empires (lent) see each cell.
struct vision_plane {
    struct vision_plane *next; // NULL: all 0
    uint64_t digits[]
                   [VISION_COUNT_BITS]; // of each word's cells the lowest bits, the next ones, ...
};

enum vision_bits {
    BITS_VISIBLE,  // as told in the last frame: by own or lent sight
    BITS_EXPLORED, // as the view's
    BITS_CHANGED,  // BITS_VISIBLE became another, if dirty_round is this one
    BITS_COUNT
};
enum vision_seldom_bits {
    SELDOM_DETECTED, // as BITS_VISIBLE for the second sense
    // Of the own planes alone; kept only while the empire lends its sight.
    SELDOM_OWN_VISIBLE,
    SELDOM_OWN_DETECTED,
    SELDOM_OWN_BEACON,
    SELDOM_COUNT
};

struct vision_view;

// What few actives have.
struct vision_seldom {
    struct vision_plane *planes[SENSES][SOURCES]; // NULL: all zero; own sight's is the active's
    uint64_t bits[];                              // SELDOM_COUNT bitsets of vision->words words
};

// An empire's view of a chunk while anything of it is visible. At the default chunk radius this is,
// with its pool's header, six cache lines: nearly all that a step touches.
struct vision_active {
    struct vision_view *view;
    struct vision_seldom *seldom; // NULL: nothing of it
    // The same empire's in the six neighbour chunks, both ways; NULL: not active.
    struct vision_active *neighbors[HEX_DIRECTIONS];
    uint32_t empire;
    uint32_t chunk;
    uint32_t watcher;     // slot in the chunk's watchers
    uint32_t dirty_round; // == vision->round: counted in this tick
    uint64_t bits[];      // BITS_COUNT bitsets of vision->words words, then the plane of own sight
};

struct vision_view {
    uint32_t empire;
    uint32_t chunk;
    struct vision_active *active; // NULL: nothing visible
    struct vision_view *next_of_empire;
    struct vision_view *next_unsaved;
    uint32_t first_memory; // whose place is in this chunk; 0 = none
    bool unsaved;          // in the unsaved queue
    uint64_t first_seen;
    uint64_t last_seen; // when the last visible cell was lost; meaningless while active
    uint64_t explored[];
};

struct vision_watcher {
    uint32_t empire;
    struct vision_active *active; // NULL: the slot is free
};

struct vision_chunk {
    struct hex_chunk at;
    bool known; // world has made it: there are cells
    uint8_t *cells;
    uint32_t costly_cells;  // whose terrain has a sight cost; only with terrain_blocks
    uint32_t *first_entity; // per cell, 0 = none; NULL until something stands in the chunk
    uint64_t *occupied;     // a bit for each cell where something stands; made with first_entity
    uint32_t entities;
    struct {
        MM_VEC(struct vision_watcher);
    } watchers;
    // What each watcher sees: the w-th word of watcher i's BITS_VISIBLE, again, at
    // visible[w * visible_stride + i]. So those who see a hex are found side by side.
    uint64_t *visible;
    uint32_t visible_stride;
};

struct vision_viewer {
    uint32_t empire;
    uint64_t first_seen;
};

// An observer's disc as it is counted now.
struct vision_seat {
    struct vision_active *active; // where it stands; NULL: nothing is counted
    struct hex_axial at;
    uint16_t cell;
    uint8_t radius;
    bool detects;
    bool beacon;
    bool by_lines; // counted is what terrain lets it see, not the whole disc
};

// One record, not a column per field: whatever happens to an entity touches most of them. Two cache
// lines; what is asked of entities whose place is revealed or hidden lies in the first.
#define VISION_VIEWERS_FEW 8
struct vision_entity {
    uint64_t id;
    uint32_t next_in_cell;
    uint32_t owner;
    uint32_t change; // 1 + place in vision->changes, 0: unchanged in this tick
    uint32_t cell;
    uint32_t viewer_count;
    uint8_t viewers_log2; // room for 1 << viewers_log2 of them; 0: for VISION_VIEWERS_FEW, within
    bool alive;
    bool stealthed;
    bool lasts; // may be remembered: only then it matters when who saw it first
    // Who has it in sight, its owner included; ascending. Kept by a dead one until the tick's end.
    union {
        uint32_t few[VISION_VIEWERS_FEW];
        uint32_t *many;
    } viewers;

    struct hex_axial at;
    uint32_t chunk;
    uint32_t previous_in_cell;
    uint32_t next_owned, previous_owned;
    int32_t health;
    uint16_t type;
    uint8_t sight_hexes;
    bool sight_enabled : 1;
    bool detects : 1;
    bool beacon : 1;    // SIGHT_SHARED
    bool postponed : 1; // in vision->postponed
    struct vision_seat seat;
    uint64_t *first_seen; // of each viewer, as much room as for them; NULL: not kept
};

// An entity that something happened to in this tick, with what it was at the end of the last one.
struct vision_change {
    uint32_t entity;
    bool spawned;
    bool gone;
    bool resight; // its viewers may have changed
    bool foreign; // its owner is another than it was
    uint32_t owner;
    uint32_t chunk;
    uint32_t cell;
    int32_t health;
    struct hex_axial at;
};

// An entity's turn within its owner's: it moves, and what it sees is counted. To be sorted.
struct vision_ordered {
    uint32_t owner;
    uint32_t entity;
    uint32_t moved;  // 1 + place in the frame's moves; 0: what happened to it is applied already
    uint32_t change; // place in vision->changes; ORDERED_UNCHANGED: none, or (so far) only a move
};
#define ORDERED_UNCHANGED UINT32_MAX

struct vision_type {
    uint32_t kind;
    int32_t sight_hexes;
    bool detects;
    bool beacon; // SIGHT_SHARED
    int32_t health_max;
    uint32_t flags;
};

struct vision_memory_slot {
    struct vision_memory row;
    bool used;
    bool unsaved;
    bool told;          // to the empire, in a frame
    bool was_in_sight;  // its place, before the snapshot that is being applied
    bool has_row;       // among those loaded
    uint64_t stored_at; // tick
    uint32_t yield_place;
    uint32_t cell;
    struct vision_view *view;
    uint32_t next_in_view, previous_in_view;
    uint32_t next_in_empire, previous_in_empire;
    uint32_t next_unsaved, previous_unsaved;
    uint32_t next_free;
    mm_heap_handle expiry; // MM_HEAP_NONE: permanent
};

// A memory that was loaded.
struct vision_loaded_row {
    uint32_t empire;
    uint64_t id;
    uint64_t first_seen;
};

// What an empire lends to one other: everything (it wants to, or allies do), or what its beacons
// see (allies that do not share everything).
enum vision_lends { LENDS_NOTHING, LENDS_BEACONS, LENDS_ALL };

struct vision_relation {
    uint32_t to;
    uint32_t alliances; // that both are members of
    bool by_order;      // vision_share
    enum vision_lends lends;
};

struct vision_alliance {
    uint64_t id;
    struct {
        MM_VEC(uint32_t);
    } members; // ascending
};

struct vision_empire {
    uint32_t number;
    bool known;             // world has told of it
    uint64_t told_in_check; // the check of a frame that tells of it
    uint64_t id;
    uint64_t player_id; // 0: not told
    uint32_t first_owned;
    struct vision_view *first_view;
    struct {
        MM_VEC(struct vision_active *);
    } actives;
    struct {
        MM_VEC(struct vision_relation);
    } borrowers;                        // who sees what this one sees; ascending
    uint32_t lenders;                   // of how many it is a borrower
    uint32_t ordered_lenders;           // how many were last ordered to lend to it
    struct mm_idmap *memories;          // public id -> slot; NULL until the first
    uint32_t first_memory, last_memory; // in the order of storing
    uint32_t memory_count;
    bool keeps_yielding; // it has come to its limit of memories
    struct {
        MM_VEC(uint32_t);
    } yielding;      // then: all of them, a heap of slots
    uint32_t output; // 1 + place among this tick's empires; 0: nothing to tell
};

// A cell that an empire began or ceased to see (or to detect) in this tick.
struct vision_flip {
    struct vision_active *active;
    uint32_t cell;
    bool revealed; // visible now and not before
};

// An entity that left an empire's sight and may be remembered.
struct vision_parting {
    struct vision_memory row;
    uint32_t chunk;
    uint32_t cell;
    bool gone;
    bool was_in_sight; // its place, before the snapshot that is being applied
};

// An alliance's order has its id, the member in `from`, and nobody in `to`.
struct vision_share_order {
    uint64_t alliance; // 0: one empire to another
    uint32_t from, to;
    uint64_t at_tick;
    size_t earlier; // 1 + place of one before with the same hash of its subject; 0: none
    bool begin;
};

// --- footprints: what an observer sees, by chunk ---------------------------------------------

// The cells of one shape that lie in one chunk: this head, and then `words` words of the chunk's
// bitset from first_word on; the others are 0. near: 0 = the shape's own chunk, 1..6 = its
// neighbour in direction near - 1, FOOTPRINT_FAR = only (a, b) tells.
struct vision_group {
    int16_t a, b; // chunk relative to the shape's
    uint8_t near;
    uint8_t first_word;
    uint8_t words;
    bool last; // of the shape's groups
};
#define FOOTPRINT_FAR 255

// Shapes of one cell as the observer's place: the disc, and the hexes that enter with a step in
// each direction to this place. They are those that leave with a step back from here.
enum { SHAPE_DISC = 0, SHAPE_RING = 1, SHAPES = SHAPE_RING + HEX_DIRECTIONS };

// A shape's groups lie one behind the other, heads and words: a step reads few cache lines.
struct vision_footprint {
    uint32_t *first; // [cells * SHAPES]: a shape's first group in words
    uint64_t *words;
};

static inline const uint64_t *vision_footprint_shape(const struct vision_footprint *footprint,
                                                     uint32_t cell, unsigned shape)
{
    return footprint->words + footprint->first[cell * SHAPES + shape];
}

// Takes the head of the group at *at; its words are those behind, and the next group behind these.
static inline struct vision_group vision_footprint_group(const uint64_t *at)
{
    struct vision_group group;
    _Static_assert(sizeof group == sizeof *at, "a head is a word");
    memcpy(&group, at, sizeof group);
    return group;
}

// Tables for one radius; NULL when out of memory. Free with vision_footprint_free.
struct vision_footprint *vision_footprint_new(const struct hex_tiling *tiling, int32_t radius);
void vision_footprint_free(struct vision_footprint *footprint);

// --- the frame being built -------------------------------------------------------------------

// So many of the hexes told are one empire's.
struct vision_out_run {
    uint32_t empire;
    uint32_t first;
    uint32_t count;
};

// Hexes told, in the order in which they were found; most often that of the empires already.
struct vision_out_hexes {
    int32_t *q, *r;
    Mmorts__Frame__Visibility *state;
    uint32_t *terrain;
    size_t count, capacity;
};

struct vision_out_number {
    uint32_t empire;
    uint64_t value;
};

struct vision_output {
    struct vision_out_hexes hexes;
    struct {
        MM_VEC(struct vision_out_run);
    } runs;
    struct {
        MM_VEC(struct vision_out_number);
    } entered, left, forgotten, remembered; // remembered: memory slots
    struct {
        MM_VEC(uint32_t);
    } empires;
    void *columns; // one block that the frame's columns lie in
    size_t columns_bytes;
    Mmorts__Frame__VisionFrame frame;
    Mmorts__Frame__MemoryColumns memories;
};

// --- everything ------------------------------------------------------------------------------

struct vision {
    struct vision_options options;
    struct hex_tiling tiling;
    uint32_t words; // of a chunk's bitset
    uint64_t tick;
    uint64_t previous_tick; // of the frame before
    uint32_t round;         // frames applied: what happened in this one is stamped with it
    bool live;
    bool quiet;       // the frame is a snapshot: what follows from it is not told
    bool exhausted;   // memory or a limit ran out in this frame
    bool whole_discs; // benchmark only: never use step differences
    bool discs_anew;  // benchmark only: every tick joins all discs of all observers
    char refusal[VISION_REFUSAL_BYTES];
    uint64_t checks; // frames looked through

    struct vision_type *types;
    uint32_t type_count;
    uint32_t terrain_count;

    struct vision_entity *entities; // by slot; [0] is unused
    uint32_t entity_capacity;
    uint32_t entity_count;
    struct mm_idmap *entity_by_id;

    struct vision_empire **empires; // by number; NULL: never heard of
    uint32_t empire_capacity;
    uint32_t empire_count;

    struct {
        MM_VEC(struct vision_chunk);
    } chunks;
    struct mm_idmap *chunk_by_at;
    uint32_t chunks_known;

    struct {
        MM_VEC(struct vision_alliance);
    } alliances; // one without members is used again
    struct mm_idmap *alliance_by_id;

    struct mm_idmap *view_by_key; // empire << 32 | chunk -> struct vision_view *
    struct mm_pool *view_pool;
    struct mm_pool *active_pool;
    struct mm_pool *plane_pool;
    struct mm_pool *seldom_pool;
    struct vision_footprint *footprints[VISION_SIGHT_HEXES_MAX + 1];

    // World's rules of sight, as its catalogue tells them.
    bool fog_lifted;
    bool terrain_blocks;

    // lines.c: terrain that shortens sight
    uint8_t sight_costs[UINT8_MAX + 1];                       // by terrain
    struct hex_sight_lines lines[VISION_SIGHT_HEXES_MAX + 1]; // made at first use
    uint8_t line_costs[VISION_GRID_PLACES];                   // scratch of a look around
    bool line_seen[VISION_GRID_PLACES];                       // what it found
    struct {
        MM_VEC(uint32_t);
    } lifted; // observers that are counted anew because chunks changed

    struct {
        MM_VEC(struct vision_change);
    } changes;
    // The changes by the owner they had: an empire's are settled at once, while what they touch is
    // in the processor's cache, where all that is touched in a tick has no room.
    struct {
        MM_VEC(struct vision_ordered);
    } order, order_scratch;
    // Observers that moved since the last tick in which that counts.
    struct {
        MM_VEC(uint32_t);
    } postponed;
    struct {
        MM_VEC(struct vision_active *);
    } dirty; // counted and not settled
    struct {
        MM_VEC(struct vision_active *);
    } vacated; // nothing is visible any more
    struct {
        MM_VEC(struct vision_flip);
    } flips;
    struct {
        MM_VEC(struct vision_parting);
    } partings;
    struct {
        MM_VEC(struct vision_share_order);
    } share_orders;
    struct mm_idmap *order_by_subject; // hash -> 1 + place of the last
    // Borrowers whose lenders by order are others than when that was last asked for; last 0: none.
    uint32_t lent_first, lent_last;
    struct {
        MM_VEC(struct vision_viewer);
    } sightings; // scratch: an entity's viewers now

    struct vision_memory_slot *memories; // [0] is unused
    uint32_t memory_capacity;
    uint32_t memory_free;
    uint32_t memory_next; // first slot never used
    struct mm_heap *expiries;

    struct vision_view *unsaved_first, *unsaved_last;
    uint32_t unsaved_views;
    uint32_t unsaved_memory_first, unsaved_memory_last;
    uint32_t unsaved_memories;
    struct {
        MM_VEC(struct vision_forgotten);
    } unsaved_forgotten;
    struct {
        bool holds;    // rows were loaded, and their tick is still to come
        uint64_t tick; // that they are of
        bool all;      // they are all that there was then
        struct {
            MM_VEC(struct vision_loaded_row);
        } rows;
    } loaded;

    struct vision_output output;
    struct vision_stats stats;
    uint64_t held_bytes;  // of blocks outside pools and vectors
    uint8_t *frame_marks; // per slot, scratch of the frame check
};

static inline size_t vision_plane_bytes(const struct vision *vision)
{
    return sizeof(struct vision_plane) +
           vision->words * sizeof(((struct vision_plane *)NULL)->digits[0]);
}

static inline size_t vision_active_bytes(const struct vision *vision)
{
    return sizeof(struct vision_active) + BITS_COUNT * vision->words * sizeof(uint64_t) +
           vision_plane_bytes(vision);
}

static inline size_t vision_seldom_bytes(const struct vision *vision)
{
    return sizeof(struct vision_seldom) + SELDOM_COUNT * vision->words * sizeof(uint64_t);
}

static inline uint64_t *vision_bits(const struct vision *vision, struct vision_active *active,
                                    enum vision_bits which)
{
    return active->bits + (size_t)which * vision->words;
}

static inline uint64_t *vision_seldom_bits(const struct vision *vision,
                                           struct vision_seldom *seldom,
                                           enum vision_seldom_bits which)
{
    return seldom->bits + (size_t)which * vision->words;
}

static inline struct vision_plane *vision_own_plane(const struct vision *vision,
                                                    struct vision_active *active)
{
    return (struct vision_plane *)(active->bits + (size_t)BITS_COUNT * vision->words);
}

// NULL: all zero.
static inline struct vision_plane *vision_active_plane(const struct vision *vision,
                                                       struct vision_active *active,
                                                       enum vision_sense sense,
                                                       enum vision_source source)
{
    if (sense == SENSE_SIGHT && source == SOURCE_OWN)
        return vision_own_plane(vision, active);
    return active->seldom ? active->seldom->planes[sense][source] : NULL;
}

// Where a plane says that something is seen; NULL plane: nowhere.
static inline uint64_t vision_plane_word(const struct vision_plane *plane, uint32_t word)
{
    if (!plane)
        return 0;
    uint64_t occupied = 0;
    for (unsigned bit = 0; bit < VISION_COUNT_BITS; bit++)
        occupied |= plane->digits[word][bit];
    return occupied;
}

static inline bool vision_active_bit(const struct vision *vision,
                                     const struct vision_active *active, enum vision_bits which,
                                     uint32_t cell)
{
    return mm_bitset_get(active->bits + (size_t)which * vision->words, cell);
}

static inline bool vision_active_detects(const struct vision *vision,
                                         const struct vision_active *active, uint32_t cell)
{
    return active->seldom &&
           mm_bitset_get(active->seldom->bits + (size_t)SELDOM_DETECTED * vision->words, cell);
}

static inline bool vision_view_sees(const struct vision *vision, const struct vision_view *view,
                                    uint32_t cell)
{
    return view && view->active && vision_active_bit(vision, view->active, BITS_VISIBLE, cell);
}

// Whether a (hex) watcher has the entity in sight by seeing its place.
static inline bool vision_active_sees(const struct vision *vision,
                                      const struct vision_active *active,
                                      const struct vision_entity *entity)
{
    return vision_active_bit(vision, active, BITS_VISIBLE, entity->cell) &&
           (!entity->stealthed || VISION_FAULT(STEALTH_IGNORED) ||
            vision_active_detects(vision, active, entity->cell));
}

static inline const uint32_t *vision_viewers(const struct vision_entity *entity)
{
    return entity->viewers_log2 == 0 ? entity->viewers.few : entity->viewers.many;
}

// Since when the viewer at that place has it in sight, if that matters.
static inline uint64_t vision_first_seen(const struct vision *vision,
                                         const struct vision_entity *entity, size_t place)
{
    return entity->first_seen ? entity->first_seen[place] : vision->previous_tick;
}

static inline struct vision_empire *vision_empire_find(const struct vision *vision, uint32_t number)
{
    return number < vision->empire_capacity ? vision->empires[number] : NULL;
}

// check.c: whether the frame can be applied; on refusal fills vision->refusal.
enum mm_err vision_check_frame(struct vision *vision, const Mmorts__Frame__TickFrame *frame);

// mirror.c: world's state. Failures set vision->exhausted.
//
// All but the moves: those are made at each owner's turn (sight.c), for whose entities and their
// places to be fetched once. Who comes or goes is compared with all who watch afterwards, so that
// it makes no difference who looked before.
void vision_mirror_apply(struct vision *vision, const Mmorts__Frame__TickFrame *frame);
void vision_mirror_move(struct vision *vision, uint32_t slot, struct hex_axial to);
// Asks for the place where an entity stands some moves before it leaves it.
void vision_mirror_prefetch(const struct vision *vision, uint32_t slot);
void vision_mirror_clear(struct vision *vision); // before a snapshot
bool vision_entities_reserve(struct vision *vision, uint32_t slot);
struct vision_empire *vision_empire_get(struct vision *vision, uint32_t number); // makes it
// Index of the chunk, made (not known) if needed; UINT32_MAX when that failed.
uint32_t vision_chunk_get(struct vision *vision, struct hex_chunk at);
bool vision_chunk_find(const struct vision *vision, struct hex_chunk at, uint32_t *index_out);

// view.c
struct vision_view *vision_view_find(const struct vision *vision, uint32_t empire, uint32_t chunk);
struct vision_view *vision_view_get(struct vision *vision, uint32_t empire, uint32_t chunk);
struct vision_active *vision_view_activate(struct vision *vision, struct vision_view *view);
void vision_active_unlink(struct vision_active *active); // from its neighbours
void vision_active_mark_dirty(struct vision *vision, struct vision_active *active);
void vision_view_mark_unsaved(struct vision *vision, struct vision_view *view);

// count.c
//
// What few actives have, made if it is not there; NULL when out of memory.
struct vision_seldom *vision_active_seldom(struct vision *vision, struct vision_active *active);
void vision_plane_put(struct vision *vision, struct vision_plane *plane); // NULL is allowed
// Counts cells of one plane up or down by one: those whose bits are set in `words` words of the
// chunk's bitset, from word first_word on.
void vision_count_cells(struct vision *vision, struct vision_active *active,
                        enum vision_sense sense, enum vision_source source, uint32_t first_word,
                        const uint64_t *masks, uint32_t words, bool up);
// Without fog: one count everywhere in the chunk for the empire.
void vision_reveal_chunk(struct vision *vision, uint32_t empire, uint32_t chunk);

// sight.c: what observers see.
//
// Counts the entity's disc as it is to be now.
void vision_seat_update(struct vision *vision, struct vision_entity *entity);
// Whether the seat's observer sees the hex, as it is counted now; world must have made the hex.
bool vision_seat_reaches(const struct vision *vision, const struct vision_seat *seat,
                         struct hex_axial at);
// Around a change of chunks: uncounts the observers whose sight may be another afterwards, and
// counts them again.
void vision_sight_lift(struct vision *vision, const Mmorts__Frame__ChunkColumns *chunks);
void vision_sight_lower(struct vision *vision);
// Benchmark only: what everybody sees from nothing, as the union of discs. There are no counts
// then.
void vision_sight_join_discs(struct vision *vision);

// Whether observers that moved are counted anew in this tick.
static inline bool vision_moves_count(const struct vision *vision)
{
    return vision->tick % vision->options.update_interval_ticks == 0;
}

// Asks for an entity's cache lines some iterations before they are needed.
static inline void vision_entity_prefetch(const struct vision *vision, uint32_t slot)
{
    mm_prefetch_block(&vision->entities[slot], sizeof vision->entities[slot]);
}

// lines.c
// How many of a chunk's cells have a sight cost.
uint32_t vision_lines_costly_cells(const struct vision *vision, const uint8_t *cells);
// Whether any terrain with a sight cost may lie in the disc. The radius' footprint is there.
bool vision_lines_matter(const struct vision *vision, struct hex_chunk at, uint32_t cell,
                         int32_t radius);
// Looks around from a hex, its chunk and cell; false: out of memory. Then says what was seen, of
// hexes within the radius.
bool vision_lines_look(struct vision *vision, struct hex_axial from, struct hex_chunk at,
                       uint32_t cell, int32_t radius);
bool vision_lines_saw(const struct vision *vision, struct hex_axial from, int32_t radius,
                      struct hex_axial to);
// The same of one hex, from nothing.
bool vision_lines_reach(const struct vision *vision, struct hex_axial from, int32_t radius,
                        struct hex_axial to);

// turn.c
//
// Makes the moves, counts the discs of the entities that changed as they are to be now, and settles
// the views of empires that borrow nothing.
void vision_seats_update(struct vision *vision, const Mmorts__Frame__PositionColumns *moved);

// order.c: fills vision->order with what changed and what moves. Makes the moves of what changed
// already.
void vision_order_changes(struct vision *vision, const Mmorts__Frame__PositionColumns *moved);
// Sorts numbers below `limit`.
void vision_sort_numbers(uint32_t *numbers, uint32_t *scratch, size_t count, uint32_t limit);

// share.c
void vision_share_apply_orders(struct vision *vision);
// Passes on to the borrowers what the empire's own sight of a chunk gained and lost.
void vision_share_pass_on(struct vision *vision, const struct vision_empire *lender,
                          struct vision_active *active);
// Likewise for everything that is dirty.
void vision_share_settle(struct vision *vision);
void vision_alliances_free(struct vision *vision);
// What the one lends to the other, or NULL.
const struct vision_relation *vision_relation_find(const struct vision *vision, uint32_t from,
                                                   uint32_t to);
bool vision_is_member(const struct vision_alliance *alliance, uint32_t empire);

// settle.c: from counters to hexes told, flips and explored bits; and the end of the tick.
//
// Of what is dirty from place `first` on, the empire's own; it is not to be counted again in this
// tick. An empire that borrows waits for vision_settle().
void vision_settle_empire(struct vision *vision, uint32_t empire, size_t first);
void vision_settle(struct vision *vision); // everything that is dirty
void vision_settle_finish(struct vision *vision);
void vision_active_planes_put(struct vision *vision, struct vision_active *active);
void vision_view_release(struct vision *vision, struct vision_view *view);

// watch.c: who has which entity in sight.
void vision_watch_changes(struct vision *vision);
void vision_watch_flips(struct vision *vision);
// The empire's place among the entity's viewers; false: it is none.
bool vision_viewer_find(const struct vision_entity *entity, uint32_t empire, size_t *place_out);
// The entity is seen by nobody, and has no room for more than few.
void vision_viewers_free(struct vision *vision, struct vision_entity *entity);

// memory.c
// Revealed and expired ones end, then partings are stored.
void vision_memory_end_tick(struct vision *vision, bool snapshot);
// Before a snapshot: notes what is in sight; at the snapshot's end what no longer is, is stored.
void vision_memory_note_all(struct vision *vision, bool resume);
void vision_memory_part(struct vision *vision, const struct vision_entity *entity, uint32_t empire,
                        uint64_t first_seen);
// The entity came into sight: its memory ends. First seen then, or now.
uint64_t vision_memory_meet(struct vision *vision, uint32_t empire, uint64_t id);
uint32_t vision_memory_store(struct vision *vision, const struct vision_memory *row);
bool vision_memory_lasts(const struct vision *vision, uint32_t type, uint64_t *ticks_out);
void vision_memory_queue_save(struct vision *vision, uint32_t slot);
void vision_memory_unqueue_save(struct vision *vision, uint32_t slot);
void vision_memory_forget(struct vision *vision, uint32_t slot);

// evict.c
//
// Down to the limit. At the end of a tick, so that it makes no difference in which order the tick's
// memories were stored.
void vision_memory_evict(struct vision *vision, struct vision_empire *empire);
// A memory of the empire's is stored, or dropped.
void vision_yield_add(struct vision *vision, struct vision_empire *empire, uint32_t slot);
void vision_yield_remove(struct vision *vision, struct vision_empire *empire, uint32_t slot);
bool vision_loaded_add(struct vision *vision, const struct vision_memory *row);
// The tick that the rows are of has been, or is not to come.
void vision_loaded_end(struct vision *vision);

// output.c
void vision_output_init(struct vision_output *output);
void vision_output_free(struct vision_output *output);
void vision_output_clear(struct vision *vision);
void vision_output_hex(struct vision *vision, uint32_t empire, struct hex_axial at, uint32_t state,
                       uint32_t terrain);
void vision_output_entered(struct vision *vision, uint32_t empire, uint32_t entity);
void vision_output_left(struct vision *vision, uint32_t empire, uint64_t id);
void vision_output_forgotten(struct vision *vision, uint32_t empire, uint64_t id);
void vision_output_remembered(struct vision *vision, uint32_t empire, uint32_t slot);
// Room for `count` hexes of an empire; false if there is none.
bool vision_output_reserve(struct vision *vision, size_t count);
// Notes that the hexes from place `first` on are the empire's.
void vision_output_run(struct vision *vision, uint32_t empire, size_t first);
// Sorts what was noted by empire into the frame's columns.
const Mmorts__Frame__VisionFrame *vision_output_build(struct vision *vision);

#endif
