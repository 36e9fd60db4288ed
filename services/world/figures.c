#include "services/world/shell.h"

#include "libcommon/base/clock.h"

static double read_entities(void *ctx)
{
    const struct world_shell *shell = ctx;
    return shell->world ? world_entity_count(shell->world) : 0;
}
static double read_movers(void *ctx)
{
    const struct world_shell *shell = ctx;
    return shell->world ? world_mover_count(shell->world) : 0;
}
static double read_empires(void *ctx)
{
    const struct world_shell *shell = ctx;
    return shell->world ? world_empire_count(shell->world) : 0;
}
static double read_chunks(void *ctx)
{
    const struct world_shell *shell = ctx;
    return shell->world ? world_chunk_count(shell->world) : 0;
}
static double read_paths(void *ctx)
{
    const struct world_shell *shell = ctx;
    return shell->world ? world_paths_waiting(shell->world) : 0;
}
static double read_pending(void *ctx)
{
    return (double)((const struct world_shell *)ctx)->pending_count;
}
static double read_phase(void *ctx)
{
    return (double)((const struct world_shell *)ctx)->phase.ns / 1e9;
}
static double read_tick(void *ctx)
{
    return (double)((const struct world_shell *)ctx)->published_tick;
}
static double read_snapshot_age(void *ctx)
{
    const struct world_shell *shell = ctx;
    return shell->saved_ns ? (double)(mm_clock_ns() - shell->saved_ns) / 1e9 : 0;
}
static double read_replay(void *ctx)
{
    return (double)world_saves_behind_ns(ctx) / 1e9;
}
static double read_journal_up(void *ctx)
{
    const struct world_shell *shell = ctx;
    return shell->world && world_journal_available(shell);
}

static double read_threads(void *ctx)
{
    const struct world_shell *shell = ctx;
    return shell->pool ? world_pool_threads(shell->pool) : 0;
}

static void add_gauges(struct world_shell *shell, struct mm_metrics *metrics)
{
    const struct {
        const char *name, *help;
        double (*read)(void *);
    } gauges[] = {
        {"mmorts_world_entities", "Living entities.", read_entities},
        {"mmorts_world_movers", "Units under way.", read_movers},
        {"mmorts_world_empires", "Empires.", read_empires},
        {"mmorts_world_chunks", "Chunks of the map.", read_chunks},
        {"mmorts_world_paths_waiting", "Units that wait for their path.", read_paths},
        {"mmorts_world_pending_ticks", "Ticks simulated but not published.", read_pending},
        {"mmorts_world_publish_phase_seconds", "From when a tick is due until it is published.",
         read_phase},
        {"mmorts_world_published_tick", "The last tick published.", read_tick},
        {"mmorts_world_snapshot_age_seconds", "Time since the last snapshot.", read_snapshot_age},
        {"mmorts_world_replay_seconds", "Work of the ticks since the last snapshot.", read_replay},
        {"mmorts_world_threads", "Threads that make a tick together.", read_threads},
        {"mmorts_world_journal_available", "1 if changes can become durable.", read_journal_up},
    };
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++)
        mm_metrics_gauge_fn(metrics, gauges[i].name, gauges[i].help, NULL, gauges[i].read, shell);
}

static void add_commands(struct world_figures *figures, struct mm_metrics *metrics)
{
    const ProtobufCEnumDescriptor *reasons = &mmorts__world__command_reason__descriptor;
    size_t most = sizeof figures->commands_by_reason / sizeof figures->commands_by_reason[0];
    for (unsigned i = 0; i < reasons->n_values; i++) {
        size_t value = (size_t)reasons->values[i].value;
        if (value < most)
            figures->commands_by_reason[value] =
                mm_metrics_counter(metrics, "mmorts_world_commands_total", "Commands by result.",
                                   MM_LABELS("reason", reasons->values[i].name));
    }
}

void world_figures_command(struct world_shell *shell, uint32_t reason)
{
    size_t most =
        sizeof shell->figures.commands_by_reason / sizeof shell->figures.commands_by_reason[0];
    if (reason < most && shell->figures.commands_by_reason[reason])
        mm_counter_add(shell->figures.commands_by_reason[reason], 1);
}

void world_figures_add(struct world_shell *shell)
{
    static const uint64_t bytes[] = {64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304};
    // From what an idle system takes to what stops the world, fine enough to read a p99 from.
    static const uint64_t system_us[] = {2,    5,    10,   20,    50,    100,   200,   500,
                                         1000, 2000, 5000, 10000, 20000, 50000, 100000};
    struct mm_metrics *metrics = mm_service_metrics(shell->service);
    struct world_figures *figures = &shell->figures;
    figures->tick_seconds = mm_metrics_latency(metrics, "mmorts_world_tick_seconds",
                                               "Making a tick: simulation and frame.", NULL);
    figures->lateness_seconds = mm_metrics_latency(metrics, "mmorts_world_tick_lateness_seconds",
                                                   "How late ticks were begun.", NULL);
    for (size_t i = 0; i < world_system_count(); i++)
        figures->system_seconds[i] =
            mm_metrics_histogram(metrics, "mmorts_world_system_seconds",
                                 "A system's time in a tick, of all threads together.",
                                 MM_LABELS("system", world_system_name(i)), system_us,
                                 sizeof system_us / sizeof system_us[0], 1e-6);
    figures->publish_seconds =
        mm_metrics_latency(metrics, "mmorts_world_publish_seconds",
                           "From when a tick was due until it was published.", NULL);
    figures->commit_seconds =
        mm_metrics_latency(metrics, "mmorts_world_journal_commit_seconds",
                           "Transactions of the journal, from submission.", NULL);
    figures->save_seconds =
        mm_metrics_latency(metrics, "mmorts_world_snapshot_seconds",
                           "Snapshots, from copying the state to the commit.", NULL);
    figures->save_pause_seconds =
        mm_metrics_latency(metrics, "mmorts_world_snapshot_pause_seconds",
                           "What a tick spent on copying the state for a snapshot.", NULL);
    figures->restore_seconds = mm_metrics_latency(metrics, "mmorts_world_restore_seconds",
                                                  "From start to the session running.", NULL);
    figures->picture_seconds =
        mm_metrics_latency(metrics, "mmorts_world_stream_snapshot_seconds",
                           "What a snapshot for readers of the stream took of the loop.", NULL);
    figures->frame_bytes =
        mm_metrics_histogram(metrics, "mmorts_world_frame_bytes", "Size of tick frames.", NULL,
                             bytes, sizeof bytes / sizeof bytes[0], 1);
#define COUNTER(member, name, help)                                                                \
    figures->member = mm_metrics_counter(metrics, "mmorts_world_" name, help, NULL)
    COUNTER(ticks_total, "ticks_total", "Ticks made.");
    COUNTER(ticks_dropped, "ticks_dropped_total", "Ticks left out: too late, or no journal.");
    COUNTER(inputs_total, "inputs_total", "Joins, commands, spawns and the like.");
    COUNTER(commits_total, "journal_commits_total", "Transactions of the journal.");
    COUNTER(commits_failed, "journal_commits_failed_total",
            "Transactions of the journal that failed.");
    COUNTER(rows_total, "journal_rows_total", "Rows of the journal.");
    COUNTER(saves_total, "snapshots_total", "Snapshots written.");
    COUNTER(saves_failed, "snapshots_failed_total", "Snapshots that could not be written.");
#undef COUNTER
    figures->snapshot_raw_bytes = mm_metrics_gauge(metrics, "mmorts_world_snapshot_raw_bytes",
                                                   "Last snapshot, uncompressed.", NULL);
    figures->snapshot_stored_bytes = mm_metrics_gauge(metrics, "mmorts_world_snapshot_stored_bytes",
                                                      "Last snapshot, as stored.", NULL);
    add_commands(figures, metrics);
    add_gauges(shell, metrics);
}
