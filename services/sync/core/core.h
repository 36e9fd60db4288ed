#ifndef SYNC_CORE_CORE_H
#define SYNC_CORE_CORE_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/err.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/vec.h"
#include "services/sync/core/mirror.h"
#include "services/sync/core/stock.h"
#include "services/sync/core/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Joins world's tick frames with vision's frames and keeps the served empires' views. Pure: frames
// and answers in, deltas out; the shell does the talking and the sending.
//
//     sync_core_push_tick / _world_snapshot / _push_vision / sync_core_view_load   as they come
//     while ((step = sync_core_step(core)) == SYNC_STEP_DELTAS)
//         for each view in core->touched: encode its delta (update.h), send it
//
// Several ticks can be told as one: fold.h.
//
// A tick is stepped when both its frames are there. Frames of one stream that run ahead of the
// other wait, at most SYNC_AHEAD_TICKS of them. If vision is away longer than that, the views stop
// being live and the mirror follows world alone; views are then asked for anew. The same happens
// to every view after a gap or a new epoch in the vision stream, and after a snapshot of world.
// Clients see only the difference, in ticks that never go back.

#define SYNC_AHEAD_TICKS   128
#define SYNC_HISTORY_TICKS 256 // ring of ticks, half of it behind the mirror and half ahead
#define SYNC_BEHIND_TICKS  32  // vision's frames are kept so long for answers that come late
#define SYNC_VIEWS_MAX     65536
#define SYNC_SIGHTINGS_MAX (UINT32_C(1) << 23)

// A tick in the ring: who departed in it, and what vision said of it.
struct sync_tick_entry {
    uint64_t tick; // 0: empty
    bool mirrored; // `departed` is filled in
    struct {
        MM_VEC(struct sync_departed);
    } departed;
    Mmorts__Frame__VisionFrame *vision; // owned; NULL: not there
    uint64_t epoch;
    uint32_t *starts; // owned: where each empire's groups begin; see vision_frame.h
};

struct sync_core_counts {
    uint64_t ticks; // stepped
    uint64_t world_frames_refused;
    uint64_t vision_frames_refused;
    uint64_t vision_gaps;     // epochs and holes that cost views their life
    uint64_t vision_overruns; // vision was away for more than SYNC_AHEAD_TICKS
    uint64_t views_frozen;
    uint64_t views_loaded;
    uint64_t views_refused; // answers that could not be used
    uint64_t odd_entities;  // vision named an entity that the mirror does not have
};

struct sync_core {
    struct sync_mirror mirror;
    struct sync_stock stock;

    struct {
        MM_VEC(struct sync_view *);
    } views;                           // by index; NULL where free
    struct sync_view **view_of_empire; // by empire; NULL: it has none
    uint32_t empire_count;             // of that array
    uint32_t view_count;
    uint32_t live_count, fresh_count; // views in these states

    struct {
        MM_VEC(struct sync_sighting);
    } sightings;
    uint32_t sighting_free;  // list of free sightings through `next`
    uint32_t *sighting_head; // by slot: first sighting
    uint32_t sighting_head_count;

    struct sync_tick_entry ring[SYNC_HISTORY_TICKS];
    uint64_t history_floor; // departures are known for ticks after this one
    Mmorts__Frame__TickFrame *ahead[SYNC_AHEAD_TICKS]; // by tick modulo
    uint64_t world_newest;                             // newest tick frame received
    uint64_t vision_epoch;
    uint64_t vision_newest; // newest vision frame received in that epoch

    unsigned history_ticks;   // the views' logs reach back so far; 0: there are none
    size_t history_bytes_max; // of one view's log

    uint32_t step;                   // counts steps; sightings are stamped with it
    uint64_t told_tick;              // the newest tick any client may have been told
    Mmorts__Frame__TickFrame *frame; // owned: the one last applied (its events are in the deltas)
    struct {
        MM_VEC(struct sync_view *);
    } touched; // views with something to tell, valid until the next call of step
    struct {
        MM_VEC(uint64_t);
    } touched_bits; // the same as bits, by index
    struct {
        MM_VEC(uint64_t);
    } held;              // by index: views that are not told every tick now; see fold.h
    uint32_t held_count; // of them

    bool world_snapshot_wanted; // the shell restarts the tick stream's reader and clears this
    bool rewound;               // world began anew at an older tick: the shell closes every
                                // client, forgets the views and clears this
    struct sync_core_counts counts;
};

enum mm_err MM_MUST_USE sync_core_init(struct sync_core *core);
void sync_core_free(struct sync_core *core);
// Has the views opened from now on keep a log of their last ticks (history.h), of at most so many
// ticks (SYNC_HISTORY_TICKS_MAX) and bytes. 0 ticks: none.
void sync_core_keep_history(struct sync_core *core, unsigned ticks, size_t bytes_max);

// The holding of the view's empire, made if there is none; NULL at the bound or out of memory.
struct sync_holding *sync_core_holding(struct sync_core *core, struct sync_view *view);

// --- what comes in; frames are from malloc and are taken, whatever is returned -------------------

// The next tick frame.
void sync_core_push_tick(struct sync_core *core, Mmorts__Frame__TickFrame *frame);
// Everything there is. RESOURCE_EXHAUSTED: the mirror could not be built; the process cannot go on.
enum mm_err MM_MUST_USE sync_core_world_snapshot(struct sync_core *core,
                                                 Mmorts__Frame__TickFrame *frame);
void sync_core_push_vision(struct sync_core *core, uint64_t epoch,
                           Mmorts__Frame__VisionFrame *frame);

// --- views ---------------------------------------------------------------------------------------

// The empire's view, made (WAITING) if there is none. NULL at the bound or out of memory.
struct sync_view *sync_core_view_open(struct sync_core *core, uint32_t empire);
// The view of that empire, or NULL.
struct sync_view *sync_core_view(const struct sync_core *core, uint32_t empire);
void sync_core_view_close(struct sync_core *core, struct sync_view *view);
// The empires that have a view, ascending, into `out` with room for core->view_count; how many.
size_t sync_core_empires(const struct sync_core *core, uint32_t *out);

// Vision's answer for a WAITING view; `answer` is borrowed. OUT_OF_RANGE: too old or too new to be
// joined with what is here: ask again in a moment. DATA_LOSS: it contradicts itself.
enum mm_err MM_MUST_USE sync_core_view_load(struct sync_core *core, struct sync_view *view,
                                            uint64_t epoch,
                                            const Mmorts__Frame__VisionFrame *answer);

// Adds the view to `touched` for this step, for news that are not of the world (resources).
void sync_core_touch(struct sync_core *core, struct sync_view *view);

// Puts `touched` in the order of indexes: views keep their turn from tick to tick, so that clients
// are told in even intervals.
void sync_core_order_touched(struct sync_core *core);

// --- stepping ------------------------------------------------------------------------------------

enum sync_step {
    SYNC_STEP_NONE,   // nothing to be done until more comes in
    SYNC_STEP_DELTAS, // a tick was applied, or views became live: deliver core->touched
    SYNC_STEP_FAILED, // out of memory in the mirror: the process cannot go on
};
enum sync_step sync_core_step(struct sync_core *core);
// How many ticks can be stepped with what is there, none of which costs a view its life.
uint64_t sync_core_waiting(const struct sync_core *core);

// The tick after `after` if it can be stepped, its frames being there; 0: it cannot, or not yet.
uint64_t sync_core_next(const struct sync_core *core, uint64_t after);

// --- for the encoders ----------------------------------------------------------------------------

// Whether the entity in the slot is in the view's sight now.
bool sync_core_sees(const struct sync_core *core, const struct sync_view *view, uint32_t slot);
// The number it has there, or SYNC_NONE if it is not in sight.
uint32_t sync_core_number(const struct sync_core *core, const struct sync_view *view,
                          uint32_t slot);

#endif
