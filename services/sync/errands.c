#include "gen/production.pb-c.h"
#include "gen/social.pb-c.h"
#include "libcommon/base/alloc.h"
#include "services/sync/answers.h"
#include "services/sync/app.h"

// Commands that travel alone, each in a call of its own: production's and social's.

// --- production ----------------------------------------------------------------------------------

static const char *job_word(Mmorts__Production__JobReason reason)
{
    static const char *const words[] = {
        NULL,         "unknown_recipe", "unknown_building", "wrong_building",
        "not_enough", "queue_full",     "unavailable",      "unknown_job",
        "paused",     "invalid",        "repeated",
    };
    return (unsigned)reason < sizeof words / sizeof *words ? words[reason] : "internal";
}

// One call on its way for one command.
struct errand {
    struct sync_app *app;
    uint64_t connection;
    uint64_t seq;
    uint64_t received_ns;
};

static struct errand *errand_new(struct sync_client *client, uint64_t seq)
{
    struct errand *errand = mm_calloc(1, sizeof *errand);
    if (errand)
        *errand = (struct errand){client->app, client->connection, seq,
                                  mm_loop_now_ns(client->app->loop)};
    return errand;
}

static void answer_job(struct errand *errand, const struct mm_rpc_result *result,
                       Mmorts__Production__JobReason reason, const char *message, uint64_t job)
{
    struct sync_app *app = errand->app;
    const char *word = result->code != MM_OK ? sync_failure_word(result->code) : job_word(reason);
    sync_answered(app, errand->received_ns, word == NULL);
    struct sync_client *client = sync_answer_to(app, errand->connection);
    if (client && word)
        sync_client_error(client, word,
                          result->code != MM_OK ? sync_failure_message(result->code) : message,
                          errand->seq, 0);
    else if (client)
        sync_send_ack(client, errand->seq, app->core.mirror.tick, job);
    mm_free(errand);
}

static void on_started(void *arg, const struct mm_rpc_result *result)
{
    const Mmorts__Production__StartJobReply *reply = (const void *)result->reply;
    if (result->code != MM_OK)
        answer_job(arg, result, 0, NULL, 0);
    else
        answer_job(arg, result, reply->reason, reply->message, reply->job ? reply->job->job_id : 0);
}

static void on_cancelled(void *arg, const struct mm_rpc_result *result)
{
    const Mmorts__Production__CancelJobReply *reply = (const void *)result->reply;
    if (result->code != MM_OK)
        answer_job(arg, result, 0, NULL, 0);
    else
        answer_job(arg, result, reply->reason, reply->message, 0);
}

void sync_route_job(struct sync_client *client, struct sync_command *command)
{
    struct sync_app *app = client->app;
    struct errand *errand = errand_new(client, command->seq);
    if (!errand) {
        sync_refuse_command(client, "queue_full", "Too many commands are waiting.", command->seq);
        return;
    }
    struct mm_rpc_call_options options = {.deadline_ms = (uint32_t)app->settings.command_ms,
                                          .idempotent = true};
    enum mm_err err;
    if (command->type == SYNC_COMMAND_TRAIN) {
        Mmorts__Production__StartJobRequest request = MMORTS__PRODUCTION__START_JOB_REQUEST__INIT;
        request.session = (char *)(uintptr_t)app->session;
        request.player_id = client->player_id;
        request.empire = client->empire;
        request.client_seq = command->seq;
        request.building = command->target;
        request.recipe = command->recipe;
        request.cycles = command->cycles;
        err = mm_rpc_call(app->production, &mmorts__production__production__descriptor, "StartJob",
                          &request.base, &options, on_started, errand, NULL);
    } else {
        Mmorts__Production__CancelJobRequest request = MMORTS__PRODUCTION__CANCEL_JOB_REQUEST__INIT;
        request.session = (char *)(uintptr_t)app->session;
        request.player_id = client->player_id;
        request.empire = client->empire;
        request.client_seq = command->seq;
        request.job_id = command->target;
        request.refund = command->refund;
        err = mm_rpc_call(app->production, &mmorts__production__production__descriptor, "CancelJob",
                          &request.base, &options, on_cancelled, errand, NULL);
    }
    if (err == MM_OK) {
        client->commands++;
        return;
    }
    mm_free(errand);
    sync_refuse_command(client, sync_failure_word(err), sync_failure_message(err), command->seq);
}

// --- social --------------------------------------------------------------------------------------

static const char *chat_word(Mmorts__Social__ChatReason reason)
{
    static const char *const words[] = {
        NULL,           "chat_empty",     "chat_too_long", "chat_rate_limited",
        "chat_invalid", "unknown_target", "not_online"};
    return (unsigned)reason < sizeof words / sizeof *words ? words[reason] : "internal";
}

static void on_chat(void *arg, const struct mm_rpc_result *result)
{
    struct errand *errand = arg;
    struct sync_client *client = sync_answer_to(errand->app, errand->connection);
    const Mmorts__Social__SendChatReply *reply = (const void *)result->reply;
    if (client && result->code != MM_OK)
        sync_client_error(client, sync_failure_word(result->code), "The message was not delivered.",
                          0, 0);
    else if (client && chat_word(reply->reason))
        sync_client_error(client, chat_word(reply->reason), reply->message, 0,
                          reply->retry_after_ms);
    mm_free(errand);
}

void sync_route_chat(struct sync_client *client, struct sync_command *command)
{
    struct sync_app *app = client->app;
    struct errand *errand = errand_new(client, 0);
    Mmorts__Social__Member from = MMORTS__SOCIAL__MEMBER__INIT;
    from.player_id = client->player_id;
    from.username = client->username;
    from.display_id = client->display_id;
    Mmorts__Social__SendChatRequest request = MMORTS__SOCIAL__SEND_CHAT_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.from = &from;
    request.scope = command->target ? MMORTS__SOCIAL__CHAT_SCOPE__CHAT_GROUP
                                    : MMORTS__SOCIAL__CHAT_SCOPE__CHAT_GLOBAL;
    request.to_group = command->target;
    request.message = command->chat;
    struct mm_rpc_call_options options = {.deadline_ms = (uint32_t)app->settings.command_ms};
    enum mm_err err = errand
                          ? mm_rpc_call(app->social, &mmorts__social__social__descriptor,
                                        "SendChat", &request.base, &options, on_chat, errand, NULL)
                          : MM_RESOURCE_EXHAUSTED;
    if (err == MM_OK) {
        client->commands++;
        return;
    }
    mm_free(errand);
    sync_client_error(client, sync_failure_word(err), "The message was not delivered.", 0, 0);
}
