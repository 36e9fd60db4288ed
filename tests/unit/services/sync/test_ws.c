#include "services/sync/ws.h"

#include "libcommon/base/rng.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

// The receiving side of the WebSocket: what RFC 6455 asks of a server, byte by byte.

struct log {
    char text[20000];
    size_t len;
    unsigned stop_after; // messages; 0 = never
    unsigned count;
};

static bool note(void *arg, enum sync_ws_opcode opcode, const uint8_t *data, size_t len,
                 uint16_t code)
{
    struct log *log = arg;
    log->len += (size_t)snprintf(log->text + log->len, sizeof log->text - log->len, "%d/%u:%.*s;",
                                 (int)opcode, code, (int)len, (const char *)data);
    return ++log->count != log->stop_after;
}

// Appends a masked client frame.
static size_t frame(uint8_t *out, unsigned first, const void *payload, size_t len)
{
    size_t at = 0;
    out[at++] = (uint8_t)first;
    if (len < 126) {
        out[at++] = (uint8_t)(0x80 | len);
    } else {
        out[at++] = 0x80 | 126;
        out[at++] = (uint8_t)(len >> 8);
        out[at++] = (uint8_t)len;
    }
    static const uint8_t key[4] = {0x11, 0x00, 0xfe, 0x5a};
    memcpy(out + at, key, 4);
    at += 4;
    for (size_t i = 0; i < len; i++)
        out[at++] = ((const uint8_t *)payload)[i] ^ key[i % 4];
    return at;
}

// Feeds the bytes in pieces of `step` and returns the code.
static uint16_t feed(struct log *log, const uint8_t *bytes, size_t len, size_t step)
{
    struct sync_ws *ws = sync_ws_new(note, log);
    uint16_t code = 0;
    for (size_t at = 0; at < len && code == 0; at += step)
        code = sync_ws_receive(ws, bytes + at, len - at < step ? len - at : step);
    sync_ws_free(ws);
    return code;
}

static void expect(const uint8_t *bytes, size_t len, uint16_t code, const char *messages)
{
    for (size_t step = 1; step <= len; step += step < 20 ? 1 : step) {
        struct log log = {0};
        cr_expect_eq(feed(&log, bytes, len, step), code, "in steps of %zu", step);
        cr_expect_str_eq(log.text, messages, "in steps of %zu: %s", step, log.text);
    }
}

static void expect_one(unsigned first, const void *payload, size_t len, uint16_t code,
                       const char *messages)
{
    uint8_t bytes[8192];
    expect(bytes, frame(bytes, first, payload, len), code, messages);
}

Test(sync_ws, messages_however_they_are_cut)
{
    uint8_t bytes[4096];
    size_t len = frame(bytes, 0x81, "hello", 5);
    len += frame(bytes + len, 0x82, "bin", 3);
    len += frame(bytes + len, 0x81, "", 0);
    len += frame(bytes + len, 0x01, "fr", 2);
    len += frame(bytes + len, 0x89, "ping", 4);
    len += frame(bytes + len, 0x00, "", 0);
    len += frame(bytes + len, 0x00, "ag", 2);
    len += frame(bytes + len, 0x8a, "", 0);
    len += frame(bytes + len, 0x80, "ment", 4);
    char text[300];
    memset(text, 'x', sizeof text);
    len += frame(bytes + len, 0x81, text, 300);
    char wanted[600];
    (void)snprintf(wanted, sizeof wanted,
                   "1/0:hello;2/0:bin;1/0:;9/0:ping;10/0:;1/0:fragment;1/0:%.300s;", text);
    expect(bytes, len, 0, wanted);
}

Test(sync_ws, closing)
{
    expect_one(0x88, "", 0, 0, "8/1005:;");
    expect_one(0x88, "\x03\xe8", 2, 0, "8/1000:;");
    expect_one(0x88, "\x0f\xa0why", 5, 0, "8/4000:why;");
    expect_one(0x88, "\x03", 1, SYNC_WS_PROTOCOL_ERROR, "");
    static const unsigned bad[] = {0, 999, 1004, 1005, 1006, 1015, 2999, 5000};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t code[2] = {(uint8_t)(bad[i] >> 8), (uint8_t)bad[i]};
        expect_one(0x88, code, 2, SYNC_WS_PROTOCOL_ERROR, "");
    }
    expect_one(0x88, "\x03\xe8\xff", 3, SYNC_WS_INVALID_DATA, "");
}

Test(sync_ws, what_comes_behind_a_close_is_dropped)
{
    uint8_t bytes[64];
    size_t len = frame(bytes, 0x88, "\x03\xe8", 2);
    len += frame(bytes + len, 0x81, "late", 4);
    struct log log = {0};
    cr_expect_eq(feed(&log, bytes, len, len), 0);
    cr_expect_str_eq(log.text, "8/1000:;");
}

Test(sync_ws, a_receiver_that_has_enough_gets_no_more)
{
    uint8_t bytes[64];
    size_t len = frame(bytes, 0x81, "a", 1);
    len += frame(bytes + len, 0x81, "b", 1);
    struct log log = {.stop_after = 1};
    cr_expect_eq(feed(&log, bytes, len, len), 0);
    cr_expect_str_eq(log.text, "1/0:a;");
}

Test(sync_ws, frames_that_are_not_allowed)
{
    expect((const uint8_t[]){0x81, 0x01, 'x'}, 3, SYNC_WS_PROTOCOL_ERROR, ""); // not masked
    expect_one(0xc1, "x", 1, SYNC_WS_PROTOCOL_ERROR, "");                      // reserved bits
    expect_one(0xa1, "x", 1, SYNC_WS_PROTOCOL_ERROR, "");
    expect_one(0x91, "x", 1, SYNC_WS_PROTOCOL_ERROR, "");
    expect_one(0x80, "x", 1, SYNC_WS_PROTOCOL_ERROR, ""); // continues nothing
    for (unsigned opcode = 3; opcode < 16; opcode++) {
        if (opcode < 8 || opcode > 10)
            expect_one(0x80 | opcode, "x", 1, SYNC_WS_PROTOCOL_ERROR, "");
    }
    expect_one(0x09, "x", 1, SYNC_WS_PROTOCOL_ERROR, ""); // a control frame in pieces
    char text[200] = {0};
    memset(text, 'x', sizeof text - 1);
    expect_one(0x89, text, 126, SYNC_WS_PROTOCOL_ERROR, ""); // and a long one
    uint8_t bytes[64];
    size_t len = frame(bytes, 0x01, "a", 1);
    len += frame(bytes + len, 0x81, "b", 1); // a message inside a message
    expect(bytes, len, SYNC_WS_PROTOCOL_ERROR, "");
    // A length that would fit into fewer bytes (RFC 6455, section 5.2).
    expect((const uint8_t[]){0x81, 0xfe, 0, 1, 0, 0, 0, 0, 'x'}, 9, SYNC_WS_PROTOCOL_ERROR, "");
}

Test(sync_ws, text_is_utf8)
{
    expect_one(0x81, "\xc3\xa4\xf0\x9f\x91\x8b", 6, 0, "1/0:\xc3\xa4\xf0\x9f\x91\x8b;");
    expect_one(0x81, "\xc3\x28", 2, SYNC_WS_INVALID_DATA, "");
    expect_one(0x81, "\xed\xa0\x80", 3, SYNC_WS_INVALID_DATA, ""); // a surrogate
    expect_one(0x82, "\xff", 1, 0, "2/0:\xff;");                   // binary is anything
    uint8_t bytes[64];
    size_t len = frame(bytes, 0x01, "\xf0\x9f", 2);
    len += frame(bytes + len, 0x80, "\x91\x8b", 2); // one character in two fragments
    expect(bytes, len, 0, "1/0:\xf0\x9f\x91\x8b;");
}

Test(sync_ws, size_bound)
{
    static uint8_t text[SYNC_WS_MESSAGE_BYTES_MAX + 1], bytes[2 * sizeof text];
    memset(text, 'x', sizeof text);
    struct log log = {0};
    size_t len = frame(bytes, 0x81, text, SYNC_WS_MESSAGE_BYTES_MAX);
    cr_expect_eq(feed(&log, bytes, len, 1000), 0);
    cr_expect_eq(log.count, 1);
    log = (struct log){0};
    len = frame(bytes, 0x81, text, SYNC_WS_MESSAGE_BYTES_MAX + 1);
    cr_expect_eq(feed(&log, bytes, len, 1000), SYNC_WS_TOO_LARGE);
    cr_expect_eq(log.count, 0);
    len = frame(bytes, 0x01, text, 4000);
    len += frame(bytes + len, 0x80, text, 97);
    cr_expect_eq(feed(&log, bytes, len, 1000), SYNC_WS_TOO_LARGE);
    // 2^63 bytes are announced; not one of them is waited for.
    static const uint8_t huge[] = {0x81, 0xff, 0x7f, 255, 255, 255, 255, 255,
                                   255,  255,  1,    2,   3,   4,   5};
    cr_expect_eq(feed(&log, huge, sizeof huge, 1), SYNC_WS_TOO_LARGE);
    cr_expect_eq(log.count, 0);
}

// A byte at a time is a message; frames without a byte are none that ever ends.
Test(sync_ws, frames_of_a_message_are_bounded)
{
    static uint8_t bytes[7 * (SYNC_WS_FRAMES_MAX + 2)];
    struct log log = {0};
    size_t len = 0;
    for (unsigned i = 0; i < SYNC_WS_MESSAGE_BYTES_MAX; i++)
        len += frame(bytes + len,
                     (i == 0 ? 1 : 0) | (i + 1 == SYNC_WS_MESSAGE_BYTES_MAX ? 0x80 : 0), "x", 1);
    cr_expect_eq(feed(&log, bytes, len, 1000), 0);
    cr_expect_eq(log.count, 1);
    for (unsigned more = 0; more < 2; more++) {
        len = 0;
        for (unsigned i = 0; i < SYNC_WS_FRAMES_MAX - 1 + more; i++)
            len += frame(bytes + len, i == 0 ? 1 : 0, "", 0);
        len += frame(bytes + len, 0x80, "x", 1);
        log = (struct log){0};
        struct sync_ws *ws = sync_ws_new(note, &log);
        cr_expect_eq(sync_ws_receive(ws, bytes, len), more ? SYNC_WS_TOO_LARGE : 0);
        cr_expect_eq(sync_ws_too_many_frames(ws), more == 1);
        cr_expect_eq(log.count, more ? 0 : 1);
        sync_ws_free(ws);
    }
}

Test(sync_ws, nothing_is_taken_after_a_failure)
{
    struct log log = {0};
    struct sync_ws *ws = sync_ws_new(note, &log);
    uint8_t bytes[64];
    cr_expect_eq(sync_ws_receive(ws, (const uint8_t[]){0x83, 0x80, 0, 0, 0, 0}, 6),
                 SYNC_WS_PROTOCOL_ERROR);
    size_t len = frame(bytes, 0x81, "x", 1);
    cr_expect_eq(sync_ws_receive(ws, bytes, len), SYNC_WS_PROTOCOL_ERROR);
    cr_expect_eq(log.count, 0);
    sync_ws_free(ws);
}

Test(sync_ws, headers_for_sending)
{
    uint8_t out[SYNC_WS_HEADER_BYTES_MAX];
    cr_expect_eq(sync_ws_header(out, SYNC_WS_TEXT, 125), 2);
    cr_expect_arr_eq(out, ((uint8_t[]){0x81, 125}), 2);
    cr_expect_eq(sync_ws_header(out, SYNC_WS_TEXT, 126), 4);
    cr_expect_arr_eq(out, ((uint8_t[]){0x81, 126, 0, 126}), 4);
    cr_expect_eq(sync_ws_header(out, SYNC_WS_CLOSE, 65535), 4);
    cr_expect_arr_eq(out, ((uint8_t[]){0x88, 126, 255, 255}), 4);
    cr_expect_eq(sync_ws_header(out, SYNC_WS_BINARY, 65536), 10);
    cr_expect_arr_eq(out, ((uint8_t[]){0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}), 10);
}

Test(sync_ws, random_bytes_do_no_harm)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 7);
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        size_t len = mm_rng_below(&rng, sizeof bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)mm_rng_u64(&rng);
        if (len > 1 && mm_rng_chance(&rng, 3, 4)) {
            bytes[0] &= 0x8f;
            bytes[1] |= 0x80;
        }
        struct log log = {0};
        (void)feed(&log, bytes, len, 1 + mm_rng_below(&rng, 16));
    }
}
