#ifndef MM_IO_STREAM_BUFFER_H
#define MM_IO_STREAM_BUFFER_H

#include <nng/nng.h>
#include <stddef.h>

#include "libcommon/io/stream_reader.h"

// For stream_reader.c: the live messages that wait while it catches up, oldest first, bounded in
// number and bytes. All zero is empty. It owns the messages it holds.
struct mm_stream_buffer {
    nng_msg *messages[MM_STREAM_READER_BUFFER_MESSAGES]; // a circle
    size_t first, count, bytes;
};

// Where it is full the oldest leave: they are the likeliest to come by Replay anyway. How many
// left.
size_t mm_stream_buffer_push(struct mm_stream_buffer *buffer, nng_msg *msg);

// The oldest, which is the caller's now; NULL: there is none.
nng_msg *mm_stream_buffer_pop(struct mm_stream_buffer *buffer);

void mm_stream_buffer_clear(struct mm_stream_buffer *buffer);

#endif
