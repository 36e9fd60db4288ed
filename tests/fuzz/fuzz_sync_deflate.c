// Compression of players' messages: arbitrary offers are agreed to or not, arbitrary bytes are
// decompressed within the bound or refused, and what we compress comes back as it was.

#include "libcommon/base/check.h"
#include "services/sync/deflate.h"
#include "services/sync/ws.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void negotiate(const uint8_t *data, size_t size)
{
    char *offers = malloc(size + 1);
    MM_CHECK(offers);
    memcpy(offers, data, size);
    offers[size] = '\0';
    struct sync_deflate_terms terms;
    char response[SYNC_DEFLATE_RESPONSE_BYTES];
    sync_deflate_negotiate(offers, &terms, response);
    if (terms.on) {
        MM_CHECK(terms.window_bits >= 9 && terms.window_bits <= 15);
        MM_CHECK(memchr(response, 0, sizeof response));
        // The answer is an offer that would be agreed to as it is.
        struct sync_deflate_terms again;
        char same[SYNC_DEFLATE_RESPONSE_BYTES];
        sync_deflate_negotiate(response, &again, same);
        MM_CHECK(again.on && again.window_bits == terms.window_bits);
        MM_CHECK(strcmp(same, response) == 0);
    }
    free(offers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sync_deflate *deflate;
    static uint8_t out[65537];
    if (!deflate)
        deflate = sync_deflate_new();
    MM_CHECK(deflate);
    if (size < 2 || size > 65536)
        return 0;
    unsigned kind = data[0], bits = 9 + data[1] % 7;
    data += 2;
    size -= 2;
    size_t len = 0;
    if (kind % 3 == 0) {
        negotiate(data, size);
    } else if (kind % 3 == 1) {
        memset(out, 0xee, sizeof out);
        enum mm_err err =
            sync_deflate_inflate(deflate, data, size, out, SYNC_WS_MESSAGE_BYTES_MAX, &len);
        MM_CHECK(err == MM_OK || err == MM_RESOURCE_EXHAUSTED || err == MM_DATA_LOSS);
        MM_CHECK(len <= SYNC_WS_MESSAGE_BYTES_MAX);
        for (size_t i = SYNC_WS_MESSAGE_BYTES_MAX + 1; i < SYNC_WS_MESSAGE_BYTES_MAX + 100; i++)
            MM_CHECK(out[i] == 0xee);
    } else {
        const struct mm_buf *packed = sync_deflate_message(deflate, bits, data, size);
        if (!packed)
            return 0;
        MM_CHECK(packed->len < size);
        MM_CHECK(sync_deflate_inflate(deflate, packed->data, packed->len, out, 65536, &len) ==
                 MM_OK);
        MM_CHECK(len == size && memcmp(out, data, size) == 0);
    }
    return 0;
}
