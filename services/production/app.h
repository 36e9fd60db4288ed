#ifndef PRODUCTION_APP_H
#define PRODUCTION_APP_H

#include <stdbool.h>
#include <stdint.h>

#include "gen/frame.pb-c.h"
#include "gen/production.pb-c.h"
#include "libcommon/base/arena.h"
#include "libcommon/base/strmap.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"
#include "libcommon/io/stream_reader.h"
#include "libcommon/service/metrics.h"
#include "libcommon/service/service.h"
#include "services/production/core/production.h"

// The shell's state. Everything belongs to the loop; only a batch being written is the database
// worker's for a while.
//
//   world's ticks (feed) ─┐
//   RPC calls (rpc)      ─┼─> core ─> changes ─> one transaction (store) ─> answers, stream, spawns
//   world's answers      ─┘
//
// What is in `pending` has been applied to the core and is not durable yet. One batch is written
// at a time; what comes meanwhile makes the next one.

enum {
    PRODUCTION_ACKS_MAX = 4096, // calls waiting for their transaction; beyond: RESOURCE_EXHAUSTED
    PRODUCTION_CHANGES_MAX = 1 << 20,
    PRODUCTION_GRANTS_MAX = 100000, // grant keys remembered
    PRODUCTION_SPAWNS_MAX = 1 << 20,
    PRODUCTION_SPAWNS_INFLIGHT_MAX = 32,
    PRODUCTION_GRANT_KEY_BYTES_MAX = 64,
    PRODUCTION_HELD_MAX = 256,  // calls that wait for a tick; beyond: RESOURCE_EXHAUSTED
    PRODUCTION_EXIT_FENCED = 3, // exit status: another process has the session
};

struct production_settings {
    const char *recipes_path;
    int64_t retry_ms;
    int64_t catch_up_changes;
    int64_t spawn_deadline_ms;
};

// An RPC call whose answer waits until its changes are durable.
struct production_ack {
    struct mm_rpc_call *call;
    enum production_ack_kind {
        PRODUCTION_ACK_START,
        PRODUCTION_ACK_CANCEL,
        PRODUCTION_ACK_GRANT,
        PRODUCTION_ACK_PAY
    } kind;
    struct production_job job;
    uint32_t empire;
    bool paid;           // of PAY
    const char *missing; // of PAY: lives as long as the book
};

struct production_grant_key {
    uint8_t bytes[PRODUCTION_GRANT_KEY_BYTES_MAX];
    size_t len;
};

struct production_batch {
    struct production_changes changes;
    struct {
        MM_VEC(struct production_ack);
    } acks;
    struct {
        MM_VEC(struct production_grant_key);
    } grants;
};

// One transaction on its way; defined in store.c.
struct production_write;

struct production_feed {
    struct mm_stream_reader *reader;
    struct mm_arena *frame_arena;
    struct {
        MM_VEC(struct production_feed_type);
    } types;
    struct {
        MM_VEC(int);
    } items;                           // by world's number: index into the book, -1: none of it
    struct mm_idmap *building_by_slot; // entity index -> index into buildings
    struct {
        MM_VEC(struct production_feed_building);
    } buildings;
    bool is_live;         // and not behind
    uint64_t behind_tick; // jobs that ended by then are still to be done; 0: none are
};

struct production_feed_type {
    char name[PRODUCTION_NAME_BYTES];
    bool is_building;
    int item; // what it yields, index into the book; -1: nothing that is counted
};

struct production_feed_building {
    uint32_t slot;
    uint32_t owner;
    uint32_t type;
    int32_t progress_permille;
    uint64_t id;
};

// A spawn that is durable in the outbox and not yet answered by world.
struct production_delivery {
    struct production_app *app;
    struct production_spawn spawn;
    mm_rpc_handle call;               // while world is being asked
    struct production_delivery *next; // while it waits
};

struct production_outbox {
    struct production_delivery *waiting, **waiting_tail;               // the oldest first
    struct production_delivery *asked[PRODUCTION_SPAWNS_INFLIGHT_MAX]; // world is being asked
    size_t asked_count;
    size_t count; // waiting and asked
    struct mm_loop_timer retry;
};

// Calls to start a job for whom a later tick was seen than has come here, in the order in which
// they came.
struct production_held {
    struct {
        MM_VEC(struct production_held_call);
    } calls;
    struct mm_loop_timer expiry; // runs while there are any
};

struct production_held_call {
    struct mm_rpc_call *call;
    const Mmorts__Production__StartJobRequest *input; // lives as long
};

struct production_app {
    struct production_settings settings;
    struct mm_service *service;
    struct mm_loop *loop;
    const char *session;
    struct production_book book;

    struct production *core; // NULL while it is (re)loaded
    struct production_batch pending;
    struct production_write *write; // NULL: nothing under way
    struct mm_loop_task flush;
    struct mm_loop_timer reload;
    struct mm_strmap *granted; // keys of grants carried out
    uint64_t owner_epoch;
    bool is_loading;
    bool is_draining;

    struct production_feed feed;
    struct production_held held;
    struct production_outbox outbox;
    struct mm_stream_publisher *publisher;

    int loaded_condition, feed_condition;
    struct mm_counter *jobs_started, *jobs_completed, *jobs_failed, *jobs_cancelled;
    struct mm_counter *spawns, *spawns_refused, *flushes, *flushes_failed;
    struct mm_metrics_histogram *flush_latency;
};

// --- book.c: the recipes file ------------------------------------------------------------------

// Reads the file; `fault` is told of each fault, with file and line. INVALID_ARGUMENT if there was
// any: the book is empty then.
typedef void (*production_book_fault_fn)(void *arg, const char *text);
MM_MUST_USE enum mm_err production_book_load(struct production_book *book, const char *path,
                                             production_book_fault_fn fault, void *arg);
void production_book_free(struct production_book *book);

// --- store.c: what is durable ------------------------------------------------------------------

void production_store_open(struct production_app *app);
// Starts loading the state; retried until it works. Sets app->core when done.
void production_store_load(struct production_app *app);
// Has the pending changes written at the end of this turn (or after the write under way).
void production_store_flush(struct production_app *app);
// Fails everything that is not durable and loads again.
void production_store_abandon(struct production_app *app, enum mm_err err, const char *message);
void production_batch_init(struct production_batch *batch);
void production_batch_free(struct production_batch *batch);
void production_store_stop(struct production_app *app);

// --- feed.c: world's ticks ---------------------------------------------------------------------

MM_MUST_USE enum mm_err production_feed_open(struct production_app *app);
void production_feed_close(struct production_app *app);
// The core is new and empty of buildings: ask for a snapshot.
void production_feed_restart(struct production_app *app);
// A transaction is done: on with what is behind, if anything is.
void production_feed_go_on(struct production_app *app);
// Applies one frame. INVALID_ARGUMENT: nonsense (nothing was applied).
MM_MUST_USE enum mm_err production_feed_apply(struct production_app *app,
                                              const Mmorts__Frame__TickFrame *frame);

// --- held.c: calls that wait for a tick --------------------------------------------------------

void production_held_open(struct production_app *app);
void production_held_close(struct production_app *app);
// Keeps a call until its tick has come. Fails it if there is no room.
void production_held_add(struct production_app *app, struct mm_rpc_call *call,
                         const Mmorts__Production__StartJobRequest *input);
// Begins those whose tick has come, and those that now fail whenever it comes. To be called when
// the tick has changed, or whether calls can be taken.
void production_held_run(struct production_app *app);

// --- outbox.c: units from world ----------------------------------------------------------------

void production_outbox_open(struct production_app *app);
void production_outbox_close(struct production_app *app);
// The spawn is durable: have world make the units.
void production_outbox_add(struct production_app *app, const struct production_spawn *spawn);
void production_outbox_clear(struct production_app *app); // the state is loaded again

// --- publish.c: the production stream ----------------------------------------------------------

// Tells what a durable batch changed.
void production_publish_batch(struct production_app *app, const struct production_changes *changes);
// Opens the stream, or opens it again under a new epoch because everything may be different:
// readers then take a snapshot.
MM_MUST_USE enum mm_err production_publish_restart(struct production_app *app);

// --- lifecycle.c: the hooks of libcommon/service/service.h ---------------------------------------

void production_check(struct mm_config *config, void *state); // loads the book of recipes
void production_release(void *state);
MM_MUST_USE enum mm_err production_start_service(struct mm_service *service, void *state);
void production_drain_service(struct mm_service *service, void *state);
void production_stop_service(struct mm_service *service, void *state);

// --- rpc.c -------------------------------------------------------------------------------------

void production_rpc_register(struct production_app *app);
// Carries out a call of StartJob, or fails it.
void production_rpc_start(struct production_app *app, struct mm_rpc_call *call,
                          const Mmorts__Production__StartJobRequest *input);
// Answers a call whose changes are durable, or fails it.
void production_rpc_answer(struct production_app *app, const struct production_ack *ack);

#endif
