#include "libcommon/service/service_internal.h"

#include <linux/sched/types.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS UINT64_C(200000)

// Tells the kernel's scheduler (since Linux 6.12; others do not mind) that this thread and those
// that it will start want the CPU for a short while, but soon: a service whose message or timer has
// come need not wait until somebody else's time slice, some milliseconds, is over. Its share of the
// CPU is what it was. A player would see that wait as a tick that comes late.
void mm_service_ask_short_slices(void)
{
    struct sched_attr attr;
    memset(&attr, 0, sizeof attr);
    // Whoever started it under another policy knows what they want.
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0 || attr.sched_policy != 0 ||
        attr.sched_runtime <= SLICE_NS)
        return;
    attr.sched_runtime = SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}
