#ifndef VISION_APP_H
#define VISION_APP_H

#include "gen/frame.pb-c.h"
#include "gen/vision.pb-c.h"
#include "libcommon/base/arena.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/progress.h"
#include "libcommon/base/vec.h"
#include "libcommon/io/db.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"
#include "libcommon/io/stream_reader.h"
#include "libcommon/service/metrics.h"
#include "libcommon/service/service.h"
#include "services/vision/core/pace.h"
#include "services/vision/core/vision.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

// The shell's state. Everything belongs to the loop; only what is being written or loaded is the
// database worker's for a while.
//
//   world's tick stream -> feed -> core -> publish -> vision stream
//                                   |  \-> rpc (views, questions, sharing -> stamp)
//                                   +-> store (write-behind, checkpoints)
//
// What some readers want of the stream, not all of it, is cut out of each frame by serve.
//
// At the start: load (store) -> the last checkpoint into the core -> replay from world's ring what
// came after it -> live. Only then is the stream opened, under a new epoch.

enum {
    VISION_STORE_LANE = 1,                  // of the database's jobs: loading and saving
    VISION_SAVE_ROWS_MAX = 4000,            // explored, of one transaction
    VISION_CHECKPOINT_PART_BYTES = 4 << 20, // fits MariaDB's default packet
    VISION_CHECKPOINT_BYTES_MAX = 1 << 30,
    VISION_FRAME_BYTES_MAX = 256 << 20,
    VISION_LOAD_ROWS_MAX = 64 << 20,
    VISION_RETIRED_MAX = 64, // catalogues replaced while one write is under way
    VISION_EXIT_FENCED = 3,  // exit status: another process has the session
};

struct vision_settings {
    int64_t update_interval_ticks;
    bool alliances_share;
    int64_t entities_max, empires_max, chunks_max;
    bool memory_enabled, buildings, npcs, heroes, endgame;
    int64_t settlement_ticks, building_ticks, npc_ticks, hero_ticks, endgame_ticks;
    int64_t memories_per_empire_max;
    int64_t save_interval_ms;
    int64_t checkpoint_interval_ms;
    int64_t replay_max_ms;
    int64_t retry_ms;
    int64_t hold_max_ms;
    const char *alliance_kind; // of social's groups; "": none are alliances
    int64_t alliance_reread_ms;
    int64_t subscriptions_max;
    int64_t lease_ms;
};

// A remembered entity as it lies in the database: types by name, because world may number them
// differently the next time.
struct vision_stored_memory {
    struct vision_memory row;
    char type[64];
};

struct vision_stored_share {
    uint32_t from, to;
    uint64_t since_tick, until_tick; // 0: not ended
};

struct vision_stored_ally {
    uint32_t empire;
    uint64_t alliance;
    uint64_t since_tick, until_tick; // 0: not ended
};

// What a session left behind. Owned by the loop once loading is done.
struct vision_stored {
    uint32_t chunk_radius; // 0: nothing was ever saved
    uint32_t words;        // of each explored row
    uint64_t tick;         // that the rows are of
    bool all;              // no change to what is remembered was left out then
    struct {
        MM_VEC(struct vision_explored); // cells: offsets into bits, see vision_store_bits()
    } explored;
    struct {
        MM_VEC(uint64_t);
    } bits;
    struct {
        MM_VEC(struct vision_stored_memory);
    } memories;
    struct {
        MM_VEC(struct vision_stored_share);
    } shares;
    struct {
        MM_VEC(struct vision_stored_ally);
    } allies;
    struct mm_stream_position position; // of the checkpoint in world's tick stream
    uint8_t *checkpoint;                // a packed TickFrame, or NULL
    size_t checkpoint_bytes;
    // What was made of it all (begin.c): the core, live if it is at the checkpoint, and the
    // catalogue of that. NULL: not made yet.
    struct vision *core;
    Mmorts__Frame__Catalogue *catalogue;
    struct mm_progress *progress; // of the loading
};

// Our right to write for the session.
struct vision_fence {
    const char *session;
    uint64_t epoch; // 0: not taken yet
};

// Jobs on their way; defined in store.c.
struct vision_write;

// World as it was at a tick, for a restart to go on from.
struct vision_taken_checkpoint {
    Mmorts__Frame__TickFrame *frame; // NULL: none; its catalogue is borrowed
    struct mm_stream_position position;
    uint64_t tick;
};

// A change of who lends whom, that counts from a tick on; see stamp.c. Within what it changes, and
// the owner's until it is given to vision_stamps_write.
struct vision_stamped {
    struct vision_app *app;
    const struct vision_stamped_kind *kind;
    uint64_t tick; // from which it counts: of the write, and in done if that is MM_OK
    // stamp.c's
    struct vision_stamped *next;
    uint64_t asked_ns;
    uint64_t delay_ticks; // of the transaction's next run
    bool is_at_commit;    // the commit may have happened
    bool in_doubt;        // and so it was when the job before this ended
};

struct vision_stamped_kind {
    // On the loop, when all changes before are in effect or have failed: MM_OK if it is still to be
    // written; else done is called with the error. May be NULL.
    enum mm_err (*prepare)(struct vision_stamped *change);
    // On a worker's thread, in a transaction of the caller's that holds the fence: makes the
    // database say what is wanted from change->tick on. May be called again with another tick,
    // whether or not what was written before is there.
    enum mm_err (*write)(struct mm_db_conn *conn, const struct vision_stamped *change);
    // On the loop: it is durable, and the tick is still to come; or it has failed.
    void (*done)(enum mm_err err, struct vision_stamped *change);
};

struct vision_stamps {
    pthread_mutex_t mutex; // for these three; a worker claims, the loop applies ticks
    uint64_t tick;         // the last one that came
    uint64_t claimed;      // no tick from this on is applied; 0: none is claimed
    uint64_t last;         // the last that was claimed
    struct vision_stamped *first, *newest; // the first is being written
    uint32_t waiting;
    bool is_busy;
    struct mm_loop_timer retry_timer;
};

// A message of world's that waits for a claim to end; hold.c.
struct vision_held {
    struct mm_stream_message message; // its body is a copy of our own
    bool is_snapshot;
};

struct vision_app {
    struct vision_settings settings;
    struct mm_service *service;
    struct mm_loop *loop;
    const char *session;

    struct vision *core;                 // NULL until world's catalogue is known
    struct vision_stored *stored;        // loaded and waiting for the core
    struct mm_progress loading;          // of the worker that loads
    Mmorts__Frame__Catalogue *catalogue; // world's, as of its last snapshot
    struct {
        MM_VEC(Mmorts__Frame__Catalogue *);
    } retired; // former ones that a write under way may still use
    bool is_draining;
    struct vision_fence fence; // as it is when what was saved has been loaded
    bool is_fenced;            // another process has the session: nothing is written any more

    struct mm_stream_reader *reader;
    struct mm_arena *frame_arena;
    struct mm_stream_position applied;  // the last message that the core has
    struct mm_loop_timer restart_timer; // a refused snapshot is asked for again, not at once
    bool is_live;

    struct vision_stamps stamps; // stamp.c

    // hold.c
    struct {
        MM_VEC(struct vision_held);
        struct mm_loop_timer timer;
        struct mm_counter *holds, *given_up;
    } held;

    struct mm_stream_publisher *publisher; // NULL until the first time live
    struct vision_serving *serving;        // serve.c

    struct mm_loop_timer save_timer, load_timer;
    struct vision_write *write; // NULL: nothing is being written
    struct {
        struct vision_pace pace; // of the round under way
        uint64_t began_ns;       // the round
        uint64_t stepped_ns, wrote_ns, not_before_ns;
        uint64_t took_ns; // a transaction, of late: not less than half of what the one before took
        bool hurry;       // all is to be written as soon as possible
        struct vision_taken_checkpoint checkpoint; // goes with the last of the round's rows
    } saving;                                      // store.c
    uint64_t checkpoint_at_ns;                     // when the next is due
    uint64_t replay_ns; // what the ticks since the last one was taken took: a restart does it again
    bool final_checkpoint; // draining: still to be made

    // alliances.c
    struct {
        struct mm_idmap *wanted;    // player -> group, as social says; NULL: not followed
        struct mm_idmap *empire_of; // player -> empire
        struct mm_idmap *taken;     // empire -> group, as written and ordered
        struct {
            MM_VEC(uint32_t);
        } differing;    // empires to compare
        bool check_all; // or all of them
        bool heard;     // social has said something
        bool writing;
        uint64_t seq; // of social's last event taken into account
        mm_rpc_handle list_call;
        bool list_again;
        bool doubted; // an event had an old number: all memberships are to be read anew
        mm_rpc_handle tell_call;
        bool untold; // world does not know yet what is taken
        uint32_t list_failures;
        struct mm_loop_timer retry_timer, reread_timer;
        struct mm_counter *rereads;
    } allies;

    // lends.c
    struct {
        uint32_t first, last;             // borrowers of whom world is to be told; last 0: none
        uint32_t saying_first, saying_to; // those of the call under way
        mm_rpc_handle call;
        bool failing; // the timer says it again, nobody else
        bool open;
        struct mm_loop_timer timer;
    } lends;

    int loaded_condition, feed_condition;
    struct mm_counter *frames, *frames_refused, *resyncs, *saves, *saves_failed, *rows_saved;
    struct mm_metrics_histogram *tick_seconds, *save_seconds, *save_loop_seconds;
};

// --- begin.c: a core made of what was saved ------------------------------------------------------

// Makes stored->core, for the world whose catalogue that is, and puts into it all that was saved.
// Any thread; `progress` stays the core's. INVALID_ARGUMENT: no such catalogue.
// FAILED_PRECONDITION: it is for chunks of another size (logged). CANCELLED: given up.
enum mm_err MM_MUST_USE vision_begin_core(const struct vision_settings *settings,
                                          struct vision_stored *stored,
                                          const Mmorts__Frame__Catalogue *catalogue,
                                          struct mm_progress *progress);
// The same at the checkpoint, if there is one: stored->core is live then. One that is of no use is
// none (logged). Errors as above.
enum mm_err MM_MUST_USE vision_begin_checkpoint(const struct vision_settings *settings,
                                                struct vision_stored *stored,
                                                struct mm_progress *progress);
// A copy of one's own: type names are needed whenever memories are saved.
enum mm_err MM_MUST_USE vision_catalogue_copy(const Mmorts__Frame__Catalogue *catalogue,
                                              Mmorts__Frame__Catalogue **out);

// --- feed.c: world's ticks -------------------------------------------------------------------

// The state was loaded: into the core, and on with world's stream behind the checkpoint.
void vision_feed_begin(struct vision_app *app, struct vision_stored *stored);
void vision_feed_close(struct vision_app *app);
// Into the core and on to the readers, now.
void vision_feed_take(struct vision_app *app, const struct mm_stream_message *message,
                      bool is_snapshot);

// --- hold.c: ticks that wait for a commit ----------------------------------------------------

void vision_hold_open(struct vision_app *app);
void vision_hold_close(struct vision_app *app);
// True: the message waits, for its tick is claimed or others wait before it. Else it is next.
bool vision_hold(struct vision_app *app, const struct mm_stream_message *message, bool is_snapshot);
// A claim has ended: what waited for it goes on.
void vision_hold_end(struct vision_app *app);
// How many messages wait.
size_t vision_held(const struct vision_app *app);

// --- stamp.c: from which tick on sharing counts ------------------------------------------------

void vision_stamps_open(struct vision_app *app);
void vision_stamps_close(struct vision_app *app); // what waits is done with MM_CANCELLED
// At its turn it is written and then done, perhaps before this returns. Its app and kind are set.
// MM_RESOURCE_EXHAUSTED: too many wait; it is not done.
enum mm_err MM_MUST_USE vision_stamps_write(struct vision_stamped *change);
// World has come to that tick. Whether it may be applied.
bool vision_stamps_pass(struct vision_app *app, uint64_t tick);
// Ticks have waited for the claim too long: it ends.
void vision_stamps_give_way(struct vision_app *app);

// --- publish.c: the vision stream ------------------------------------------------------------

// Opens the stream under a new epoch (again): readers must ask for whole views.
MM_MUST_USE enum mm_err vision_publish_restart(struct vision_app *app);
void vision_publish_frame(struct vision_app *app, const Mmorts__Frame__VisionFrame *frame);

// --- serve.c: parts of the vision stream ------------------------------------------------------

MM_MUST_USE enum mm_err vision_serve_open(struct vision_app *app);
void vision_serve_close(struct vision_app *app);
// The stream begins anew: so do its parts, each with a first frame as the stream's.
void vision_serve_restart(struct vision_app *app);
// Nobody is told anything any more.
void vision_serve_end(struct vision_app *app);
void vision_serve_frame(struct vision_app *app, const Mmorts__Frame__VisionFrame *frame);
// The publisher of the subscriber's stream, if it serves the empire with that revision or a later
// one; else NULL, and *why_out is said why.
struct mm_stream_publisher *vision_serve_publisher(struct vision_app *app, const char *subscriber,
                                                   uint64_t revision, uint32_t empire,
                                                   const char **why_out);
void vision_rpc_serve(Mmorts__Vision__Vision_Service *service,
                      const Mmorts__Vision__ServeRequest *input,
                      Mmorts__Vision__ServeReply_Closure closure, void *closure_data);

// --- store.c: what is durable ----------------------------------------------------------------

void vision_store_open(struct vision_app *app); // starts loading; vision_feed_begin when done
void vision_store_stop(struct vision_app *app);
// Writes at once what is not saved yet, without waiting for save_interval; with a checkpoint, if so
// wished.
void vision_store_save(struct vision_app *app, bool checkpoint);
// Rows that are not written yet, those included that are being written.
size_t vision_store_unsaved(const struct vision_app *app);
// What was saved is loaded, and with the core.
void vision_store_begin(struct vision_app *app);
// A tick was applied, and that took so long; readers have been told. Saves go on.
void vision_store_applied(struct vision_app *app, uint64_t took_ns);
// Draining: everything is written, then mm_service_drained.
void vision_store_finish(struct vision_app *app);
// Puts another catalogue in the place of app->catalogue; the former goes when nobody uses it.
void vision_store_set_catalogue(struct vision_app *app, Mmorts__Frame__Catalogue *catalogue);

// --- load.c: what is loaded at the start -------------------------------------------------------

void vision_load_start(struct vision_app *app); // vision_feed_begin, vision_store_begin when done
void vision_stored_free(struct vision_stored *stored);

// --- checkpoint_bytes.c: checkpoints as they are stored; on worker threads ----------------------

// The bytes are the caller's, to be freed. OUT_OF_RANGE: too many; RESOURCE_EXHAUSTED: memory.
enum mm_err MM_MUST_USE vision_checkpoint_pack(const Mmorts__Frame__TickFrame *frame,
                                               uint8_t **bytes, size_t *size);
// What was packed, as the protobuf message that it is: puts it in the place of the stored bytes,
// which it frees. DATA_LOSS: this is none; nothing is changed.
enum mm_err MM_MUST_USE vision_checkpoint_unfold(uint8_t **bytes, size_t *size);

// --- fence.c: one process writes for a session ------------------------------------------------

// On worker threads. Takes the session over from whoever had it; waits for what he is writing.
enum mm_err MM_MUST_USE vision_fence_take(struct mm_db_conn *conn, struct vision_fence *fence);
// First in each transaction that writes: FAILED_PRECONDITION if another process has taken over;
// else none can until the transaction's end.
enum mm_err MM_MUST_USE vision_fence_hold(struct mm_db_conn *conn,
                                          const struct vision_fence *fence);
// On the loop, with what a transaction came to: whether the session is another's. Then the process
// is ending, with VISION_EXIT_FENCED.
bool vision_fence_lost(struct vision_app *app, enum mm_err err);

// --- store_sql.c: statements; on worker threads ----------------------------------------------

enum mm_err MM_MUST_USE vision_sql_load(struct mm_db_conn *conn, const char *session,
                                        struct vision_stored *out);

struct vision_sql_write {
    const char *session;
    uint32_t chunk_radius;
    const struct vision_save *save;
    uint64_t tick; // in which the rows were taken
    char *const *type_names;
    size_t type_count;
};
// In one transaction of the caller's.
enum mm_err MM_MUST_USE vision_sql_write(struct mm_db_conn *conn,
                                         const struct vision_sql_write *write);

struct vision_sql_checkpoint {
    const char *session;
    struct mm_stream_position position;
    uint64_t tick;
    const uint8_t *bytes;
    size_t size;
};
enum mm_err MM_MUST_USE vision_sql_checkpoint(struct mm_db_conn *conn,
                                              const struct vision_sql_checkpoint *checkpoint);

// Begins the relation at the tick, or ends the last one there. What was written so with another
// tick gets this one.
enum mm_err MM_MUST_USE vision_sql_share(struct mm_db_conn *conn, const char *session,
                                         uint32_t from, uint32_t to, uint64_t tick, bool begin);

// --- alliances.c, alliances_sql.c: social's groups ---------------------------------------------

enum mm_err MM_MUST_USE vision_allies_open(struct vision_app *app);
void vision_allies_close(struct vision_app *app);
// What is in effect in a new core.
void vision_allies_load(struct vision_app *app, const struct vision_stored *stored);
// Who plays which empire of it.
void vision_allies_known(struct vision_app *app);
// World told of empires.
void vision_allies_empires(struct vision_app *app, const Mmorts__Frame__EmpireColumns *columns);
// World's stream is live, perhaps another world's than before: it is told who is allied.
void vision_allies_world(struct vision_app *app);
// After every frame: what waited for the core.
void vision_allies_live(struct vision_app *app);
// Asks social for everything.
void vision_allies_ask(struct vision_app *app);

// An empire's membership in alliance `from` (0: none) becomes one in `to`.
struct vision_ally_change {
    uint32_t empire;
    uint64_t from, to;
};
// From the tick on; what was written so with another tick gets this one.
enum mm_err MM_MUST_USE vision_sql_ally(struct mm_db_conn *conn, const char *session,
                                        const struct vision_ally_change *change, uint64_t tick);
enum mm_err MM_MUST_USE vision_sql_load_alliances(struct mm_db_conn *conn, const char *session,
                                                  struct vision_stored *out);
// Forgets memberships that ended before the tick.
enum mm_err MM_MUST_USE vision_sql_prune_alliances(struct mm_db_conn *conn, const char *session,
                                                   uint64_t tick);

// --- lends.c: what world is told of who lends whom ----------------------------------------------

void vision_lends_open(struct vision_app *app);
void vision_lends_close(struct vision_app *app);
// World's stream is live, perhaps another world's than before: it is told everything.
void vision_lends_world(struct vision_app *app);
// After every frame and every order: tells what is new.
void vision_lends_tell(struct vision_app *app);

// --- rpc.c -----------------------------------------------------------------------------------

void vision_rpc_register(struct vision_app *app);
// The app, if it can answer for the session now; else the call has been failed.
struct vision_app *vision_rpc_app(struct mm_rpc_call *call, const char *session);
// Whether there is the empire; else the call has been failed.
bool vision_rpc_empire_known(struct mm_rpc_call *call, const struct vision_app *app,
                             uint32_t empire);

// ask.c
void vision_rpc_explain(Mmorts__Vision__Vision_Service *service,
                        const Mmorts__Vision__ExplainRequest *input,
                        Mmorts__Vision__ExplainReply_Closure closure, void *closure_data);
void vision_rpc_get_cache(Mmorts__Vision__Vision_Service *service,
                          const Mmorts__Vision__GetCacheRequest *input,
                          Mmorts__Vision__GetCacheReply_Closure closure, void *closure_data);

// --- lifecycle.c: the hooks of libcommon/service/service.h -----------------------------------

MM_MUST_USE enum mm_err vision_start_service(struct mm_service *service, void *state);
void vision_drain_service(struct mm_service *service, void *state);
void vision_stop_service(struct mm_service *service, void *state);

#endif
