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

static void answer_job(struct sync_errand *errand, const struct mm_rpc_result *result,
                       Mmorts__Production__JobReason reason, const char *message, uint64_t job)
{
    (void)sync_errand_end(errand, result->code, job_word(reason), message, 0, job);
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
    struct sync_errand *errand = sync_errand_new(client, command->seq);
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
        request.seen_tick = app->core.mirror.tick;
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
    struct sync_errand *errand = arg;
    struct sync_client *client = sync_answer_to(errand->app, errand->connection);
    const Mmorts__Social__SendChatReply *reply = (const void *)result->reply;
    // What got no answer may have arrived; it has no number under which it could be sent again.
    if (client && result->code != MM_OK)
        sync_client_error(client, sync_failure_word(result->code),
                          result->code == MM_DEADLINE_EXCEEDED
                              ? "No answer came in time; the message may be delivered yet."
                              : "The message was not delivered.",
                          0, 0);
    else if (client && chat_word(reply->reason))
        sync_client_error(client, chat_word(reply->reason), reply->message, 0,
                          reply->retry_after_ms);
    mm_free(errand);
}

void sync_route_chat(struct sync_client *client, struct sync_command *command)
{
    struct sync_app *app = client->app;
    struct sync_errand *errand = sync_errand_new(client, 0);
    Mmorts__Social__Member from;
    sync_member_of(client, &from);
    Mmorts__Social__SendChatRequest request = MMORTS__SOCIAL__SEND_CHAT_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.from = &from;
    request.scope = command->target   ? MMORTS__SOCIAL__CHAT_SCOPE__CHAT_GROUP
                    : command->player ? MMORTS__SOCIAL__CHAT_SCOPE__CHAT_PRIVATE
                                      : MMORTS__SOCIAL__CHAT_SCOPE__CHAT_GLOBAL;
    request.to_group = command->target;
    request.to_player = command->player;
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
