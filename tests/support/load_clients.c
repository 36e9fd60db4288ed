#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/id.h"
#include "tests/support/bench.h"
#include "tests/support/load_clients_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ENTERING_DEFAULT = 200, COMMAND_WITHIN_S = 5 };

struct load_clients *load_clients_new(const struct load_options *options)
{
    struct load_clients *clients = calloc(1, sizeof *clients);
    MM_CHECK(clients);
    clients->options = *options;
    if (clients->options.entering_max == 0)
        clients->options.entering_max = ENTERING_DEFAULT;
    clients->all = calloc(options->count, sizeof *clients->all);
    clients->read = malloc(LOAD_READ_ONCE);
    clients->joined = malloc(LOAD_READ_BYTES);
    clients->inflated = malloc(LOAD_READ_BYTES);
    MM_CHECK(inflateInit2(&clients->inflater, -15) == Z_OK);
    clients->ring = options->without_ring ? NULL : load_ring_new();
    clients->epoll = epoll_create1(EPOLL_CLOEXEC);
    MM_CHECK(clients->all && clients->read && clients->joined && clients->inflated &&
             clients->epoll >= 0);
    load_clients_trust(clients);
    for (uint32_t i = 0; i < options->count; i++) {
        clients->all[i].fd = -1;
        clients->all[i].json = options->mixed && i % 2 == 0;
        clients->all[i].deflate = options->mixed && i % 4 >= 2;
        load_view_init(&clients->all[i].view);
    }
    return clients;
}

void load_clients_free(struct load_clients *clients)
{
    load_clients_close(clients, 0, clients->options.count);
    for (uint32_t i = 0; i < clients->options.count; i++) {
        load_view_free(&clients->all[i].view);
        free(clients->all[i].part);
    }
    close(clients->epoll);
    free(clients->all);
    (void)inflateEnd(&clients->inflater);
    free(clients->inflated);
    load_ring_free(clients->ring);
    SSL_CTX_free(clients->tls);
    free(clients->clear);
    free(clients->joined);
    free(clients->read);
    free(clients);
}

void load_clients_speak_json(struct load_clients *clients, uint32_t index, bool json)
{
    clients->all[index].json = json;
}

void load_clients_compress(struct load_clients *clients, uint32_t index, bool compressed)
{
    clients->all[index].deflate = compressed;
}

void load_clients_resume(struct load_clients *clients, bool resume)
{
    clients->afresh = !resume;
}

void load_clients_stall(struct load_clients *clients, uint32_t index, bool stalled)
{
    struct load_client *client = &clients->all[index];
    if (client->stalled == stalled)
        return;
    client->stalled = stalled;
    client->updated_ns = 0;
    if (client->state == LOAD_PLAYING)
        load_clients_watch(clients, client);
}

void load_clients_slow(struct load_clients *clients, uint32_t index, uint32_t bytes_per_second)
{
    struct load_client *client = &clients->all[index];
    clients->slow_count += bytes_per_second > 0;
    clients->slow_count -= client->slow_bytes > 0;
    client->slow_bytes = bytes_per_second / (1000 / LOAD_SLOW_PERIOD_MS);
    if (client->state == LOAD_PLAYING)
        load_clients_watch(clients, client);
}

// --- commands ------------------------------------------------------------------------------------

bool load_clients_command(struct load_clients *clients, uint32_t index)
{
    struct load_client *client = &clients->all[index];
    struct load_view *view = &client->view;
    uint64_t now_ns = bench_now_ns();
    uint64_t limit_ns = (uint64_t)COMMAND_WITHIN_S * 1000000000;
    if (client->state != LOAD_PLAYING || view->own_id == 0 || client->stalled ||
        (client->command_ns && now_ns - client->command_ns < limit_ns))
        return false;
    // To and fro beside where it was first seen, so that each order has another target.
    char text[320], id[MM_ID_TEXT_BYTES];
    view->watch_id = view->own_id;
    view->watch_q = view->own_q + 1 + (int32_t)(client->next_seq % 5);
    view->watch_r = view->own_r;
    (void)mm_id_format(id, "unit_", view->own_id);
    int len = snprintf(text, sizeof text,
                       "{\"type\":\"command\",\"payload\":{\"seq\":%llu,\"command\":\"move\","
                       "\"units\":[\"%s\"],\"target\":[%d,%d]}}",
                       (unsigned long long)client->next_seq++, id, view->watch_q, view->watch_r);
    client->command_ns = client->visible_ns = now_ns;
    clients->figures.commands++;
    load_clients_send_text(clients, client, text, (size_t)len);
    return true;
}

// --- what was found ------------------------------------------------------------------------------

uint32_t load_clients_playing(const struct load_clients *clients)
{
    return clients->playing;
}

struct load_figures *load_clients_figures(struct load_clients *clients)
{
    return &clients->figures;
}

void load_clients_reset(struct load_clients *clients)
{
    memset(&clients->figures, 0, sizeof clients->figures);
}

struct load_view *load_clients_view(struct load_clients *clients, uint32_t index)
{
    return &clients->all[index].view;
}

const char *load_clients_fault(const struct load_clients *clients, uint32_t *index)
{
    for (uint32_t i = 0; i < clients->options.count; i++) {
        if (!clients->all[i].view.fault[0])
            continue;
        *index = i;
        return clients->all[i].view.fault;
    }
    return NULL;
}

bool load_clients_chat(struct load_clients *clients, uint32_t index, uint32_t count)
{
    enum { LETTERS = 480 };
    struct load_client *client = &clients->all[index];
    char text[LETTERS + 64];
    if (client->state != LOAD_PLAYING)
        return false;
    int len = snprintf(text, sizeof text, "{\"type\":\"chat\",\"payload\":{\"message\":\"");
    uint64_t bits = 0, seed = (uint64_t)index << 32 | count;
    for (int i = 0; i < LETTERS; i++) {
        if (i % 12 == 0)
            bits = seed = mm_hash64(&seed, sizeof seed, 1);
        text[len++] = (char)('a' + bits % 26);
        bits /= 26;
    }
    len += snprintf(text + len, sizeof text - (size_t)len, "\"}}");
    load_clients_send_text(clients, client, text, (size_t)len);
    return client->state == LOAD_PLAYING;
}
