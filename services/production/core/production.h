#ifndef PRODUCTION_CORE_PRODUCTION_H
#define PRODUCTION_CORE_PRODUCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/base/err.h"
#include "libcommon/base/vec.h"
#include "services/production/core/recipes.h"

// The rules of production: stocks, jobs and their queues. A pure state machine: operations take
// the time as an argument, change the state at once and append what they changed to a list of
// changes. The shell makes the list durable in one transaction; if it cannot, it throws the state
// away and loads it again, so state and store never differ for long.
//
// Invariant: a stock is never negative, and every change of a stock is in the list with its cause.

enum {
    PRODUCTION_EMPIRES_MAX = 1 << 20,
    PRODUCTION_JOBS_MAX = 1 << 21,
    PRODUCTION_PLAYERS_MAX = 1 << 20,
    PRODUCTION_BILLS_MAX = 1 << 16,    // decided and not settled by world
    PRODUCTION_DEPOSITS_MAX = 1 << 20, // totals: empires times types of resource
    PRODUCTION_BUILDING_JOBS_MAX = 5,  // running and waiting, per building
    PRODUCTION_CYCLES_MAX = 1000,
    PRODUCTION_SEQ_WINDOW = 64, // how far back a client sequence number may come out of order
    PRODUCTION_SEQ_RANGES = 8,  // of a player's numbers (libcommon/base/seq.h) that are told apart
    PRODUCTION_CAUSE_BYTES = 80,
};

#define PRODUCTION_STOCK_MAX (INT64_MAX / 4)

enum production_reason { // same numbers as mmorts.production.JobReason
    PRODUCTION_OK = 0,
    PRODUCTION_UNKNOWN_RECIPE = 1,
    PRODUCTION_UNKNOWN_BUILDING = 2,
    PRODUCTION_WRONG_BUILDING = 3,
    PRODUCTION_NOT_ENOUGH = 4,
    PRODUCTION_QUEUE_FULL = 5,
    PRODUCTION_NO_EMPIRE = 6,
    PRODUCTION_UNKNOWN_JOB = 7,
    PRODUCTION_PAUSED = 8,
    PRODUCTION_INVALID = 9,
    PRODUCTION_REPEATED = 10,
};

enum production_event { // same numbers as mmorts.frame.JobEvent
    PRODUCTION_STARTED = 1,
    PRODUCTION_PROGRESS = 2,
    PRODUCTION_COMPLETED = 3,
    PRODUCTION_FAILED = 4,
    PRODUCTION_CANCELLED = 5,
};

struct production_job {
    uint64_t id;
    uint32_t empire;
    uint64_t building;
    uint32_t recipe;     // index into the book
    uint64_t start_tick; // 0 while it waits for the building
    uint64_t end_tick;
    uint32_t cycles_left; // this one included; 0 = until the inputs run out
    uint32_t cycles_completed;
    uint64_t order; // of acceptance: a building does its jobs in this order
};

// --- what an operation changed ------------------------------------------------------------------

enum production_change_kind {
    PRODUCTION_CHANGE_EMPIRE,     // empire: it has an inventory now
    PRODUCTION_CHANGE_STOCK,      // empire, item, amount (new), delta, cause
    PRODUCTION_CHANGE_JOB,        // job: as it is now
    PRODUCTION_CHANGE_NO_JOB,     // job.id is gone
    PRODUCTION_CHANGE_SPAWN,      // spawn: world is to be asked for units
    PRODUCTION_CHANGE_SPAWNED,    // spawn.key: world has answered for good (noted by the shell)
    PRODUCTION_CHANGE_EVENT,      // event, job, reason: to be told
    PRODUCTION_CHANGE_DEPOSIT,    // empire, resource, amount: the total that is in the stock now
    PRODUCTION_CHANGE_BILL,       // bill, amount: 1 paid, 0 refused
    PRODUCTION_CHANGE_BILL_FLOOR, // bill: all below are settled
    PRODUCTION_CHANGE_ANSWERED    // player, client_seq, answer_job: a command was carried out;
                                  // answers of the range forgotten_range are no longer needed
};

struct production_spawn {
    char key[PRODUCTION_CAUSE_BYTES]; // idempotency key: job, cycle and output
    char unit[PRODUCTION_NAME_BYTES];
    char recipe[PRODUCTION_NAME_BYTES]; // what was made, for giving its inputs back
    uint32_t count;
    uint64_t building;
    uint32_t empire;
};

struct production_change {
    enum production_change_kind kind;
    uint32_t empire;
    uint16_t item;
    int64_t amount;
    int64_t delta;
    enum production_event event;
    const char *reason; // static; "" when there is none
    uint64_t player_id;
    uint64_t client_seq;
    uint64_t answer_job;
    bool forgets;
    uint64_t forgotten_range;
    uint64_t bill;
    struct production_job job;
    struct production_spawn spawn;
    char cause[PRODUCTION_CAUSE_BYTES];
    char resource[PRODUCTION_NAME_BYTES];
};

struct production_changes {
    MM_VEC(struct production_change);
};

// --- the state ---------------------------------------------------------------------------------

struct production;

// The book must outlive the state; seed feeds job ids and chances (draw it from the system's
// entropy: ids must not repeat across restarts). NULL when out of memory.
struct production *production_new(const struct production_book *book, uint64_t seed);
void production_free(struct production *production);

// Putting a stored state back, before any operation. INVALID_ARGUMENT: it contradicts itself.
MM_MUST_USE enum mm_err production_restore_stock(struct production *production, uint32_t empire,
                                                 uint16_t item, int64_t amount);
MM_MUST_USE enum mm_err production_restore_empire(struct production *production, uint32_t empire);
MM_MUST_USE enum mm_err production_restore_job(struct production *production,
                                               const struct production_job *job);
MM_MUST_USE enum mm_err production_restore_answer(struct production *production, uint64_t player_id,
                                                  uint64_t client_seq, uint64_t job_id);

// The total of deposits that is in the stock already.
MM_MUST_USE enum mm_err production_restore_deposit(struct production *production, uint32_t empire,
                                                   const char *resource, uint64_t total);

MM_MUST_USE enum mm_err production_restore_bill(struct production *production, uint64_t number,
                                                bool paid);
void production_restore_bill_floor(struct production *production, uint64_t floor);

// --- what world tells --------------------------------------------------------------------------

// Buildings are known by their public id. `type` is world's type name.
void production_building_set(struct production *production, uint64_t building, uint32_t owner,
                             const char *type);
// The building is gone: its jobs fail, what their current cycles had consumed is given back.
void production_building_remove(struct production *production, uint64_t building,
                                struct production_changes *changes);
// Forgets all buildings, before a snapshot of world's is applied.
void production_buildings_clear(struct production *production);
// After a snapshot was applied: jobs of buildings that do not exist any more fail, buildings whose
// running job is missing start their next.
void production_buildings_complete(struct production *production,
                                   struct production_changes *changes);

// The empire gets its starting stock unless it has an inventory already.
MM_MUST_USE enum mm_err production_found(struct production *production, uint32_t empire,
                                         struct production_changes *changes);

// All that the empire's workers have ever brought home of a type of resource, which counts as that
// item: what is not in the stock yet is added. The total is kept with the stock, so hearing one
// twice, or only every tenth, makes no difference. A total lower than before changes nothing.
void production_deposit(struct production *production, uint32_t empire, const char *resource,
                        uint16_t item, uint64_t total, struct production_changes *changes);

// Game time. Everything due by `tick` completes, in the order of its end.
void production_advance(struct production *production, uint64_t tick,
                        struct production_changes *changes);
// The same, but no further than to so many changes; whether all that is due by then is done. If
// not, it is at the tick of what was done last, and to be called again.
bool production_advance_some(struct production *production, uint64_t tick, size_t changes_max,
                             struct production_changes *changes);
void production_pause(struct production *production, bool is_paused);
uint64_t production_tick(const struct production *production);

// --- commands ----------------------------------------------------------------------------------

struct production_order {
    uint64_t player_id; // 0: not a player's; then client_seq is not looked at
    uint64_t client_seq;
    uint32_t empire;
    uint64_t building;
    const char *recipe;
    uint32_t cycles; // 0 = until the inputs run out
};

// Consumes the inputs at once and starts the job, or puts it into the building's queue; or changes
// nothing and says why. *job_out: the job, also of a repeated command (which has no changes);
// its id is 0 when it has ended meanwhile and nothing but the fact is known. detail_out (may be
// NULL) names what is missing.
enum production_reason production_start(struct production *production,
                                        const struct production_order *order,
                                        struct production_changes *changes,
                                        struct production_job *job_out, const char **detail_out);

// Ends a job. With refund, what its current cycle consumed is given back.
enum production_reason production_cancel(struct production *production, uint64_t player_id,
                                         uint64_t client_seq, uint32_t empire, uint64_t job_id,
                                         bool refund, struct production_changes *changes);

// All or nothing; a stock cannot become negative (NOT_ENOUGH).
enum production_reason production_grant(struct production *production, uint32_t empire,
                                        const struct production_amount *amounts, size_t count,
                                        const char *cause, struct production_changes *changes);

struct production_payment {
    uint64_t bill;          // world's number, from 1
    uint64_t settled_below; // world will not ask again about those below
    uint32_t empire;
    const struct production_amount *amounts; // each above 0
    size_t count;
    bool known_items; // false: it is in items that there are not, so it cannot be paid
};

// Decides a bill: takes all amounts, or none if one is not covered (*missing_out names it). Asked
// again it says what it said. OK: *paid_out holds the decision, and it is among the changes if it
// is new. NO_EMPIRE, INVALID, QUEUE_FULL (PRODUCTION_BILLS_MAX): undecided. REPEATED: it was
// settled before.
enum production_reason production_pay(struct production *production,
                                      const struct production_payment *payment,
                                      struct production_changes *changes, bool *paid_out,
                                      const char **missing_out);

// World refused for good to make the units: what the cycle had consumed is given back.
void production_spawn_failed(struct production *production, const struct production_spawn *spawn,
                             struct production_changes *changes);

// --- looking -----------------------------------------------------------------------------------

bool production_has_empire(const struct production *production, uint32_t empire);
int64_t production_stock(const struct production *production, uint32_t empire, uint16_t item);
// False if there is no such job.
bool production_job_get(const struct production *production, uint64_t job_id,
                        struct production_job *out);
size_t production_job_count(const struct production *production);

// Visits everything, in no particular but a repeatable order.
typedef void (*production_visit_stock_fn)(void *arg, uint32_t empire, uint16_t item,
                                          int64_t amount);
typedef void (*production_visit_job_fn)(void *arg, const struct production_job *job);
void production_each_stock(const struct production *production, production_visit_stock_fn fn,
                           void *arg);
// empire 0 = of all empires.
void production_each_job(const struct production *production, uint32_t empire,
                         production_visit_job_fn fn, void *arg);

#endif
