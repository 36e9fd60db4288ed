#include "services/sync/outbox.h"

#include "libcommon/base/rng.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Messages through sockets that take a byte now and a kilobyte then arrive whole and in order.

struct pipe_pair {
    int out, in;
};

static struct pipe_pair open_pair(int buffer_bytes)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    return (struct pipe_pair){fds[0], fds[1]};
}

static size_t drain(int fd, uint8_t *into, size_t at, size_t bytes_max)
{
    ssize_t n = recv(fd, into + at, bytes_max, 0);
    return n > 0 ? (size_t)n : 0;
}

// An encoder that holds `count` messages of random slices; appends what must arrive to `wanted`.
static void fill(struct sync_encoder *encoder, struct mm_rng *rng, struct mm_buf *wanted,
                 size_t count, size_t slices_max)
{
    mm_vec_clear(&encoder->slices);
    mm_vec_clear(&encoder->messages);
    mm_buf_reset(&encoder->buf);
    encoder->encoding = mm_rng_chance(rng, 1, 2) ? SYNC_BINARY : SYNC_JSON;
    bool binary = encoder->encoding == SYNC_BINARY;
    for (size_t m = 0; m < count; m++) {
        struct sync_message message = {.slice = encoder->slices.count};
        size_t slices = binary ? 1 : 1 + mm_rng_below(rng, slices_max);
        for (size_t i = 0; binary && i < SYNC_HEADROOM_BYTES; i++)
            mm_buf_byte(&encoder->buf, 0xee);
        size_t from = encoder->buf.len;
        for (size_t s = 0; s < slices; s++) {
            size_t len = mm_rng_below(rng, binary ? 60 * slices_max : 60);
            cr_assert(mm_vec_push(&encoder->slices, ((struct sync_slice){encoder->buf.len, len})));
            for (size_t i = 0; i < len; i++)
                mm_buf_byte(&encoder->buf, (uint8_t)mm_rng_u64(rng));
            message.bytes += len;
            message.slice_count++;
        }
        cr_assert(mm_vec_push(&encoder->messages, message));
        uint8_t header[SYNC_WS_HEADER_BYTES_MAX];
        mm_buf_append(
            wanted, header,
            sync_ws_header(header, binary ? SYNC_WS_BINARY : SYNC_WS_TEXT, message.bytes));
        mm_buf_append(wanted, encoder->buf.data + from, message.bytes);
    }
}

static void run(uint64_t seed, size_t slices_max)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, seed);
    struct pipe_pair fds = open_pair(4608);
    struct sync_outbox outbox;
    sync_outbox_init(&outbox, (size_t)1 << 20);
    struct sync_encoder encoder;
    sync_encoder_init(&encoder);
    struct mm_buf wanted, got;
    mm_buf_init(&wanted, (size_t)64 << 20);
    mm_buf_init(&got, (size_t)64 << 20);
    size_t refused = 0, limit = 3000;
    for (unsigned round = 0; round < 3000; round++) {
        size_t before = wanted.len;
        enum sync_sent sent = SYNC_SENT;
        if (mm_rng_chance(&rng, 1, 3)) {
            fill(&encoder, &rng, &wanted, 1 + mm_rng_below(&rng, 3), slices_max);
            sent = sync_outbox_send_messages(&outbox, fds.out, &encoder, limit);
        } else if (mm_rng_chance(&rng, 1, 4)) {
            uint8_t header[SYNC_WS_HEADER_BYTES_MAX];
            mm_buf_append(&wanted, header, sync_ws_header(header, SYNC_WS_PONG, 4));
            mm_buf_append(&wanted, "pong", 4);
            sent = mm_rng_chance(&rng, 1, 2)
                       ? sync_outbox_send_frame(&outbox, fds.out, SYNC_WS_PONG, "pong", 4, limit)
                       : sync_outbox_keep_frame(&outbox, SYNC_WS_PONG, "pong", 4, limit);
        }
        cr_assert_neq(sent, SYNC_BROKEN);
        if (sent == SYNC_FULL) { // nothing of it may ever arrive
            mm_buf_truncate(&wanted, before);
            refused++;
        }
        if (mm_rng_chance(&rng, 1, 3)) {
            mm_buf_reserve(&got, 40 * slices_max);
            // Less than is sent, on the whole.
            got.len += drain(fds.in, got.data, got.len, 1 + mm_rng_below(&rng, 40 * slices_max));
        }
        if (mm_rng_chance(&rng, 1, 2))
            cr_assert_eq(sync_outbox_flush(&outbox, fds.out), SYNC_SENT);
    }
    while (got.len < wanted.len) {
        cr_assert_eq(sync_outbox_flush(&outbox, fds.out), SYNC_SENT);
        mm_buf_reserve(&got, 4096);
        size_t n = drain(fds.in, got.data, got.len, 4096);
        cr_assert_gt(n, 0);
        got.len += n;
    }
    cr_expect_eq(got.len, wanted.len);
    cr_expect_arr_eq(got.data, wanted.data, wanted.len);
    cr_expect_gt(refused, 0);
    cr_expect_eq(sync_outbox_waiting(&outbox), 0);
    cr_expect_eq(outbox.bytes_total, wanted.len);
    mm_buf_free(&wanted);
    mm_buf_free(&got);
    sync_encoder_free(&encoder);
    sync_outbox_free(&outbox);
    close(fds.out);
    close(fds.in);
}

Test(sync_outbox, a_slow_reader_gets_everything_that_was_accepted)
{
    run(1, 6);
    run(2, 300); // more slices than one system call takes
}

Test(sync_outbox, a_full_state_goes_behind_what_waits)
{
    struct pipe_pair fds = open_pair(1 << 20);
    struct sync_outbox outbox;
    sync_outbox_init(&outbox, 4096);
    struct mm_buf messages;
    mm_buf_init(&messages, 4096);
    static const char *const texts[] = {"one", "", "three"};
    for (size_t i = 0; i < 3; i++) {
        uint32_t len = (uint32_t)strlen(texts[i]);
        mm_buf_append(&messages, &len, 4);
        mm_buf_append(&messages, texts[i], len);
    }
    cr_expect_eq(sync_outbox_send_full(&outbox, fds.out, SYNC_WS_TEXT, &messages), SYNC_SENT);
    uint8_t got[64];
    size_t n = drain(fds.in, got, 0, sizeof got);
    cr_expect_eq(n, 14);
    cr_expect_arr_eq(got, "\x81\x03one\x81\x00\x81\x05three", 14);
    cr_expect_eq(outbox.frames_total, 3);
    mm_buf_free(&messages);
    sync_outbox_free(&outbox);
    close(fds.out);
    close(fds.in);
}

Test(sync_outbox, a_dead_peer_is_noticed)
{
    struct pipe_pair fds = open_pair(1 << 16);
    struct sync_outbox outbox;
    sync_outbox_init(&outbox, 4096);
    close(fds.in);
    cr_expect_eq(sync_outbox_send_frame(&outbox, fds.out, SYNC_WS_PING, "x", 1, 4096), SYNC_BROKEN);
    sync_outbox_free(&outbox);
    close(fds.out);
}
