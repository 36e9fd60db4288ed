#include "tests/support/load_floor.h"

#include "libcommon/base/check.h"
#include "tests/support/bench.h"
#include "tests/support/load_receive.h"
#include "tests/support/load_ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, READ_BYTES = 65536 };
#define TICK_NS UINT64_C(50000000)

static void wait_until(uint64_t ns)
{
    struct timespec when = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR) {
    }
}

// The other process: tells its CPU time through the pipe.
static _Noreturn void send_all(const int *sockets, uint32_t clients, size_t bytes, unsigned ticks,
                               int report)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    uint8_t *data = calloc(1, bytes);
    MM_CHECK(data);
    uint64_t begin = bench_now_ns(), cpu = bench_cpu_ns();
    for (unsigned t = 0; t < ticks; t++) {
        wait_until(begin + t * TICK_NS);
        for (uint32_t i = 0; i < clients; i++)
            MM_CHECK(send(sockets[i], data, bytes, MSG_NOSIGNAL) == (ssize_t)bytes);
    }
    cpu = bench_cpu_ns() - cpu;
    MM_CHECK(write(report, &cpu, sizeof cpu) == sizeof cpu);
    for (;;)
        (void)pause(); // the sockets stay open until all has been read
}

static void connect_pairs(int *senders, int *readers, uint32_t clients)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    MM_CHECK(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 512) == 0);
    MM_CHECK(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
    for (uint32_t i = 0; i < clients; i++) {
        readers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        MM_CHECK(readers[i] >= 0 && connect(readers[i], (struct sockaddr *)&address, len) == 0);
        senders[i] = accept(listener, NULL, NULL);
        MM_CHECK(senders[i] >= 0);
        MM_CHECK(setsockopt(senders[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    }
    close(listener);
}

static uint64_t read_by_ring(struct load_ring *ring)
{
    struct load_arrival arrivals[LOAD_RING_LOOK];
    size_t n = load_ring_look(ring, LOAD_PAUSE_NS, arrivals);
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        MM_CHECK(!arrivals[i].ended && !arrivals[i].error); // else the sender failed
        bytes += arrivals[i].len;
        if (arrivals[i].over)
            load_ring_read(ring, (int)arrivals[i].tag, arrivals[i].tag);
    }
    return bytes;
}

static uint64_t read_by_epoll(int epoll)
{
    static uint8_t buf[READ_BYTES];
    struct epoll_event events[EVENTS];
    uint64_t bytes = 0;
    int n = epoll_wait(epoll, events, EVENTS, -1);
    struct load_clock clock = load_clock_read();
    for (int i = 0; i < n; i++) {
        ssize_t got = sizeof buf;
        while (got == sizeof buf) {
            uint64_t arrived_ns = 0;
            got = load_receive(events[i].data.fd, buf, sizeof buf, &clock, &arrived_ns);
            MM_CHECK(got > 0 || (got < 0 && errno == EAGAIN)); // else the sender failed
            bytes += got > 0 ? (uint64_t)got : 0;
        }
    }
    if (n > 0 && n < EVENTS)
        load_receive_pause();
    return bytes;
}

// As the load tool's clients do it (load_clients.h), so that it costs the sender as much.
static void read_all(const int *readers, uint32_t clients, uint64_t bytes)
{
    struct load_ring *ring = load_ring_new();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < clients; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = readers[i]};
        load_receive_stamped(readers[i]);
        if (ring)
            load_ring_read(ring, readers[i], (uint64_t)readers[i]);
        else
            MM_CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, readers[i], &event) == 0);
    }
    for (uint64_t read = 0; read < bytes;)
        read += ring ? read_by_ring(ring) : read_by_epoll(epoll);
    load_ring_free(ring);
    close(epoll);
}

double load_floor(uint32_t clients, size_t bytes, unsigned ticks)
{
    int *senders = calloc(clients, sizeof *senders), *readers = calloc(clients, sizeof *readers);
    int report[2], status = 0;
    uint64_t cpu_ns = 0;
    MM_CHECK(senders && readers && pipe(report) == 0);
    connect_pairs(senders, readers, clients);
    pid_t sender = fork();
    MM_CHECK(sender >= 0);
    struct sched_param none = {0}; // as a service has it, whatever this process has
    if (sender == 0) {
        (void)sched_setscheduler(0, SCHED_OTHER, &none);
        send_all(senders, clients, bytes, ticks, report[1]);
    }
    for (uint32_t i = 0; i < clients; i++)
        close(senders[i]);
    read_all(readers, clients, (uint64_t)clients * bytes * ticks);
    MM_CHECK(read(report[0], &cpu_ns, sizeof cpu_ns) == sizeof cpu_ns);
    MM_CHECK(kill(sender, SIGKILL) == 0 && waitpid(sender, &status, 0) == sender);
    close(report[0]);
    close(report[1]);
    for (uint32_t i = 0; i < clients; i++)
        close(readers[i]);
    free(senders);
    free(readers);
    return (double)cpu_ns / 1e9 / ((double)ticks * (double)TICK_NS / 1e9);
}
