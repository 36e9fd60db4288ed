#include "services/social/app.h"

static void on_sweep(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct social_app *app = arg;
    if (mm_redis_is_up(app->redis))
        social_sweep(app);
    social_outboxes_sweep(app);
    social_groups_sweep(app);
    social_mail_sweep(app);
}

static void add_metrics(struct social_app *app)
{
    struct mm_metrics *metrics = mm_service_metrics(app->service);
    app->joined = mm_metrics_counter(metrics, "mmorts_social_joined_total",
                                     "Players that came online.", NULL);
    app->left =
        mm_metrics_counter(metrics, "mmorts_social_left_total", "Players that went offline.", NULL);
    app->chats = mm_metrics_counter(metrics, "mmorts_social_chats_total",
                                    "Chat messages by result.", MM_LABELS("result", "sent"));
    app->chats_refused =
        mm_metrics_counter(metrics, "mmorts_social_chats_total", "Chat messages by result.",
                           MM_LABELS("result", "refused"));
    app->announcements = mm_metrics_counter(metrics, "mmorts_social_announcements_total",
                                            "Announcements sent.", NULL);
    app->redis_errors = mm_metrics_counter(metrics, "mmorts_social_redis_errors_total",
                                           "Operations that Redis did not answer.", NULL);
    app->group_changes =
        mm_metrics_counter(metrics, "mmorts_social_group_actions_total",
                           "What players did with groups, by result.", MM_LABELS("result", "done"));
    app->group_refused = mm_metrics_counter(metrics, "mmorts_social_group_actions_total",
                                            "What players did with groups, by result.",
                                            MM_LABELS("result", "refused"));
    app->outboxes[SOCIAL_OUTBOX_GROUPS].events = mm_metrics_counter(
        metrics, "mmorts_social_group_events_total", "Events of groups published.", NULL);
    app->outboxes[SOCIAL_OUTBOX_GROUPS].again =
        mm_metrics_counter(metrics, "mmorts_social_group_events_again_total",
                           "Events of groups found in the outbox and published late.", NULL);
}

static void add_mail_metrics(struct social_app *app)
{
    struct mm_metrics *metrics = mm_service_metrics(app->service);
    app->mail_sent =
        mm_metrics_counter(metrics, "mmorts_social_mails_total",
                           "Mail that players sent, by result.", MM_LABELS("result", "sent"));
    app->mail_refused =
        mm_metrics_counter(metrics, "mmorts_social_mails_total",
                           "Mail that players sent, by result.", MM_LABELS("result", "refused"));
    app->mail_delivered = mm_metrics_counter(metrics, "mmorts_social_mail_copies_total",
                                             "Copies of mail put into mailboxes.", NULL);
    app->mail_expired = mm_metrics_counter(metrics, "mmorts_social_mails_expired_total",
                                           "Mail deleted for its age.", NULL);
    app->outboxes[SOCIAL_OUTBOX_MAIL].events = mm_metrics_counter(
        metrics, "mmorts_social_mail_events_total", "Events of mail published.", NULL);
    app->outboxes[SOCIAL_OUTBOX_MAIL].again =
        mm_metrics_counter(metrics, "mmorts_social_mail_events_again_total",
                           "Events of mail found in the outbox and published late.", NULL);
}

enum mm_err social_start_service(struct mm_service *service, void *state)
{
    struct social_app *app = state;
    app->service = service;
    app->loop = mm_service_loop(service);
    app->redis = mm_service_redis(service);
    app->db = mm_service_db(service);
    app->session = mm_service_session(service);
    add_metrics(app);
    add_mail_metrics(app);
    enum mm_err err = social_players_open(app);
    if (err != MM_OK)
        return err;
    social_rpc_register(app);
    mm_loop_timer_init(&app->sweep, on_sweep, app);
    uint64_t period = MM_LOOP_MS(app->settings.sweep_ms);
    mm_loop_timer_start(app->loop, &app->sweep, period, period);
    return MM_OK;
}

void social_stop_service(struct mm_service *service, void *state)
{
    (void)service;
    struct social_app *app = state;
    if (app->loop)
        mm_loop_timer_stop(app->loop, &app->sweep);
    social_players_close(app);
}
