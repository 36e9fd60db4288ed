// Arbitrary binary messages into the C decoder that the tests and the load tool stand on: no crash,
// and every refusal says why. The input is a list of messages, a byte of length before each.

#include "libcommon/base/check.h"
#include "tests/support/wire_decoder.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_hex(void *arg, int32_t q, int32_t r, unsigned state, int terrain)
{
    (void)q;
    (void)r;
    MM_CHECK(state <= 2 && terrain >= -1 && terrain <= 255);
    // A run of millions is as the protocol allows, and nothing is learnt from its end.
    if (++*(size_t *)arg > 100000)
        return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct wire_sink sink = {.hex = count_hex};
    struct wire_decoder decoder;
    size_t hexes = 0;
    wire_decoder_init(&decoder);
    for (size_t at = 0; at < size;) {
        size_t len = data[at++];
        if (len > size - at)
            len = size - at;
        if (!wire_decoder_take(&decoder, data + at, len, &sink, &hexes)) {
            MM_CHECK(decoder.fault[0]);
            break;
        }
        MM_CHECK(decoder.in_sight <= decoder.entity_count);
        at += len;
    }
    wire_decoder_free(&decoder);
    return 0;
}
