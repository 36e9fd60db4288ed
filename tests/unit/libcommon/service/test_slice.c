#include "libcommon/service/service_internal.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ASKED_NS UINT64_C(200000)

// The kernel's struct sched_attr, whose header does not go together with libc's.
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static struct attributes attributes(void)
{
    struct attributes attr;
    memset(&attr, 0, sizeof attr);
    cr_assert_eq(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0), 0);
    return attr;
}

// False: this kernel knows no slices of a thread's own.
static bool set_slice(uint64_t ns)
{
    struct attributes attr = attributes();
    attr.runtime = ns;
    return syscall(SYS_sched_setattr, 0, &attr, 0) == 0 && attributes().runtime == ns;
}

static void *read_slice(void *out)
{
    *(uint64_t *)out = attributes().runtime;
    return NULL;
}

Test(service_slice, is_short_for_the_thread_and_those_it_starts)
{
    bool known = set_slice(3000000);
    uint64_t before = attributes().runtime, started = 0;
    mm_service_ask_short_slices();
    cr_assert_eq(attributes().runtime, known ? ASKED_NS : before);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, read_slice, &started), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(started, known ? ASKED_NS : before);
}

Test(service_slice, nothing_else_changes)
{
    struct attributes before = attributes();
    mm_service_ask_short_slices();
    struct attributes after = attributes();
    after.runtime = before.runtime;
    cr_assert_arr_eq(&after, &before, sizeof before);
}

Test(service_slice, a_shorter_one_stays)
{
    if (!set_slice(150000))
        cr_skip_test("this kernel knows no slices of a thread's own");
    mm_service_ask_short_slices();
    cr_assert_eq(attributes().runtime, 150000);
}
