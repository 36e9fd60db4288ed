#include "services/sync/ws.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"
#include "services/sync/deflate.h"

#include <string.h>
#include <sys/types.h>
#include <wslay/wslay.h>

struct sync_ws {
    sync_ws_message_fn message;
    void *arg;
    wslay_frame_context_ptr frames;
    const uint8_t *input; // what sync_ws_receive was given and wslay has not taken yet
    size_t input_len;

    uint16_t failed; // the code with which it must be closed
    bool in_frame;   // some of the frame's payload is still to come
    uint64_t frame_left;
    struct sync_deflate *deflate; // NULL: compressed messages were not agreed on
    enum sync_ws_opcode opcode;   // of the message being gathered; 0 = none
    bool compressed;              // it is
    size_t len, frame_count;
    size_t control_len;
    uint8_t control[SYNC_WS_CONTROL_BYTES_MAX];
    uint8_t text[SYNC_WS_MESSAGE_BYTES_MAX];
};

static ssize_t take_input(uint8_t *buf, size_t len, int flags, void *arg)
{
    (void)flags;
    struct sync_ws *ws = arg;
    size_t n = len < ws->input_len ? len : ws->input_len;
    if (n == 0)
        return -1; // nothing more: wslay keeps its place
    memcpy(buf, ws->input, n);
    ws->input += n;
    ws->input_len -= n;
    return (ssize_t)n;
}

struct sync_ws *sync_ws_new(sync_ws_message_fn message, void *arg)
{
    struct sync_ws *ws = mm_calloc(1, sizeof *ws);
    if (!ws)
        return NULL;
    ws->message = message;
    ws->arg = arg;
    struct wslay_frame_callbacks callbacks = {.recv_callback = take_input};
    if (wslay_frame_context_init(&ws->frames, &callbacks, ws) != 0) {
        mm_free(ws);
        return NULL;
    }
    return ws;
}

void sync_ws_free(struct sync_ws *ws)
{
    if (!ws)
        return;
    wslay_frame_context_free(ws->frames);
    mm_free(ws);
}

void sync_ws_inflate(struct sync_ws *ws, struct sync_deflate *deflate)
{
    ws->deflate = deflate;
}

// --- what a frame may be -------------------------------------------------------------------------

static bool is_control(unsigned opcode)
{
    return opcode >= 8;
}

// Looks at a frame's header when its first bytes come. The code to close with, or 0.
static uint16_t begin_frame(struct sync_ws *ws, const struct wslay_frame_iocb *frame)
{
    // Only a message's first frame can say that it is compressed (RFC 7692, section 6).
    bool starts = frame->opcode == WSLAY_TEXT_FRAME || frame->opcode == WSLAY_BINARY_FRAME;
    unsigned rsv_allowed = ws->deflate && starts ? WSLAY_RSV1_BIT : WSLAY_RSV_NONE;
    if (!frame->mask || (frame->rsv & ~rsv_allowed) != 0)
        return SYNC_WS_PROTOCOL_ERROR;
    switch (frame->opcode) {
    case WSLAY_CONTINUATION_FRAME:
        if (ws->opcode == 0)
            return SYNC_WS_PROTOCOL_ERROR;
        break;
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        if (ws->opcode != 0)
            return SYNC_WS_PROTOCOL_ERROR; // the message before has not ended
        ws->opcode = (enum sync_ws_opcode)frame->opcode;
        ws->compressed = frame->rsv != 0;
        ws->len = ws->frame_count = 0;
        break;
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        ws->control_len = 0;
        if (frame->payload_length > SYNC_WS_CONTROL_BYTES_MAX || !frame->fin)
            return SYNC_WS_PROTOCOL_ERROR;
        break;
    default:
        return SYNC_WS_PROTOCOL_ERROR;
    }
    if (!is_control(frame->opcode) &&
        (frame->payload_length > SYNC_WS_MESSAGE_BYTES_MAX - ws->len ||
         ++ws->frame_count > SYNC_WS_FRAMES_MAX)) // frames without a byte would go on for ever
        return SYNC_WS_TOO_LARGE;
    ws->in_frame = true;
    ws->frame_left = frame->payload_length;
    return 0;
}

static void keep(struct sync_ws *ws, const struct wslay_frame_iocb *frame)
{
    // begin_frame has made sure that all of it fits.
    if (is_control(frame->opcode)) {
        memcpy(ws->control + ws->control_len, frame->data, frame->data_length);
        ws->control_len += frame->data_length;
    } else {
        memcpy(ws->text + ws->len, frame->data, frame->data_length);
        ws->len += frame->data_length;
    }
    ws->frame_left -= frame->data_length;
}

// Codes a peer may send (RFC 6455, section 7.4, and the IANA registry).
static bool close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static uint16_t end_close(struct sync_ws *ws, bool *more)
{
    uint16_t code = SYNC_WS_NO_STATUS;
    const uint8_t *reason = ws->control;
    size_t len = ws->control_len;
    if (len == 1)
        return SYNC_WS_PROTOCOL_ERROR;
    if (len >= 2) {
        code = (uint16_t)(ws->control[0] << 8 | ws->control[1]);
        if (!close_code_valid(code))
            return SYNC_WS_PROTOCOL_ERROR;
        reason += 2;
        len -= 2;
        if (!mm_utf8_valid(reason, len))
            return SYNC_WS_INVALID_DATA;
    }
    (void)ws->message(ws->arg, SYNC_WS_CLOSE, reason, len, code);
    *more = false;
    return 0;
}

static uint16_t end_message(struct sync_ws *ws, enum sync_ws_opcode opcode, const uint8_t *data,
                            size_t len, bool *more)
{
    if (opcode == SYNC_WS_TEXT && !mm_utf8_valid(data, len))
        return SYNC_WS_INVALID_DATA;
    *more = ws->message(ws->arg, opcode, data, len, 0);
    return 0;
}

static uint16_t end_compressed(struct sync_ws *ws, enum sync_ws_opcode opcode, bool *more)
{
    uint8_t plain[SYNC_WS_MESSAGE_BYTES_MAX + 1];
    size_t len = 0;
    switch (sync_deflate_inflate(ws->deflate, ws->text, ws->len, plain, SYNC_WS_MESSAGE_BYTES_MAX,
                                 &len)) {
    case MM_OK:
        return end_message(ws, opcode, plain, len, more);
    case MM_RESOURCE_EXHAUSTED:
        return SYNC_WS_TOO_LARGE;
    default:
        return SYNC_WS_PROTOCOL_ERROR;
    }
}

static uint16_t end_frame(struct sync_ws *ws, const struct wslay_frame_iocb *frame, bool *more)
{
    ws->in_frame = false;
    enum sync_ws_opcode opcode = ws->opcode;
    if (frame->opcode == WSLAY_CONNECTION_CLOSE)
        return end_close(ws, more);
    if (is_control(frame->opcode)) {
        *more = ws->message(ws->arg, (enum sync_ws_opcode)frame->opcode, ws->control,
                            ws->control_len, 0);
        return 0;
    }
    if (!frame->fin)
        return 0;
    ws->opcode = 0;
    return ws->compressed ? end_compressed(ws, opcode, more)
                          : end_message(ws, opcode, ws->text, ws->len, more);
}

uint16_t sync_ws_receive(struct sync_ws *ws, const uint8_t *data, size_t len)
{
    ws->input = data;
    ws->input_len = len;
    bool more = true;
    while (more && ws->failed == 0) {
        struct wslay_frame_iocb frame;
        memset(&frame, 0, sizeof frame);
        ssize_t n = wslay_frame_recv(ws->frames, &frame);
        if (n == WSLAY_ERR_WANT_READ)
            break;
        if (n < 0) {
            ws->failed = SYNC_WS_PROTOCOL_ERROR;
            break;
        }
        if (!ws->in_frame)
            ws->failed = begin_frame(ws, &frame);
        if (ws->failed == 0)
            keep(ws, &frame);
        if (ws->failed == 0 && ws->frame_left == 0)
            ws->failed = end_frame(ws, &frame, &more);
    }
    ws->input = NULL;
    ws->input_len = 0;
    return ws->failed;
}

bool sync_ws_too_many_frames(const struct sync_ws *ws)
{
    return ws->frame_count > SYNC_WS_FRAMES_MAX; // no more are counted then
}

size_t sync_ws_header(uint8_t out[SYNC_WS_HEADER_BYTES_MAX], enum sync_ws_opcode opcode,
                      size_t payload_bytes)
{
    out[0] = (uint8_t)(0x80 | opcode);
    if (payload_bytes <= 125) {
        out[1] = (uint8_t)payload_bytes;
        return 2;
    }
    if (payload_bytes <= UINT16_MAX) {
        out[1] = 126;
        out[2] = (uint8_t)(payload_bytes >> 8);
        out[3] = (uint8_t)payload_bytes;
        return 4;
    }
    out[1] = 127;
    for (unsigned i = 0; i < 8; i++)
        out[2 + i] = (uint8_t)((uint64_t)payload_bytes >> (56 - 8 * i));
    return 10;
}
