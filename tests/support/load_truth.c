#include "tests/support/load_truth.h"

#include "gen/frame.pb-c.h"
#include "libcommon/base/check.h"
#include "libcommon/base/idmap.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/stream_reader.h"
#include "tests/support/process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_SNAPSHOT_MS = 60000, TYPES_MAX = 512, MARGIN = 64, EXCUSES_MAX = 64 };

struct recorded {
    uint8_t *body;
    size_t len;
};

struct unit {
    uint64_t id;
    uint32_t type, owner;
    int32_t q, r;
    bool alive;
    uint64_t counted;        // the look in which it was counted last
    uint32_t next, previous; // others on its hex
    uint32_t fellow;         // the next of the same owner
};

struct load_truth {
    // The recording: the thread's until it has ended.
    pthread_t thread;
    struct mm_loop *loop;
    struct mm_rpc_client *rpc;
    struct mm_stream_reader *reader;
    struct recorded *records;
    size_t record_count, record_capacity;
    _Atomic uint64_t tick;
    _Atomic bool begun;
    bool ended;

    // The world as of one tick.
    struct unit *units; // by slot
    uint32_t unit_count;
    uint32_t sight[TYPES_MAX];
    uint32_t *first_of; // by empire: its first unit
    uint32_t empire_count;
    uint32_t *cells; // first unit on a hex
    int32_t q_min, r_min, q_side, r_side;
    uint64_t excused[EXCUSES_MAX][2];
    unsigned excuse_count;
    uint64_t now;
    uint64_t look; // counts empires' looks about
};

// --- recording -----------------------------------------------------------------------------------

static void keep(struct load_truth *truth, const struct mm_stream_message *message)
{
    if (truth->record_count == truth->record_capacity) {
        truth->record_capacity = truth->record_capacity ? 2 * truth->record_capacity : 1024;
        truth->records = realloc(truth->records, truth->record_capacity * sizeof *truth->records);
        MM_CHECK(truth->records);
    }
    struct recorded *record = &truth->records[truth->record_count++];
    record->len = message->body_len;
    record->body = malloc(record->len + 1);
    MM_CHECK(record->body);
    memcpy(record->body, message->body, record->len);
    atomic_store(&truth->tick, message->tick);
}

static void on_message(void *arg, const struct mm_stream_message *message)
{
    keep(arg, message);
}

static void on_snapshot(void *arg, const struct mm_stream_message *message)
{
    struct load_truth *truth = arg;
    keep(truth, message);
    atomic_store(&truth->begun, true);
}

static void *record(void *arg)
{
    struct load_truth *truth = arg;
    mm_loop_run(truth->loop);
    return NULL;
}

struct load_truth *load_truth_start(const char *rpc_url, const char *stream_url)
{
    struct load_truth *truth = calloc(1, sizeof *truth);
    MM_CHECK(truth);
    struct mm_stream_reader_options options = {
        .stream = "tick",
        .session = "main",
        .arg = truth,
        .on_message = on_message,
        .on_snapshot = on_snapshot,
    };
    if (mm_loop_create(NULL, &truth->loop) != MM_OK ||
        mm_rpc_client_open(truth->loop, rpc_url, NULL, &truth->rpc) != MM_OK ||
        mm_stream_reader_open(truth->loop, stream_url, truth->rpc, &options, &truth->reader) !=
            MM_OK ||
        pthread_create(&truth->thread, NULL, record, truth) != 0)
        test_fail("world's stream cannot be recorded");
    int64_t until = test_now_ms() + FIRST_SNAPSHOT_MS;
    while (!atomic_load(&truth->begun) && test_now_ms() < until)
        (void)usleep(10000);
    if (!atomic_load(&truth->begun))
        test_fail("no snapshot of world within %d ms", FIRST_SNAPSHOT_MS);
    return truth;
}

uint64_t load_truth_tick(struct load_truth *truth)
{
    return atomic_load(&truth->tick);
}

void load_truth_wait(struct load_truth *truth, uint64_t tick, int timeout_ms)
{
    int64_t until = test_now_ms() + timeout_ms;
    while (load_truth_tick(truth) < tick) {
        if (test_now_ms() > until)
            test_fail("world's stream does not come to tick %llu", (unsigned long long)tick);
        (void)usleep(10000);
    }
}

void load_truth_excuse(struct load_truth *truth, uint64_t from, uint64_t to)
{
    MM_CHECK(truth->excuse_count < EXCUSES_MAX);
    truth->excused[truth->excuse_count][0] = from;
    truth->excused[truth->excuse_count++][1] = to;
}

static bool is_excused(const struct load_truth *truth, uint64_t tick)
{
    for (unsigned i = 0; i < truth->excuse_count; i++)
        if (tick >= truth->excused[i][0] && tick <= truth->excused[i][1])
            return true;
    return false;
}

static void stop(struct load_truth *truth)
{
    if (truth->ended)
        return;
    truth->ended = true;
    mm_loop_stop(truth->loop);
    (void)pthread_join(truth->thread, NULL);
    mm_stream_reader_close(truth->reader);
    mm_rpc_client_close(truth->rpc);
    mm_loop_destroy(truth->loop);
}

void load_truth_free(struct load_truth *truth)
{
    stop(truth);
    for (size_t i = 0; i < truth->record_count; i++)
        free(truth->records[i].body);
    free(truth->records);
    free(truth->units);
    free(truth->first_of);
    free(truth->cells);
    free(truth);
}

// --- the world of one tick -----------------------------------------------------------------------

static uint32_t *cell_at(struct load_truth *truth, int32_t q, int32_t r)
{
    int32_t x = q - truth->q_min, y = r - truth->r_min;
    if (x < 0 || y < 0 || x >= truth->q_side || y >= truth->r_side)
        return NULL;
    return &truth->cells[(size_t)y * (size_t)truth->q_side + (size_t)x];
}

static void leave_cell(struct load_truth *truth, uint32_t slot)
{
    struct unit *unit = &truth->units[slot];
    uint32_t *cell = cell_at(truth, unit->q, unit->r);
    if (unit->next)
        truth->units[unit->next].previous = unit->previous;
    if (unit->previous)
        truth->units[unit->previous].next = unit->next;
    else
        *cell = unit->next;
}

static void enter_cell(struct load_truth *truth, uint32_t slot)
{
    struct unit *unit = &truth->units[slot];
    uint32_t *cell = cell_at(truth, unit->q, unit->r);
    if (!cell)
        test_fail("a unit of the scenario walked off its map, to %d,%d", unit->q, unit->r);
    unit->previous = 0;
    unit->next = *cell;
    if (*cell)
        truth->units[*cell].previous = slot;
    *cell = slot;
}

static void *grown(void *items, uint32_t *count, uint32_t wanted, size_t item_bytes)
{
    if (wanted < *count)
        return items;
    uint32_t more = 2 * wanted + 64;
    items = realloc(items, more * item_bytes);
    MM_CHECK(items);
    memset((uint8_t *)items + *count * item_bytes, 0, (more - *count) * item_bytes);
    *count = more;
    return items;
}

static void add_units(struct load_truth *truth, const Mmorts__Frame__SpawnColumns *spawned)
{
    for (size_t i = 0; spawned && i < spawned->n_entity; i++) {
        uint32_t slot = spawned->entity[i], owner = spawned->owner[i];
        truth->units = grown(truth->units, &truth->unit_count, slot, sizeof *truth->units);
        truth->first_of =
            grown(truth->first_of, &truth->empire_count, owner, sizeof *truth->first_of);
        truth->units[slot] = (struct unit){
            .id = spawned->id[i],
            .type = spawned->type[i],
            .owner = owner,
            .q = spawned->q[i],
            .r = spawned->r[i],
            .alive = true,
            .fellow = truth->first_of[owner],
        };
        truth->first_of[owner] = slot;
        enter_cell(truth, slot);
    }
}

// A map with room about everything that the snapshot holds: units of the scenario stay near.
static void make_map(struct load_truth *truth, const Mmorts__Frame__SpawnColumns *spawned)
{
    int32_t q_max = 0, r_max = 0;
    truth->q_min = truth->r_min = 0;
    for (size_t i = 0; spawned && i < spawned->n_entity; i++) {
        truth->q_min = spawned->q[i] < truth->q_min ? spawned->q[i] : truth->q_min;
        truth->r_min = spawned->r[i] < truth->r_min ? spawned->r[i] : truth->r_min;
        q_max = spawned->q[i] > q_max ? spawned->q[i] : q_max;
        r_max = spawned->r[i] > r_max ? spawned->r[i] : r_max;
    }
    truth->q_min -= MARGIN;
    truth->r_min -= MARGIN;
    truth->q_side = q_max + MARGIN - truth->q_min;
    truth->r_side = r_max + MARGIN - truth->r_min;
    free(truth->cells);
    truth->cells = calloc((size_t)truth->q_side * (size_t)truth->r_side, sizeof *truth->cells);
    MM_CHECK(truth->cells);
}

static void begin_anew(struct load_truth *truth, const Mmorts__Frame__TickFrame *frame)
{
    if (truth->unit_count)
        memset(truth->units, 0, truth->unit_count * sizeof *truth->units);
    if (truth->empire_count)
        memset(truth->first_of, 0, truth->empire_count * sizeof *truth->first_of);
    const Mmorts__Frame__TypeColumns *types = frame->catalogue->types;
    for (size_t i = 0; i < types->n_name && i < TYPES_MAX; i++)
        truth->sight[i] = types->sight_hexes[i];
    make_map(truth, frame->spawned);
}

// True: it was a snapshot.
static bool apply(struct load_truth *truth, const struct recorded *recorded)
{
    Mmorts__Frame__TickFrame *frame =
        mmorts__frame__tick_frame__unpack(NULL, recorded->len, recorded->body);
    MM_CHECK(frame);
    truth->now = frame->tick;
    bool is_snapshot = frame->snapshot;
    if (is_snapshot)
        begin_anew(truth, frame);
    if (frame->n_despawned)
        test_fail("nothing dies in the scenario, but something did in tick %llu",
                  (unsigned long long)frame->tick);
    add_units(truth, frame->spawned);
    for (size_t i = 0; frame->moved && i < frame->moved->n_entity; i++) {
        uint32_t slot = frame->moved->entity[i];
        leave_cell(truth, slot);
        truth->units[slot].q = frame->moved->q[i];
        truth->units[slot].r = frame->moved->r[i];
        enter_cell(truth, slot);
    }
    mmorts__frame__tick_frame__free_unpacked(frame, NULL);
    return is_snapshot;
}

// --- what an empire sees -------------------------------------------------------------------------

struct sight {
    uint64_t hash;
    uint32_t count;
};

static void count_unit(struct load_truth *truth, uint32_t slot, struct sight *sight)
{
    struct unit *unit = &truth->units[slot];
    if (unit->counted == truth->look)
        return;
    unit->counted = truth->look;
    sight->hash += load_hash(unit->id, unit->q, unit->r);
    sight->count++;
}

static void look_about(struct load_truth *truth, const struct unit *from, struct sight *sight)
{
    int32_t range = (int32_t)truth->sight[from->type];
    for (int32_t dr = -range; dr <= range; dr++) {
        int32_t low = dr < 0 ? -range - dr : -range, high = dr < 0 ? range : range - dr;
        for (int32_t dq = low; dq <= high; dq++) {
            const uint32_t *cell = cell_at(truth, from->q + dq, from->r + dr);
            for (uint32_t slot = cell ? *cell : 0; slot; slot = truth->units[slot].next)
                count_unit(truth, slot, sight);
        }
    }
}

static struct sight sight_of(struct load_truth *truth, uint32_t empire)
{
    struct sight sight = {0};
    truth->look++;
    if (empire >= truth->empire_count)
        return sight;
    for (uint32_t slot = truth->first_of[empire]; slot; slot = truth->units[slot].fellow) {
        count_unit(truth, slot, &sight);
        if (truth->sight[truth->units[slot].type] > 0)
            look_about(truth, &truth->units[slot], &sight);
    }
    return sight;
}

// --- the judgement -------------------------------------------------------------------------------

static void compare(struct load_truth *truth, struct load_verdict *verdict, uint32_t empire,
                    const struct load_entry *entry)
{
    struct sight sight = sight_of(truth, empire);
    verdict->checked++;
    verdict->seen += sight.count;
    if (sight.hash == entry->hash && sight.count == entry->count)
        return;
    // It was told of a later tick what happened in this one.
    if (entry->tick != truth->now) {
        verdict->late++;
        return;
    }
    if (verdict->wrong++ == 0)
        (void)snprintf(verdict->first, sizeof verdict->first,
                       "empire %u at tick %llu: %u entities in sight, the client told of tick %llu "
                       "shows %u%s",
                       empire, (unsigned long long)truth->now, sight.count,
                       (unsigned long long)entry->tick, entry->count,
                       sight.count == entry->count ? ", not all where they are" : "");
}

// The entry that says what the client showed at tick `now`: the last one at or before it, if the
// next one goes on from there.
static const struct load_entry *entry_at(const struct load_view *view, size_t *at, uint64_t now)
{
    while (*at < view->log_count && view->log[*at].tick < now &&
           (*at + 1 == view->log_count || view->log[*at + 1].tick <= now))
        ++*at;
    if (*at == view->log_count || view->log[*at].tick > now)
        return NULL;
    if (view->log[*at].tick < now && view->log[*at + 1].began_anew)
        return NULL;
    return &view->log[*at];
}

// Of how many ticks between these two a client was told.
static uint64_t told_between(const struct load_view *view, uint64_t before, uint64_t behind)
{
    uint64_t count = 0;
    for (size_t i = 0; i < view->log_count && view->log[i].tick < behind; i++)
        count += view->log[i].tick > before;
    return count;
}

struct load_verdict load_truth_judge(struct load_truth *truth, const struct load_witness *witnesses,
                                     size_t count)
{
    struct load_verdict verdict = {0};
    size_t *at = calloc(count + 1, sizeof *at);
    uint64_t told = 0, logged = 0;
    MM_CHECK(at);
    stop(truth);
    for (size_t i = 0; i < count; i++)
        logged += witnesses[i].view->log_count;
    for (size_t n = 0; n < truth->record_count; n++) {
        uint64_t before = truth->now;
        bool is_snapshot = apply(truth, &truth->records[n]);
        if (n > 0 && truth->now == before)
            continue; // a snapshot of what is known already
        // Before the recording began, too: a client may have come in while the services still told
        // of earlier ticks.
        for (size_t i = 0; is_snapshot && i < count; i++)
            verdict.missed += told_between(witnesses[i].view, before, truth->now);
        for (size_t i = 0; i < count; i++) {
            const struct load_entry *entry = entry_at(witnesses[i].view, &at[i], truth->now);
            if (!entry || (entry->tick != truth->now && is_excused(truth, truth->now)))
                continue;
            told += entry->tick == truth->now;
            compare(truth, &verdict, witnesses[i].empire, entry);
        }
    }
    verdict.unknown = logged - told - verdict.missed;
    free(at);
    return verdict;
}
