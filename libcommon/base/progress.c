#include "libcommon/base/progress.h"

#include <string.h>

enum { PIECE_BYTES = 1 << 20 };

static size_t piece(size_t left)
{
    return left < PIECE_BYTES ? left : PIECE_BYTES;
}

void mm_progress_zero(struct mm_progress *progress, void *to, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += piece(bytes - at)) {
        memset((char *)to + at, 0, piece(bytes - at));
        (void)mm_progress_step(progress);
    }
}

void mm_progress_copy(struct mm_progress *progress, void *to, const void *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += piece(bytes - at)) {
        memcpy((char *)to + at, (const char *)from + at, piece(bytes - at));
        (void)mm_progress_step(progress);
    }
}
