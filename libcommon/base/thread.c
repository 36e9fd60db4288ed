#include "libcommon/base/thread.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    NICE_MORE = 7, // each step is a factor of 1.25
    NICE_MAX = 19,
};

void mm_thread_stand_back(void)
{
    struct sched_attr attr;
    memset(&attr, 0, sizeof attr);
    // All that is not changed is kept, so also the short slices of
    // libcommon/service/service_slice.c: whoever wakes up waits for the rest of one at most.
    // Another policy was somebody's choice.
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0 ||
        attr.sched_policy != SCHED_NORMAL)
        return;
    int nice = attr.sched_nice + NICE_MORE;
    attr.sched_nice = nice < NICE_MAX ? nice : NICE_MAX;
    attr.sched_policy = SCHED_BATCH;
    (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}
