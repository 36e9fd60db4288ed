#ifndef SYNC_CORE_BACKLOG_PARTS_H
#define SYNC_CORE_BACKLOG_PARTS_H

#include "services/sync/core/backlog.h"

// Within the backlog: what comes in (backlog.c) and what goes out (backlog_take.c) share this.

#define SYNC_ANCHORS_MAX 32

// An entity of which there is news. What is to be told follows from what is true when it is told:
// it is in sight, remembered or neither.
struct sync_owed {
    uint64_t id;
    uint64_t since; // tick of the first news that is not told
    uint32_t slot;  // where the mirror had it last
    uint8_t kind;
    uint8_t mask;  // in sight, and the client knows it to be: what changed
    bool known;    // the client has something under the id, in sight or remembered
    bool whole;    // came into sight, which the client does not know
    bool followed; // one change only: the client knows it as it was in the tick before `since`
    bool told;     // while taking
};

// A tile of which a part was told is told to its end before what is news by then has its turn: or
// one in which something changes all the time would be told all the time.
struct sync_owed_tile {
    int32_t q, r;
    uint64_t since;
    bool begun; // a part of `changed` was told
    uint64_t changed[SYNC_TILE_CELLS / 64];
    uint64_t next[SYNC_TILE_CELLS / 64]; // begun: news of cells that are not in `changed`
    uint64_t next_since;
    uint64_t terrain[SYNC_TILE_CELLS / 64]; // of both, which are told with it
};

struct sync_backlog {
    struct {
        MM_VEC(struct sync_owed);
    } entities;
    struct mm_idmap *entity_at; // id -> position
    struct {
        MM_VEC(struct sync_owed_tile);
    } tiles;
    struct mm_idmap *tile_at; // coordinates -> position
    size_t hexes;             // of all tiles
    struct {
        MM_VEC(struct sync_event_news);
    } events;      // of step `merged`
    uint32_t step; // the core's step in which deltas were merged last

    // Places that distances are reckoned from, looked for anew once a second.
    struct sync_place anchors[SYNC_ANCHORS_MAX];
    uint32_t anchor_count;
    uint64_t anchored_tick;

    struct {
        MM_VEC(uint64_t);
    } order; // while taking: a heap of score and position
};

// NULL: nothing is owed of it.
struct sync_owed *sync_backlog_find(const struct sync_backlog *backlog, uint64_t id);
void sync_backlog_drop_entity(struct sync_backlog *backlog, size_t i);
void sync_backlog_drop_tile(struct sync_backlog *backlog, size_t i);

#endif
