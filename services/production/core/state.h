#ifndef PRODUCTION_CORE_STATE_H
#define PRODUCTION_CORE_STATE_H

#include "libcommon/base/heap.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/rng.h"
#include "libcommon/base/strmap.h"
#include "services/production/core/production.h"

// How the state is laid out; for the files of this core only.

enum { PRODUCTION_ANSWERS_KEPT = 16 };

struct production_slot { // a job and its place in the calendar
    struct production_job job;
    mm_heap_handle due; // MM_HEAP_NONE while the job waits for its building
    bool is_used;
};

// A building that exists, or one that has jobs and will be known once world has been heard.
struct production_building {
    uint64_t id;
    uint32_t owner;
    bool exists;
    char type[PRODUCTION_NAME_BYTES];
    uint32_t jobs[PRODUCTION_BUILDING_JOBS_MAX]; // slots, in order; the first one runs
    uint32_t job_count;
};

struct production_answer {
    uint64_t client_seq; // 0 = none
    uint64_t job_id;
};

// What was carried out of one range of numbers.
struct production_range {
    uint64_t range;
    uint64_t last_seq; // 0: unused
    uint64_t seen;     // bit n: last_seq - n was carried out
    uint64_t used;     // when: counts the player's commands
};

struct production_player {
    struct production_range ranges[PRODUCTION_SEQ_RANGES];
    uint64_t uses;
    struct production_answer answers[PRODUCTION_ANSWERS_KEPT];
    uint32_t answer_next;
};

struct production_bill {
    uint64_t number;
    bool paid;
};

struct production {
    const struct production_book *book;
    struct mm_rng rng;
    uint64_t tick;
    uint64_t next_order;
    bool is_paused;

    struct mm_idmap *empires; // number -> index of its row in stocks
    struct {
        MM_VEC(uint32_t);
    } empire_numbers;
    struct {
        MM_VEC(int64_t); // a row of item_count amounts per empire
    } stocks;

    struct mm_strmap *deposits; // "empire resource" -> total in the stock

    struct {
        MM_VEC(struct production_bill);
    } bills; // decided, not settled
    uint64_t bill_floor;

    struct mm_idmap *building_index; // id -> index
    struct {
        MM_VEC(struct production_building);
    } buildings;

    struct mm_idmap *job_index; // id -> slot
    struct {
        MM_VEC(struct production_slot);
    } slots;
    struct {
        MM_VEC(uint32_t);
    } free_slots;
    struct mm_heap *calendar; // end_tick -> slot

    struct mm_idmap *player_index;
    struct {
        MM_VEC(struct production_player);
    } players;
};

// NULL if there is none.
struct production_building *production_find_building(const struct production *production,
                                                     uint64_t id);
struct production_building *production_need_building(struct production *production, uint64_t id);
struct production_slot *production_find_job(const struct production *production, uint64_t job_id);
// The empire's amounts, or NULL.
int64_t *production_row(const struct production *production, uint32_t empire);

// Appends; memory for changes is checked: running out of it is beyond repair and aborts.
struct production_change *production_note(struct production_changes *changes,
                                          enum production_change_kind kind);
// Changes a stock and notes it. The result must not be negative.
void production_move(struct production *production, uint32_t empire, uint16_t item, int64_t delta,
                     const char *cause, struct production_changes *changes);

// --- jobs.c --------------------------------------------------------------------------------------

// NULL when there are too many jobs or no memory. Does not put it into the building's queue.
struct production_slot *production_slot_new(struct production *production,
                                            const struct production_job *job, uint32_t *index_out);
// Takes a job out of its building's queue and the calendar. The caller notes the change.
void production_slot_drop(struct production *production, struct production_slot *slot);
void production_note_job(struct production_changes *changes, enum production_change_kind kind,
                         const struct production_job *job);
void production_note_event(struct production_changes *changes, enum production_event event,
                           const struct production_job *job, const char *reason);
// A job was accepted that cannot start yet: told as started at tick 0, as a snapshot lists it.
void production_job_waits(struct production_changes *changes, const struct production_job *job);
// Starts the job at the head of the building's queue, if it waits.
void production_building_run(struct production *production, struct production_building *building,
                             struct production_changes *changes);
// True if the stock covers the recipe's inputs and tools; else *missing_out names the first that
// it does not.
bool production_can_afford(const struct production *production, uint32_t empire,
                           const struct production_recipe *recipe, uint64_t cost_permille,
                           const char **missing_out);
// direction -1 consumes, +1 gives back.
void production_move_inputs(struct production *production, const struct production_job *job,
                            const struct production_recipe *recipe, uint64_t cost_permille,
                            int direction, struct production_changes *changes);
// The factor on costs in that building.
uint64_t production_cost_of(const struct production *production, uint64_t building_id);

#endif
