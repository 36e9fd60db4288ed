// Arbitrary bytes into the receiving side of a WebSocket, cut at arbitrary places: no crash, no
// message beyond the bounds, text is UTF-8, and the cuts make no difference.

#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/str.h"
#include "services/sync/deflate.h"
#include "services/sync/ws.h"

#include <stdlib.h>

struct seen {
    struct mm_hash hash;
    uint32_t count;
};

static bool take(void *arg, enum sync_ws_opcode opcode, const uint8_t *data, size_t len,
                 uint16_t code)
{
    struct seen *seen = arg;
    MM_CHECK(len <= SYNC_WS_MESSAGE_BYTES_MAX);
    MM_CHECK(opcode < SYNC_WS_CLOSE || len <= SYNC_WS_CONTROL_BYTES_MAX);
    if (opcode == SYNC_WS_TEXT || opcode == SYNC_WS_CLOSE)
        MM_CHECK(mm_utf8_valid(data, len));
    MM_CHECK((opcode == SYNC_WS_CLOSE) == (code != 0));
    mm_hash_u32(&seen->hash, (uint32_t)opcode << 16 | code);
    mm_hash_u64(&seen->hash, len);
    mm_hash_update(&seen->hash, data, len);
    seen->count++;
    return true;
}

static uint16_t receive(struct seen *seen, const uint8_t *data, size_t size, size_t step,
                        bool compressed)
{
    static struct sync_deflate *deflate;
    if (!deflate)
        deflate = sync_deflate_new();
    mm_hash_init(&seen->hash, 0);
    seen->count = 0;
    struct sync_ws *ws = sync_ws_new(take, seen);
    if (compressed)
        sync_ws_inflate(ws, deflate);
    uint16_t code = 0;
    for (size_t at = 0; at < size && code == 0; at += step)
        code = sync_ws_receive(ws, data + at, size - at < step ? size - at : step);
    sync_ws_free(ws);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct seen whole, cut;
    uint16_t code = receive(&whole, data + 1, size - 1, size, data[0] & 0x80);
    uint16_t code_cut = receive(&cut, data + 1, size - 1, 1 + data[0] % 31, data[0] & 0x80);
    MM_CHECK(code == 0 || (code >= 1000 && code < 1012));
    // A close ends a receive call; what follows in the same bytes is dropped, in other bytes it is
    // not. Everything else must not depend on the cuts.
    bool closed = false;
    for (size_t i = 1; i < size; i++)
        closed |= (data[i] & 0x0f) == SYNC_WS_CLOSE;
    if (!closed) {
        MM_CHECK(code == code_cut && whole.count == cut.count);
        MM_CHECK(mm_hash_digest(&whole.hash) == mm_hash_digest(&cut.hash));
    }
    return 0;
}
