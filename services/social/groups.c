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
// Whoever dies between the two leaves them in the outbox, where the next sweep of any instance
// finds them.

#define REASON(name) MMORTS__SOCIAL__GROUP_REASON__GROUP_##name

// --- publishing ------------------------------------------------------------------------------

// Events of one commit (or found in the outbox) on their way through Redis and out of the outbox.
struct publication {
    struct social_app *app;
    size_t waiting; // for Redis
    size_t published;
    uint64_t seqs[SOCIAL_OUTBOX_MAX];
    bool again; // out of the outbox
};

struct publishing {
    struct publication *publication;
    uint64_t seq;
};

static enum mm_err forget_published(struct mm_db_conn *conn, void *arg)
{
    const struct publication *publication = arg;
    return social_sql_outbox_done(conn, publication->app->session, publication->seqs,
                                  publication->published);
}

static void publication_done(enum mm_err err, void *arg)
{
    struct publication *publication = arg;
    if (err != MM_OK && err != MM_CANCELLED)
        MM_LOG_WARN("published events stay in the outbox and go out again", "error=%s",
                    mm_err_name(err));
    if (publication->again)
        publication->app->outbox_busy = false;
    mm_free(publication);
}

static void one_published(struct publication *publication)
{
    if (--publication->waiting > 0)
        return;
    mm_counter_add(publication->again ? publication->app->group_republished
                                      : publication->app->group_events,
                   publication->published);
    struct mm_db_job job = {.work = forget_published, .done = publication_done, .arg = publication};
    enum mm_err err =
        publication->published > 0 ? mm_db_submit(publication->app->db, &job) : MM_UNAVAILABLE;
    if (err != MM_OK)
        publication_done(err, publication);
}

static void on_published(enum mm_err err, const redisReply *reply, void *arg)
{
    (void)reply;
    struct publishing *one = arg;
    struct publication *publication = one->publication;
    if (err == MM_OK)
        publication->seqs[publication->published++] = one->seq;
    mm_free(one);
    one_published(publication);
}

static void publish(struct social_app *app, const struct social_group_event *events, size_t count,
                    bool again)
{
    struct publication *publication = mm_calloc(1, sizeof *publication);
    MM_CHECK(publication);
    *publication = (struct publication){.app = app, .waiting = 1, .again = again};
    for (size_t i = 0; i < count; i++) {
        struct publishing *one = mm_malloc(sizeof *one);
        MM_CHECK(one);
        *one = (struct publishing){publication, events[i].seq};
        publication->waiting++;
        if (mm_redis_command(app->redis, on_published, one, "PUBLISH social.events.%s %b",
                             app->session, events[i].bytes, events[i].size) != MM_OK) {
            mm_free(one);
            publication->waiting--;
        }
    }
    one_published(publication);
}

// --- what was left behind --------------------------------------------------------------------

struct outbox {
    struct social_app *app;
    int64_t before_ms;
    struct social_group_event events[SOCIAL_OUTBOX_MAX];
    size_t count;
};

static enum mm_err outbox_work(struct mm_db_conn *conn, void *arg)
{
    struct outbox *outbox = arg;
    return social_sql_outbox_load(conn, outbox->app->session, outbox->before_ms, outbox->events,
                                  &outbox->count);
}

static void outbox_done(enum mm_err err, void *arg)
{
    struct outbox *outbox = arg;
    outbox->app->outbox_busy = false;
    if (err == MM_OK && outbox->count > 0) {
        outbox->app->outbox_busy = true;
        publish(outbox->app, outbox->events, outbox->count, true);
    }
    for (size_t i = 0; i < outbox->count; i++)
        mm_free(outbox->events[i].bytes);
    mm_free(outbox);
}

void social_groups_sweep(struct social_app *app)
{
    int64_t now_ms = mm_clock_wall_ms();
    if (app->outbox_busy || now_ms < app->outbox_at_ms || !mm_redis_is_up(app->redis) ||
        !mm_db_is_up(app->db))
        return;
    struct outbox *outbox = mm_calloc(1, sizeof *outbox);
    if (!outbox)
        return;
    outbox->app = app;
    outbox->before_ms = now_ms - SOCIAL_OUTBOX_WAIT_MS;
    app->outbox_at_ms = now_ms + SOCIAL_OUTBOX_WAIT_MS;
    struct mm_db_job job = {.work = outbox_work, .done = outbox_done, .arg = outbox};
    app->outbox_busy = mm_db_submit(app->db, &job) == MM_OK;
    if (!app->outbox_busy)
        mm_free(outbox);
}

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
        publish(job->app, job->events, job->event_count, false);
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

static void submit(struct social_group_job *job)
{
    // One lane: the session's lock would have them wait for each other on several connections.
    enum { GROUP_LANE = 1 };
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
