#include "libcommon/io/stream_buffer.h"

nng_msg *mm_stream_buffer_pop(struct mm_stream_buffer *buffer)
{
    if (buffer->count == 0)
        return NULL;
    nng_msg *msg = buffer->messages[buffer->first];
    buffer->first = (buffer->first + 1) % MM_STREAM_READER_BUFFER_MESSAGES;
    buffer->count--;
    buffer->bytes -= nng_msg_len(msg);
    return msg;
}

size_t mm_stream_buffer_push(struct mm_stream_buffer *buffer, nng_msg *msg)
{
    size_t dropped = 0;
    while (
        buffer->count == MM_STREAM_READER_BUFFER_MESSAGES ||
        (buffer->count > 0 && buffer->bytes + nng_msg_len(msg) > MM_STREAM_READER_BUFFER_BYTES)) {
        dropped++;
        nng_msg_free(mm_stream_buffer_pop(buffer));
    }
    size_t at = (buffer->first + buffer->count++) % MM_STREAM_READER_BUFFER_MESSAGES;
    buffer->messages[at] = msg;
    buffer->bytes += nng_msg_len(msg);
    return dropped;
}

void mm_stream_buffer_clear(struct mm_stream_buffer *buffer)
{
    nng_msg *msg;
    while ((msg = mm_stream_buffer_pop(buffer)) != NULL)
        nng_msg_free(msg);
}
