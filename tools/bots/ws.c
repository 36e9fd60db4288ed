#include "tools/bots/ws.h"

#include "libcommon/base/check.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HANDSHAKE_BYTES_MAX = 8192, HANDSHAKE_WITHIN_MS = 10000, CLOSE_WITHIN_MS = 5000 };

void ws_abort(struct ws *ws)
{
    mm_loop_timer_stop(ws->loop, &ws->timer);
    if (ws->fd >= 0) {
        mm_loop_fd_remove(ws->loop, ws->fd);
        close(ws->fd);
        ws->fd = -1;
    }
    wslay_event_context_free(ws->frames);
    ws->frames = NULL;
    ws->open = false;
}

static void finish(struct ws *ws)
{
    unsigned code = ws->close_bytes == 2 ? ws->close_code : WS_CLOSE_ABNORMAL;
    ws_abort(ws);
    ws->handler->on_close(ws->arg, code);
}

// --- frames --------------------------------------------------------------------------------------

static ssize_t on_wslay_recv(wslay_event_context_ptr frames, uint8_t *data, size_t len, int flags,
                             void *arg)
{
    (void)flags;
    struct ws *ws = arg;
    // What the server sent right behind its handshake comes first.
    if (ws->in.len > 0) {
        size_t take = len < ws->in.len ? len : ws->in.len;
        memcpy(data, ws->in.data, take);
        mm_buf_consume(&ws->in, take);
        ws->bytes_in += take;
        return (ssize_t)take;
    }
    ssize_t got;
    do
        got = recv(ws->fd, data, len, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        ws->bytes_in += (uint64_t)got;
        return got;
    }
    bool wait = got < 0 && errno == EAGAIN;
    wslay_event_set_error(frames, wait ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_wslay_send(wslay_event_context_ptr frames, const uint8_t *data, size_t len,
                             int flags, void *arg)
{
    struct ws *ws = arg;
    ssize_t sent;
    do
        sent = send(ws->fd, data, len, MSG_NOSIGNAL | (flags & WSLAY_MSG_MORE ? MSG_MORE : 0));
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        wslay_event_set_error(frames,
                              errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return sent;
}

static int on_wslay_mask(wslay_event_context_ptr frames, uint8_t *mask, size_t len, void *arg)
{
    (void)frames;
    (void)arg;
    return RAND_bytes(mask, (int)len) == 1 ? 0 : -1;
}

static void on_wslay_message(wslay_event_context_ptr frames,
                             const struct wslay_event_on_msg_recv_arg *message, void *arg)
{
    (void)frames;
    struct ws *ws = arg;
    if (message->opcode != WSLAY_TEXT_FRAME || ws->broken)
        return;
    // The buffer is wslay's and has no room for the NUL.
    struct mm_buf text;
    mm_buf_init(&text, WS_MESSAGE_BYTES_MAX + 1);
    mm_buf_append(&text, message->msg, message->msg_length);
    const char *cstr = mm_buf_cstr(&text);
    if (cstr)
        ws->handler->on_text(ws->arg, cstr, text.len);
    mm_buf_free(&text);
}

// The close code is read here, because wslay takes codes from 1012 on, which were registered later,
// for a protocol error and tells nothing of them.
static void on_wslay_frame(wslay_event_context_ptr frames,
                           const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
    (void)frames;
    struct ws *ws = arg;
    ws->in_close = frame->opcode == WSLAY_CONNECTION_CLOSE;
}

static void on_wslay_chunk(wslay_event_context_ptr frames,
                           const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *arg)
{
    (void)frames;
    struct ws *ws = arg;
    for (size_t i = 0; ws->in_close && i < chunk->data_length && ws->close_bytes < 2; i++) {
        ws->close_code = ws->close_code << 8 | chunk->data[i];
        ws->close_bytes++;
    }
}

static void watch(struct ws *ws)
{
    unsigned events = (wslay_event_want_read(ws->frames) ? MM_LOOP_READ : 0) |
                      (wslay_event_want_write(ws->frames) ? MM_LOOP_WRITE : 0);
    if (events == 0 || mm_loop_fd_set(ws->loop, ws->fd, events) != MM_OK)
        ws->broken = true;
}

static void begin_frames(struct ws *ws)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_wslay_recv,
        .send_callback = on_wslay_send,
        .genmask_callback = on_wslay_mask,
        .on_frame_recv_start_callback = on_wslay_frame,
        .on_frame_recv_chunk_callback = on_wslay_chunk,
        .on_msg_recv_callback = on_wslay_message,
    };
    if (wslay_event_context_client_init(&ws->frames, &callbacks, ws) != 0) {
        ws->broken = true;
        return;
    }
    wslay_event_config_set_max_recv_msg_length(ws->frames, WS_MESSAGE_BYTES_MAX);
    mm_loop_timer_stop(ws->loop, &ws->timer);
    ws->open = true;
    ws->handler->on_open(ws->arg);
}

// --- handshake -----------------------------------------------------------------------------------

// The answer's value of a header, or NULL. `head` ends with an empty line.
static const char *header_value(const char *head, const char *name, size_t *len_out)
{
    size_t name_len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *value = line + name_len + 1;
            value += strspn(value, " \t");
            *len_out = strcspn(value, "\r");
            return value;
        }
    }
    return NULL;
}

// True when the answer is complete and good; sets broken when it is bad.
static bool read_handshake(struct ws *ws)
{
    const char *head = mm_buf_cstr(&ws->in);
    const char *end = head ? strstr(head, "\r\n\r\n") : NULL;
    if (!end) {
        ws->broken = !head;
        return false;
    }
    size_t len = 0;
    const char *accept = header_value(head, "Sec-WebSocket-Accept", &len);
    if (strncmp(head, "HTTP/1.1 101", 12) != 0 || !accept || len != strlen(ws->accept) ||
        memcmp(accept, ws->accept, len) != 0) {
        ws->broken = true;
        return false;
    }
    mm_buf_consume(&ws->in, (size_t)(end + 4 - head));
    return true;
}

static void handshake(struct ws *ws, unsigned events)
{
    if ((events & MM_LOOP_WRITE) && ws->out.len > 0) {
        ssize_t sent = send(ws->fd, ws->out.data, ws->out.len, MSG_NOSIGNAL);
        if (sent > 0)
            mm_buf_consume(&ws->out, (size_t)sent);
        else if (errno != EAGAIN && errno != EINTR)
            ws->broken = true;
        if (ws->out.len == 0 && mm_loop_fd_set(ws->loop, ws->fd, MM_LOOP_READ) != MM_OK)
            ws->broken = true;
        return;
    }
    char piece[2048];
    ssize_t got = recv(ws->fd, piece, sizeof piece, 0);
    if (got > 0)
        mm_buf_append(&ws->in, piece, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        ws->broken = true;
    if (!ws->broken && read_handshake(ws))
        begin_frames(ws);
}

// RFC 6455 section 4.2.2: base64(SHA-1(key + a fixed text)).
static void draw_key(char key[32], char accept[32])
{
    unsigned char random[16], digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;
    char text[80];
    MM_CHECK(RAND_bytes(random, sizeof random) == 1);
    EVP_EncodeBlock((unsigned char *)key, random, sizeof random);
    int len = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    MM_CHECK(EVP_Digest(text, (size_t)len, digest, &digest_bytes, EVP_sha1(), NULL) == 1);
    EVP_EncodeBlock((unsigned char *)accept, digest, (int)digest_bytes);
}

// --- connection ----------------------------------------------------------------------------------

static void on_fd(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)fd;
    struct ws *ws = arg;
    if (!ws->open)
        handshake(ws, events);
    if (ws->open && !ws->broken) {
        // The read is worth a try even if the event was for writing: bytes may have come with the
        // handshake.
        if (wslay_event_recv(ws->frames) != 0 || wslay_event_send(ws->frames) != 0)
            ws->broken = true;
        else
            watch(ws);
    }
    if (ws->broken)
        finish(ws);
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    finish(arg);
}

void ws_init(struct ws *ws, struct mm_loop *loop, const struct ws_handler *handler, void *arg)
{
    memset(ws, 0, sizeof *ws);
    ws->loop = loop;
    ws->handler = handler;
    ws->arg = arg;
    ws->fd = -1;
    mm_buf_init(&ws->out, HANDSHAKE_BYTES_MAX);
    mm_buf_init(&ws->in, HANDSHAKE_BYTES_MAX);
    mm_loop_timer_init(&ws->timer, on_timer, ws);
}

void ws_free(struct ws *ws)
{
    ws_abort(ws);
    mm_buf_free(&ws->out);
    mm_buf_free(&ws->in);
}

void ws_open(struct ws *ws, const struct address *server, const char *query, const char *token)
{
    MM_CHECK(ws->fd < 0);
    char key[32];
    draw_key(key, ws->accept);
    ws->broken = false;
    ws->close_code = 0;
    ws->close_bytes = 0;
    mm_buf_reset(&ws->in);
    mm_buf_reset(&ws->out);
    mm_buf_printf(&ws->out,
                  "GET %s%s%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                  "Authorization: Bearer %s\r\n\r\n",
                  server->path, *query ? "?" : "", query, server->authority, key, token);
    ws->fd = ws->out.err == MM_OK ? address_connect(server) : -1;
    if (ws->fd >= 0 && mm_loop_fd_add(ws->loop, ws->fd, MM_LOOP_WRITE, on_fd, ws) != MM_OK) {
        close(ws->fd);
        ws->fd = -1;
    }
    mm_loop_timer_start(ws->loop, &ws->timer, ws->fd >= 0 ? MM_LOOP_MS(HANDSHAKE_WITHIN_MS) : 0, 0);
}

void ws_send(struct ws *ws, const char *text, size_t len)
{
    if (!ws->open || ws->broken)
        return;
    struct wslay_event_msg message = {WSLAY_TEXT_FRAME, (const uint8_t *)text, len};
    if (wslay_event_queue_msg(ws->frames, &message) == 0)
        watch(ws); // the loop sends it: many messages of a turn go out together
}

void ws_close(struct ws *ws, unsigned code)
{
    if (!ws->open || ws->broken)
        return;
    wslay_event_queue_close(ws->frames, (uint16_t)code, NULL, 0);
    watch(ws);
    mm_loop_timer_start(ws->loop, &ws->timer, MM_LOOP_MS(CLOSE_WITHIN_MS), 0);
}
