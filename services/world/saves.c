#include "services/world/shell.h"

#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db.h"
#include <inttypes.h>

// Snapshots: the state is copied on the loop, a piece after every tick (core/cut.h); encoding,
// compressing and writing is a worker's. A snapshot is written only after the journal before it is
// committed, so that the journal has no holes behind an older snapshot either.
//
// One is begun when the interval is over, and before that when the ticks since the last one took
// so long to make that a restart would take too long to make them again.

enum {
    LANE_SAVES = 2,
    SAVE_DEADLINE_MS = 120000,
    SAVE_RETRY_MS = 500,
    SAVE_SLOW_MS = 10000,
    COPY_PIECE_BYTES = 256 << 10,
    COPY_US_PER_TICK = 1500, // then the rest waits for the next tick
    SAVE_SHARE = 4, // snapshots taken sooner than by the interval: at most a 4th of the time
};

static void retry_final(struct world_shell *shell)
{
    shell->save_waiting = true;
    mm_loop_timer_start(shell->loop, &shell->save_timer, MM_LOOP_MS(SAVE_RETRY_MS), 0);
}

// --- writing ------------------------------------------------------------------------------------

static void count_save(struct world_shell *shell, enum mm_err err)
{
    if (err != MM_OK) {
        if (err == MM_DEADLINE_EXCEEDED)
            shell->save_took_ns = mm_clock_ns() - shell->save_began_ns;
        mm_counter_add(shell->figures.saves_failed, 1);
        if (err == MM_DATA_LOSS)
            MM_LOG_ERROR("the state does not have its hash; no snapshot is written",
                         "tick=%" PRIu64, shell->save_tick);
        else
            MM_LOG_WARN("cannot write a snapshot", "tick=%" PRIu64 " err=%s", shell->save_tick,
                        mm_err_name(err));
        return;
    }
    shell->saved_ns = mm_clock_ns();
    shell->save_took_ns = shell->saved_ns - shell->save_began_ns;
    mm_counter_add(shell->figures.saves_total, 1);
    mm_metrics_observe(shell->figures.save_seconds, shell->save_took_ns / 1000);
    mm_gauge_set(shell->figures.snapshot_raw_bytes, (int64_t)shell->save_raw_bytes);
    mm_gauge_set(shell->figures.snapshot_stored_bytes, (int64_t)shell->save_stored_bytes);
    shell->saved_tick = shell->save_tick;
    shell->saved_made_ns = shell->save_made_ns;
}

static void save_done(enum mm_err err, void *arg)
{
    struct world_shell *shell = arg;
    shell->save_running = false;
    count_save(shell, err);
    if (!shell->stopping)
        return;
    if (shell->save_final && (err == MM_OK || err == MM_DATA_LOSS)) {
        // Without a final snapshot the journal leads to the same state.
        MM_LOG_INFO("the session has ended", "tick=%" PRIu64 " final_snapshot=%d", shell->save_tick,
                    err == MM_OK);
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
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    enum mm_err err = world_cut_save(shell->cut, &bytes);
    if (err == MM_OK)
        err = world_store_save(conn, mm_service_session(shell->service), shell->epoch,
                               shell->save_tick, world_cut_state_hash(shell->cut), bytes.data,
                               bytes.len, (unsigned)shell->settings.save_keep, shell->save_final,
                               &shell->save_stored_bytes);
    shell->save_raw_bytes = bytes.len;
    mm_buf_free(&bytes);
    return err;
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
        // The end of the process waits for the final one. And where standing back made the last one
        // take too long, a restart would soon have too much to replay.
        .background = !shell->save_final && shell->save_took_ns < MM_LOOP_MS(SAVE_SLOW_MS),
    };
    if (mm_db_submit(mm_service_db(shell->service), &job) == MM_OK) {
        shell->save_waiting = false;
        shell->save_running = true;
    }
}

// --- copying ------------------------------------------------------------------------------------

static void copy_bytes(struct world_shell *shell, size_t bytes)
{
    bool whole;
    enum mm_err err = world_cut_follow(shell->cut, shell->world, bytes, &whole);
    if (err != MM_OK) {
        shell->save_copying = false;
        mm_counter_add(shell->figures.saves_failed, 1);
        MM_LOG_WARN("cannot copy the state for a snapshot", "err=%s", mm_err_name(err));
    } else if (whole) {
        shell->save_copying = false;
        shell->save_tick = world_cut_tick(shell->cut);
        shell->save_made_ns = shell->made_ns;
        shell->save_waiting = true;
        world_saves_kick(shell);
    }
}

uint64_t world_saves_behind_ns(const struct world_shell *shell)
{
    return shell->made_ns - shell->saved_made_ns;
}

// Whether a restart would take too long. Where taking a snapshot itself takes long, they are not
// taken all the time.
static bool due_early(const struct world_shell *shell)
{
    if (shell->save_waiting || shell->save_running || shell->stopping)
        return false;
    return world_saves_behind_ns(shell) >= MM_LOOP_MS(shell->settings.save_replay_ms) &&
           mm_clock_ns() - shell->saved_ns >= (SAVE_SHARE - 1) * shell->save_took_ns;
}

void world_saves_follow(struct world_shell *shell, bool copy)
{
    if (!shell->save_copying) {
        if (!copy || !due_early(shell))
            return;
        world_saves_take(shell, false);
    }
    uint64_t began = mm_clock_ns(), now = began;
    copy_bytes(shell, 0); // takes up what the tick changed
    while (copy && shell->save_copying && now - began < COPY_US_PER_TICK * 1000) {
        copy_bytes(shell, COPY_PIECE_BYTES);
        now = mm_clock_ns();
    }
    mm_metrics_observe(shell->figures.save_pause_seconds, (mm_clock_ns() - began) / 1000);
}

void world_saves_take(struct world_shell *shell, bool final)
{
    if (shell->save_running || shell->fenced)
        return;
    shell->save_began_ns = mm_clock_ns();
    shell->save_waiting = false;
    shell->save_copying = true;
    shell->save_final = final;
    world_cut_begin(shell->cut, shell->world);
    if (!final)
        return;
    copy_bytes(shell, SIZE_MAX);
    // Out of memory: the journal leads to the same state.
    if (!shell->save_waiting && !shell->save_running)
        mm_service_drained(shell->service);
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
    } else if (!shell->save_copying && world_tick(shell->world) != shell->saved_tick) {
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
