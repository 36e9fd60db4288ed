#include <inttypes.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf_json.h"
#include "services/sync/answers.h"
#include "services/sync/core/binary.h"
#include "services/sync/core/encode.h"

void sync_answered(struct sync_app *app, uint64_t received_ns, bool ok)
{
    mm_counter_add(ok ? app->metrics.commands_ok : app->metrics.commands_failed, 1);
    mm_metrics_observe(app->metrics.command_latency,
                       (mm_loop_now_ns(app->loop) - received_ns) / 1000);
}

struct sync_client *sync_answer_to(struct sync_app *app, uint64_t connection)
{
    struct sync_client *client = sync_client_find(app, connection);
    if (client && client->commands > 0)
        client->commands--;
    return client;
}

void sync_send_ack(struct sync_client *client, uint64_t seq, uint64_t tick, uint64_t job)
{
    struct mm_buf *out = &client->app->scratch;
    mm_buf_reset(out);
    if (client->encoding == SYNC_BINARY) {
        sync_binary_ack(out, seq, tick, job);
        sync_client_send_binary(client, out);
        return;
    }
    mm_buf_printf(out, "{\"type\":\"ack\",\"payload\":{\"seq\":%" PRIu64 ",\"tick\":%" PRIu64, seq,
                  tick);
    if (job) {
        MM_BUF_LIT(out, ",\"job\":");
        sync_encode_id(out, "job_", job);
    }
    MM_BUF_LIT(out, "}}");
    sync_client_send(client, out);
}

const char *sync_failure_word(enum mm_err err)
{
    switch (err) {
    case MM_DEADLINE_EXCEEDED:
        return "timeout";
    case MM_UNAVAILABLE:
    case MM_CANCELLED:
    case MM_ABORTED:
    case MM_FAILED_PRECONDITION:
        return "unavailable";
    case MM_RESOURCE_EXHAUSTED:
        return "queue_full";
    case MM_INVALID_ARGUMENT:
    case MM_OUT_OF_RANGE:
        return "invalid";
    default:
        return "internal";
    }
}

const char *sync_failure_message(enum mm_err err)
{
    switch (err) {
    case MM_DEADLINE_EXCEEDED:
        return "No answer came in time; send it again under the same seq.";
    case MM_RESOURCE_EXHAUSTED:
        return "Too much is waiting; try again.";
    case MM_INVALID_ARGUMENT:
    case MM_OUT_OF_RANGE:
        return "The command makes no sense.";
    default:
        return "This cannot be done now; try again.";
    }
}

void sync_refuse_command(struct sync_client *client, const char *code, const char *message,
                         uint64_t seq)
{
    mm_counter_add(client->app->metrics.commands_failed, 1);
    sync_client_error(client, code, message, seq, 0);
}

struct sync_errand *sync_errand_new(struct sync_client *client, uint64_t seq)
{
    struct sync_errand *errand = mm_calloc(1, sizeof *errand);
    if (errand)
        *errand = (struct sync_errand){client->app, client->connection, seq,
                                       mm_loop_now_ns(client->app->loop)};
    return errand;
}

struct sync_client *sync_errand_end(struct sync_errand *errand, enum mm_err err, const char *word,
                                    const char *message, uint32_t retry_after_ms, uint64_t job)
{
    struct sync_app *app = errand->app;
    if (err != MM_OK) {
        word = sync_failure_word(err);
        message = sync_failure_message(err);
    }
    sync_answered(app, errand->received_ns, word == NULL);
    struct sync_client *client = sync_answer_to(app, errand->connection);
    if (client && word)
        sync_client_error(client, word, message, errand->seq, retry_after_ms);
    else if (client)
        sync_send_ack(client, errand->seq, app->core.mirror.tick, job);
    mm_free(errand);
    return client;
}

void sync_member_of(struct sync_client *client, Mmorts__Social__Member *out)
{
    mmorts__social__member__init(out);
    out->player_id = client->player_id;
    out->username = client->username;
    out->display_id = client->display_id;
}
