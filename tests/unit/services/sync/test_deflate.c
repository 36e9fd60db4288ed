#include "libcommon/base/rng.h"
#include "services/sync/deflate.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

// permessage-deflate: what is agreed on, and messages there and back, held against plain zlib.

// --- the handshake -------------------------------------------------------------------------------

#define NO_TAKEOVER "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

static void agreed(const char *offers, const char *response, unsigned bits)
{
    struct sync_deflate_terms terms;
    char text[SYNC_DEFLATE_RESPONSE_BYTES] = "";
    sync_deflate_negotiate(offers, &terms, text);
    cr_expect(terms.on, "%s", offers);
    cr_expect_str_eq(text, response, "%s: %s", offers, text);
    cr_expect_eq(terms.window_bits, bits, "%s", offers);
}

static void declined(const char *offers)
{
    struct sync_deflate_terms terms = {.on = true};
    char text[SYNC_DEFLATE_RESPONSE_BYTES];
    sync_deflate_negotiate(offers, &terms, text);
    cr_expect_not(terms.on, "%s", offers);
}

Test(sync_deflate, offers_that_can_be_met)
{
    agreed("permessage-deflate", NO_TAKEOVER, 15);
    agreed("Permessage-Deflate ;client_max_window_bits", NO_TAKEOVER, 15);
    agreed("permessage-deflate; client_max_window_bits=8", NO_TAKEOVER, 15);
    agreed("permessage-deflate; server_no_context_takeover; client_no_context_takeover",
           NO_TAKEOVER, 15);
    agreed("permessage-deflate; server_max_window_bits=10",
           NO_TAKEOVER "; server_max_window_bits=10", 10);
    agreed("permessage-deflate; server_max_window_bits=\"12\"",
           NO_TAKEOVER "; server_max_window_bits=12", 12);
    agreed("x-webkit-deflate-frame, permessage-deflate", NO_TAKEOVER, 15);
    // The first that can be met.
    agreed("permessage-deflate; server_max_window_bits=8, permessage-deflate", NO_TAKEOVER, 15);
    agreed("permessage-deflate; unheard_of=\"a,b;c\", permessage-deflate; server_max_window_bits=9",
           NO_TAKEOVER "; server_max_window_bits=9", 9);
}

Test(sync_deflate, offers_that_cannot)
{
    static const char *const offers[] = {
        NULL,
        "",
        ",",
        ";",
        "deflate",
        "permessage-deflate2",
        "permessage-deflate; unheard_of",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=10x",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=\"\"",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
    };
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++)
        declined(offers[i]);
    // An empty parameter is none.
    agreed("permessage-deflate;", NO_TAKEOVER, 15);
}

// --- messages ------------------------------------------------------------------------------------

static size_t plain_inflate(const struct mm_buf *message, unsigned bits, uint8_t *out, size_t room)
{
    z_stream stream = {0};
    cr_assert_eq(inflateInit2(&stream, -(int)bits), Z_OK);
    uint8_t *input = malloc(message->len + 4);
    memcpy(input, message->data, message->len);
    memcpy(input + message->len, "\0\0\xff\xff", 4);
    stream.next_in = input;
    stream.avail_in = (uInt)message->len + 4;
    stream.next_out = out;
    stream.avail_out = (uInt)room;
    cr_assert_eq(inflate(&stream, Z_SYNC_FLUSH), Z_OK);
    cr_assert_eq(stream.avail_in, 0);
    size_t len = room - stream.avail_out;
    (void)inflateEnd(&stream);
    free(input);
    return len;
}

static size_t sentence(struct mm_rng *rng, char *out, size_t bytes)
{
    static const char *const words[] = {"{\"id\":", "\"unit_", "[1,2]", ",\"pos\":", "health", "}"};
    size_t len = 0;
    while (len + 16 < bytes) {
        const char *word = words[mm_rng_below(rng, 6)];
        memcpy(out + len, word, strlen(word));
        len += strlen(word);
        out[len++] = (char)('0' + mm_rng_below(rng, 10));
    }
    return len;
}

Test(sync_deflate, messages_are_what_zlib_reads_with_that_window)
{
    struct sync_deflate *deflate = sync_deflate_new();
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    static char text[100000];
    static uint8_t back[100001];
    for (unsigned round = 0; round < 200; round++) {
        unsigned bits = 9 + (unsigned)mm_rng_below(&rng, 7);
        size_t len = sentence(&rng, text, 600 + mm_rng_below(&rng, sizeof text - 600));
        const struct mm_buf *packed = sync_deflate_message(deflate, bits, text, len);
        cr_assert_not_null(packed);
        cr_expect_lt(packed->len, len / 2);
        cr_assert_eq(plain_inflate(packed, bits, back, sizeof back), len);
        cr_assert_arr_eq(back, text, len);
        size_t got = 0;
        cr_assert_eq(sync_deflate_inflate(deflate, packed->data, packed->len, back, len, &got),
                     MM_OK);
        cr_assert(got == len && memcmp(back, text, len) == 0);
        if (len > 1)
            cr_assert_eq(
                sync_deflate_inflate(deflate, packed->data, packed->len, back, len - 1, &got),
                MM_RESOURCE_EXHAUSTED);
    }
    sync_deflate_free(deflate);
}

Test(sync_deflate, what_does_not_get_shorter_is_left_as_it_is)
{
    struct sync_deflate *deflate = sync_deflate_new();
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    static uint8_t noise[5000];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)mm_rng_u64(&rng);
    cr_expect_null(sync_deflate_message(deflate, 15, noise, sizeof noise));
    memset(noise, 'a', sizeof noise);
    cr_expect_null(sync_deflate_message(deflate, 15, noise, SYNC_DEFLATE_BYTES_MIN - 1));
    cr_expect_not_null(sync_deflate_message(deflate, 15, noise, SYNC_DEFLATE_BYTES_MIN));
    sync_deflate_free(deflate);
}

Test(sync_deflate, the_same_message_twice_in_a_row_is_compressed_once)
{
    struct sync_deflate *deflate = sync_deflate_new();
    static char text[2000];
    memset(text, 'a', sizeof text);
    cr_assert_not_null(sync_deflate_message(deflate, 15, text, sizeof text));
    cr_assert_not_null(sync_deflate_message(deflate, 15, text, sizeof text));
    cr_expect_eq(sync_deflate_bytes_in(deflate), sizeof text);
    cr_assert_not_null(sync_deflate_message(deflate, 9, text, sizeof text));
    cr_expect_eq(sync_deflate_bytes_in(deflate), 2 * sizeof text);
    text[1000] = 'b';
    const struct mm_buf *packed = sync_deflate_message(deflate, 9, text, sizeof text);
    cr_expect_eq(sync_deflate_bytes_in(deflate), 3 * sizeof text);
    uint8_t back[2001];
    cr_assert_eq(plain_inflate(packed, 9, back, sizeof back), sizeof text);
    cr_expect_arr_eq(back, text, sizeof text);
    sync_deflate_free(deflate);
}

static enum mm_err inflated(const void *data, size_t len, const char *expected)
{
    struct sync_deflate *deflate = sync_deflate_new();
    uint8_t out[101];
    size_t got = 0;
    // Whatever came before must not matter.
    (void)!sync_deflate_inflate(deflate, (const uint8_t *)"\xff\xff\xff", 3, out, 100, &got);
    enum mm_err err = sync_deflate_inflate(deflate, data, len, out, 100, &got);
    if (err == MM_OK)
        cr_expect(got == strlen(expected) && memcmp(out, expected, got) == 0, "%.*s", (int)got,
                  (const char *)out);
    sync_deflate_free(deflate);
    return err;
}

// RFC 7692, section 7.2.3.
Test(sync_deflate, the_examples_of_the_rfc)
{
    cr_expect_eq(inflated("\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"), MM_OK);
    cr_expect_eq(inflated("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "Hello"), MM_OK,
                 "a block without compression");
    cr_expect_eq(inflated("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello"), MM_OK, "a last block");
    cr_expect_eq(inflated("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, "Hello"),
                 MM_OK, "two blocks");
    cr_expect_eq(inflated("\x00", 1, ""), MM_OK, "nothing");
    cr_expect_eq(inflated("", 0, ""), MM_DATA_LOSS, "not even nothing");
    cr_expect_eq(inflated("\xf2\x00\x11\x00\x00", 5, ""), MM_DATA_LOSS,
                 "the second example with context takeover needs the first");
    cr_expect_eq(inflated("\xff\xff\xff\xff", 4, ""), MM_DATA_LOSS);
    cr_expect_eq(inflated("\xf2\x48\xcd", 3, ""), MM_DATA_LOSS, "cut short");
}

Test(sync_deflate, a_bomb_is_not_unpacked)
{
    // A megabyte of zeros in a thousand bytes.
    static uint8_t zeros[1 << 20];
    struct sync_deflate *deflate = sync_deflate_new();
    const struct mm_buf *packed = sync_deflate_message(deflate, 15, zeros, sizeof zeros);
    cr_assert_lt(packed->len, 6000);
    uint8_t out[4097];
    size_t got = 0;
    cr_expect_eq(sync_deflate_inflate(deflate, packed->data, packed->len, out, 4096, &got),
                 MM_RESOURCE_EXHAUSTED);
    sync_deflate_free(deflate);
}
