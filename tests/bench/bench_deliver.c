// What sync's core and outboxes cost without the services around them (bench_sync measures the real
// ones): for 50 and 500 clients at 20 Hz, frames as world and vision pack them are
// unpacked, joined, applied, encoded and sent over loopback TCP, in real time. Every client owns 20
// entities and sees 10 of its neighbour's; a quarter of them takes a step in every tick, and each
// own step changes ten hexes. Views keep their last ticks for clients that come back, as they do in
// sync; once more without that, for what it costs. The baseline, in the same run, sends as many
// bytes in as many messages from a buffer: the floor that the kernel sets. Another process reads
// everything, checks it and takes the times.

#include "libcommon/base/check.h"
#include "libcommon/base/histogram.h"
#include "libcommon/base/rng.h"
#include "services/sync/core/core.h"
#include "services/sync/core/update.h"
#include "services/sync/outbox.h"
#include "tests/support/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    OWN = 20,
    FOREIGN = 10,
    MOVERS = 5,
    HEXES = 10,
    SEEN_HEXES = 200,
    TICKS = 60,
    CLIENTS_MAX = 500,
    HISTORY_TICKS = 200, // as sync's configuration has it
    HISTORY_BYTES = 16384,
    AHEAD = 3, // so far ahead memory is asked for, as updates.c does it in steps
};
#define TICK_NS UINT64_C(50000000)
#define LIMIT   65536

struct packed {
    uint8_t *bytes;
    size_t len;
};

// What the reading process found.
struct readings {
    struct mm_histogram interval_us;
    uint64_t messages, bytes;
};

struct scene {
    enum sync_encoding encoding;
    uint32_t clients;
    struct mm_rng rng;
    int32_t q[CLIENTS_MAX * OWN + 1], r[CLIENTS_MAX * OWN + 1];
    struct packed ticks[TICKS], visions[TICKS];
    int sockets[CLIENTS_MAX];
    struct sync_outbox outboxes[CLIENTS_MAX];
    struct readings *readings; // shared with the reader
    pid_t reader;
    int stop; // closing it ends the reader
};

static void *zeroed(size_t bytes)
{
    void *memory = calloc(1, bytes + 1);
    MM_CHECK(memory);
    return memory;
}

static uint32_t slot_of(uint32_t client, uint32_t i)
{
    return client * OWN + i + 1;
}

// --- frames --------------------------------------------------------------------------------------

static Mmorts__Frame__TickFrame *copy_tick(const Mmorts__Frame__TickFrame *frame)
{
    size_t len = mmorts__frame__tick_frame__get_packed_size(frame);
    uint8_t *bytes = zeroed(len);
    mmorts__frame__tick_frame__pack(frame, bytes);
    Mmorts__Frame__TickFrame *copy = mmorts__frame__tick_frame__unpack(NULL, len, bytes);
    MM_CHECK(copy);
    free(bytes);
    return copy;
}

// Where everything stands before the first tick.
static void place(struct scene *scene)
{
    for (uint32_t i = 0; i < scene->clients * OWN; i++) {
        scene->q[i + 1] = (int32_t)(i / OWN) * 40 + (int32_t)(i % OWN);
        scene->r[i + 1] = (int32_t)(i % 7);
    }
}

static Mmorts__Frame__TickFrame *snapshot(struct scene *scene)
{
    static char *type_names[] = {"soldier"}, *terrain_names[] = {"dead", "plains"};
    static Mmorts__Frame__Kind kinds[] = {MMORTS__FRAME__KIND__KIND_UNIT};
    static uint32_t one[] = {5, 100}, health[] = {120};
    uint32_t n = scene->clients * OWN, e = scene->clients;
    uint32_t *slot = zeroed(n * 4), *type = zeroed(n * 4), *owner = zeroed(n * 4);
    uint64_t *id = zeroed(n * 8), *empire_id = zeroed(e * 8);
    uint32_t *number = zeroed(e * 4);
    int32_t *home = zeroed(e * 4);
    char **name = zeroed(e * sizeof *name);
    for (uint32_t i = 0; i < n; i++) {
        slot[i] = i + 1;
        id[i] = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        owner[i] = i / OWN + 1;
    }
    place(scene);
    for (uint32_t i = 0; i < e; i++) {
        number[i] = i + 1;
        empire_id[i] = (i + 1) * UINT64_C(0x2545f4914f6cdd1d);
        name[i] = "player";
    }
    Mmorts__Frame__TypeColumns types = MMORTS__FRAME__TYPE_COLUMNS__INIT;
    types.n_name = types.n_kind = types.n_sight_hexes = types.n_health_max = 1;
    types.n_ticks_per_hex = types.n_flags = 1;
    types.name = type_names;
    types.kind = kinds;
    types.sight_hexes = types.ticks_per_hex = types.flags = one;
    types.health_max = health;
    Mmorts__Frame__TerrainColumns terrains = MMORTS__FRAME__TERRAIN_COLUMNS__INIT;
    terrains.n_name = terrains.n_move_cost_percent = 2;
    terrains.name = terrain_names;
    terrains.move_cost_percent = one;
    Mmorts__Frame__Catalogue catalogue = MMORTS__FRAME__CATALOGUE__INIT;
    catalogue.types = &types;
    catalogue.terrains = &terrains;
    Mmorts__Frame__SpawnColumns spawned = MMORTS__FRAME__SPAWN_COLUMNS__INIT;
    spawned.n_entity = spawned.n_id = spawned.n_type = spawned.n_owner = n;
    spawned.n_q = spawned.n_r = n;
    spawned.entity = slot;
    spawned.id = id;
    spawned.type = type;
    spawned.owner = owner;
    spawned.q = scene->q + 1;
    spawned.r = scene->r + 1;
    Mmorts__Frame__EmpireColumns empires = MMORTS__FRAME__EMPIRE_COLUMNS__INIT;
    empires.n_empire = empires.n_id = empires.n_player_id = empires.n_name = e;
    empires.n_home_q = empires.n_home_r = e;
    empires.empire = number;
    empires.id = empires.player_id = empire_id;
    empires.name = name;
    empires.home_q = empires.home_r = home;
    Mmorts__Frame__TickFrame frame = MMORTS__FRAME__TICK_FRAME__INIT;
    frame.tick = 1;
    frame.snapshot = true;
    frame.catalogue = &catalogue;
    frame.spawned = &spawned;
    frame.empires = &empires;
    Mmorts__Frame__TickFrame *copy = copy_tick(&frame);
    void *all[] = {slot, type, owner, id, empire_id, number, home, name};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    return copy;
}

static void hex_at(uint32_t client, uint32_t i, int32_t *q, int32_t *r)
{
    *q = (int32_t)client * 40 + (int32_t)(i % 20);
    *r = (int32_t)(i / 20);
}

static Mmorts__Frame__VisionFrame *view_of(struct scene *scene, uint32_t client)
{
    uint32_t empire = client + 1, hexes = SEEN_HEXES, entities = OWN + FOREIGN, none = 0;
    int32_t q[SEEN_HEXES], r[SEEN_HEXES];
    Mmorts__Frame__Visibility state[SEEN_HEXES];
    uint32_t terrain[SEEN_HEXES], entered[OWN + FOREIGN];
    for (uint32_t i = 0; i < SEEN_HEXES; i++) {
        hex_at(client, i, &q[i], &r[i]);
        state[i] = MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE;
        terrain[i] = 2;
    }
    for (uint32_t i = 0; i < OWN; i++)
        entered[i] = slot_of(client, i);
    for (uint32_t i = 0; i < FOREIGN; i++)
        entered[OWN + i] = slot_of((client + 1) % scene->clients, i);
    Mmorts__Frame__VisionFrame f = MMORTS__FRAME__VISION_FRAME__INIT;
    f.tick = 1;
    f.snapshot = true;
    f.n_empire = f.n_hex_count = f.n_entered_count = f.n_left_count = 1;
    f.n_remembered_count = f.n_forgotten_count = 1;
    f.empire = &empire;
    f.hex_count = &hexes;
    f.entered_count = &entities;
    f.left_count = f.remembered_count = f.forgotten_count = &none;
    f.n_hex_q = f.n_hex_r = f.n_hex_state = f.n_hex_terrain = SEEN_HEXES;
    f.hex_q = q;
    f.hex_r = r;
    f.hex_state = state;
    f.hex_terrain = terrain;
    f.n_entered = OWN + FOREIGN;
    f.entered = entered;
    size_t len = mmorts__frame__vision_frame__get_packed_size(&f);
    uint8_t *bytes = zeroed(len);
    mmorts__frame__vision_frame__pack(&f, bytes);
    Mmorts__Frame__VisionFrame *copy = mmorts__frame__vision_frame__unpack(NULL, len, bytes);
    free(bytes);
    return copy;
}

static void make_tick(struct scene *scene, uint32_t t)
{
    uint32_t n = scene->clients * MOVERS;
    uint32_t *slot = zeroed(n * 4);
    int32_t *q = zeroed(n * 4), *r = zeroed(n * 4);
    for (uint32_t i = 0; i < n; i++) {
        slot[i] = slot_of(i / MOVERS, (t * MOVERS + i % MOVERS) % OWN);
        q[i] = scene->q[slot[i]] += (int32_t)(t % 2) * 2 - 1;
        r[i] = scene->r[slot[i]];
    }
    Mmorts__Frame__PositionColumns moved = MMORTS__FRAME__POSITION_COLUMNS__INIT;
    moved.n_entity = moved.n_q = moved.n_r = n;
    moved.entity = slot;
    moved.q = q;
    moved.r = r;
    Mmorts__Frame__TickFrame frame = MMORTS__FRAME__TICK_FRAME__INIT;
    frame.tick = 2 + t;
    frame.moved = &moved;
    struct packed *out = &scene->ticks[t];
    out->len = mmorts__frame__tick_frame__get_packed_size(&frame);
    out->bytes = zeroed(out->len);
    mmorts__frame__tick_frame__pack(&frame, out->bytes);
    free(slot);
    free(q);
    free(r);
}

static void make_vision(struct scene *scene, uint32_t t)
{
    uint32_t e = scene->clients, n = e * MOVERS * HEXES;
    uint32_t *empire = zeroed(e * 4), *count = zeroed(e * 4), *none = zeroed(e * 4);
    int32_t *q = zeroed(n * 4), *r = zeroed(n * 4);
    uint32_t *terrain = zeroed(n * 4);
    Mmorts__Frame__Visibility *state = zeroed(n * sizeof *state);
    for (uint32_t i = 0; i < n; i++) {
        hex_at(i / (MOVERS * HEXES), i % (MOVERS * HEXES), &q[i], &r[i]);
        state[i] = t % 2 ? MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE
                         : MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG;
    }
    for (uint32_t i = 0; i < e; i++) {
        empire[i] = i + 1;
        count[i] = MOVERS * HEXES;
    }
    Mmorts__Frame__VisionFrame f = MMORTS__FRAME__VISION_FRAME__INIT;
    f.tick = 2 + t;
    f.n_empire = f.n_hex_count = f.n_entered_count = f.n_left_count = e;
    f.n_remembered_count = f.n_forgotten_count = e;
    f.empire = empire;
    f.hex_count = count;
    f.entered_count = f.left_count = f.remembered_count = f.forgotten_count = none;
    f.n_hex_q = f.n_hex_r = f.n_hex_state = f.n_hex_terrain = n;
    f.hex_q = q;
    f.hex_r = r;
    f.hex_state = state;
    f.hex_terrain = terrain;
    struct packed *out = &scene->visions[t];
    out->len = mmorts__frame__vision_frame__get_packed_size(&f);
    out->bytes = zeroed(out->len);
    mmorts__frame__vision_frame__pack(&f, out->bytes);
    void *all[] = {empire, count, none, q, r, terrain, state};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void make_ticks(struct scene *scene)
{
    place(scene);
    for (uint32_t t = 0; t < TICKS; t++) {
        make_tick(scene, t);
        make_vision(scene, t);
    }
}

// --- the reading process -------------------------------------------------------------------------

struct stream {
    uint8_t header[SYNC_WS_HEADER_BYTES_MAX];
    size_t have, need; // of the header
    uint64_t left;     // of the payload
    uint64_t last_ns;
};

static void take(struct stream *s, struct readings *readings, const uint8_t *data, size_t len)
{
    while (len > 0) {
        if (s->left > 0) {
            size_t n = s->left < len ? (size_t)s->left : len;
            s->left -= n;
            data += n;
            len -= n;
        } else {
            s->header[s->have++] = *data++;
            len--;
            s->need = s->have < 2 ? 2 : s->header[1] < 126 ? 2 : s->header[1] == 126 ? 4 : 10;
            if (s->have < s->need)
                continue;
            MM_CHECK(s->header[0] == 0x81 || s->header[0] == 0x82);
            s->left = s->need == 2 ? s->header[1] : 0;
            for (size_t i = 2; i < s->need; i++)
                s->left = s->left << 8 | s->header[i];
            s->have = 0;
        }
        if (s->left > 0 || s->have > 0)
            continue;
        uint64_t now = bench_now_ns();
        if (s->last_ns)
            mm_histogram_record(&readings->interval_us, (now - s->last_ns) / 1000);
        s->last_ns = now;
        readings->messages++;
    }
}

static void read_all(struct readings *readings, const int *sockets, uint32_t count, int stop)
{
    int epoll = epoll_create1(0);
    struct stream *streams = zeroed(count * sizeof *streams);
    for (uint32_t i = 0; i <= count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        MM_CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, i < count ? sockets[i] : stop, &event) == 0);
    }
    static uint8_t buf[65536];
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < n; i++) {
            uint32_t which = events[i].data.u32;
            if (which == count && n == 1)
                return; // told to stop, and nothing else is left to read
            if (which == count)
                continue;
            ssize_t got = recv(sockets[which], buf, sizeof buf, MSG_DONTWAIT);
            if (got <= 0)
                continue;
            readings->bytes += (uint64_t)got;
            take(&streams[which], readings, buf, (size_t)got);
        }
    }
}

static void start_reader(struct scene *scene)
{
    scene->readings = mmap(NULL, sizeof *scene->readings, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MM_CHECK(scene->readings != MAP_FAILED);
    int listener = socket(AF_INET, SOCK_STREAM, 0), peers[CLIENTS_MAX], stop[2], on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    MM_CHECK(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 512) == 0);
    MM_CHECK(getsockname(listener, (struct sockaddr *)&address, &len) == 0 && pipe(stop) == 0);
    for (uint32_t i = 0; i < scene->clients; i++) {
        peers[i] = socket(AF_INET, SOCK_STREAM, 0);
        MM_CHECK(connect(peers[i], (struct sockaddr *)&address, len) == 0);
        scene->sockets[i] = accept(listener, NULL, NULL);
        MM_CHECK(scene->sockets[i] >= 0);
        setsockopt(scene->sockets[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        sync_outbox_init(&scene->outboxes[i], (size_t)1 << 20);
    }
    close(listener);
    scene->reader = fork();
    MM_CHECK(scene->reader >= 0);
    if (scene->reader == 0) {
        close(stop[1]);
        read_all(scene->readings, peers, scene->clients, stop[0]);
        _exit(0);
    }
    close(stop[0]);
    scene->stop = stop[1];
    for (uint32_t i = 0; i < scene->clients; i++)
        close(peers[i]);
}

static void end_reader(struct scene *scene)
{
    close(scene->stop);
    int status;
    MM_CHECK(waitpid(scene->reader, &status, 0) == scene->reader && status == 0);
    for (uint32_t i = 0; i < scene->clients; i++) {
        close(scene->sockets[i]);
        sync_outbox_free(&scene->outboxes[i]);
    }
}

// --- the two ways --------------------------------------------------------------------------------

static void wait_until(uint64_t ns)
{
    struct timespec when = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR) {
    }
}

struct result {
    double cpu_s, bytes, p50_ms, p99_ms;
};

static struct result result_of(struct scene *scene, uint64_t cpu_ns)
{
    end_reader(scene);
    const struct readings *readings = scene->readings;
    MM_CHECK(readings->messages == (uint64_t)scene->clients * TICKS);
    struct result result = {
        .cpu_s = (double)cpu_ns / 1e9 / ((double)TICKS * (double)TICK_NS / 1e9),
        .bytes = (double)readings->bytes / scene->clients / TICKS,
        .p50_ms = (double)mm_histogram_quantile(&readings->interval_us, 500000) / 1000,
        .p99_ms = (double)mm_histogram_quantile(&readings->interval_us, 990000) / 1000,
    };
    munmap(scene->readings, sizeof *scene->readings);
    return result;
}

static void open_core(struct scene *scene, struct sync_core *core, bool history)
{
    MM_CHECK(sync_core_init(core) == MM_OK);
    if (history)
        sync_core_keep_history(core, HISTORY_TICKS, HISTORY_BYTES);
    MM_CHECK(sync_core_world_snapshot(core, snapshot(scene)) == MM_OK);
    for (uint32_t i = 0; i < scene->clients; i++) {
        struct sync_view *view = sync_core_view_open(core, i + 1);
        MM_CHECK(view);
        view->user = (void *)(uintptr_t)(i + 1);
        Mmorts__Frame__VisionFrame *answer = view_of(scene, i);
        MM_CHECK(sync_core_view_load(core, view, 7, answer) == MM_OK);
        mmorts__frame__vision_frame__free_unpacked(answer, NULL);
    }
    MM_CHECK(sync_core_step(core) == SYNC_STEP_DELTAS && core->live_count == scene->clients);
}

static void tick_core(struct scene *scene, struct sync_core *core, struct sync_encoder *encoder,
                      uint32_t t)
{
    const struct packed *tick = &scene->ticks[t], *vision = &scene->visions[t];
    sync_core_push_tick(core, mmorts__frame__tick_frame__unpack(NULL, tick->len, tick->bytes));
    sync_core_push_vision(core, 7,
                          mmorts__frame__vision_frame__unpack(NULL, vision->len, vision->bytes));
    MM_CHECK(sync_core_step(core) == SYNC_STEP_DELTAS);
    MM_CHECK(core->touched.count == scene->clients);
    for (size_t i = 0; i < core->touched.count; i++) {
        if (i + AHEAD < core->touched.count)
            sync_encode_ask(encoder, core, core->touched.items[i + AHEAD]);
        struct sync_view *view = core->touched.items[i];
        uint32_t client = (uint32_t)(uintptr_t)view->user - 1;
        MM_CHECK(sync_encode_view(encoder, core, view, scene->encoding, core->mirror.tick - 1) &&
                 encoder->messages.count == 1);
        MM_CHECK(sync_outbox_send_messages(&scene->outboxes[client], scene->sockets[client],
                                           encoder, LIMIT) == SYNC_SENT);
        if (sync_outbox_waiting(&scene->outboxes[client]) > 0)
            MM_CHECK(sync_outbox_flush(&scene->outboxes[client], scene->sockets[client]) ==
                     SYNC_SENT);
    }
}

static struct result run_core(struct scene *scene, bool history)
{
    struct sync_encoder encoder;
    struct sync_core *core = zeroed(sizeof *core);
    open_core(scene, core, history);
    sync_encoder_init(&encoder);
    start_reader(scene);
    uint64_t begin = bench_now_ns(), cpu = bench_cpu_ns();
    for (uint32_t t = 0; t < TICKS; t++) {
        wait_until(begin + t * TICK_NS);
        tick_core(scene, core, &encoder, t);
    }
    cpu = bench_cpu_ns() - cpu;
    sync_encoder_free(&encoder);
    sync_core_free(core);
    free(core);
    return result_of(scene, cpu);
}

static struct result run_bare(struct scene *scene, size_t bytes)
{
    start_reader(scene);
    uint8_t *buffer = zeroed(bytes + SYNC_WS_HEADER_BYTES_MAX);
    size_t header = sync_ws_header(buffer, SYNC_WS_TEXT, bytes);
    uint64_t begin = bench_now_ns(), cpu = bench_cpu_ns();
    for (uint32_t t = 0; t < TICKS; t++) {
        wait_until(begin + t * TICK_NS);
        for (uint32_t i = 0; i < scene->clients; i++)
            MM_CHECK(send(scene->sockets[i], buffer, header + bytes, MSG_NOSIGNAL) ==
                     (ssize_t)(header + bytes));
    }
    cpu = bench_cpu_ns() - cpu;
    free(buffer);
    return result_of(scene, cpu);
}

static void measure(struct bench *bench, uint32_t clients, enum sync_encoding encoding)
{
    struct scene *scene = zeroed(sizeof *scene);
    scene->clients = clients;
    scene->encoding = encoding;
    mm_rng_seed(&scene->rng, 1);
    make_ticks(scene);
    struct result sync = run_core(scene, true);
    struct result forgetful = run_core(scene, false);
    struct result bare = run_bare(scene, (size_t)sync.bytes - 2 - (sync.bytes > 125 ? 2 : 0));
    const char *name = encoding == SYNC_JSON ? "json" : "binary";
    char key[64];
    (void)snprintf(key, sizeof key, "clients_%u.%s.cpu", clients, name);
    bench_compare(bench, key, sync.cpu_s, bare.cpu_s, "s/s");
    (void)snprintf(key, sizeof key, "clients_%u.%s.cpu_by_that_without_history", clients, name);
    bench_compare(bench, key, sync.cpu_s, forgetful.cpu_s, "s/s");
    (void)snprintf(key, sizeof key, "clients_%u.%s.update", clients, name);
    bench_figure(bench, key, sync.bytes, "bytes");
    (void)snprintf(key, sizeof key, "clients_%u.%s.interval_p50", clients, name);
    bench_compare(bench, key, sync.p50_ms, bare.p50_ms, "ms");
    (void)snprintf(key, sizeof key, "clients_%u.%s.interval_p99", clients, name);
    bench_compare(bench, key, sync.p99_ms, bare.p99_ms, "ms");
    for (uint32_t t = 0; t < TICKS; t++) {
        free(scene->ticks[t].bytes);
        free(scene->visions[t].bytes);
    }
    free(scene);
}

// The ticks of so many clients alone, for a profiler.
static int run_alone(const char *encoding, const char *clients)
{
    struct scene *scene = zeroed(sizeof *scene);
    scene->clients = (uint32_t)strtoul(clients, NULL, 10);
    scene->encoding = strcmp(encoding, "json") == 0 ? SYNC_JSON : SYNC_BINARY;
    MM_CHECK(scene->clients > 0 && scene->clients <= CLIENTS_MAX);
    mm_rng_seed(&scene->rng, 1);
    make_ticks(scene);
    (void)run_core(scene, true);
    for (uint32_t t = 0; t < TICKS; t++) {
        free(scene->ticks[t].bytes);
        free(scene->visions[t].bytes);
    }
    free(scene);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return run_alone(argv[1], argv[2]);
    struct bench *bench = bench_open(
        "deliver",
        "50 and 500 clients at 20 Hz over loopback TCP, in JSON and binary, 3 s each: 20 own "
        "entities and 10 of "
        "a neighbour's in sight, a quarter steps and 50 hexes change every tick; baseline: "
        "sending as many bytes from a buffer");
    for (enum sync_encoding encoding = SYNC_JSON; encoding <= SYNC_BINARY; encoding++) {
        measure(bench, 50, encoding);
        measure(bench, 500, encoding);
    }
    return bench_close(bench);
}
