#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "services/social/app.h"

// Changes of groups: one database job each, answered when it is committed; then its events go out.

#define REASON(name) MMORTS__SOCIAL__GROUP_REASON__GROUP_##name

// --- changes ---------------------------------------------------------------------------------

static void answer(struct social_group_job *job)
{
    struct mm_rpc_call *call = job->call;
    Mmorts__Social__GroupReply reply = MMORTS__SOCIAL__GROUP_REPLY__INIT;
    reply.reason = job->reason;
    reply.message = (char *)(uintptr_t)social_group_message(job->reason);
    if (job->reason == REASON(OK) && job->group.members.count > 0)
        reply.group = social_group_message_new(job->app, &job->group, true, 0);
    reply.pending = job->reason == REASON(OK) &&
                    job->action.action == MMORTS__SOCIAL__GROUP_ACTION__GROUP_JOIN &&
                    !social_group_member_find(&job->group, job->action.actor.id);
    mm_counter_add(job->reason == REASON(OK) ? job->app->group_changes : job->app->group_refused,
                   1);
    mm_rpc_reply(call, &reply.base);
    social_group_message_free(reply.group);
}

static void change_done(enum mm_err err, void *arg)
{
    struct social_group_job *job = arg;
    if (err == MM_OK)
        answer(job);
    else
        social_fail_db(job->app, job->call, err);
    if (err == MM_OK && job->event_count > 0)
        social_outbox_publish(job->app, SOCIAL_OUTBOX_GROUPS, job->events, job->event_count);
    social_group_job_clear(job);
    mm_free(job);
}

static bool take_player(const Mmorts__Social__Member *member, struct social_group_player *out)
{
    if (!social_member_is_sound(member))
        return false;
    out->id = member->player_id;
    return mm_str_copy(out->username, sizeof out->username, member->username) &&
           mm_str_copy(out->display_id, sizeof out->display_id, member->display_id);
}

// A job for the actor; NULL if the call has been failed.
static struct social_group_job *job_new(struct social_app *app, struct mm_rpc_call *call,
                                        const Mmorts__Social__Member *actor)
{
    struct social_group_job *job = mm_calloc(1, sizeof *job);
    MM_CHECK(job);
    job->app = app;
    job->call = call;
    job->limits = (struct social_group_limits){
        .members_max = (uint32_t)app->settings.group_members_max,
        .pending_max = (uint32_t)app->settings.group_pending_max,
        .pending_ms = app->settings.group_pending_ms,
    };
    job->action.now_ms = mm_clock_wall_ms();
    if (take_player(actor, &job->action.actor))
        return job;
    mm_rpc_fail(call, MM_INVALID_ARGUMENT, "an actor has a player_id and a username");
    mm_free(job);
    return NULL;
}

// One lane: the session's lock would have them wait for each other on several connections.
enum { GROUP_LANE = 1 };

static void submit(struct social_group_job *job)
{
    struct mm_db_job work = {
        .work = social_sql_change, .done = change_done, .arg = job, .lane = GROUP_LANE};
    enum mm_err err = mm_db_submit(job->app->db, &work);
    if (err != MM_OK)
        change_done(err, job);
}

void social_create_group(struct social_app *app, struct mm_rpc_call *call,
                         const Mmorts__Social__CreateGroupRequest *input)
{
    struct social_group_job *job = job_new(app, call, input->actor);
    if (!job)
        return;
    job->creates = true;
    job->action.policy = input->policy;
    // Opaque, and saying nothing of how many there are.
    while (job->group_id == 0)
        MM_CHECK(getrandom(&job->group_id, sizeof job->group_id, 0) == sizeof job->group_id);
    bool fits = mm_str_copy(job->kind, sizeof job->kind, input->kind) &&
                mm_str_copy(job->name, sizeof job->name, input->name) &&
                mm_str_copy(job->tag, sizeof job->tag, input->tag);
    if (fits && input->policy <= MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN) {
        submit(job);
        return;
    }
    job->reason = fits ? REASON(INVALID) : REASON(INVALID_NAME);
    answer(job);
    mm_free(job);
}

void social_act_on_group(struct social_app *app, struct mm_rpc_call *call,
                         const Mmorts__Social__ActOnGroupRequest *input)
{
    struct social_group_job *job = job_new(app, call, input->actor);
    if (!job)
        return;
    job->group_id = input->group_id;
    job->action.action = input->action;
    job->action.role = input->role;
    job->action.policy = input->policy;
    // Who is a member or waits is known by the number alone; who is invited has a name as well.
    bool invites = input->action == MMORTS__SOCIAL__GROUP_ACTION__GROUP_INVITE;
    if (input->target && !take_player(input->target, &job->action.target)) {
        if (invites) {
            mm_rpc_fail(call, MM_INVALID_ARGUMENT, "who is invited has a player_id and a username");
            mm_free(job);
            return;
        }
        job->action.target = (struct social_group_player){.id = input->target->player_id};
    }
    submit(job);
}

// --- what was not answered in time -------------------------------------------------------------

enum { EXPIRED_EVERY_MS = 5000 };

// One group after the other, by number, and then from the first again: what fails holds up nobody.
static void expired_done(enum mm_err err, void *arg)
{
    struct social_group_job *job = arg;
    struct social_app *app = job->app;
    app->groups_busy = false;
    app->groups_after = job->group_id; // 0: that was the last one
    if (err == MM_OK && job->event_count > 0)
        social_outbox_publish(app, SOCIAL_OUTBOX_GROUPS, job->events, job->event_count);
    if (err == MM_OK && job->group_id != 0)
        app->groups_at_ms = 0; // there may be more
    if (err != MM_OK && err != MM_CANCELLED)
        MM_LOG_WARN("invitations that are void stay for now", "group=%" PRIu64 " error=%s",
                    job->group_id, mm_err_name(err));
    social_group_job_clear(job);
    mm_free(job);
}

void social_groups_sweep(struct social_app *app)
{
    uint64_t now_ms = mm_clock_ms();
    if (app->groups_busy || now_ms < app->groups_at_ms || !mm_db_is_up(app->db))
        return;
    struct social_group_job *job = mm_calloc(1, sizeof *job);
    if (!job)
        return;
    job->app = app;
    job->expires = true;
    job->expires_after = app->groups_after;
    job->action.now_ms = mm_clock_wall_ms();
    app->groups_at_ms = now_ms + EXPIRED_EVERY_MS;
    struct mm_db_job work = {
        .work = social_sql_expire, .done = expired_done, .arg = job, .lane = GROUP_LANE};
    app->groups_busy = mm_db_submit(app->db, &work) == MM_OK;
    if (!app->groups_busy)
        mm_free(job);
}
