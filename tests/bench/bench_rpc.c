// RPC round trips: calls per second and latency with 1 and with 64 outstanding, over ipc and tcp,
// next to nng's bare REQ/REP with the same bytes and contexts, and to a bare framed epoll echo, in
// the same run. The server is a process of its own.

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gen/echo.pb-c.h"
#include "libcommon/base/check.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "tests/support/bench.h"
#include "tests/support/echo.h"
#include "tests/support/process.h"

enum { RUNS = 3, SECONDS_TENTHS = 6, OUTSTANDING_MAX = 64, SAMPLES_MAX = 400000, PAYLOAD = 95 };

struct figures {
    double per_second, p50_us, p99_us;
};

static double samples[SAMPLES_MAX];
static size_t samples_count;

static void sample(uint64_t began_ns)
{
    if (samples_count < SAMPLES_MAX)
        samples[samples_count++] = (double)(bench_now_ns() - began_ns) / 1000.0;
}

static struct figures figures_of(uint64_t calls, uint64_t took_ns)
{
    return (struct figures){.per_second = (double)calls * 1e9 / (double)took_ns,
                            .p50_us = bench_percentile(samples, samples_count, 50),
                            .p99_us = bench_percentile(samples, samples_count, 99)};
}

static struct figures median_of(struct figures runs[RUNS])
{
    double per_second[RUNS], p50[RUNS], p99[RUNS];
    for (size_t i = 0; i < RUNS; i++) {
        per_second[i] = runs[i].per_second;
        p50[i] = runs[i].p50_us;
        p99[i] = runs[i].p99_us;
    }
    return (struct figures){bench_median(per_second, RUNS), bench_median(p50, RUNS),
                            bench_median(p99, RUNS)};
}

static const uint64_t run_ns = (uint64_t)SECONDS_TENTHS * 100000000u;

// Runs `serve` in a child that dies with us.
static pid_t start(void (*serve)(const char *url), const char *url)
{
    fflush(stdout);
    pid_t pid = fork();
    MM_CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(url);
        _exit(0);
    }
    return pid;
}

static void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

// --- our RPC ------------------------------------------------------------------------------------

static void serve_rpc(const char *url)
{
    struct mm_loop *loop;
    struct mm_rpc_server *server;
    static struct echo echo;
    MM_CHECK(mm_loop_create(NULL, &loop) == MM_OK);
    MM_CHECK(mm_rpc_server_open(loop, NULL, &server) == MM_OK);
    echo_register(&echo, loop, server);
    MM_CHECK(mm_rpc_server_listen(server, url) == MM_OK);
    mm_loop_run(loop);
}

struct load {
    struct mm_loop *loop;
    struct mm_rpc_client *client;
    uint64_t until_ns, calls;
    unsigned outstanding;
    bool done;
    struct one {
        struct load *load;
        uint64_t began_ns;
    } ones[OUTSTANDING_MAX];
};

static void on_reply(void *arg, const struct mm_rpc_result *result);

static void call_once(struct one *one)
{
    static uint8_t payload[PAYLOAD];
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    request.data = (ProtobufCBinaryData){sizeof payload, payload};
    struct mm_rpc_call_options options = {.deadline_ms = 10000};
    one->began_ns = bench_now_ns();
    MM_CHECK(mm_rpc_call(one->load->client, &mmorts__test__echo__descriptor, "Echo", &request.base,
                         &options, on_reply, one, NULL) == MM_OK);
}

static void on_reply(void *arg, const struct mm_rpc_result *result)
{
    struct one *one = arg;
    struct load *load = one->load;
    MM_CHECK(result->code == MM_OK);
    MM_CHECK(((const Mmorts__Test__EchoReply *)(const void *)result->reply)->data.len == PAYLOAD);
    sample(one->began_ns);
    load->calls++;
    if (bench_now_ns() < load->until_ns)
        call_once(one);
    else if (--load->outstanding == 0)
        load->done = true;
}

static void on_connected(void *arg, bool connected)
{
    *(bool *)arg = connected;
}

static struct figures measure_rpc(struct load *load, unsigned outstanding)
{
    samples_count = 0;
    load->calls = 0;
    load->done = false;
    load->outstanding = outstanding;
    uint64_t began_ns = bench_now_ns();
    load->until_ns = began_ns + run_ns;
    for (unsigned i = 0; i < outstanding; i++) {
        load->ones[i].load = load;
        call_once(&load->ones[i]);
    }
    MM_CHECK(mm_loop_run_until(load->loop, &load->done, 20000));
    return figures_of(load->calls, bench_now_ns() - began_ns);
}

// --- nng alone ----------------------------------------------------------------------------------

struct raw_server {
    nng_ctx context;
    nng_aio *aio;
    bool sending;
};

static void raw_serve_step(void *arg)
{
    struct raw_server *one = arg;
    MM_CHECK(nng_aio_result(one->aio) == 0);
    one->sending = !one->sending;
    if (one->sending) // the message goes back as it came
        nng_ctx_send(one->context, one->aio);
    else
        nng_ctx_recv(one->context, one->aio);
}

static void serve_nng(const char *url)
{
    static struct raw_server ones[OUTSTANDING_MAX];
    nng_socket socket;
    MM_CHECK(nng_rep0_open(&socket) == 0 && nng_listen(socket, url, NULL, 0) == 0);
    for (size_t i = 0; i < OUTSTANDING_MAX; i++) {
        MM_CHECK(nng_ctx_open(&ones[i].context, socket) == 0);
        MM_CHECK(nng_aio_alloc(&ones[i].aio, raw_serve_step, &ones[i]) == 0);
        nng_ctx_recv(ones[i].context, ones[i].aio);
    }
    for (;;)
        pause();
}

struct raw_client {
    nng_ctx context;
    nng_aio *aio;
    bool sending;
    uint64_t began_ns;
};

static nng_mtx *raw_lock;
static nng_cv *raw_ended;
static atomic_uint raw_outstanding;
static uint64_t raw_until_ns, raw_calls;

static void raw_send(struct raw_client *one)
{
    nng_msg *msg;
    MM_CHECK(nng_msg_alloc(&msg, PAYLOAD) == 0);
    one->sending = true;
    one->began_ns = bench_now_ns();
    nng_aio_set_msg(one->aio, msg);
    nng_ctx_send(one->context, one->aio);
}

static void raw_client_step(void *arg)
{
    struct raw_client *one = arg;
    MM_CHECK(nng_aio_result(one->aio) == 0);
    if (one->sending) {
        one->sending = false;
        nng_ctx_recv(one->context, one->aio);
        return;
    }
    nng_msg_free(nng_aio_get_msg(one->aio));
    nng_mtx_lock(raw_lock);
    sample(one->began_ns);
    raw_calls++;
    bool more = bench_now_ns() < raw_until_ns;
    if (!more && atomic_fetch_sub(&raw_outstanding, 1) == 1)
        nng_cv_wake(raw_ended);
    nng_mtx_unlock(raw_lock);
    if (more)
        raw_send(one);
}

static struct figures measure_nng(nng_socket socket, unsigned outstanding)
{
    static struct raw_client ones[OUTSTANDING_MAX];
    for (unsigned i = 0; i < outstanding; i++) {
        MM_CHECK(nng_ctx_open(&ones[i].context, socket) == 0);
        MM_CHECK(nng_aio_alloc(&ones[i].aio, raw_client_step, &ones[i]) == 0);
    }
    samples_count = 0;
    raw_calls = 0;
    atomic_store(&raw_outstanding, outstanding);
    uint64_t began_ns = bench_now_ns();
    raw_until_ns = began_ns + run_ns;
    for (unsigned i = 0; i < outstanding; i++)
        raw_send(&ones[i]);
    nng_mtx_lock(raw_lock);
    while (atomic_load(&raw_outstanding) > 0)
        nng_cv_wait(raw_ended);
    nng_mtx_unlock(raw_lock);
    struct figures figures = figures_of(raw_calls, bench_now_ns() - began_ns);
    for (unsigned i = 0; i < outstanding; i++) {
        nng_aio_wait(ones[i].aio);
        nng_aio_free(ones[i].aio);
        nng_ctx_close(ones[i].context);
    }
    return figures;
}

// --- a bare epoll echo over a UNIX socket --------------------------------------------------------

static int unix_socket(const char *url, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "%s", url + strlen("ipc://"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MM_CHECK(fd >= 0);
    return fd;
}

static void wait_readable(int fd)
{
    static int epoll = -1;
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll < 0) {
        epoll = epoll_create1(EPOLL_CLOEXEC);
        MM_CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    }
    while (epoll_wait(epoll, &event, 1, -1) < 0)
        MM_CHECK(errno == EINTR);
}

static void write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        MM_CHECK(written > 0);
        bytes += written;
        len -= (size_t)written;
    }
}

static void serve_epoll(const char *url)
{
    struct sockaddr_un address;
    int listener = unix_socket(url, &address);
    MM_CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    MM_CHECK(listen(listener, 1) == 0);
    int fd = accept(listener, NULL, NULL);
    MM_CHECK(fd >= 0);
    static uint8_t buffer[65536];
    for (;;) {
        wait_readable(fd);
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got <= 0)
            return;
        write_all(fd, buffer, (size_t)got);
    }
}

// Frames of PAYLOAD bytes; they come back in order, so the oldest outstanding one is answered.
static struct figures measure_epoll(int fd, unsigned outstanding)
{
    static uint8_t frames[OUTSTANDING_MAX * PAYLOAD], buffer[65536];
    uint64_t began[OUTSTANDING_MAX], sent = 0, answered = 0;
    size_t partial = 0;
    samples_count = 0;
    uint64_t began_ns = bench_now_ns();
    for (;;) {
        bool more = bench_now_ns() < began_ns + run_ns;
        unsigned room = outstanding - (unsigned)(sent - answered);
        for (unsigned i = 0; more && i < room; i++)
            began[sent++ % outstanding] = bench_now_ns();
        if (more)
            write_all(fd, frames, (size_t)room * PAYLOAD);
        if (sent == answered)
            break;
        wait_readable(fd);
        ssize_t got = read(fd, buffer, sizeof buffer);
        MM_CHECK(got > 0);
        for (partial += (size_t)got; partial >= PAYLOAD; partial -= PAYLOAD)
            sample(began[answered++ % outstanding]);
    }
    return figures_of(answered, bench_now_ns() - began_ns);
}

// --- the runs ------------------------------------------------------------------------------------

static void report(struct bench *bench, const char *name, struct figures ours,
                   struct figures baseline)
{
    char full[64];
    snprintf(full, sizeof full, "%s.calls", name);
    bench_compare(bench, full, ours.per_second, baseline.per_second, "1/s");
    snprintf(full, sizeof full, "%s.p50", name);
    bench_compare(bench, full, ours.p50_us, baseline.p50_us, "us");
    snprintf(full, sizeof full, "%s.p99", name);
    bench_compare(bench, full, ours.p99_us, baseline.p99_us, "us");
}

static void bench_transport(struct bench *bench, const char *name, const char *rpc_url,
                            struct load *load, nng_socket raw)
{
    static const unsigned outstanding[] = {1, OUTSTANDING_MAX};
    bool connected = false;
    MM_CHECK(mm_rpc_client_open(load->loop, rpc_url, NULL, &load->client) == MM_OK);
    mm_rpc_client_watch(load->client, on_connected, &connected);
    MM_CHECK(mm_loop_run_until(load->loop, &connected, 5000));
    for (size_t o = 0; o < 2; o++) {
        struct figures ours[RUNS], baseline[RUNS];
        char full[32];
        // Alternating, so that both meet the same weather.
        for (size_t run = 0; run < RUNS; run++) {
            ours[run] = measure_rpc(load, outstanding[o]);
            baseline[run] = measure_nng(raw, outstanding[o]);
        }
        snprintf(full, sizeof full, "%s.%u", name, outstanding[o]);
        report(bench, full, median_of(ours), median_of(baseline));
    }
    mm_rpc_client_close(load->client);
}

static void bench_floor(struct bench *bench, const char *url)
{
    struct sockaddr_un address;
    int fd = unix_socket(url, &address);
    while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        MM_CHECK(errno == ENOENT || errno == ECONNREFUSED);
    static const unsigned outstanding[] = {1, OUTSTANDING_MAX};
    for (size_t o = 0; o < 2; o++) {
        struct figures figures = measure_epoll(fd, outstanding[o]);
        char name[40];
        snprintf(name, sizeof name, "floor.ipc.%u.calls", outstanding[o]);
        bench_figure(bench, name, figures.per_second, "1/s");
        snprintf(name, sizeof name, "floor.ipc.%u.p50", outstanding[o]);
        bench_figure(bench, name, figures.p50_us, "us");
    }
    close(fd);
}

int main(void)
{
    static const char *const transports[] = {"ipc", "tcp"};
    char *dir = test_dir_make();
    char rpc_urls[2][160], raw_urls[2][160], floor_url[160];
    pid_t servers[5];
    for (size_t t = 0; t < 2; t++) {
        bool ipc = t == 0;
        const char *const names[] = {"rpc", "raw"};
        for (size_t n = 0; n < 2; n++) {
            char *url = n == 0 ? rpc_urls[t] : raw_urls[t];
            if (ipc)
                snprintf(url, sizeof rpc_urls[t], "ipc://%s/%s", dir, names[n]);
            else
                snprintf(url, sizeof rpc_urls[t], "tcp://127.0.0.1:%u", (unsigned)test_port_free());
        }
    }
    snprintf(floor_url, sizeof floor_url, "ipc://%s/floor", dir);
    // nng does not survive a fork, so every server is started before it is first used here.
    for (size_t t = 0; t < 2; t++) {
        servers[2 * t] = start(serve_rpc, rpc_urls[t]);
        servers[2 * t + 1] = start(serve_nng, raw_urls[t]);
    }
    servers[4] = start(serve_epoll, floor_url);

    struct bench *bench = bench_open(
        "rpc", "echo of 95 bytes to another process, 3 runs of 0.6 s each; baseline: nng's bare "
               "REQ/REP contexts; floor: framed epoll echo");
    static struct load load;
    MM_CHECK(mm_loop_create(NULL, &load.loop) == MM_OK);
    MM_CHECK(nng_mtx_alloc(&raw_lock) == 0 && nng_cv_alloc(&raw_ended, raw_lock) == 0);
    for (size_t t = 0; t < 2; t++) {
        nng_socket raw;
        MM_CHECK(nng_req0_open(&raw) == 0);
        while (nng_dial(raw, raw_urls[t], NULL, 0) != 0)
            nng_msleep(10);
        bench_transport(bench, transports[t], rpc_urls[t], &load, raw);
        nng_close(raw);
    }
    bench_floor(bench, floor_url);
    for (size_t i = 0; i < 5; i++)
        stop(servers[i]);
    mm_loop_destroy(load.loop);
    free(dir);
    return bench_close(bench);
}
