#include "tools/launcher/sessions.h"

#include "gen/world.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/io/rpc_client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_EVERY_MS = 1000, LOOK_DEADLINE_MS = 3000 };

struct sessions {
    struct mm_loop *loop;
    struct plan *plan;
    child_change_fn on_change;
    void *arg;
    struct mm_rpc_client *world;
    struct mm_loop_timer timer;
    bool asking;
    char full[PLAN_SESSION_BYTES]; // the session for which there was no room, told once
};

static struct plan_session *find(struct plan *plan, const char *session)
{
    for (unsigned i = 0; i < PLAN_SESSIONS_MAX; i++)
        if (strcmp(plan->sessions[i].session, session) == 0)
            return &plan->sessions[i];
    return NULL;
}

static void begin(struct sessions *sessions, const char *session)
{
    struct plan_session *place = plan_add_session(sessions->plan, session);
    if (!place) {
        if (strcmp(sessions->full, session) != 0)
            printf("  no room or ports for the session %s\n", session);
        snprintf(sessions->full, sizeof sessions->full, "%s", session);
        return;
    }
    printf("  session %s is wanted\n", session);
    for (unsigned k = 0; k < PLAN_SESSION_CHILDREN; k++)
        child_init(&place->children[k], sessions->loop, sessions->on_change, sessions->arg);
}

// Later stages end first, as when everything stops.
static void step_ending(struct plan_session *place)
{
    unsigned highest = 0;
    for (unsigned k = 0; k < PLAN_SESSION_CHILDREN; k++)
        if (child_runs(&place->children[k]) && place->children[k].stage > highest)
            highest = place->children[k].stage;
    bool running = false;
    for (unsigned k = 0; k < PLAN_SESSION_CHILDREN; k++) {
        struct child *child = &place->children[k];
        running |= child_runs(child);
        if (child->stage >= highest && child->state != CHILD_STOPPING &&
            child->state != CHILD_STOPPED && child->state != CHILD_FAILED)
            child_stop(child);
    }
    if (!running) {
        printf("  session %s has ended\n", place->session);
        plan_drop_session(place);
    }
}

static void step_running(struct plan_session *place)
{
    for (unsigned k = 0; k < PLAN_SESSION_CHILDREN; k++) {
        struct child *child = &place->children[k];
        bool ready = child->state == CHILD_IDLE;
        for (unsigned i = 0; i < PLAN_SESSION_CHILDREN; i++)
            ready &=
                place->children[i].stage >= child->stage || place->children[i].state == CHILD_READY;
        if (ready)
            child_start(child);
    }
}

void sessions_step(struct sessions *sessions)
{
    for (unsigned i = 0; sessions && i < PLAN_SESSIONS_MAX; i++) {
        struct plan_session *place = &sessions->plan->sessions[i];
        if (place->session[0] == '\0')
            continue;
        if (place->ending)
            step_ending(place);
        else
            step_running(place);
    }
    fflush(stdout);
}

static void on_list(void *arg, const struct mm_rpc_result *result)
{
    struct sessions *sessions = arg;
    sessions->asking = false;
    if (result->code != MM_OK)
        return; // world is on its way up again; what runs goes on
    const Mmorts__World__ListSessionsReply *reply = (const void *)result->reply;
    for (size_t i = 0; i < reply->n_sessions; i++) {
        const Mmorts__World__SessionInfo *info = reply->sessions[i];
        bool ended = info->state == MMORTS__FRAME__SESSION_STATE__SESSION_STATE_ENDED;
        struct plan_session *place = find(sessions->plan, info->session);
        if (strcmp(info->session, "main") == 0)
            continue;
        if (place && ended)
            place->ending = true;
        else if (!place && !ended)
            begin(sessions, info->session);
    }
    sessions_step(sessions);
}

static void look(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct sessions *sessions = arg;
    if (sessions->asking)
        return;
    Mmorts__World__ListSessionsRequest request = MMORTS__WORLD__LIST_SESSIONS_REQUEST__INIT;
    struct mm_rpc_call_options options = {.deadline_ms = LOOK_DEADLINE_MS, .idempotent = true};
    sessions->asking =
        mm_rpc_call(sessions->world, &mmorts__world__world__descriptor, "ListSessions",
                    &request.base, &options, on_list, sessions, NULL) == MM_OK;
}

struct sessions *sessions_open(struct mm_loop *loop, struct plan *plan, child_change_fn on_change,
                               void *arg)
{
    struct sessions *sessions = mm_calloc(1, sizeof *sessions);
    char *url = launcher_text("ipc://%s/world.rpc", plan->run);
    struct mm_rpc_client_options options = {.service = "launcher"};
    if (!sessions || mm_rpc_client_open(loop, url, &options, &sessions->world) != MM_OK) {
        fprintf(stderr, "mmorts-launcher: cannot look after further sessions\n");
        mm_free(sessions);
        free(url);
        return NULL;
    }
    free(url);
    sessions->loop = loop;
    sessions->plan = plan;
    sessions->on_change = on_change;
    sessions->arg = arg;
    mm_loop_timer_init(&sessions->timer, look, sessions);
    mm_loop_timer_start(loop, &sessions->timer, 0, MM_LOOP_MS(LOOK_EVERY_MS));
    return sessions;
}

void sessions_close(struct sessions *sessions)
{
    if (!sessions)
        return;
    mm_loop_timer_stop(sessions->loop, &sessions->timer);
    mm_rpc_client_close(sessions->world);
    mm_free(sessions);
}
