#include "tools/bots/bot.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/str.h"
#include "tools/bots/brain.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THINK_MIN_MS = 700, // between two thoughts
    THINK_MAX_MS = 1600,
    CHAT_MIN_MS = 60000, // well within ten a minute
    CHAT_MAX_MS = 300000,
    PING_EVERY_MS = 10000,
    SLOW_DOWN_MS = 5000, // after a rate limit
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 5000,
};

static void come_in(struct bot *bot);

static uint64_t random_ms(struct bot *bot, int64_t min, int64_t max)
{
    return (uint64_t)mm_rng_between(&bot->rng, min, max);
}

// --- coming in -----------------------------------------------------------------------------------

// Doubling waits with jitter, so that a thousand bots do not come back in one moment.
static void retry(struct bot *bot)
{
    uint32_t doublings = bot->failures < 6 ? bot->failures : 6;
    int64_t most = RETRY_MIN_MS << doublings;
    most = most < RETRY_MAX_MS ? most : RETRY_MAX_MS;
    bot->failures++;
    mm_loop_timer_start(bot->world->loop, &bot->timer, MM_LOOP_MS(random_ms(bot, most / 2, most)),
                        0);
}

static void on_login(void *arg, const char *token)
{
    struct bot *bot = arg;
    if (!token) {
        bot->world->stats->logins_failed++;
        retry(bot);
        return;
    }
    bot->token = mm_strdup(token);
    come_in(bot);
}

static void come_in(struct bot *bot)
{
    if (!bot->token) {
        login_start(&bot->login, &bot->world->login_server, bot->name, on_login, bot);
        return;
    }
    char query[96] = "";
    size_t len = 0;
    if (bot->world->session)
        len = (size_t)snprintf(query, sizeof query, "session=%s", bot->world->session);
    if (bot->has_played)
        snprintf(query + len, sizeof query - len, "%slast_tick=%" PRIu64, len ? "&" : "",
                 bot->game.tick);
    ws_open(&bot->ws, &bot->world->game_server, query, bot->token);
}

static void on_open(void *arg)
{
    struct bot *bot = arg;
    bot->world->stats->connects++;
    bot->world->stats->reconnects += bot->has_played;
}

static void on_close(void *arg, unsigned code)
{
    struct bot *bot = arg;
    struct stats *stats = bot->world->stats;
    stats->playing -= bot->playing;
    bot->playing = false;
    mm_loop_timer_stop(bot->world->loop, &bot->timer);
    if (bot->leaving)
        return;
    char text[16];
    snprintf(text, sizeof text, "%u", code);
    stats_count(stats->close_codes, text);
    stats->closes++;
    if (bot->has_played && bot->lost_ns == 0)
        bot->lost_ns = mm_clock_ns();
    // 44xx: the token is not accepted (any more); a new one may be.
    if (code >= 4400 && code < 4404) {
        mm_free(bot->token);
        bot->token = NULL;
    }
    retry(bot);
}

// --- commands ------------------------------------------------------------------------------------

static void send_command(struct bot *bot, const struct brain_decision *decision)
{
    struct mm_buf buf;
    mm_buf_init(&buf, BOT_COMMAND_BYTES);
    mm_buf_printf(&buf, "{\"type\":\"command\",\"payload\":{\"seq\":%" PRIu64 ",", bot->next_seq);
    if (decision->kind == BRAIN_MOVE) {
        MM_BUF_LIT(&buf, "\"command\":\"move\",\"units\":[");
        mm_buf_json_cstr(&buf, decision->entity);
        mm_buf_printf(&buf, "],\"target\":[%d,%d],\"queued\":false}}", decision->target.q,
                      decision->target.r);
    } else if (decision->kind == BRAIN_ATTACK || decision->kind == BRAIN_GATHER) {
        mm_buf_printf(&buf, "\"command\":\"%s\",\"units\":[",
                      decision->kind == BRAIN_ATTACK ? "attack" : "gather");
        mm_buf_json_cstr(&buf, decision->entity);
        MM_BUF_LIT(&buf, "],\"target\":");
        mm_buf_json_cstr(&buf, decision->victim);
        MM_BUF_LIT(&buf, "}}");
    } else if (decision->kind == BRAIN_BUILD) {
        MM_BUF_LIT(&buf, "\"command\":\"build\",\"units\":[");
        mm_buf_json_cstr(&buf, decision->entity);
        MM_BUF_LIT(&buf, "],\"building\":");
        mm_buf_json_cstr(&buf, decision->recipe);
        mm_buf_printf(&buf, ",\"target\":[%d,%d]}}", decision->target.q, decision->target.r);
    } else {
        MM_BUF_LIT(&buf, "\"command\":\"train\",\"building\":");
        mm_buf_json_cstr(&buf, decision->entity);
        MM_BUF_LIT(&buf, ",\"recipe\":");
        mm_buf_json_cstr(&buf, decision->recipe);
        MM_BUF_LIT(&buf, ",\"cycles\":1}}");
    }
    if (buf.err == MM_OK) {
        struct bot_pending *pending = &bot->pending[bot->pending_count++];
        pending->seq = bot->next_seq++;
        pending->sent_ns = mm_clock_ns();
        pending->len = (uint32_t)buf.len;
        memcpy(pending->text, buf.data, buf.len);
        bot->world->stats->commands++;
        ws_send(&bot->ws, pending->text, pending->len);
    }
    mm_buf_free(&buf);
}

static void resend_pending(struct bot *bot)
{
    for (uint32_t i = 0; i < bot->pending_count; i++) {
        struct bot_pending *pending = &bot->pending[i];
        bot->world->stats->resends++;
        ws_send(&bot->ws, pending->text, pending->len);
    }
}

// The command with this number is answered; its time is a figure only if it was acknowledged.
static void settle_pending(struct bot *bot, uint64_t seq, bool acknowledged)
{
    for (uint32_t i = 0; i < bot->pending_count; i++) {
        if (bot->pending[i].seq != seq)
            continue;
        if (acknowledged)
            mm_histogram_record(&bot->world->stats->ack_us,
                                (mm_clock_ns() - bot->pending[i].sent_ns) / 1000);
        // Order is kept: resent commands must have growing numbers.
        memmove(&bot->pending[i], &bot->pending[i + 1],
                (bot->pending_count - i - 1) * sizeof bot->pending[0]);
        bot->pending_count--;
        return;
    }
}

static void chat(struct bot *bot)
{
    struct mm_buf buf;
    mm_buf_init(&buf, 1024);
    MM_BUF_LIT(&buf, "{\"type\":\"chat\",\"payload\":{\"message\":");
    mm_buf_json_cstr(&buf, brain_say(&bot->rng));
    MM_BUF_LIT(&buf, "}}");
    ws_send(&bot->ws, (const char *)buf.data, buf.len);
    mm_buf_free(&buf);
    bot->world->stats->chats_sent++;
}

static void ping(struct bot *bot)
{
    char text[96];
    int len =
        snprintf(text, sizeof text, "{\"type\":\"ping\",\"payload\":{\"timestamp\":%" PRIu64 "}}",
                 mm_clock_ns() / 1000);
    ws_send(&bot->ws, text, (size_t)len);
}

static void think(struct bot *bot)
{
    uint64_t now_ns = mm_clock_ns();
    if (now_ns >= bot->ping_after_ns) {
        ping(bot);
        bot->ping_after_ns = now_ns + MM_LOOP_MS(PING_EVERY_MS);
    }
    if (now_ns >= bot->chat_after_ns) {
        chat(bot);
        bot->chat_after_ns = now_ns + MM_LOOP_MS(random_ms(bot, CHAT_MIN_MS, CHAT_MAX_MS));
    }
    if (now_ns >= bot->quiet_until_ns && bot->pending_count < BOT_PENDING_MAX) {
        struct brain_decision decision = brain_decide(&bot->game, &bot->rng, now_ns / 1000000);
        if (decision.kind != BRAIN_NOTHING)
            send_command(bot, &decision);
    }
    mm_loop_timer_start(bot->world->loop, &bot->timer,
                        MM_LOOP_MS(random_ms(bot, THINK_MIN_MS, THINK_MAX_MS)), 0);
}

// --- messages ------------------------------------------------------------------------------------

static void on_update(struct bot *bot, const json_t *message)
{
    struct stats *stats = bot->world->stats;
    bool was_full = bot->game.full;
    size_t own_before = bot->game.own.count;
    struct game_faults faults = game_on_update(&bot->game, message);
    stats->updates++;
    stats->ticks_back += faults.tick_back;
    stats->unknown_changes += faults.changed_unknown;
    if (was_full && bot->game.own.count > own_before)
        stats->units_trained += bot->game.own.count - own_before;
    if (was_full || !bot->game.full)
        return;
    // The state is whole: from here on it plays.
    bot->playing = true;
    bot->has_played = true;
    bot->failures = 0;
    stats->playing++;
    if (bot->lost_ns != 0)
        mm_histogram_record(&stats->away_ms, (mm_clock_ns() - bot->lost_ns) / 1000000);
    bot->lost_ns = 0;
    resend_pending(bot);
    mm_loop_timer_start(bot->world->loop, &bot->timer, MM_LOOP_MS(random_ms(bot, 0, THINK_MAX_MS)),
                        0);
}

static void on_welcome(struct bot *bot, const json_t *message)
{
    struct stats *stats = bot->world->stats;
    stats->playing -= bot->playing;
    bot->playing = false;
    mm_loop_timer_stop(bot->world->loop, &bot->timer);
    game_on_welcome(&bot->game, message);
    const json_t *next = json_object_get(json_object_get(message, "payload"), "next_seq");
    uint64_t next_seq = (uint64_t)json_integer_value(next);
    if (next_seq > bot->next_seq)
        bot->next_seq = next_seq;
}

static void on_error(struct bot *bot, const json_t *payload)
{
    const char *code = json_string_value(json_object_get(payload, "code"));
    const json_t *seq = json_object_get(payload, "seq");
    code = code ? code : "(none)";
    stats_count(bot->world->stats->errors, code);
    if (json_is_integer(seq))
        settle_pending(bot, (uint64_t)json_integer_value(seq), false);
    if (mm_str_equal(code, "rate_limited") || mm_str_equal(code, "cooldown") ||
        mm_str_equal(code, "unavailable"))
        bot->quiet_until_ns = mm_clock_ns() + MM_LOOP_MS(SLOW_DOWN_MS);
}

static void on_message(struct bot *bot, const char *type, json_t *message)
{
    const json_t *payload = json_object_get(message, "payload");
    struct stats *stats = bot->world->stats;
    if (mm_str_equal(type, "update")) {
        on_update(bot, message);
    } else if (mm_str_equal(type, "ack")) {
        stats->acks++;
        settle_pending(bot, (uint64_t)json_integer_value(json_object_get(payload, "seq")), true);
    } else if (mm_str_equal(type, "error")) {
        on_error(bot, payload);
    } else if (mm_str_equal(type, "pong")) {
        uint64_t sent_us = (uint64_t)json_integer_value(json_object_get(payload, "timestamp"));
        mm_histogram_record(&stats->ping_us, mm_clock_ns() / 1000 - sent_us);
    } else if (mm_str_equal(type, "chat")) {
        stats->chats_heard++;
    } else if (mm_str_equal(type, "welcome")) {
        on_welcome(bot, message);
    } else if (mm_str_equal(type, "map")) {
        game_on_map(&bot->game, message);
    } else if (mm_str_equal(type, "explored_hexes")) {
        game_on_explored(&bot->game, message);
    } else if (mm_str_equal(type, "session_status")) {
        game_on_session_status(&bot->game, payload);
    }
}

static void on_text(void *arg, const char *text, size_t len)
{
    struct bot *bot = arg;
    struct stats *stats = bot->world->stats;
    stats->messages_in++;
    stats->bytes_in += bot->ws.bytes_in - bot->ws_bytes_counted;
    bot->ws_bytes_counted = bot->ws.bytes_in;
    json_t *message = json_loadb(text, len, 0, NULL);
    const char *type = json_string_value(json_object_get(message, "type"));
    if (type)
        on_message(bot, type, message);
    else
        stats->malformed++;
    json_decref(message);
}

// --- life ----------------------------------------------------------------------------------------

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct bot *bot = arg;
    if (bot->playing)
        think(bot);
    else
        come_in(bot);
}

void bot_init(struct bot *bot, const struct bot_world *world, const char *prefix, uint32_t number)
{
    static const struct ws_handler handler = {on_open, on_text, on_close};
    memset(bot, 0, sizeof *bot);
    bot->world = world;
    snprintf(bot->name, sizeof bot->name, "%s-%03u", prefix, number);
    mm_rng_seed(&bot->rng, mm_hash64(bot->name, strlen(bot->name), 0));
    MM_CHECK(game_init(&bot->game));
    login_init(&bot->login, world->loop);
    ws_init(&bot->ws, world->loop, &handler, bot);
    bot->next_seq = 1;
    bot->chat_after_ns = mm_clock_ns() + MM_LOOP_MS(random_ms(bot, 5000, CHAT_MAX_MS));
    mm_loop_timer_init(&bot->timer, on_timer, bot);
}

void bot_start(struct bot *bot, uint64_t delay_ms)
{
    mm_loop_timer_start(bot->world->loop, &bot->timer, MM_LOOP_MS(delay_ms), 0);
}

void bot_leave(struct bot *bot)
{
    bot->leaving = true;
    mm_loop_timer_stop(bot->world->loop, &bot->timer);
    login_cancel(&bot->login);
    if (bot->ws.open && !bot->ws.broken)
        ws_close(&bot->ws, 1000);
    else
        ws_abort(&bot->ws);
}

bool bot_has_left(const struct bot *bot)
{
    return bot->leaving && bot->ws.fd < 0;
}

void bot_free(struct bot *bot)
{
    mm_loop_timer_stop(bot->world->loop, &bot->timer);
    login_free(&bot->login);
    ws_free(&bot->ws);
    game_free(&bot->game);
    mm_free(bot->token);
}
