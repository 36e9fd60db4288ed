#include "libcommon/base/prefetch.h"
#include "tests/support/bench.h"
#include "tests/support/load_clients_internal.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

// What happens at the sockets, look by look.

enum { EVENTS = 512, STEP_MS = 1, IDLE_MS = 10 };

static void count(struct load_clients *clients, const struct load_client *client, size_t n)
{
    clients->figures.bytes += n;
    clients->figures.json_bytes += client->json ? n : 0;
    clients->figures.enter_bytes += client->state < LOAD_PLAYING ? n : 0;
}

static void take(struct load_clients *clients, struct load_client *client, const uint8_t *data,
                 size_t len)
{
    count(clients, client, len);
    if (client->tls)
        load_clients_take_sealed(clients, client, data, len);
    else
        load_clients_take(clients, client, data, len);
}

// How many bytes were read.
static size_t on_readable(struct load_clients *clients, struct load_client *client, size_t most)
{
    ssize_t n =
        load_receive(client->fd, clients->read, most, &clients->clock, &clients->arrived_ns);
    if (n > 0) {
        take(clients, client, clients->read, (size_t)n);
        return (size_t)n;
    }
    if (n == 0)
        load_clients_lose(clients, client, "cut off");
    else if (errno != EAGAIN)
        load_clients_lose(clients, client, "cannot receive: %s", strerror(errno));
    return 0;
}

static void on_event(struct load_clients *clients, struct load_client *client, uint32_t events)
{
    if (client->fd < 0)
        return; // closed by what came before in this turn
    if (client->state == LOAD_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        (void)getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error)
            load_clients_lose(clients, client, "cannot connect: %s", strerror(error));
        else if (clients->tls)
            load_clients_secure(clients, client);
        else
            load_clients_shake(clients, client);
    } else if (!client->in_ring) { // else what it has received yet comes first
        bool ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        size_t n = LOAD_READ_ONCE;
        while (client->fd >= 0 && (n == LOAD_READ_ONCE || (ended && n > 0)))
            n = on_readable(clients, client, LOAD_READ_ONCE);
    }
}

static void read_slow(struct load_clients *clients, uint64_t now_ns)
{
    if (clients->slow_count == 0 || now_ns < clients->slow_ns)
        return;
    clients->slow_ns = now_ns + (uint64_t)LOAD_SLOW_PERIOD_MS * 1000000;
    for (uint32_t i = 0; i < clients->options.count; i++) {
        struct load_client *client = &clients->all[i];
        if (client->slow_bytes && client->state == LOAD_PLAYING && !client->in_ring)
            on_readable(clients, client, client->slow_bytes);
    }
}

// --- by the ring ---------------------------------------------------------------------------------

static void on_arrival(struct load_clients *clients, struct load_client *client,
                       const struct load_arrival *arrival)
{
    if (arrival->tag != load_client_tag(clients, client) || client->fd < 0)
        return; // of a connection that it has ended
    if (arrival->len > 0) {
        int64_t at_ns = arrival->stamp_ns - clients->clock.stamps_ahead_ns;
        clients->arrived_ns = arrival->stamp_ns ? (uint64_t)at_ns : clients->clock.now_ns;
        take(clients, client, arrival->data, arrival->len);
        if (client->fd < 0)
            return;
    }
    if (arrival->ended) {
        load_clients_lose(clients, client, "cut off");
    } else if (arrival->error) {
        load_clients_lose(clients, client, "cannot receive: %s", strerror(arrival->error));
    } else if (arrival->over) {
        client->in_ring = false;
        load_clients_watch(clients, client);
    }
}

// Of thousands of clients none is in a cache: what one needs is asked for some turns ahead, in
// steps, as one thing points to the next.
static void ask_ahead(const struct load_clients *clients, const struct load_arrival *arrivals,
                      size_t at, size_t count_all)
{
    enum { AHEAD = 4, STEPS = 3 };
    for (unsigned step = 0; step < STEPS; step++) {
        size_t ahead = at + (STEPS - step) * AHEAD;
        if (ahead >= count_all)
            continue;
        const struct load_client *client = &clients->all[(uint32_t)arrivals[ahead].tag];
        if (step == 0) {
            mm_prefetch_block(client, offsetof(struct load_client, view));
            mm_prefetch(arrivals[ahead].data);
        }
        load_view_prefetch(&client->view, step);
    }
}

static void look(struct load_clients *clients, uint64_t wait_ns)
{
    struct load_arrival arrivals[LOAD_RING_LOOK];
    size_t n = load_ring_look(clients->ring, wait_ns, arrivals);
    clients->clock = load_clock_read();
    for (size_t i = 0; i < n; i++) {
        ask_ahead(clients, arrivals, i, n);
        on_arrival(clients, &clients->all[(uint32_t)arrivals[i].tag], &arrivals[i]);
    }
}

// --- a turn --------------------------------------------------------------------------------------

static void turn(struct load_clients *clients, int wait_ms)
{
    struct epoll_event events[EVENTS];
    clients->clock = load_clock_read();
    load_clients_begin_wanted(clients, clients->clock.now_ns);
    read_slow(clients, clients->clock.now_ns);
    int wait = clients->ring ? 0 : wait_ms < IDLE_MS ? wait_ms : IDLE_MS;
    int n = epoll_wait(clients->epoll, events, EVENTS, wait);
    clients->clock = load_clock_read();
    for (int i = 0; i < n; i++)
        on_event(clients, events[i].data.ptr, events[i].events);
    // Who comes in waits for us at every step.
    bool pause = clients->entering == 0;
    if (clients->ring)
        look(clients, pause ? LOAD_PAUSE_NS : (uint64_t)STEP_MS * 1000000);
    else if (n > 0 && n < EVENTS && pause)
        load_receive_pause();
}

static int left_ms(uint64_t until_ns)
{
    uint64_t now_ns = bench_now_ns();
    return now_ns >= until_ns ? 0 : (int)((until_ns - now_ns) / 1000000) + 1;
}

void load_clients_run(struct load_clients *clients, uint64_t until_ns)
{
    for (int ms; (ms = left_ms(until_ns)) > 0;)
        turn(clients, ms);
}

bool load_clients_wait_playing(struct load_clients *clients, uint32_t count_wanted, int timeout_ms)
{
    uint64_t until_ns = bench_now_ns() + (uint64_t)timeout_ms * 1000000;
    while (clients->playing < count_wanted && left_ms(until_ns) > 0)
        turn(clients, left_ms(until_ns));
    return clients->playing >= count_wanted;
}

void load_clients_told(const struct load_clients *clients, uint64_t *oldest, uint64_t *newest)
{
    *oldest = UINT64_MAX;
    *newest = 0;
    for (uint32_t i = 0; i < clients->options.count; i++) {
        if (clients->all[i].state != LOAD_PLAYING || clients->all[i].stalled ||
            clients->all[i].slow_bytes)
            continue;
        const struct load_view *view = &clients->all[i].view;
        uint64_t told = view->complete ? view->tick : 0;
        *oldest = told < *oldest ? told : *oldest;
        *newest = told > *newest ? told : *newest;
    }
}

bool load_clients_wait_tick(struct load_clients *clients, uint64_t tick, int timeout_ms)
{
    uint64_t until_ns = bench_now_ns() + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        uint64_t oldest, newest;
        load_clients_told(clients, &oldest, &newest);
        if (oldest >= tick || left_ms(until_ns) == 0)
            return oldest >= tick;
        turn(clients, left_ms(until_ns));
    }
}
