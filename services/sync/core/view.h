#ifndef SYNC_CORE_VIEW_H
#define SYNC_CORE_VIEW_H

#include "libcommon/base/buf.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/prefetch.h"
#include "libcommon/base/vec.h"
#include "services/sync/core/hexes.h"
#include "services/sync/core/memories.h"
#include "services/sync/core/mirror.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One served empire's view of the world: what its clients have been told, and in each tick what
// they must be told next.
//
//   WAITING  nothing is known; vision has to be asked (GetView)
//   FRESH    an answer is there and is being brought up to the mirror's tick, apart from what
//            clients know
//   LIVE     follows tick by tick; what clients know is exactly this
//
// When a view stops being live, what its clients know is kept (`told`), and the next answer becomes
// the difference from it.

enum sync_view_state { SYNC_VIEW_WAITING, SYNC_VIEW_FRESH, SYNC_VIEW_LIVE };

#define SYNC_VIEW_ENTITIES_MAX 65536 // in one empire's sight; further ones are not shown
#define SYNC_NONE              UINT32_MAX

// An entity in a view's sight: a link between the two. Sightings of one entity form a list.
struct sync_sighting {
    uint32_t view; // index of the view
    uint32_t slot;
    uint32_t next, previous; // of the same entity; SYNC_NONE at the ends
    uint32_t at;             // position in the view's `sight`
    uint32_t since;          // step in which it came into sight
    uint16_t number;         // what the binary encoding calls it; see sync_view_take_number
};

// What clients were told of an entity, kept while the view is not live.
struct sync_told {
    struct sync_entity entity;
    uint32_t kind;
    uint64_t type_hash; // of the catalogue it is described with
    uint32_t number;
};

struct sync_appearance {
    uint32_t slot;
    uint16_t number;
    bool known; // clients know something of it already, if only what is remembered
};

struct sync_change {
    uint32_t slot;
    uint16_t number;
    uint8_t mask;  // enum sync_dirty
    bool followed; // clients know it as it was in the tick before
};
struct sync_gone {
    uint64_t id;
    uint32_t kind;
    uint32_t number; // SYNC_NONE: it was only remembered
};
struct sync_hex_news {
    int32_t q, r;
    uint8_t state;
    uint8_t terrain; // terrain + 1 if it is news, else 0
};
struct sync_event_news {
    uint32_t event;  // index in the frame's columns
    uint32_t number; // of its entity
    bool departed;   // the number is that of before this step
    bool alone;      // the other entity is not to be named
};
struct sync_cached_news {
    struct sync_memory memory;
    bool was_in_sight; // entity_cached, else entity_snapshot
    bool known;        // clients knew the entity
    uint32_t number;   // of what was in sight
};

struct sync_named {
    uint32_t empire;
    uint64_t tick; // in which it was told
};

// What to tell the clients of a live view in this step. What most ticks have comes first.
struct sync_delta {
    bool touched; // the view is in the core's list for this step
    bool full;    // clients need the full state instead: they know nothing, or memory ran out
    bool folded;  // it is of this step alone: ticks before it were not told either; see fold.h
    struct {
        MM_VEC(struct sync_change);
    } changed;
    struct {
        MM_VEC(struct sync_hex_news);
    } hexes;
    struct {
        MM_VEC(struct sync_gone);
    } gone;
    struct {
        MM_VEC(struct sync_appearance);
    } appeared;
    struct {
        MM_VEC(struct sync_event_news);
    } events;
    struct {
        MM_VEC(struct sync_cached_news);
    } cached;
};

void sync_delta_init(struct sync_delta *delta);
void sync_delta_free(struct sync_delta *delta);
// Empties it, keeping its memory.
void sync_delta_clear(struct sync_delta *delta);

// The log of a view's last ticks; see history.h.
struct sync_history {
    struct mm_buf buf;
    size_t start;        // of the oldest block
    uint64_t first_tick; // the oldest block's
    uint64_t last_tick;  // the newest block's
    uint64_t floor;      // nothing is known of what changed in this tick or before it
};

struct sync_holding;

#define SYNC_VIEW_LINE 64 // bytes of a cache line

// What a tick touches stands at the front, in the order in which it is needed; a change of an
// entity in sight takes the first line alone.
struct sync_view {
    _Alignas(SYNC_VIEW_LINE) uint32_t empire;
    uint32_t index;
    enum sync_view_state state;
    struct sync_delta delta;
    void *user;                   // the shell's
    struct sync_holding *holding; // the empire's; NULL: it was not looked up yet
    int32_t origin_q, origin_r;   // what the binary encoding's coordinates are relative to
    size_t names_told; // so many of `names` are known; more only while a delta is encoded
    struct {
        MM_VEC(struct sync_named);
    } names; // `named` by place
    struct sync_history history;

    uint64_t held_from; // while it is held, and when it is told then: clients are at this tick

    // What clients know (LIVE: and what is true).
    struct sync_hexes hexes;
    uint32_t generation; // counts how often it became live: `hexes` was replaced then
    struct sync_memories memories;
    struct {
        MM_VEC(uint32_t);
    } sight; // LIVE: indexes of sightings
    struct {
        MM_VEC(struct sync_told);
    } told;                 // not LIVE: what is in sight, as clients know it
    bool has_told;          // clients know anything at all
    struct mm_idmap *named; // empire -> 1, 2, …: those whose names clients know, in that order
    uint32_t names_epoch;   // counts how often they began anew
    uint64_t *numbers;      // bitset: numbers of what clients know to be in sight
    uint32_t number_bits;

    // FRESH: an answer on its way to be the truth.
    uint64_t epoch, tick; // of the vision stream
    struct sync_hexes fresh_hexes;
    struct sync_memories fresh_memories;
    struct mm_idmap *fresh_sight; // ids; the value has no meaning
    struct {
        MM_VEC(uint32_t);
    } fresh_slots;    // in sight as of `tick`, while the mirror has not reached it
    bool fresh_by_id; // fresh_sight is filled in, fresh_slots no longer counts
};

// Asks for what a tick touches of it (prefetch.h), to be written to.
static inline void sync_view_ask(const struct sync_view *view)
{
    mm_prefetch_block(view, offsetof(struct sync_view, history));
}

// And, when that is there, for what is in its delta.
static inline void sync_delta_ask(const struct sync_delta *delta)
{
    enum { HEXES_MAX = 48 }; // beyond, the processor has seen which way it goes
    size_t hexes = delta->hexes.count < HEXES_MAX ? delta->hexes.count : HEXES_MAX;
    mm_prefetch_block(delta->hexes.items, hexes * sizeof *delta->hexes.items);
    mm_prefetch_block(delta->changed.items, delta->changed.count ? SYNC_VIEW_LINE : 0);
    mm_prefetch_block(delta->gone.items, delta->gone.count ? SYNC_VIEW_LINE : 0);
    mm_prefetch_block(delta->appeared.items, delta->appeared.count ? SYNC_VIEW_LINE : 0);
}

// NULL when out of memory.
struct sync_view *sync_view_new(uint32_t empire, uint32_t index);
void sync_view_free(struct sync_view *view);

// Drops the answer on its way; the state becomes WAITING.
void sync_view_drop_fresh(struct sync_view *view);

// The empire's place among those whose names clients know, from 1; 0: they do not know it.
uint32_t sync_view_named(const struct sync_view *view, uint32_t empire);
// Gives it the next place, told in that tick. False when out of memory.
bool sync_view_set_named(struct sync_view *view, uint32_t empire, uint64_t tick);
// How many of the names were told in ticks up to this one.
size_t sync_view_named_until(const struct sync_view *view, uint64_t tick);
void sync_view_clear_named(struct sync_view *view);

// Numbers of entities in sight: the lowest that is free, so that they stay small, and tell a client
// nothing beyond what it was shown. False at the bound or out of memory.
bool sync_view_take_number(struct sync_view *view, uint32_t *number);
void sync_view_give_number(struct sync_view *view, uint32_t number);
// Takes a number that was given back a moment ago.
void sync_view_keep_number(struct sync_view *view, uint32_t number);
void sync_view_clear_numbers(struct sync_view *view);

#endif
