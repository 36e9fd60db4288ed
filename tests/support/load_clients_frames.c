#include "libcommon/base/check.h"
#include "tests/support/bench.h"
#include "tests/support/load_clients_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define TICK_NS UINT64_C(50000000)

enum { OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10, RSV1 = 0x40 };

static void send_frame(struct load_clients *clients, struct load_client *client, uint8_t opcode,
                       const void *data, size_t len)
{
    uint8_t frame[1024];
    size_t head = len < 126 ? 2 : 4;
    MM_CHECK(len + 8 <= sizeof frame);
    frame[0] = (uint8_t)(0x80 | opcode);
    frame[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) {
        frame[2] = (uint8_t)(len >> 8);
        frame[3] = (uint8_t)len;
    }
    MM_CHECK(getrandom(frame + head, 4, 0) == 4);
    for (size_t i = 0; i < len; i++)
        frame[head + 4 + i] = ((const uint8_t *)data)[i] ^ frame[head + i % 4];
    load_clients_send(clients, client, frame, head + 4 + len);
}

void load_clients_send_text(struct load_clients *clients, struct load_client *client,
                            const char *text, size_t len)
{
    send_frame(clients, client, OP_TEXT, text, len);
}

static void enter(struct load_clients *clients, struct load_client *client)
{
    struct load_figures *figures = &clients->figures;
    client->state = LOAD_PLAYING;
    clients->entering--;
    clients->playing++;
    figures->entered++;
    mm_histogram_record(&figures->enter_us, (bench_now_ns() - client->opened_ns) / 1000);
    if (client->slow_bytes || client->stalled)
        load_clients_watch(clients, client);
}

static void on_welcome(struct load_clients *clients, struct load_client *client,
                       const struct load_message *message)
{
    struct load_figures *figures = &clients->figures;
    client->next_seq = message->next_seq;
    client->told_json = client->json;
    if (message->resumed) {
        figures->resumed++;
        figures->json_resumed += client->json;
    } else if (client->resumes) {
        figures->unresumed++;
        figures->forgotten += strcmp(message->code, "unknown") == 0;
        memcpy(figures->unresumed_why, message->code, sizeof figures->unresumed_why);
    }
}

static uint64_t lag_us(const struct load_clients *clients)
{
    uint64_t now_ns = bench_now_ns();
    return now_ns > clients->arrived_ns ? (now_ns - clients->arrived_ns) / 1000 : 0;
}

static void on_interval(struct load_clients *clients, uint64_t us)
{
    uint64_t late_us = clients->options.late_us;
    mm_histogram_record(&clients->figures.interval_us, us);
    clients->figures.late += late_us > 0 && us > late_us;
}

static void on_update(struct load_clients *clients, struct load_client *client,
                      const struct load_message *message)
{
    struct load_figures *figures = &clients->figures;
    uint64_t now_ns = clients->arrived_ns;
    figures->updates++;
    figures->entities += message->entities;
    if (message->watched && client->visible_ns) {
        mm_histogram_record(&figures->visible_us, (now_ns - client->visible_ns) / 1000);
        client->visible_ns = 0;
    }
    bool anew = message->full || message->resumed, unknown = clients->more_updates;
    if (anew && client->state == LOAD_ENTERING)
        enter(clients, client);
    if (!message->complete || anew) {
        client->updated_ns = 0; // what tells more than a tick begins a new series of intervals
    } else if (message->tick > client->updated_tick) {
        // Ticks in which nothing changed for the client have no update: their time is taken off.
        uint64_t ticks = message->tick - client->updated_tick;
        uint64_t quiet_ns = (ticks - 1) * TICK_NS, past_ns = now_ns - client->updated_ns;
        if (client->updated_ns) {
            figures->ticks += ticks;
            if (unknown || client->unknown)
                figures->unstamped++;
            else
                on_interval(clients, past_ns > quiet_ns ? (past_ns - quiet_ns) / 1000 : 0);
            if (!unknown)
                mm_histogram_record(&figures->lag_us, lag_us(clients));
        }
        client->unknown = unknown;
        client->updated_ns = now_ns;
    }
    client->updated_tick = message->tick;
}

static void on_answer(struct load_clients *clients, struct load_client *client,
                      const struct load_message *message)
{
    struct load_figures *figures = &clients->figures;
    if (message->seq == 0 || message->seq + 1 != client->next_seq || client->command_ns == 0)
        return;
    if (message->news == LOAD_NEWS_ACK) {
        mm_histogram_record(&figures->ack_us, (clients->arrived_ns - client->command_ns) / 1000);
    } else {
        figures->refused++;
        memcpy(figures->refusal, message->code, sizeof figures->refusal);
        client->visible_ns = 0;
    }
    client->command_ns = 0;
}

static void on_message(struct load_clients *clients, struct load_client *client, bool text,
                       const uint8_t *data, size_t len)
{
    struct load_message message = {0};
    clients->figures.messages++;
    // A fault stays with the view; the client goes on, so that all are seen.
    if (text)
        (void)load_view_take_text(&client->view, (const char *)data, len, &message);
    else
        (void)load_view_take_binary(&client->view, data, len, &message);
    if (message.news == LOAD_NEWS_UPDATE)
        on_update(clients, client, &message);
    else if (message.news == LOAD_NEWS_WELCOME)
        on_welcome(clients, client, &message);
    else if (message.news != LOAD_NEWS_OTHER)
        on_answer(clients, client, &message);
}

// RFC 7692: each message by itself, without the four bytes that end it.
static void on_compressed(struct load_clients *clients, struct load_client *client, bool text,
                          const uint8_t *data, size_t len)
{
    static const uint8_t tail[] = {0, 0, 0xff, 0xff};
    z_stream *z = &clients->inflater;
    MM_CHECK(inflateReset(z) == Z_OK);
    z->next_out = clients->inflated;
    z->avail_out = LOAD_READ_BYTES;
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)len;
    int end = inflate(z, Z_SYNC_FLUSH);
    z->next_in = (Bytef *)(uintptr_t)tail;
    z->avail_in = sizeof tail;
    if (end == Z_OK || end == Z_BUF_ERROR)
        end = inflate(z, Z_SYNC_FLUSH);
    if ((end != Z_OK && end != Z_BUF_ERROR) || z->avail_in > 0 || z->avail_out == 0)
        load_clients_lose(clients, client, "what it was sent cannot be inflated: %d", end);
    else
        on_message(clients, client, text, clients->inflated, LOAD_READ_BYTES - z->avail_out);
}

static void on_frame(struct load_clients *clients, struct load_client *client, uint8_t head,
                     const uint8_t *data, size_t len)
{
    if (client->deflate && (head & RSV1) && (head & 15) <= OP_BINARY) {
        clients->figures.compressed++;
        on_compressed(clients, client, (head & 15) == OP_TEXT, data, len);
        return;
    }
    switch (head) {
    case 0x80 | OP_TEXT:
        on_message(clients, client, true, data, len);
        break;
    case 0x80 | OP_BINARY:
        on_message(clients, client, false, data, len);
        break;
    case 0x80 | OP_PING:
        send_frame(clients, client, OP_PONG, data, len);
        break;
    case 0x80 | OP_PONG:
        break;
    case 0x80 | OP_CLOSE:
        load_clients_lose(clients, client, "closed: %d %.*s", len >= 2 ? data[0] << 8 | data[1] : 0,
                          len > 2 ? (int)len - 2 : 0, len > 2 ? (const char *)data + 2 : "");
        break;
    default:
        load_clients_lose(clients, client, "a frame that begins with %02x", head);
    }
}

// How long the frame is that begins there, 0 if that is not known yet; *head: without its payload.
static uint64_t frame_length(const uint8_t *frame, size_t len, size_t *head)
{
    *head = len < 2 || frame[1] < 126 ? 2 : frame[1] == 126 ? 4 : 10;
    if (len < *head)
        return 0;
    uint64_t payload = frame[1] & 127;
    for (size_t i = 2; i < *head; i++)
        payload = (i > 2 ? payload : 0) << 8 | frame[i];
    return *head + payload;
}

// Whether an update, or a piece of what may be one, is among this. What is compressed, or text, is
// taken for one.
static bool has_update(const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t head = 0;
        uint64_t frame = frame_length(data, len, &head);
        if (frame == 0 || frame > len)
            return true;
        unsigned opcode = data[0] & 15;
        bool plain = opcode == OP_BINARY && !(data[0] & RSV1);
        if (opcode == OP_TEXT || (opcode == OP_BINARY && !plain) ||
            (plain && frame > head && data[head] >= 0x80))
            return true;
        data += frame;
        len -= (size_t)frame;
    }
    return false;
}

// Takes whole frames; returns how many bytes.
static size_t take_frames(struct load_clients *clients, struct load_client *client,
                          const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (client->state >= LOAD_ENTERING && len - at >= 2) {
        const uint8_t *frame = data + at;
        size_t head = 0;
        uint64_t whole = frame_length(frame, len - at, &head);
        if (whole == 0)
            break;
        if ((frame[1] & 0x80) || whole - head > LOAD_READ_BYTES - LOAD_READ_ONCE) {
            load_clients_lose(clients, client, "a masked frame, or one of %llu bytes",
                              (unsigned long long)(whole - head));
            break;
        }
        if (len - at < whole)
            break;
        // The stamp is that of the last piece read.
        clients->more_updates = has_update(frame + whole, len - at - (size_t)whole);
        on_frame(clients, client, frame[0], frame + head, (size_t)(whole - head));
        at += (size_t)whole;
    }
    return at;
}

// The answer to the handshake; returns its length, 0 if it is not whole.
static size_t take_answer(struct load_clients *clients, struct load_client *client,
                          const char *data, size_t len)
{
    const char *stop = memmem(data, len, "\r\n\r\n", 4);
    if (!stop) {
        if (len > LOAD_HANDSHAKE_BYTES)
            load_clients_lose(clients, client, "an endless handshake");
        return 0;
    }
    size_t answer = (size_t)(stop - data) + 4;
    if (answer < 12 || memcmp(data, "HTTP/1.1 101", 12) != 0 ||
        !memmem(data, answer, client->accept, strlen(client->accept)))
        load_clients_lose(clients, client, "handshake refused: %.*s", 40, data);
    else if (client->deflate && !memmem(data, answer, "server_no_context_takeover", 26))
        load_clients_lose(clients, client, "compression refused");
    else
        client->state = LOAD_ENTERING;
    return answer;
}

void load_clients_take(struct load_clients *clients, struct load_client *client,
                       const uint8_t *data, size_t len)
{
    size_t at = 0;
    if (client->part_len > 0) { // what came before belongs in front
        memcpy(clients->joined, client->part, client->part_len);
        memcpy(clients->joined + client->part_len, data, len);
        data = clients->joined;
        len += client->part_len;
    }
    if (client->state == LOAD_SHAKING)
        at = take_answer(clients, client, (const char *)data, len);
    at += take_frames(clients, client, data + at, len - at);
    if (client->state == LOAD_CLOSED)
        return;
    client->part_len = (uint32_t)(len - at);
    if (client->part_len > client->part_capacity) {
        free(client->part);
        client->part_capacity = client->part_len + 512;
        client->part = malloc(client->part_capacity);
        MM_CHECK(client->part);
    }
    if (client->part_len > 0)
        memcpy(client->part, data + at, client->part_len);
}
