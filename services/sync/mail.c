#include <inttypes.h>

#include "gen/social.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/buf_json.h"
#include "services/sync/answers.h"
#include "services/sync/app.h"
#include "services/sync/core/encode.h"

// Mail: what a player does with it goes to social, and what comes for a player comes back as
// events, to all of the player's connections. How much there is is told after joining, and again
// whenever that may have been missed.

enum { MAILBOX_CALL_MS = 3000, MAILBOX_CALLS_MAX = 32 };

// --- words -------------------------------------------------------------------------------------

static const char *reason_word(Mmorts__Social__MailReason reason)
{
    static const char *const words[] = {
        NULL,           "unknown_recipient", "ambiguous_recipient", "mail_empty", "mail_too_long",
        "mail_invalid", "mail_rate_limited", "mailbox_full",        "not_member", "repeated",
    };
    return (unsigned)reason < sizeof words / sizeof *words ? words[reason] : "internal";
}

static void write_mail(struct mm_buf *out, uint64_t number, const Mmorts__Social__Member *from,
                       uint64_t group, const char *group_name, const char *subject,
                       int64_t timestamp_ms, bool read)
{
    mm_buf_printf(out, "{\"id\":%" PRIu64 ",\"from\":{\"player_id\":\"%" PRIu64 "\",\"username\":",
                  number, from ? from->player_id : 0);
    mm_buf_json_cstr(out, from ? from->username : "");
    if (group) {
        MM_BUF_LIT(out, "},\"group\":{\"id\":");
        sync_encode_id(out, "group_", group);
        MM_BUF_LIT(out, ",\"name\":");
        mm_buf_json_cstr(out, group_name);
    }
    MM_BUF_LIT(out, "},\"subject\":");
    mm_buf_json_cstr(out, subject);
    mm_buf_printf(out, ",\"timestamp\":%" PRId64 ",\"read\":%s", timestamp_ms,
                  read ? "true" : "false");
    // The caller adds what else there is, and the brace.
}

// --- how much there is ---------------------------------------------------------------------------

// Takes what is newer than what the client knows. False: it is not.
static bool take_box(struct sync_client *client, uint64_t version, uint32_t unread, uint32_t total)
{
    if (version < client->mail.version)
        return false;
    client->mail.version = version;
    client->mail.unread = unread;
    client->mail.total = total;
    return true;
}

static void tell(struct sync_client *client, const struct mm_buf *message)
{
    if (!sync_client_hold(client, message))
        client->mail.wanted = true; // dropped: it will be told of the whole
}

static void tell_box(struct sync_client *client, const Mmorts__Social__Mailbox *box)
{
    struct mm_buf *out = &client->app->scratch;
    if (!box || !take_box(client, box->version, box->unread, box->total))
        return;
    mm_buf_reset(out);
    mm_buf_printf(
        out, "{\"type\":\"mailbox\",\"payload\":{\"unread\":%" PRIu32 ",\"total\":%" PRIu32 "}}",
        box->unread, box->total);
    tell(client, out);
}

struct box_question {
    struct sync_app *app;
    uint64_t connection;
};

static void on_box(void *arg, const struct mm_rpc_result *result)
{
    struct box_question *question = arg;
    struct sync_app *app = question->app;
    struct sync_client *client = sync_client_find(app, question->connection);
    app->mail_calls--;
    if (client)
        client->mail.asked = false;
    if (client && client->state == SYNC_CLIENT_PLAYING) {
        if (result->code == MM_OK)
            tell_box(client, ((const Mmorts__Social__GetInboxReply *)result->reply)->mailbox);
        else
            client->mail.wanted = true; // at the next heartbeat
    }
    mm_free(question);
    if (result->code == MM_OK)
        sync_mail_ask(app);
}

static bool ask_for(struct sync_client *client)
{
    struct sync_app *app = client->app;
    struct box_question *question = mm_malloc(sizeof *question);
    if (!question)
        return false;
    *question = (struct box_question){app, client->connection};
    Mmorts__Social__GetInboxRequest request = MMORTS__SOCIAL__GET_INBOX_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.player_id = client->player_id;
    struct mm_rpc_call_options options = {.deadline_ms = MAILBOX_CALL_MS, .idempotent = true};
    if (mm_rpc_call(app->social, &mmorts__social__social__descriptor, "GetInbox", &request.base,
                    &options, on_box, question, NULL) != MM_OK) {
        mm_free(question);
        return false;
    }
    app->mail_calls++;
    client->mail.asked = true;
    client->mail.wanted = false;
    return true;
}

void sync_mail_ask(struct sync_app *app)
{
    for (size_t i = 0; i < app->clients.count && app->mail_calls < MAILBOX_CALLS_MAX; i++) {
        struct sync_client *client = app->clients.items[i];
        if (client->mail.wanted && !client->mail.asked && !client->behind &&
            client->state == SYNC_CLIENT_PLAYING && !ask_for(client))
            return;
    }
}

// --- what comes ----------------------------------------------------------------------------------

static void tell_mail(struct sync_client *client, const Mmorts__Social__MailEvent *event, size_t i)
{
    if (!sync_once_take(&client->mail.told, event->numbers[i]))
        return;
    (void)take_box(client, event->versions[i], event->unread[i], event->total[i]);
    struct mm_buf *out = &client->app->scratch;
    mm_buf_reset(out);
    MM_BUF_LIT(out, "{\"type\":\"mail\",\"payload\":{\"mail\":");
    write_mail(out, event->numbers[i], event->from, event->group_id, event->group_name,
               event->subject, event->timestamp_ms, false);
    mm_buf_printf(out, "},\"unread\":%" PRIu32 ",\"total\":%" PRIu32 "}}", client->mail.unread,
                  client->mail.total);
    tell(client, out);
}

void sync_mail_event(struct sync_app *app, const Mmorts__Social__MailEvent *event)
{
    size_t count = event->n_to_players;
    if (event->n_numbers != count || event->n_versions != count || event->n_unread != count ||
        event->n_total != count)
        return;
    for (size_t i = 0; i < count; i++) {
        struct sync_client *client = sync_clients_of_player(app, event->to_players[i]);
        for (; client; client = client->beside)
            if (client->state == SYNC_CLIENT_PLAYING)
                tell_mail(client, event, i);
    }
}

void sync_mail_box_event(struct sync_app *app, const Mmorts__Social__MailboxEvent *event)
{
    struct sync_client *client = sync_clients_of_player(app, event->player_id);
    for (; client; client = client->beside)
        if (client->state == SYNC_CLIENT_PLAYING)
            tell_box(client, event->mailbox);
}

// --- what a player does --------------------------------------------------------------------------

static void answer(struct sync_errand *errand, enum mm_err err, const char *word,
                   const char *message, uint32_t retry_after_ms)
{
    (void)sync_errand_end(errand, err, word, message, retry_after_ms, 0);
}

// Begins a message that precedes the acknowledgement; NULL: there is nobody to hear it.
static struct mm_buf *begin(const struct sync_errand *errand, const char *type)
{
    struct sync_client *client = sync_client_find(errand->app, errand->connection);
    if (!client)
        return NULL;
    struct mm_buf *out = &errand->app->scratch;
    mm_buf_reset(out);
    mm_buf_printf(out, "{\"type\":\"%s\",\"payload\":{\"seq\":%" PRIu64, type, errand->seq);
    return out;
}

static void end(const struct sync_errand *errand, struct mm_buf *out)
{
    MM_BUF_LIT(out, "}}");
    sync_client_send(sync_client_find(errand->app, errand->connection), out);
}

static void on_sent(void *arg, const struct mm_rpc_result *result)
{
    struct sync_errand *errand = arg;
    const Mmorts__Social__SendMailReply *reply = (const void *)result->reply;
    if (result->code != MM_OK) {
        answer(errand, result->code, NULL, NULL, 0);
        return;
    }
    const char *word = reason_word(reply->reason);
    struct mm_buf *out = word ? NULL : begin(errand, "mail_sent");
    if (out) {
        mm_buf_printf(out, ",\"delivered\":%" PRIu32 ",\"full\":%" PRIu32, reply->delivered,
                      reply->full);
        end(errand, out);
    }
    answer(errand, MM_OK, word, reply->message, reply->retry_after_ms);
}

static void on_list(void *arg, const struct mm_rpc_result *result)
{
    struct sync_errand *errand = arg;
    const Mmorts__Social__GetInboxReply *reply = (const void *)result->reply;
    struct mm_buf *out =
        result->code == MM_OK && reply->mailbox ? begin(errand, "mail_list") : NULL;
    if (out) {
        mm_buf_printf(out, ",\"unread\":%" PRIu32 ",\"total\":%" PRIu32 ",\"more\":%s,\"mails\":[",
                      reply->mailbox->unread, reply->mailbox->total,
                      reply->more ? "true" : "false");
        for (size_t i = 0; i < reply->n_mails; i++) {
            const Mmorts__Social__Mail *mail = reply->mails[i];
            mm_buf_str(out, i > 0 ? "," : "");
            write_mail(out, mail->number, mail->from, mail->group_id, mail->group_name,
                       mail->subject, mail->timestamp_ms, mail->read);
            mm_buf_byte(out, '}');
        }
        mm_buf_byte(out, ']');
        end(errand, out);
    }
    answer(errand, result->code, NULL, NULL, 0);
}

static void on_read(void *arg, const struct mm_rpc_result *result)
{
    struct sync_errand *errand = arg;
    const Mmorts__Social__ReadMailReply *reply = (const void *)result->reply;
    const Mmorts__Social__Mail *mail = result->code == MM_OK ? reply->mail : NULL;
    struct mm_buf *out = mail ? begin(errand, "mail_text") : NULL;
    if (out) {
        MM_BUF_LIT(out, ",\"mail\":");
        write_mail(out, mail->number, mail->from, mail->group_id, mail->group_name, mail->subject,
                   mail->timestamp_ms, mail->read);
        MM_BUF_LIT(out, ",\"body\":");
        mm_buf_json_cstr(out, mail->body);
        mm_buf_byte(out, '}');
        end(errand, out);
    }
    answer(errand, result->code, mail ? NULL : "unknown_mail", "There is no such mail.", 0);
}

static void on_deleted(void *arg, const struct mm_rpc_result *result)
{
    answer(arg, result->code, NULL, NULL, 0);
}

static enum mm_err call(struct sync_client *client, const char *method,
                        const ProtobufCMessage *request, mm_rpc_callback_fn done,
                        struct sync_errand *errand)
{
    struct mm_rpc_call_options options = {.deadline_ms = (uint32_t)client->app->settings.command_ms,
                                          .idempotent = true};
    return mm_rpc_call(client->app->social, &mmorts__social__social__descriptor, method, request,
                       &options, done, errand, NULL);
}

static enum mm_err call_send(struct sync_client *client, struct sync_command *command,
                             struct sync_errand *errand)
{
    Mmorts__Social__Member from;
    sync_member_of(client, &from);
    if (command->mail.action == SYNC_MAIL_SEND_GROUP) {
        Mmorts__Social__SendGroupMailRequest request =
            MMORTS__SOCIAL__SEND_GROUP_MAIL_REQUEST__INIT;
        request.session = (char *)(uintptr_t)client->app->session;
        request.from = &from;
        request.request_id = command->seq;
        request.to_group = command->target;
        request.subject = command->mail.subject;
        request.body = command->chat;
        return call(client, "SendGroupMail", &request.base, on_sent, errand);
    }
    Mmorts__Social__SendMailRequest request = MMORTS__SOCIAL__SEND_MAIL_REQUEST__INIT;
    request.session = (char *)(uintptr_t)client->app->session;
    request.from = &from;
    request.request_id = command->seq;
    request.to_player = command->player;
    request.to_name = command->mail.to_name;
    request.subject = command->mail.subject;
    request.body = command->chat;
    return call(client, "SendMail", &request.base, on_sent, errand);
}

static enum mm_err call_box(struct sync_client *client, struct sync_command *command,
                            struct sync_errand *errand)
{
    char *session = (char *)(uintptr_t)client->app->session;
    if (command->mail.action == SYNC_MAIL_LIST) {
        Mmorts__Social__GetInboxRequest request = MMORTS__SOCIAL__GET_INBOX_REQUEST__INIT;
        request.session = session;
        request.player_id = client->player_id;
        request.before = command->mail.number;
        request.limit = command->mail.limit;
        return call(client, "GetInbox", &request.base, on_list, errand);
    }
    if (command->mail.action == SYNC_MAIL_READ) {
        Mmorts__Social__ReadMailRequest request = MMORTS__SOCIAL__READ_MAIL_REQUEST__INIT;
        request.session = session;
        request.player_id = client->player_id;
        request.number = command->mail.number;
        return call(client, "ReadMail", &request.base, on_read, errand);
    }
    Mmorts__Social__DeleteMailRequest request = MMORTS__SOCIAL__DELETE_MAIL_REQUEST__INIT;
    request.session = session;
    request.player_id = client->player_id;
    request.n_numbers = command->mail.count;
    request.numbers = command->mail.numbers;
    return call(client, "DeleteMail", &request.base, on_deleted, errand);
}

void sync_route_mail(struct sync_client *client, struct sync_command *command)
{
    struct sync_errand *errand = sync_errand_new(client, command->seq);
    if (!errand) {
        sync_refuse_command(client, "queue_full", "Too many commands are waiting.", command->seq);
        return;
    }
    bool sends = command->mail.action <= SYNC_MAIL_SEND_GROUP;
    enum mm_err err =
        sends ? call_send(client, command, errand) : call_box(client, command, errand);
    if (err == MM_OK) {
        client->commands++;
        return;
    }
    mm_free(errand);
    sync_refuse_command(client, sync_failure_word(err), sync_failure_message(err), command->seq);
}
