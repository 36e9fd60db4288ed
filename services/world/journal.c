#include "services/world/shell.h"

#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db.h"
#include <inttypes.h>

// One commit at a time on one lane; whatever has gathered meanwhile goes into the next. A commit
// that failed is tried again as it was: rows that had made it are recognised by their key.

enum { LANE_JOURNAL = 1, COMMIT_DEADLINE_MS = 5000 };

bool world_journal_available(const struct world_shell *shell)
{
    return !shell->fenced && !shell->journal_failing &&
           shell->pending_count < shell->pending_capacity &&
           mm_db_is_up(mm_service_db(shell->service));
}

static uint64_t reserve_ticks(const struct world_shell *shell)
{
    return (uint64_t)shell->settings.reserve_ms / WORLD_TICK_MS;
}

// The rows not yet committed, oldest first. They stay where they are until they are.
static void gather_rows(struct world_shell *shell)
{
    size_t bytes = 0;
    shell->row_count = 0;
    for (size_t i = 0; i < shell->pending_count && shell->row_count < WORLD_JOURNAL_ROWS_MAX; i++) {
        const struct world_pending *pending =
            &shell->pending[(shell->pending_first + i) % shell->pending_capacity];
        if (!pending->journaled || pending->tick <= shell->committed_tick)
            continue;
        bytes += pending->row.len;
        if (bytes > WORLD_JOURNAL_BYTES_MAX && shell->row_count > 0)
            break;
        shell->rows[shell->row_count++] = (struct world_journal_row){
            pending->tick, pending->state_hash, pending->row.data, pending->row.len};
    }
}

static enum mm_err commit_work(struct mm_db_conn *conn, void *arg)
{
    struct world_shell *shell = arg;
    return world_store_commit(conn, mm_service_session(shell->service), shell->epoch, shell->rows,
                              shell->row_count, shell->reserving);
}

static void commit_done(enum mm_err err, void *arg)
{
    struct world_shell *shell = arg;
    shell->commit_running = false;
    mm_metrics_observe(shell->figures.commit_seconds,
                       (mm_clock_ns() - shell->commit_began_ns) / 1000);
    if (err == MM_FAILED_PRECONDITION) {
        // Nothing that was acknowledged is at stake: the other process has all of it.
        MM_LOG_ERROR("another process has taken this session over; ending", "session=%s",
                     mm_service_session(shell->service));
        shell->fenced = true;
        world_ticker_stop(shell);
        world_publish_give_up(shell);
        mm_service_quit(shell->service, WORLD_EXIT_FENCED);
        return;
    }
    if (err != MM_OK) {
        mm_counter_add(shell->figures.commits_failed, 1);
        if (!shell->journal_failing)
            MM_LOG_ERROR("cannot write the journal; changes are refused until it can be",
                         "err=%s rows=%zu", mm_err_name(err), shell->row_count);
        shell->journal_failing = true;
        mm_loop_timer_start(shell->loop, &shell->retry_timer, MM_LOOP_MS(shell->settings.retry_ms),
                            0);
        return;
    }
    if (shell->journal_failing)
        MM_LOG_INFO("the journal is written again", "rows=%zu", shell->row_count);
    shell->journal_failing = false;
    mm_counter_add(shell->figures.commits_total, 1);
    mm_counter_add(shell->figures.rows_total, shell->row_count);
    if (shell->row_count > 0)
        world_publish_committed(shell, shell->rows[shell->row_count - 1].tick);
    if (shell->reserving > 0)
        shell->tick_reserved = shell->reserving;
    world_journal_kick(shell);
    world_publish_ready(shell);
}

static void retry(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    world_journal_kick(arg);
}

void world_journal_kick(struct world_shell *shell)
{
    if (shell->commit_running || shell->fenced || shell->retry_timer.active)
        return;
    gather_rows(shell);
    uint64_t ahead = reserve_ticks(shell), tick = world_tick(shell->world);
    // Half of what is reserved is left for the commit to take its time.
    bool extend = !shell->stopping && tick + ahead / 2 >= shell->tick_reserved;
    shell->reserving = extend ? tick + ahead : 0;
    if (shell->row_count == 0 && shell->reserving == 0)
        return;
    if (shell->retry_timer.fn == NULL)
        mm_loop_timer_init(&shell->retry_timer, retry, shell);
    struct mm_db_job job = {
        .work = commit_work,
        .done = commit_done,
        .arg = shell,
        .lane = LANE_JOURNAL,
        .deadline_ms = COMMIT_DEADLINE_MS,
    };
    shell->commit_began_ns = mm_clock_ns();
    enum mm_err err = mm_db_submit(mm_service_db(shell->service), &job);
    shell->commit_running = err == MM_OK;
    if (err != MM_OK)
        mm_loop_timer_start(shell->loop, &shell->retry_timer, MM_LOOP_MS(shell->settings.retry_ms),
                            0);
}
