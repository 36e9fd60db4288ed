#ifndef WORLD_SHELL_H
#define WORLD_SHELL_H

// The shell around the simulation: time, calls, MariaDB and the stream. All of it belongs to the
// loop's thread; what runs on a worker of the database pool says so.
//
// A tick's way: calls wait in `calls` -> ticker.c steps the world and fills the newest entry of
// the pending ring (frame, journal row, the calls it answers) -> journal.c commits the rows, one
// transaction at a time, each with all rows there are -> publish.c publishes the oldest entries
// whose rows are committed, at even distances (phase.h), and answers their calls. The simulation
// runs ahead of the journal by at most the ring's length; then it waits.

#include "libcommon/base/buf.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/progress.h"
#include "libcommon/io/db.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"
#include "libcommon/service/service.h"
#include "services/world/core/cut.h"
#include "services/world/core/world.h"
#include "services/world/phase.h"
#include "services/world/pool.h"
#include "services/world/store.h"
#include <stdatomic.h>

enum {
    WORLD_TICK_MS = 1000 / WORLD_TICK_RATE_HZ,
    WORLD_CATCH_UP_TICKS_MAX = 5,   // late ticks made in one go; what is later is dropped
    WORLD_CALLS_MAX = 4096,         // calls waiting for their tick; then RESOURCE_EXHAUSTED
    WORLD_COMMANDS_PER_CALL = 2048, // commands of one SubmitCommands
    WORLD_INPUTS_MAX = 65536,       // inputs waiting for a tick; then RESOURCE_EXHAUSTED
    WORLD_CHUNKS_PER_CALL = 256,    // chunks of one GetChunks
    WORLD_BILLS_ASKED_MAX = 64,     // bills that production is asked about at a time
    WORLD_BILL_CALLS_MAX = 32,      // calls that wait for bills: half of those served at a time
    WORLD_JOURNAL_ROWS_MAX = 1024,  // rows of one transaction
    WORLD_EXIT_FENCED = 3,          // exit status: another process runs the session
    WORLD_EXIT_UNSOUND = 4,         // exit status: the stored session cannot be restored
};
#define WORLD_FRAME_BYTES_MAX   ((size_t)32 << 20)
#define WORLD_JOURNAL_BYTES_MAX ((size_t)8 << 20)

struct world_shell;
struct world_directory;

struct world_settings {
    const char *types_path, *map_path;
    int64_t seed;
    int64_t reserve_ms, window_ms, retry_ms, even_ms;
    int64_t save_interval_ms, save_keep, save_replay_ms;
    int64_t max_players;
    int64_t sessions_max, directory_interval_ms, directory_away_ms;
    // Where others reach the processes of this session.
    const char *reach_world_rpc, *reach_world_stream, *reach_vision_rpc, *reach_vision_stream;
    const char *reach_production_rpc, *reach_production_stream, *reach_social_rpc;
    int64_t threads; // 0: by the number of cores
};

// An input and what becomes of it. The input is first, so that its place is found from it.
struct world_asked {
    world_input input;
    struct world_result result;
};

// A mutating call on its way from its handler to its answer. Request messages live until the
// answer, so inputs only point into them.
struct world_call {
    struct world_call *next;
    struct mm_rpc_call *call;
    void (*answer)(struct world_shell *shell, struct world_call *call);
    uint64_t *entities;                   // of a spawn; owned
    Mmorts__World__Settlement settlement; // of one that is the shell's own, without an RPC call
    size_t bill_count;                    // of its commands, not settled yet
    size_t asked_count;
    struct world_asked asked[];
};

// A look at the state that must not be told before it is durable.
struct world_waiter {
    struct world_waiter *next;
    void (*tell)(struct world_shell *shell, struct world_waiter *waiter, uint64_t seq);
    void *subject;
    uint64_t tick;
    size_t content_len;
    void *content; // mm_malloc'ed; freed after tell
};

// A tick between simulation and publication.
struct world_pending {
    uint64_t tick;
    uint64_t due_ns; // when it was to be made
    uint64_t state_hash;
    bool journaled; // it has a row, which must be committed first
    struct mm_buf row;
    struct mm_buf frame;
    struct world_call *calls;
    struct world_waiter *waiters;
    uint64_t bill_floor, bill_next; // as of this tick
};

// Bills, from the tick that opened them to the one that settles them.
struct world_bills {
    uint64_t floor, next;       // as of what is published: only that may be acted upon outside
    struct world_call *waiting; // calls of which a command has an unsettled bill
    size_t waiting_count;
    struct world_asking {
        struct world_shell *shell;
        uint64_t number; // 0: free
        bool answered;   // its settlement is on its way into a tick
        mm_rpc_handle call;
    } asked[WORLD_BILLS_ASKED_MAX];
    struct mm_loop_timer retry;
};

struct world_figures {
    struct mm_metrics_histogram *tick_seconds, *lateness_seconds, *frame_bytes, *commit_seconds;
    struct mm_metrics_histogram *publish_seconds;
    struct mm_metrics_histogram *save_seconds, *save_pause_seconds, *restore_seconds,
        *picture_seconds;
    struct mm_metrics_histogram *system_seconds[WORLD_SYSTEMS_MAX];
    struct mm_counter *ticks_total, *ticks_dropped, *commits_total, *commits_failed, *rows_total;
    struct mm_counter *saves_total, *saves_failed, *inputs_total;
    struct mm_counter *commands_by_reason[32];
    struct mm_gauge *snapshot_raw_bytes, *snapshot_stored_bytes;
};

struct world_shell {
    struct world_settings settings;
    struct world_rules *rules; // from the files
    struct mm_service *service;
    struct mm_loop *loop;
    struct world *world; // NULL until it is restored
    struct world_pool *pool;
    uint64_t epoch;
    struct mm_stream_publisher *publisher;
    int restored_condition, running_condition;
    struct world_figures figures;
    uint64_t started_ns;
    bool stopping, fenced;

    // Ticks.
    struct mm_loop_timer tick_timer;
    struct mm_arena *tick_arena;
    struct world_call *calls, **calls_tail; // for the next tick
    size_t call_count, asked_count;
    const world_input **inputs; // WORLD_INPUTS_MAX, scratch

    // Pending ring: entries first..first+count-1.
    struct world_pending *pending;
    size_t pending_capacity, pending_first, pending_count;
    uint64_t published_tick, published_hash, committed_tick;
    struct world_phase phase;
    struct mm_loop_timer publish_timer; // the oldest could be published, but it is not time yet
    atomic_uint_fast64_t system_spent_ns[WORLD_SYSTEMS_MAX]; // in this tick

    struct world_bills bills;

    // Journal.
    bool commit_running, journal_failing;
    uint64_t tick_reserved;
    uint64_t reserving; // being committed, 0 = none
    uint64_t commit_last_tick, commit_began_ns;
    struct world_journal_row *rows;
    size_t row_count;
    struct mm_loop_timer retry_timer;

    // Snapshots.
    struct mm_loop_timer save_timer;
    struct world_cut *cut; // the worker's while save_running
    // One after the other: its state is being copied, it waits for the journal, it is written.
    bool save_copying, save_waiting, save_running;
    bool save_final;
    uint64_t save_tick, save_raw_bytes, save_stored_bytes, saved_tick, saved_ns, save_began_ns;
    uint64_t save_took_ns; // the last one, from begin to commit
    // Time it took to make all ticks since the start, of those up to the state being saved, and of
    // those up to the last snapshot: what lies between is what a restart has to make again.
    uint64_t made_ns, save_made_ns, saved_made_ns;

    struct world_directory *directory;
    struct mm_idmap *seq_ranges; // player -> the range of numbers given last
    uint64_t seq_range_min;
    uint32_t max_players; // who may have an empire; 0: no bound of its own

    // Snapshots of the stream that somebody asked for; publish.c.
    struct {
        struct mm_stream_snapshot *asked[MM_STREAM_SNAPSHOTS_MAX];
        size_t asked_count;
        struct mm_loop_timer timer;
        uint64_t next_ns; // not before that
    } pictures;

    // Restoring.
    struct mm_progress restoring;
    struct world_restored restored; // a worker's until it is done; and so is
    char problem[384];              // why it could not
    struct mm_loop_timer restore_timer;
    uint64_t restore_began_ns;
};

extern const struct mm_service_spec world_service_spec;

// --- restore job: lifecycle.c -------------------------------------------------------------------

void world_restore_begin(struct world_shell *shell);

// --- ticker.c -----------------------------------------------------------------------------------

void world_ticker_start(struct world_shell *shell);
void world_ticker_stop(struct world_shell *shell);
// Why no tick is made now: "database", "operator", or "" if they are.
const char *world_ticker_waits(const struct world_shell *shell);
// Queues a call for the next tick; on a refusal the call has been answered and freed.
void world_ticker_take(struct world_shell *shell, struct world_call *call);
// The same for a call that can wait: false, and nothing has happened, if it cannot be taken now.
bool world_ticker_offer(struct world_shell *shell, struct world_call *call);
struct world_pending *world_pending_newest(struct world_shell *shell);

// --- journal.c ----------------------------------------------------------------------------------

// Commits what is there to be committed, unless a commit is under way.
void world_journal_kick(struct world_shell *shell);
// Whether a change asked for now could become durable.
bool world_journal_available(const struct world_shell *shell);

// --- bills.c ------------------------------------------------------------------------------------

void world_bills_start(struct world_shell *shell);
// Nobody is asked any more, who waits is told so. What is open is asked again after a restart.
void world_bills_stop(struct world_shell *shell);
// After a step: takes the calls out of the tick's list that wait for a settlement, and puts those
// in whose last one was in this tick.
void world_bills_stepped(struct world_shell *shell);
// Something was published: asks about every bill that is durable now.
void world_bills_ask(struct world_shell *shell);

// --- publish.c ----------------------------------------------------------------------------------

enum mm_err MM_MUST_USE world_publish_open(struct world_shell *shell);
// Publishes what may be told and is due to be, now and when its time comes.
void world_publish_ready(struct world_shell *shell);
// The rows up to that tick were committed just now.
void world_publish_committed(struct world_shell *shell, uint64_t tick);
// Tells at once if everything simulated is published, else when it is. Takes content.
void world_publish_wait(struct world_shell *shell, const struct world_waiter *waiter);
// Tells everybody who waits that it will not come: the process ends.
void world_publish_give_up(struct world_shell *shell);

// --- saves.c ------------------------------------------------------------------------------------

void world_saves_start(struct world_shell *shell);
// Begins to take the state; it is written once everything before it is committed. With `final` it
// is taken at once, and mm_service_drained() follows.
void world_saves_take(struct world_shell *shell, bool final);
// After every tick; with `copy` a snapshot that is being taken gets its share of time.
void world_saves_follow(struct world_shell *shell, bool copy);
// How long a restart would now have to replay.
uint64_t world_saves_behind_ns(const struct world_shell *shell);
void world_saves_kick(struct world_shell *shell);

// --- directory.c --------------------------------------------------------------------------------

// False: out of memory, or addresses too long.
bool world_directory_open(struct world_shell *shell);
// Says from now on that the session's process lives.
void world_directory_start(struct world_shell *shell);
void world_directory_stop(struct world_shell *shell);
void world_directory_close(struct world_shell *shell);
void world_list_sessions(Mmorts__World__World_Service *service,
                         const Mmorts__World__ListSessionsRequest *input,
                         Mmorts__World__ListSessionsReply_Closure closure, void *data);
void world_create_session(Mmorts__World__World_Service *service,
                          const Mmorts__World__CreateSessionRequest *input,
                          Mmorts__World__SessionInfo_Closure closure, void *data);
void world_end_session(Mmorts__World__World_Service *service,
                       const Mmorts__World__EndSessionRequest *input,
                       Mmorts__World__SessionInfo_Closure closure, void *data);
void world_find_session(Mmorts__World__World_Service *service,
                        const Mmorts__World__FindSessionRequest *input,
                        Mmorts__World__FindSessionReply_Closure closure, void *data);

// --- rpc.c, rpc_inputs.c, figures.c -------------------------------------------------------------

void world_rpc_register(struct world_shell *shell);
// Fills in the handlers of the calls that change something.
void world_rpc_inputs(Mmorts__World__World_Service *service);
// The shell, if the session is the one asked for and runs; else the call has been failed.
struct world_shell *world_rpc_shell(struct mm_rpc_call *call, const char *session);
// What is known of the session now; strings belong to the shell.
void world_session_info(const struct world_shell *shell, Mmorts__World__SessionInfo *info);
void world_call_free(struct world_call *call);
// Answers a call, if somebody made it, with an error, and frees it.
void world_call_refuse(struct world_call *call, enum mm_err err, const char *message);
void world_figures_add(struct world_shell *shell);
void world_figures_command(struct world_shell *shell, uint32_t reason);

#endif
