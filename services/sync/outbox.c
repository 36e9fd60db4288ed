#include "services/sync/outbox.h"

#include "libcommon/base/check.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

// Slices handed to one sendmsg; longer messages are copied and sent from the copy.
#define IOV_MAX_HERE 256

_Static_assert(SYNC_HEADROOM_BYTES >= SYNC_WS_HEADER_BYTES_MAX, "a header has room");

void sync_outbox_init(struct sync_outbox *outbox, size_t bytes_max)
{
    memset(outbox, 0, sizeof *outbox);
    mm_buf_init(&outbox->buf, bytes_max);
}

void sync_outbox_deflate(struct sync_outbox *outbox, struct sync_deflate *deflate,
                         unsigned window_bits, bool updates)
{
    outbox->deflate = deflate;
    outbox->window_bits = window_bits;
    outbox->deflate_updates = updates;
}

void sync_outbox_free(struct sync_outbox *outbox)
{
    mm_buf_free(&outbox->buf);
}

size_t sync_outbox_waiting(const struct sync_outbox *outbox)
{
    return outbox->buf.len - outbox->sent;
}

// A frame's payload as it is sent: the message itself, or what it was compressed to.
struct payload {
    enum sync_ws_opcode opcode;
    const void *data;
    size_t len;
};

static struct payload payload_of(const struct sync_outbox *outbox, enum sync_ws_opcode opcode,
                                 const void *data, size_t len)
{
    bool is_message = opcode == SYNC_WS_TEXT || opcode == SYNC_WS_BINARY;
    const struct mm_buf *packed =
        outbox->deflate && is_message
            ? sync_deflate_message(outbox->deflate, outbox->window_bits, data, len)
            : NULL;
    if (!packed)
        return (struct payload){opcode, data, len};
    return (struct payload){(enum sync_ws_opcode)(opcode | SYNC_WS_COMPRESSED), packed->data,
                            packed->len};
}

static void append_frame(struct sync_outbox *outbox, const struct payload *payload)
{
    uint8_t header[SYNC_WS_HEADER_BYTES_MAX];
    mm_buf_append(&outbox->buf, header, sync_ws_header(header, payload->opcode, payload->len));
    mm_buf_append(&outbox->buf, payload->data, payload->len);
}

static void drained(struct sync_outbox *outbox)
{
    size_t bytes_max = outbox->buf.bytes_max;
    outbox->sent = 0;
    if (outbox->buf.capacity > SYNC_OUTBOX_KEEP_BYTES) {
        mm_buf_free(&outbox->buf);
        mm_buf_init(&outbox->buf, bytes_max);
    } else {
        mm_buf_reset(&outbox->buf);
    }
}

enum sync_sent sync_outbox_flush(struct sync_outbox *outbox, int fd)
{
    while (sync_outbox_waiting(outbox) > 0) {
        ssize_t n = send(fd, outbox->buf.data + outbox->sent, sync_outbox_waiting(outbox),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0)
            return SYNC_BROKEN;
        outbox->sent += (size_t)n;
        outbox->bytes_total += (size_t)n;
    }
    if (sync_outbox_waiting(outbox) == 0) {
        drained(outbox);
    } else if (outbox->sent > outbox->buf.len / 2) {
        mm_buf_consume(&outbox->buf, outbox->sent);
        outbox->sent = 0;
    }
    return SYNC_SENT;
}

// Hands the pieces to the kernel and keeps what it does not take. Nothing waits before.
static enum sync_sent send_pieces(struct sync_outbox *outbox, int fd, struct iovec *pieces,
                                  size_t count, size_t bytes)
{
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return SYNC_BROKEN;
        n = 0;
    }
    size_t taken = (size_t)n;
    outbox->bytes_total += taken;
    if (taken == bytes)
        return SYNC_SENT;
    for (size_t i = 0; i < count; i++) {
        size_t skip = taken < pieces[i].iov_len ? taken : pieces[i].iov_len;
        taken -= skip;
        mm_buf_append(&outbox->buf, (const uint8_t *)pieces[i].iov_base + skip,
                      pieces[i].iov_len - skip);
    }
    // Half a frame cannot be taken back.
    return outbox->buf.err == MM_OK ? SYNC_SENT : SYNC_BROKEN;
}

static enum sync_ws_opcode opcode_of(const struct sync_encoder *encoder)
{
    return encoder->encoding == SYNC_BINARY ? SYNC_WS_BINARY : SYNC_WS_TEXT;
}

static void copy_messages(struct sync_outbox *outbox, const struct sync_encoder *encoder)
{
    for (size_t m = 0; m < encoder->messages.count; m++) {
        const struct sync_message *message = &encoder->messages.items[m];
        uint8_t header[SYNC_WS_HEADER_BYTES_MAX];
        mm_buf_append(&outbox->buf, header,
                      sync_ws_header(header, opcode_of(encoder), message->bytes));
        for (size_t i = 0; i < message->slice_count; i++) {
            const struct sync_slice *slice = &encoder->slices.items[message->slice + i];
            mm_buf_append(&outbox->buf, encoder->buf.data + slice->offset, slice->len);
        }
    }
}

static size_t framed_bytes(const struct sync_encoder *encoder)
{
    size_t bytes = 0;
    for (size_t m = 0; m < encoder->messages.count; m++)
        bytes += encoder->messages.items[m].bytes + SYNC_WS_HEADER_BYTES_MAX;
    return bytes;
}

// One binary message, the usual case: its header goes into the room in front of it, so that the
// kernel is given one piece.
static enum sync_sent send_binary(struct sync_outbox *outbox, int fd, struct sync_encoder *encoder)
{
    const struct sync_slice *slice = &encoder->slices.items[encoder->messages.items[0].slice];
    uint8_t header[SYNC_WS_HEADER_BYTES_MAX];
    size_t len = sync_ws_header(header, SYNC_WS_BINARY, slice->len);
    uint8_t *frame = encoder->buf.data + slice->offset - len;
    memcpy(frame, header, len);
    outbox->frames_total++;
    ssize_t n = send(fd, frame, len + slice->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return SYNC_BROKEN;
    size_t taken = n < 0 ? 0 : (size_t)n;
    outbox->bytes_total += taken;
    if (taken < len + slice->len)
        mm_buf_append(&outbox->buf, frame + taken, len + slice->len - taken);
    return outbox->buf.err == MM_OK ? SYNC_SENT : SYNC_BROKEN;
}

// Updates compressed, each gathered first.
static enum sync_sent send_packed(struct sync_outbox *outbox, int fd,
                                  const struct sync_encoder *encoder)
{
    struct mm_buf whole;
    mm_buf_init(&whole, SYNC_STEP_BYTES_MAX);
    for (size_t m = 0; m < encoder->messages.count; m++) {
        const struct sync_message *message = &encoder->messages.items[m];
        mm_buf_reset(&whole);
        for (size_t i = 0; i < message->slice_count; i++) {
            const struct sync_slice *slice = &encoder->slices.items[message->slice + i];
            mm_buf_append(&whole, encoder->buf.data + slice->offset, slice->len);
        }
        struct payload payload = payload_of(outbox, opcode_of(encoder), whole.data, whole.len);
        append_frame(outbox, &payload);
    }
    bool ok = whole.err == MM_OK && outbox->buf.err == MM_OK;
    mm_buf_free(&whole);
    outbox->frames_total += encoder->messages.count;
    return ok ? sync_outbox_flush(outbox, fd) : SYNC_BROKEN;
}

bool sync_outbox_packs(const struct sync_outbox *outbox, const struct sync_encoder *encoder)
{
    bool worth = false;
    for (size_t m = 0; outbox->deflate_updates && m < encoder->messages.count; m++)
        worth |= encoder->messages.items[m].bytes >= SYNC_DEFLATE_BYTES_MIN;
    return worth;
}

enum sync_sent sync_outbox_send_messages(struct sync_outbox *outbox, int fd,
                                         struct sync_encoder *encoder, size_t limit)
{
    size_t messages = encoder->messages.count, slices = encoder->slices.count;
    bool packed = sync_outbox_packs(outbox, encoder);
    if (packed || sync_outbox_waiting(outbox) > 0 || messages + slices > IOV_MAX_HERE) {
        size_t waiting = sync_outbox_waiting(outbox), bytes = framed_bytes(encoder);
        // An empty outbox takes a long message whatever the limit: it may all go at once.
        if (waiting > 0 && waiting + bytes > limit)
            return SYNC_FULL;
        if (!mm_buf_reserve(&outbox->buf, bytes))
            return SYNC_BROKEN;
        if (packed)
            return send_packed(outbox, fd, encoder);
        copy_messages(outbox, encoder);
        outbox->frames_total += messages;
        return sync_outbox_flush(outbox, fd);
    }
    if (messages == 1 && slices == 1 && encoder->encoding == SYNC_BINARY)
        return send_binary(outbox, fd, encoder);
    struct iovec pieces[IOV_MAX_HERE];
    uint8_t headers[IOV_MAX_HERE][SYNC_WS_HEADER_BYTES_MAX];
    size_t count = 0, bytes = 0;
    for (size_t m = 0; m < messages; m++) {
        const struct sync_message *message = &encoder->messages.items[m];
        size_t len = sync_ws_header(headers[m], opcode_of(encoder), message->bytes);
        pieces[count++] = (struct iovec){headers[m], len};
        bytes += len + message->bytes;
        for (size_t i = 0; i < message->slice_count; i++) {
            const struct sync_slice *slice = &encoder->slices.items[message->slice + i];
            pieces[count++] = (struct iovec){encoder->buf.data + slice->offset, slice->len};
        }
    }
    outbox->frames_total += messages;
    return send_pieces(outbox, fd, pieces, count, bytes);
}

bool sync_outbox_add_messages(struct sync_outbox *outbox, struct sync_burst *burst, int fd,
                              const struct sync_encoder *encoder, void *arg)
{
    MM_CHECK(sync_outbox_waiting(outbox) == 0);
    uint8_t *room = sync_burst_reserve(burst, framed_bytes(encoder)), *at = room;
    if (!room)
        return false;
    for (size_t m = 0; m < encoder->messages.count; m++) {
        const struct sync_message *message = &encoder->messages.items[m];
        at += sync_ws_header(at, opcode_of(encoder), message->bytes);
        for (size_t i = 0; i < message->slice_count; i++) {
            const struct sync_slice *slice = &encoder->slices.items[message->slice + i];
            memcpy(at, encoder->buf.data + slice->offset, slice->len);
            at += slice->len;
        }
    }
    outbox->frames_total += encoder->messages.count;
    sync_burst_add(burst, fd, (size_t)(at - room), arg);
    return true;
}

enum sync_sent sync_outbox_added(struct sync_outbox *outbox, int result, const uint8_t *data,
                                 size_t len)
{
    if (result < 0 && result != -EAGAIN && result != -EINTR)
        return SYNC_BROKEN;
    size_t taken = result > 0 ? (size_t)result : 0;
    outbox->bytes_total += taken;
    if (taken < len)
        mm_buf_append(&outbox->buf, data + taken, len - taken);
    return outbox->buf.err == MM_OK ? SYNC_SENT : SYNC_BROKEN;
}

static enum sync_sent keep_payload(struct sync_outbox *outbox, const struct payload *payload,
                                   size_t limit)
{
    if (sync_outbox_waiting(outbox) + SYNC_WS_HEADER_BYTES_MAX + payload->len > limit)
        return SYNC_FULL;
    outbox->frames_total++;
    append_frame(outbox, payload);
    return outbox->buf.err == MM_OK ? SYNC_SENT : SYNC_BROKEN;
}

enum sync_sent sync_outbox_send_frame(struct sync_outbox *outbox, int fd,
                                      enum sync_ws_opcode opcode, const void *data, size_t len,
                                      size_t limit)
{
    struct payload payload = payload_of(outbox, opcode, data, len);
    if (sync_outbox_waiting(outbox) > 0)
        return keep_payload(outbox, &payload, limit);
    uint8_t header[SYNC_WS_HEADER_BYTES_MAX];
    size_t header_len = sync_ws_header(header, payload.opcode, payload.len);
    if (header_len + payload.len > limit)
        return SYNC_FULL;
    outbox->frames_total++;
    struct iovec pieces[2] = {{header, header_len}, {(void *)(uintptr_t)payload.data, payload.len}};
    return send_pieces(outbox, fd, pieces, 2, header_len + payload.len);
}

enum sync_sent sync_outbox_keep_frame(struct sync_outbox *outbox, enum sync_ws_opcode opcode,
                                      const void *data, size_t len, size_t limit)
{
    struct payload payload = payload_of(outbox, opcode, data, len);
    return keep_payload(outbox, &payload, limit);
}

enum sync_sent sync_outbox_send_full(struct sync_outbox *outbox, int fd, enum sync_ws_opcode opcode,
                                     const struct mm_buf *messages)
{
    for (size_t at = 0; at + 4 <= messages->len;) {
        uint32_t len = 0;
        memcpy(&len, messages->data + at, 4);
        struct payload payload = payload_of(outbox, opcode, messages->data + at + 4, len);
        append_frame(outbox, &payload);
        at += 4 + (size_t)len;
        outbox->frames_total++;
    }
    if (outbox->buf.err != MM_OK)
        return SYNC_BROKEN;
    return sync_outbox_flush(outbox, fd);
}
