#include "libcommon/base/alloc.h"
#include "libcommon/io/pb.h"
#include "services/vision/app.h"

#include <string.h>
#include <zstd.h>

// A checkpoint is mostly land, which is alike for miles: compressed it is a fifth of what the
// database would have to write, to its log and to the table, several times a minute.

enum { ZSTD_LEVEL = 1 };

enum mm_err vision_checkpoint_pack(const Mmorts__Frame__TickFrame *frame, uint8_t **bytes,
                                   size_t *size)
{
    uint8_t *plain;
    size_t plain_size;
    enum mm_err err = mm_pb_pack(&frame->base, VISION_CHECKPOINT_BYTES_MAX, &plain, &plain_size);
    if (err != MM_OK)
        return err;
    size_t bound = ZSTD_compressBound(plain_size);
    *bytes = mm_malloc(bound);
    *size = *bytes ? ZSTD_compress(*bytes, bound, plain, plain_size, ZSTD_LEVEL) : 0;
    mm_free(plain);
    if (*bytes && !ZSTD_isError(*size))
        return MM_OK;
    mm_free(*bytes);
    *bytes = NULL;
    return MM_RESOURCE_EXHAUSTED;
}

enum mm_err vision_checkpoint_unfold(uint8_t **bytes, size_t *size)
{
    // A message begins with a field's key, which is another byte than those of zstd.
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    if (*size < sizeof magic || memcmp(*bytes, magic, sizeof magic) != 0)
        return MM_OK; // of a version that did not compress
    unsigned long long plain_size = ZSTD_getFrameContentSize(*bytes, *size);
    if (plain_size > VISION_CHECKPOINT_BYTES_MAX) // so are the values that stand for errors
        return MM_DATA_LOSS;
    uint8_t *plain = mm_malloc((size_t)plain_size + 1);
    if (!plain)
        return MM_RESOURCE_EXHAUSTED;
    if (ZSTD_decompress(plain, (size_t)plain_size, *bytes, *size) != plain_size) {
        mm_free(plain);
        return MM_DATA_LOSS;
    }
    mm_free(*bytes);
    *bytes = plain;
    *size = (size_t)plain_size;
    return MM_OK;
}
