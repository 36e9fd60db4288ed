#include "services/sync/deflate.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

// zlib makes no raw deflate with a window of 2^8 bytes: an offer that insists on it is declined.
#define WINDOW_BITS_MIN 9u
#define WINDOW_BITS_MAX 15u
// On full states nearly what level 6 saves, in a quarter of its time.
#define LEVEL     2
#define MEM_LEVEL 8
// What every message ends in, and what is left out (RFC 7692, section 7.2.1).
#define TAIL_BYTES 4
static const uint8_t tail[TAIL_BYTES] = {0x00, 0x00, 0xff, 0xff};

#define MESSAGE_BYTES_MAX ((size_t)64 << 20)

struct sync_deflate {
    z_stream compressors[WINDOW_BITS_MAX + 1]; // by window bits
    bool ready[WINDOW_BITS_MAX + 1];
    z_stream decompressor;
    struct mm_buf out;
    // The message compressed last.
    uint64_t last_hash;
    size_t last_len;
    unsigned last_bits; // 0: none
    bool last_shorter;
    uint64_t bytes_in, bytes_out;
};

// --- the handshake -------------------------------------------------------------------------------

struct text {
    const char *data;
    size_t len;
};

// Cuts off what stands before the separator, outside of quotes, and the blanks around it.
static struct text cut(struct text *rest, char separator)
{
    size_t len = 0;
    bool quoted = false;
    while (len < rest->len && (quoted || rest->data[len] != separator)) {
        quoted ^= rest->data[len] == '"';
        len++;
    }
    struct text item = {rest->data, len};
    size_t skip = len < rest->len ? len + 1 : len;
    rest->data += skip;
    rest->len -= skip;
    mm_str_trim(&item.data, &item.len);
    return item;
}

static bool is(struct text text, const char *name)
{
    return text.len == strlen(name) && strncasecmp(text.data, name, text.len) == 0;
}

// 8 to 15 in digits, maybe in quotes; no leading zero (RFC 7692, section 7.1.2.1).
static bool read_bits(struct text value, unsigned *bits)
{
    if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
        value.data++;
        value.len -= 2;
    }
    uint64_t number = 0;
    if (value.len == 0 || value.data[0] == '0' ||
        mm_str_parse_u64(value.data, value.len, 8, WINDOW_BITS_MAX, &number) != MM_OK)
        return false;
    *bits = (unsigned)number;
    return true;
}

// Whether the offer can be met; *server_bits is what it wants, 0 if it says nothing.
static bool read_offer(struct text offer, unsigned *server_bits)
{
    enum { SERVER_CONTEXT = 1, CLIENT_CONTEXT = 2, SERVER_BITS = 4, CLIENT_BITS = 8 };
    unsigned seen = 0;
    *server_bits = 0;
    if (!is(cut(&offer, ';'), "permessage-deflate"))
        return false;
    while (offer.len > 0) {
        struct text value = cut(&offer, ';');
        bool has_value = memchr(value.data, '=', value.len) != NULL;
        struct text name = cut(&value, '=');
        unsigned which = 0, bits = 0;
        if (is(name, "server_no_context_takeover") && !has_value)
            which = SERVER_CONTEXT;
        else if (is(name, "client_no_context_takeover") && !has_value)
            which = CLIENT_CONTEXT;
        else if (is(name, "server_max_window_bits") && has_value && read_bits(value, server_bits))
            which = SERVER_BITS;
        else if (is(name, "client_max_window_bits") && (!has_value || read_bits(value, &bits)))
            which = CLIENT_BITS; // whatever window the client uses can be read
        if (which == 0 || seen & which)
            return false;
        seen |= which;
    }
    return *server_bits == 0 || *server_bits >= WINDOW_BITS_MIN;
}

void sync_deflate_negotiate(const char *offers, struct sync_deflate_terms *terms,
                            char response[SYNC_DEFLATE_RESPONSE_BYTES])
{
    *terms = (struct sync_deflate_terms){0};
    struct text rest = {offers, offers ? strlen(offers) : 0};
    while (rest.len > 0) {
        unsigned bits = 0;
        if (!read_offer(cut(&rest, ','), &bits))
            continue;
        *terms = (struct sync_deflate_terms){
            .on = true, .window_bits = (uint8_t)(bits ? bits : WINDOW_BITS_MAX)};
        char window[40] = "";
        if (bits)
            (void)snprintf(window, sizeof window, "; server_max_window_bits=%u", bits);
        (void)snprintf(response, SYNC_DEFLATE_RESPONSE_BYTES,
                       "permessage-deflate; server_no_context_takeover; "
                       "client_no_context_takeover%s",
                       window);
        return;
    }
}

// --- the codec -----------------------------------------------------------------------------------

struct sync_deflate *sync_deflate_new(void)
{
    struct sync_deflate *deflate = mm_calloc(1, sizeof *deflate);
    if (!deflate)
        return NULL;
    mm_buf_init(&deflate->out, MESSAGE_BYTES_MAX);
    if (inflateInit2(&deflate->decompressor, -(int)WINDOW_BITS_MAX) != Z_OK) {
        mm_free(deflate);
        return NULL;
    }
    return deflate;
}

void sync_deflate_free(struct sync_deflate *deflate)
{
    if (!deflate)
        return;
    for (unsigned bits = 0; bits <= WINDOW_BITS_MAX; bits++) {
        if (deflate->ready[bits])
            (void)deflateEnd(&deflate->compressors[bits]);
    }
    (void)inflateEnd(&deflate->decompressor);
    mm_buf_free(&deflate->out);
    mm_free(deflate);
}

uint64_t sync_deflate_bytes_in(const struct sync_deflate *deflate)
{
    return deflate->bytes_in;
}

uint64_t sync_deflate_bytes_out(const struct sync_deflate *deflate)
{
    return deflate->bytes_out;
}

// A compressor that remembers nothing; NULL when out of memory.
static z_stream *compressor(struct sync_deflate *deflate, unsigned bits)
{
    z_stream *stream = &deflate->compressors[bits];
    if (deflate->ready[bits])
        return deflateReset(stream) == Z_OK ? stream : NULL;
    // Each stays until the end: there are at most seven, of 270 KB.
    deflate->ready[bits] =
        deflateInit2(stream, LEVEL, Z_DEFLATED, -(int)bits, MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
    return deflate->ready[bits] ? stream : NULL;
}

static bool compress_message(struct sync_deflate *codec, unsigned bits, const void *data,
                             size_t len)
{
    z_stream *stream = len <= UINT32_MAX ? compressor(codec, bits) : NULL;
    mm_buf_reset(&codec->out);
    if (!stream || !mm_buf_reserve(&codec->out, len))
        return false;
    stream->next_in = (uint8_t *)(uintptr_t)data;
    stream->avail_in = (uInt)len;
    stream->next_out = codec->out.data;
    stream->avail_out = (uInt)len; // more than that is no gain
    if (deflate(stream, Z_SYNC_FLUSH) != Z_OK || stream->avail_in > 0 || stream->avail_out == 0)
        return false;
    size_t made = len - stream->avail_out;
    if (made < TAIL_BYTES || memcmp(codec->out.data + made - TAIL_BYTES, tail, TAIL_BYTES) != 0)
        return false;
    codec->out.len = made - TAIL_BYTES;
    return true;
}

const struct mm_buf *sync_deflate_message(struct sync_deflate *deflate, unsigned window_bits,
                                          const void *data, size_t len)
{
    if (len < SYNC_DEFLATE_BYTES_MIN)
        return NULL;
    uint64_t hash = mm_hash64(data, len, window_bits);
    if (hash != deflate->last_hash || len != deflate->last_len ||
        window_bits != deflate->last_bits) {
        deflate->last_shorter = compress_message(deflate, window_bits, data, len);
        deflate->last_hash = hash;
        deflate->last_len = len;
        deflate->last_bits = window_bits;
        if (deflate->last_shorter) {
            deflate->bytes_in += len;
            deflate->bytes_out += deflate->out.len;
        }
    }
    return deflate->last_shorter ? &deflate->out : NULL;
}

// Decompresses what the stream is given; *ended: a block said that it is the last one.
static enum mm_err inflate_some(z_stream *stream, bool *ended)
{
    *ended = false;
    while (stream->avail_in > 0) {
        int result = inflate(stream, Z_SYNC_FLUSH);
        if (stream->avail_out == 0)
            return MM_RESOURCE_EXHAUSTED;
        if (result == Z_STREAM_END) {
            *ended = true;
            return MM_OK;
        }
        if (result != Z_OK)
            return MM_DATA_LOSS;
    }
    return MM_OK;
}

enum mm_err sync_deflate_inflate(struct sync_deflate *deflate, const uint8_t *data, size_t len,
                                 uint8_t *out, size_t out_bytes_max, size_t *len_out)
{
    z_stream *stream = &deflate->decompressor;
    const struct {
        const uint8_t *data;
        size_t len;
    } parts[] = {{data, len}, {tail, TAIL_BYTES}};
    *len_out = 0;
    if (inflateReset(stream) != Z_OK)
        return MM_DATA_LOSS;
    stream->next_out = out;
    stream->avail_out = (uInt)out_bytes_max + 1; // the last byte tells that there is more
    bool ended = false;
    for (size_t i = 0; i < 2; i++) {
        stream->next_in = (uint8_t *)(uintptr_t)parts[i].data;
        stream->avail_in = (uInt)parts[i].len;
        while (stream->avail_in > 0) {
            // Behind a last block another stream may begin (RFC 7692, section 7.2.3.4).
            if (ended && inflateReset(stream) != Z_OK)
                return MM_DATA_LOSS;
            enum mm_err err = inflate_some(stream, &ended);
            if (err != MM_OK)
                return err;
        }
    }
    // A message that stops within a block was cut short; zlib tells by bit 7.
    if (!ended && !(stream->data_type & 128))
        return MM_DATA_LOSS;
    *len_out = out_bytes_max + 1 - stream->avail_out;
    return MM_OK;
}
