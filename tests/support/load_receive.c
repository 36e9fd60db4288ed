#include "tests/support/load_receive.h"

#include "libcommon/base/check.h"
#include "tests/support/bench.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

void load_receive_stamped(int fd)
{
    int on = 1;
    MM_CHECK(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) == 0);
}

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

struct load_clock load_clock_read(void)
{
    struct timespec stamps;
    MM_CHECK(clock_gettime(CLOCK_REALTIME, &stamps) == 0);
    struct load_clock clock = {.now_ns = bench_now_ns()};
    clock.stamps_ahead_ns = nanoseconds(&stamps) - (int64_t)clock.now_ns;
    return clock;
}

ssize_t load_receive(int fd, void *buf, size_t most, const struct load_clock *clock,
                     uint64_t *arrived_ns)
{
    union {
        struct cmsghdr head;
        uint8_t bytes[CMSG_SPACE(sizeof(struct timespec))];
    } control;
    struct iovec piece = {buf, most};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR)
        n = recvmsg(fd, &message, MSG_DONTWAIT);
    *arrived_ns = clock->now_ns;
    const struct cmsghdr *head = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SO_TIMESTAMPNS) {
        struct timespec stamp;
        memcpy(&stamp, CMSG_DATA(head), sizeof stamp);
        *arrived_ns = (uint64_t)(nanoseconds(&stamp) - clock->stamps_ahead_ns);
    }
    return n;
}

void load_receive_pause(void)
{
    struct timespec pause = {.tv_nsec = (long)LOAD_PAUSE_NS};
    (void)nanosleep(&pause, NULL);
}
