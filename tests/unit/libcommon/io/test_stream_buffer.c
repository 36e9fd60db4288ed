#include <criterion/criterion.h>

#include "libcommon/io/stream_buffer.h"

static struct mm_stream_buffer buffer;

static nng_msg *message(size_t bytes, uint32_t mark)
{
    nng_msg *msg;
    cr_assert_eq(nng_msg_alloc(&msg, bytes), 0);
    cr_assert_eq(nng_msg_header_append_u32(msg, mark), 0);
    return msg;
}

// The mark of the oldest, which is taken out; UINT32_MAX: there is none.
static uint32_t take(void)
{
    nng_msg *msg = mm_stream_buffer_pop(&buffer);
    uint32_t mark = UINT32_MAX;
    if (msg) {
        cr_assert_eq(nng_msg_header_trim_u32(msg, &mark), 0);
        nng_msg_free(msg);
    }
    return mark;
}

Test(stream_buffer, gives_back_in_order)
{
    cr_assert_eq(take(), UINT32_MAX);
    // Several times round the circle.
    for (uint32_t i = 0; i < 5 * MM_STREAM_READER_BUFFER_MESSAGES; i++) {
        cr_assert_eq(mm_stream_buffer_push(&buffer, message(10, 2 * i)), 0);
        cr_assert_eq(mm_stream_buffer_push(&buffer, message(20, 2 * i + 1)), 0);
        cr_assert_eq(buffer.bytes, 30);
        cr_assert_eq(take(), 2 * i);
        cr_assert_eq(take(), 2 * i + 1);
    }
    cr_assert_eq(buffer.bytes, 0);
    cr_assert_eq(take(), UINT32_MAX);
}

Test(stream_buffer, the_oldest_leaves_when_there_are_too_many)
{
    for (uint32_t i = 0; i < MM_STREAM_READER_BUFFER_MESSAGES; i++)
        cr_assert_eq(mm_stream_buffer_push(&buffer, message(1, i)), 0);
    cr_assert_eq(mm_stream_buffer_push(&buffer, message(1, MM_STREAM_READER_BUFFER_MESSAGES)), 1);
    cr_assert_eq(buffer.bytes, MM_STREAM_READER_BUFFER_MESSAGES);
    cr_assert_eq(take(), 1);
    mm_stream_buffer_clear(&buffer);
    cr_assert_eq(take(), UINT32_MAX);
    cr_assert_eq(buffer.bytes, 0);
}

Test(stream_buffer, as_many_leave_as_a_long_one_needs)
{
    size_t half = MM_STREAM_READER_BUFFER_BYTES / 2;
    cr_assert_eq(mm_stream_buffer_push(&buffer, message(1, 0)), 0);
    cr_assert_eq(mm_stream_buffer_push(&buffer, message(half, 1)), 0);
    cr_assert_eq(mm_stream_buffer_push(&buffer, message(half, 2)), 1, "the first byte is too much");
    cr_assert_eq(mm_stream_buffer_push(&buffer, message(1, 3)), 1);
    cr_assert_eq(take(), 2);
    cr_assert_eq(take(), 3);
    // One that is longer than all the room is kept alone: it is the newest.
    cr_assert_eq(mm_stream_buffer_push(&buffer, message(1, 4)), 0);
    cr_assert_eq(mm_stream_buffer_push(&buffer, message(2 * half + 1, 5)), 1);
    cr_assert_eq(take(), 5);
    cr_assert_eq(buffer.bytes, 0);
}
