#include "libcommon/io/uring.h"

#include "libcommon/base/clock.h"
#include "tests/support/refuse_syscall.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

// Requests that do nothing are answered at once, in their order; those that read a pipe, when
// somebody writes.

enum { REQUESTS = 8 };

static struct mm_uring ring;
static uint64_t next_tag, next_answer;

static bool is_here(void)
{
    const struct mm_uring_options options = {.requests = REQUESTS};
    bool here = mm_uring_open(&ring, &options) == MM_OK;
    mm_uring_close(&ring);
    return here;
}

static void open_ring(unsigned features)
{
    const struct mm_uring_options options = {.requests = REQUESTS, .features = features};
    if (!is_here())
        cr_skip_test("no io_uring here");
    cr_assert_eq(mm_uring_open(&ring, &options), MM_OK);
}

static void begin(void)
{
    open_ring(0);
}

static void finish(void)
{
    mm_uring_close(&ring);
}

TestSuite(uring, .init = begin, .fini = finish);
TestSuite(uring_refused);

static bool ask_nothing(void)
{
    struct io_uring_sqe *request = mm_uring_request(&ring);
    if (!request)
        return false;
    request->opcode = IORING_OP_NOP;
    request->user_data = next_tag++;
    return true;
}

static void ask_read(int fd, void *to, uint64_t tag)
{
    struct io_uring_sqe *request = mm_uring_request(&ring);
    cr_assert(request);
    request->opcode = IORING_OP_READ;
    request->fd = fd;
    request->addr = (uint64_t)(uintptr_t)to;
    request->len = 1;
    request->user_data = tag;
}

// All that are there are the next ones.
static unsigned take_next(unsigned most)
{
    unsigned count = mm_uring_ready(&ring);
    if (count > most)
        count = most;
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(mm_uring_answer(&ring, i)->user_data, next_answer++);
    mm_uring_take(&ring, count);
    return count;
}

Test(uring, requests_are_answered_in_order)
{
    for (int i = 0; i < 5; i++)
        cr_assert(ask_nothing());
    cr_assert_eq(mm_uring_ready(&ring), 0u, "nothing is done before it is handed over");
    mm_uring_submit(&ring, 5);
    cr_assert_eq(mm_uring_ready(&ring), 5u);
    cr_assert_eq(take_next(5), 5u);
    cr_assert_eq(mm_uring_ready(&ring), 0u);
}

Test(uring, a_full_ring_takes_no_more_until_it_is_handed_over)
{
    for (int i = 0; i < REQUESTS; i++)
        cr_assert(ask_nothing());
    cr_assert_not(ask_nothing());
    cr_assert_not(ask_nothing());
    mm_uring_submit(&ring, 0);
    for (int i = 0; i < REQUESTS; i++)
        cr_assert(ask_nothing(), "also while answers wait to be taken");
    cr_assert_not(ask_nothing());
    mm_uring_submit(&ring, 2 * REQUESTS);
    cr_assert_eq(take_next(2 * REQUESTS), 2u * REQUESTS);
}

Test(uring, a_request_begins_empty)
{
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < REQUESTS; i++) {
            const struct io_uring_sqe zeros = {0};
            struct io_uring_sqe *request = mm_uring_request(&ring);
            cr_assert(request);
            cr_assert_eq(memcmp(request, &zeros, sizeof zeros), 0, "round %d", round);
            request->opcode = IORING_OP_NOP;
            request->user_data = UINT64_MAX;
        }
        mm_uring_submit(&ring, REQUESTS);
        mm_uring_take(&ring, mm_uring_ready(&ring));
    }
}

Test(uring, round_and_round)
{
    for (unsigned i = 0; i < 5000; i++) {
        unsigned count = i % REQUESTS + 1;
        for (unsigned k = 0; k < count; k++)
            cr_assert(ask_nothing());
        mm_uring_submit(&ring, count);
        // Some are left for the next time.
        (void)take_next(i % 3 + 3);
        while (mm_uring_ready(&ring) > REQUESTS)
            (void)take_next(1);
    }
    (void)take_next(UINT32_MAX);
    cr_assert_eq(next_answer, next_tag);
}

Test(uring, answers_come_as_things_are_done)
{
    int first[2], second[2];
    char letters[2] = "";
    cr_assert(pipe(first) == 0 && pipe(second) == 0);
    ask_read(first[0], &letters[0], 1);
    ask_read(second[0], &letters[1], 2);
    mm_uring_submit(&ring, 0);
    cr_assert_eq(mm_uring_ready(&ring), 0u);
    cr_assert_eq(write(second[1], "b", 1), 1);
    mm_uring_submit(&ring, 1);
    cr_assert_eq(write(first[1], "a", 1), 1);
    mm_uring_submit(&ring, 2);
    cr_assert_eq(mm_uring_ready(&ring), 2u);
    cr_assert(mm_uring_answer(&ring, 0)->user_data == 2 && mm_uring_answer(&ring, 0)->res == 1);
    cr_assert(mm_uring_answer(&ring, 1)->user_data == 1 && mm_uring_answer(&ring, 1)->res == 1);
    cr_assert(letters[0] == 'a' && letters[1] == 'b');
}

Test(uring, waiting_has_an_end)
{
    mm_uring_close(&ring);
    open_ring(IORING_FEAT_EXT_ARG);
    const uint64_t wait_ns = 20000000, begin_ns = mm_clock_ns();
    cr_assert(ask_nothing());
    mm_uring_submit_for(&ring, 2, wait_ns);
    cr_assert_geq(mm_clock_ns() - begin_ns, wait_ns);
    cr_assert_eq(take_next(2), 1u);
}

// --- where there is none -------------------------------------------------------------------------

static void refused(int error, enum mm_err expected)
{
    const struct mm_uring_options options = {.requests = REQUESTS};
    refuse_syscall(SYS_io_uring_setup, error);
    cr_assert_eq(mm_uring_open(&ring, &options), expected);
    mm_uring_close(&ring);
    mm_uring_close(&ring);
    cr_assert_eq(write(STDOUT_FILENO, "", 0), 0, "nothing of ours was closed");
}

Test(uring_refused, by_a_kernel_that_has_none)
{
    refused(ENOSYS, MM_UNIMPLEMENTED);
}

Test(uring_refused, by_a_profile)
{
    refused(EPERM, MM_PERMISSION_DENIED);
}

Test(uring_refused, for_want_of_memory)
{
    refused(ENOMEM, MM_RESOURCE_EXHAUSTED);
}

Test(uring_refused, for_want_of_descriptors)
{
    refused(EMFILE, MM_RESOURCE_EXHAUSTED);
}

Test(uring_refused, where_a_feature_or_a_flag_is_missing)
{
    if (!is_here())
        cr_skip_test("no io_uring here");
    const struct mm_uring_options feature = {.requests = REQUESTS, .features = 1u << 31};
    cr_assert_eq(mm_uring_open(&ring, &feature), MM_UNIMPLEMENTED);
    const struct mm_uring_options flag = {.requests = REQUESTS, .flags = 1u << 31};
    cr_assert_eq(mm_uring_open(&ring, &flag), MM_UNIMPLEMENTED);
}

// The mapping fails when the ring itself was made: it is closed again.
Test(uring_refused, when_it_cannot_be_mapped)
{
    if (!is_here())
        cr_skip_test("no io_uring here");
    int before = dup(STDOUT_FILENO), after;
    close(before);
    refuse_syscall(SYS_mmap, ENOMEM);
    const struct mm_uring_options options = {.requests = REQUESTS};
    cr_assert_eq(mm_uring_open(&ring, &options), MM_RESOURCE_EXHAUSTED);
    after = dup(STDOUT_FILENO);
    cr_assert_eq(after, before, "the descriptor is free again");
}
