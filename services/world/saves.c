#include "services/world/shell.h"

#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db.h"
#include <inttypes.h>

// Snapshots: the state is copied on the loop between two ticks; compressing and writing is a
// worker's. A snapshot is written only after the journal before it is committed, so that the
// journal has no holes behind an older snapshot either.

enum { LANE_SAVES = 2, SAVE_DEADLINE_MS = 120000, SAVE_RETRY_MS = 500 };

static void retry_final(struct world_shell *shell)
{
    shell->save_waiting = true;
    mm_loop_timer_start(shell->loop, &shell->save_timer, MM_LOOP_MS(SAVE_RETRY_MS), 0);
}

static void save_done(enum mm_err err, void *arg)
{
    struct world_shell *shell = arg;
    shell->save_running = false;
    if (err == MM_OK) {
        mm_counter_add(shell->figures.saves_total, 1);
        mm_metrics_observe(shell->figures.save_seconds,
                           (mm_clock_ns() - shell->save_began_ns) / 1000);
        mm_gauge_set(shell->figures.snapshot_raw_bytes, (int64_t)shell->save_bytes.len);
        mm_gauge_set(shell->figures.snapshot_stored_bytes, (int64_t)shell->save_stored_bytes);
        shell->saved_tick = shell->save_tick;
        shell->saved_ns = mm_clock_ns();
    } else {
        mm_counter_add(shell->figures.saves_failed, 1);
        MM_LOG_WARN("cannot write a snapshot", "tick=%" PRIu64 " err=%s", shell->save_tick,
                    mm_err_name(err));
    }
    if (!shell->stopping)
        return;
    if (shell->save_final && err == MM_OK) {
        MM_LOG_INFO("final snapshot is written", "tick=%" PRIu64, shell->save_tick);
        mm_service_drained(shell->service);
    } else if (shell->save_final && err != MM_FAILED_PRECONDITION) {
        retry_final(shell);
    } else if (!shell->save_final) {
        world_saves_take(shell, true);
    }
}

static enum mm_err save_work(struct mm_db_conn *conn, void *arg)
{
    struct world_shell *shell = arg;
    return world_store_save(conn, mm_service_session(shell->service), shell->epoch,
                            shell->save_tick, shell->save_hash, shell->save_bytes.data,
                            shell->save_bytes.len, (unsigned)shell->settings.save_keep,
                            shell->save_final, &shell->save_stored_bytes);
}

void world_saves_kick(struct world_shell *shell)
{
    if (!shell->save_waiting || shell->save_running || shell->published_tick < shell->save_tick)
        return;
    // A final one sets the high-water mark back to its tick: no reservation may come after it.
    if (shell->save_final && shell->commit_running)
        return;
    struct mm_db_job job = {
        .work = save_work,
        .done = save_done,
        .arg = shell,
        .lane = LANE_SAVES,
        .deadline_ms = SAVE_DEADLINE_MS,
    };
    if (mm_db_submit(mm_service_db(shell->service), &job) == MM_OK) {
        shell->save_waiting = false;
        shell->save_running = true;
    }
}

void world_saves_take(struct world_shell *shell, bool final)
{
    if (shell->save_running || shell->fenced)
        return;
    shell->save_began_ns = mm_clock_ns();
    mm_buf_reset(&shell->save_bytes);
    world_save(shell->world, &shell->save_bytes);
    if (shell->save_bytes.err != MM_OK) {
        MM_LOG_ERROR("the state is too large for a snapshot", "bytes=%zu", shell->save_bytes.len);
        return;
    }
    shell->save_tick = world_tick(shell->world);
    shell->save_hash = world_state_hash(shell->world);
    shell->save_waiting = true;
    shell->save_final = final;
    world_saves_kick(shell);
}

static void on_save_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct world_shell *shell = arg;
    if (shell->stopping) {
        world_saves_kick(shell);
        if (shell->save_waiting)
            retry_final(shell);
    } else if (world_tick(shell->world) != shell->saved_tick) {
        world_saves_take(shell, false);
    }
}

void world_saves_start(struct world_shell *shell)
{
    uint64_t period = MM_LOOP_MS(shell->settings.save_interval_ms);
    shell->saved_ns = mm_clock_ns();
    mm_loop_timer_init(&shell->save_timer, on_save_timer, shell);
    mm_loop_timer_start(shell->loop, &shell->save_timer, period, period);
}
