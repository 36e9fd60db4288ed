#include "services/world/shell.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "services/world/directory.h"
#include "services/world/rules_yaml.h"
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

enum { RESTORE_DEADLINE_MS = 3600000, RESTORE_RETRY_MS = 200, TICK_ARENA_CHUNK_BYTES = 1 << 20 };
#define TICK_ARENA_BYTES_MAX ((size_t)2 << 30)
#define SEQ_RANGES_AHEAD     60 // of the clock's, which gives one a second

#define SETTING(member) offsetof(struct world_shell, settings.member)

static const struct mm_config_field fields[] = {
    {.path = "game.types",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(types_path),
     .fallback = "game/types.yaml",
     .help = "types and terrains, relative to this file"},
    {.path = "game.map",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(map_path),
     .fallback = "game/map.yaml",
     .help = "how the map is made, relative to this file"},
    {.path = "game.seed",
     .type = MM_CONFIG_INT,
     .offset = SETTING(seed),
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "of a new session's map; 0 = a random one"},
    {.path = "game.max_players",
     .type = MM_CONFIG_INT,
     .offset = SETTING(max_players),
     .fallback = "0",
     .min = 0,
     .max = WORLD_EMPIRES_MAX,
     .help = "who may have an empire, unless the directory says otherwise; 0 = no bound"},
    {.path = "directory.sessions_max",
     .type = MM_CONFIG_INT,
     .offset = SETTING(sessions_max),
     .fallback = "8",
     .min = 1,
     .max = WORLD_SESSIONS_LISTED_MAX,
     .help = "sessions that may be wanted at once"},
    {.path = "directory.interval",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(directory_interval_ms),
     .fallback = "2s",
     .min = 100,
     .max = 60000,
     .help = "between two signs of life"},
    {.path = "directory.away",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(directory_away_ms),
     .fallback = "10s",
     .min = 200,
     .max = 600000,
     .help = "a session whose process was silent that long counts as away"},
    {.path = "reach.world_rpc",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(reach_world_rpc),
     .fallback = "tcp://127.0.0.1:7110",
     .help = "where others reach this session's world"},
    {.path = "reach.world_stream",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(reach_world_stream),
     .fallback = "tcp://127.0.0.1:7111",
     .help = "where others reach this session's world"},
    {.path = "reach.vision_rpc",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(reach_vision_rpc),
     .fallback = "tcp://127.0.0.1:7120",
     .help = "where others reach this session's vision"},
    {.path = "reach.vision_stream",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(reach_vision_stream),
     .fallback = "tcp://127.0.0.1:7121",
     .help = "where others reach this session's vision"},
    {.path = "reach.production_rpc",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(reach_production_rpc),
     .fallback = "tcp://127.0.0.1:7140",
     .help = "where others reach this session's production"},
    {.path = "reach.production_stream",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(reach_production_stream),
     .fallback = "tcp://127.0.0.1:7141",
     .help = "where others reach this session's production"},
    {.path = "reach.social_rpc",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(reach_social_rpc),
     .fallback = "tcp://127.0.0.1:7150",
     .help = "where others reach this session's social"},
    {.path = "journal.reserve",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(reserve_ms),
     .fallback = "5s",
     .min = 500,
     .max = 600000,
     .help = "game time reserved ahead: a crash moves the game on by at most that"},
    {.path = "journal.window",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(window_ms),
     .fallback = "2s",
     .min = 200,
     .max = 60000,
     .help = "game time simulated but not yet durable; then the session pauses"},
    {.path = "journal.retry",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(retry_ms),
     .fallback = "100ms",
     .min = 10,
     .max = 10000,
     .help = "wait after a failed commit"},
    {.path = "journal.even",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(even_ms),
     .fallback = "15ms",
     .min = 0,
     .max = WORLD_TICK_MS / 2,
     .help = "ticks wait at most so long to come as evenly as if all were committed; 0: none does"},
    {.path = "snapshot.interval",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(save_interval_ms),
     .fallback = "60s",
     .min = 100,
     .max = 86400000,
     .help = "between two snapshots"},
    {.path = "snapshot.replay",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(save_replay_ms),
     .fallback = "1s",
     .min = 1,
     .max = 3600000,
     .help =
         "a snapshot is taken sooner when replaying what is behind the last would take so long"},
    {.path = "snapshot.keep",
     .type = MM_CONFIG_INT,
     .offset = SETTING(save_keep),
     .fallback = "3",
     .min = 1,
     .max = 100,
     .help = "snapshots that are kept"},
    {.path = "world.threads",
     .type = MM_CONFIG_INT,
     .offset = SETTING(threads),
     .fallback = "0",
     .min = 0,
     .max = WORLD_THREADS_MAX,
     .help = "that make a tick together; 0 = one for each core, at most 4. The game is the same"},
};

// --- settings -----------------------------------------------------------------------------------

static void report(void *ctx, const char *error)
{
    mm_config_fail(ctx, "game.types", "%s", error);
}

static void check(struct mm_config *config, void *state)
{
    struct world_shell *shell = state;
    shell->rules = mm_malloc(sizeof *shell->rules);
    if (!shell->rules) {
        mm_config_fail(config, "game.types", "out of memory");
        return;
    }
    // Errors have been reported one by one.
    (void)!world_rules_load(mm_config_resolve(config, shell->settings.types_path),
                            mm_config_resolve(config, shell->settings.map_path), shell->rules,
                            report, config);
}

static void release(void *state)
{
    struct world_shell *shell = state;
    mm_free(shell->rules);
}

// --- restoring ----------------------------------------------------------------------------------

static enum mm_err restore_work(struct mm_db_conn *conn, void *arg)
{
    struct world_shell *shell = arg;
    world_free(shell->restored.world); // of a try whose end was not heard of
    shell->restored.world = NULL;
    // A session that was created has its seed and bound from there.
    const char *session = mm_service_session(shell->service);
    struct world_entry entry = {.seed = 0};
    enum mm_err err = world_directory_find(conn, session, &entry);
    if (err != MM_OK && err != MM_NOT_FOUND)
        return err;
    shell->max_players =
        entry.max_players ? entry.max_players : (uint32_t)shell->settings.max_players;
    struct mm_watchdog *watchdog = mm_service_watch_begin(shell->service, &shell->restoring);
    err = world_store_restore(
        conn, session, shell->rules, entry.seed ? entry.seed : (uint64_t)shell->settings.seed,
        (uint64_t)shell->settings.reserve_ms / WORLD_TICK_MS, &shell->restoring, &shell->restored,
        shell->problem, sizeof shell->problem);
    mm_service_watch_end(watchdog);
    return err;
}

static void begin_session(struct world_shell *shell)
{
    const struct world_restored *restored = &shell->restored;
    shell->world = restored->world;
    shell->restored.world = NULL;
    world_set_progress(shell->world, mm_loop_progress(shell->loop));
    shell->epoch = restored->epoch;
    shell->tick_reserved = restored->tick_reserved;
    shell->published_tick = shell->committed_tick = world_tick(shell->world);
    shell->published_hash = world_state_hash(shell->world);
    shell->saved_tick = restored->snapshot_tick;
    shell->made_ns = restored->replay_ns;
    if (world_publish_open(shell) != MM_OK) {
        MM_LOG_ERROR("cannot open the tick stream", "session=%s",
                     mm_service_session(shell->service));
        mm_service_quit(shell->service, 1);
        return;
    }
    uint64_t took_us = (mm_clock_ns() - shell->restore_began_ns) / 1000;
    mm_metrics_observe(shell->figures.restore_seconds, took_us);
    MM_LOG_INFO("session runs",
                "session=%s tick=%" PRIu64 " epoch=%" PRIu64 " created=%d snapshot_tick=%" PRIu64
                " snapshots_refused=%u rows_replayed=%" PRIu64 " ticks_forwarded=%" PRIu64
                " state_hash=%016" PRIx64 " took_us=%" PRIu64,
                mm_service_session(shell->service), world_tick(shell->world), shell->epoch,
                restored->created, restored->snapshot_tick, restored->snapshots_refused,
                restored->rows_replayed, restored->ticks_forwarded, shell->published_hash, took_us);
    mm_service_condition_set(shell->service, shell->restored_condition, true);
    mm_service_condition_set(shell->service, shell->running_condition, true);
    struct world_workers workers = world_pool_workers(shell->pool);
    world_set_workers(shell->world, &workers);
    world_saves_start(shell);
    world_bills_start(shell);
    world_ticker_start(shell);
    if (restored->rules_changed)
        world_saves_take(shell, false);
    world_directory_start(shell);
}

static bool may_recover(enum mm_err err)
{
    return err == MM_UNAVAILABLE || err == MM_DEADLINE_EXCEEDED || err == MM_ABORTED ||
           err == MM_RESOURCE_EXHAUSTED;
}

static void restore_done(enum mm_err err, void *arg)
{
    struct world_shell *shell = arg;
    if (err == MM_CANCELLED || shell->stopping)
        return;
    if (err == MM_OK) {
        begin_session(shell);
    } else if (may_recover(err)) {
        MM_LOG_WARN("cannot restore the session yet", "err=%s problem=%s", mm_err_name(err),
                    shell->problem);
        mm_loop_timer_start(shell->loop, &shell->restore_timer, MM_LOOP_MS(RESTORE_RETRY_MS), 0);
    } else {
        MM_LOG_ERROR("cannot restore the session", "session=%s err=%s problem=%s",
                     mm_service_session(shell->service), mm_err_name(err), shell->problem);
        mm_service_quit(shell->service, WORLD_EXIT_UNSOUND);
    }
}

void world_restore_begin(struct world_shell *shell)
{
    struct mm_db_job job = {
        .work = restore_work,
        .done = restore_done,
        .arg = shell,
        .deadline_ms = RESTORE_DEADLINE_MS,
    };
    if (mm_db_submit(mm_service_db(shell->service), &job) != MM_OK)
        mm_loop_timer_start(shell->loop, &shell->restore_timer, MM_LOOP_MS(RESTORE_RETRY_MS), 0);
}

static void restore_again(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    world_restore_begin(arg);
}

// --- start, drain, stop -------------------------------------------------------------------------

static bool make_tables(struct world_shell *shell)
{
    shell->pending_capacity = (size_t)(shell->settings.window_ms / WORLD_TICK_MS);
    shell->pending = mm_calloc(shell->pending_capacity, sizeof *shell->pending);
    shell->inputs = mm_calloc(WORLD_INPUTS_MAX, sizeof *shell->inputs);
    shell->rows = mm_calloc(WORLD_JOURNAL_ROWS_MAX, sizeof *shell->rows);
    shell->tick_arena = mm_arena_new(TICK_ARENA_CHUNK_BYTES, TICK_ARENA_BYTES_MAX);
    shell->seq_ranges = mm_idmap_new(WORLD_EMPIRES_MAX);
    // A process before this one may have given numbers ahead of the clock.
    shell->seq_range_min = (uint64_t)mm_clock_wall_ms() / 1000 + SEQ_RANGES_AHEAD;
    if (!shell->pending || !shell->inputs || !shell->rows || !shell->tick_arena ||
        !shell->seq_ranges)
        return false;
    for (size_t i = 0; i < shell->pending_capacity; i++) {
        mm_buf_init(&shell->pending[i].row, WORLD_FRAME_BYTES_MAX);
        mm_buf_init(&shell->pending[i].frame, WORLD_FRAME_BYTES_MAX);
    }
    shell->cut = world_cut_new();
    return shell->cut != NULL && world_directory_open(shell);
}

static enum mm_err start(struct mm_service *service, void *state)
{
    struct world_shell *shell = state;
    shell->service = service;
    shell->loop = mm_service_loop(service);
    shell->calls_tail = &shell->calls;
    shell->started_ns = shell->restore_began_ns = mm_clock_ns();
    int64_t threads = shell->settings.threads;
    if (!make_tables(shell) ||
        world_pool_open(threads > 0 ? (uint32_t)threads : world_pool_threads_default(),
                        &shell->pool) != MM_OK)
        return MM_RESOURCE_EXHAUSTED;
    shell->restored_condition = mm_service_condition_add(service, "session restored");
    shell->running_condition = mm_service_condition_add(service, "ticks are made");
    mm_loop_timer_init(&shell->restore_timer, restore_again, shell);
    world_figures_add(shell);
    world_rpc_register(shell);
    world_restore_begin(shell);
    return MM_OK;
}

static void drain(struct mm_service *service, void *state)
{
    struct world_shell *shell = state;
    shell->stopping = true;
    mm_loop_timer_stop(shell->loop, &shell->restore_timer);
    world_bills_stop(shell);
    mm_progress_give_up(&shell->restoring);
    if (!shell->world || shell->fenced) {
        mm_service_drained(service);
        return;
    }
    // The state is final from here on. What it holds becomes durable and is answered first.
    world_ticker_stop(shell);
    while (shell->calls) {
        struct world_call *call = shell->calls;
        shell->calls = call->next;
        world_call_refuse(call, MM_UNAVAILABLE, "the session is ending");
    }
    shell->calls_tail = &shell->calls;
    mm_loop_timer_stop(shell->loop, &shell->save_timer);
    world_journal_kick(shell);
    world_publish_ready(shell);
    world_saves_take(shell, true);
}

static void stop(struct mm_service *service, void *state)
{
    (void)service;
    struct world_shell *shell = state;
    world_publish_give_up(shell);
    world_bills_stop(shell);
    if (shell->world) {
        world_ticker_stop(shell);
        mm_loop_timer_stop(shell->loop, &shell->save_timer);
    }
    mm_loop_timer_stop(shell->loop, &shell->retry_timer);
    mm_loop_timer_stop(shell->loop, &shell->restore_timer);
    if (shell->publisher)
        mm_stream_publisher_close(shell->publisher);
    for (size_t i = 0; shell->pending && i < shell->pending_capacity; i++) {
        mm_buf_free(&shell->pending[i].row);
        mm_buf_free(&shell->pending[i].frame);
    }
    world_cut_free(shell->cut);
    world_directory_close(shell);
    mm_arena_free(shell->tick_arena);
    mm_free(shell->rows);
    mm_free(shell->inputs);
    mm_free(shell->pending);
    mm_idmap_free(shell->seq_ranges);
    world_free(shell->restored.world);
    world_free(shell->world);
    world_pool_close(shell->pool);
}

static const char *const peers[] = {"auth", "production", NULL};

const struct mm_service_spec world_service_spec = {
    .name = "world",
    .summary = "the authoritative simulation; publishes the tick stream",
    .exits = "3 another process has taken the session over, 4 the session cannot be restored",
    .port = 7110,
    .uses = MM_SERVICE_DB | MM_SERVICE_DB_BACKGROUND | MM_SERVICE_STREAM,
    .peers = peers,
    .fields = fields,
    .field_count = sizeof fields / sizeof fields[0],
    .state_bytes = sizeof(struct world_shell),
    .check = check,
    .release = release,
    .start = start,
    .drain = drain,
    .stop = stop,
};
