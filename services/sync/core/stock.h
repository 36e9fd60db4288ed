#ifndef SYNC_CORE_STOCK_H
#define SYNC_CORE_STOCK_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/err.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What production's stream says each empire owns and is making, and what of it the empire's client
// has been told. Amounts are states: however often they change between two updates, one number
// is sent. Jobs are told by events; a snapshot after a gap is turned into the events that were
// missed.

#define SYNC_ITEMS_MAX         1024 // kinds of items in the game
#define SYNC_STOCK_ITEMS_MAX   1024 // in one empire's stock
#define SYNC_JOBS_OPEN_MAX     1024 // of one empire; further ones are not listed
#define SYNC_JOB_NAME_MAX      64
#define SYNC_JOB_EVENTS_MAX    2048 // untold to one client; beyond: a full state
#define SYNC_STOCK_EMPIRES_MAX 65536

struct sync_amount {
    uint32_t item;
    bool told; // `told_amount` is what the client knows
    int64_t amount;
    int64_t told_amount;
};

struct sync_job {
    uint64_t id;
    uint64_t building;
    uint64_t start_tick, end_tick;
    uint32_t cycles_completed;
    uint32_t event; // enum Mmorts__Frame__JobEvent, or SYNC_JOB_ENDED
    char recipe[SYNC_JOB_NAME_MAX];
    char reason[SYNC_JOB_NAME_MAX];
};

// It is no longer there, and how it ended was missed.
#define SYNC_JOB_ENDED 100u

struct sync_holding {
    uint32_t empire;
    bool watched; // a client is served: events are kept for it
    bool dirty;   // something is untold
    bool lost;    // events were dropped: the client needs a full state
    struct {
        MM_VEC(struct sync_amount);
    } amounts;
    struct {
        MM_VEC(struct sync_job);
    } jobs; // open ones
    struct {
        MM_VEC(struct sync_job);
    } events; // untold, oldest first
};

struct sync_stock {
    struct {
        MM_VEC(char *);
    } items; // names; a sync_amount's item is an index
    struct {
        MM_VEC(struct sync_holding *);
    } holdings;
    struct mm_idmap *index; // empire -> position
    bool loaded;            // a snapshot has been applied
};

enum mm_err MM_MUST_USE sync_stock_init(struct sync_stock *stock);
void sync_stock_free(struct sync_stock *stock);

// Applies a frame. DATA_LOSS: it contradicts itself, nothing was changed. RESOURCE_EXHAUSTED: a
// bound or memory; the rest of the frame was not applied (the caller asks for a snapshot).
enum mm_err MM_MUST_USE sync_stock_apply(struct sync_stock *stock,
                                         const Mmorts__Frame__ProductionFrame *frame);

// The empire's holding, made if there is none; NULL at the bound or out of memory.
struct sync_holding *sync_stock_holding(struct sync_stock *stock, uint32_t empire);

// Everything is told: what is owned now, and no event waits. For a full state.
void sync_holding_told(struct sync_holding *holding);
// Everything is told to one of several clients. An amount that the others know otherwise is told to
// all with the next update, even if by then it is what the others know.
void sync_holding_told_beside(struct sync_holding *holding);
// Nothing of it counts as told but the events of jobs that have not gone out yet: everything else
// will be told again with the next update. False when out of memory.
bool MM_MUST_USE sync_holding_tell_again(struct sync_holding *holding);
// The client is gone: nothing is told, events are no longer kept.
void sync_holding_unwatch(struct sync_holding *holding);

#endif
