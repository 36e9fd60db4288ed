// Who reads which part of the vision stream, and what he is told: Vision/Serve's requests, as bytes
// that came over the wire or built of small numbers, against a table kept here; and frames, cut for
// every subscriber and read by what sync reads them with: all rows of his empires, and none of
// others. The bytes of a part, spoiled, and any others are read or refused.

#include "libcommon/base/check.h"
#include "libcommon/io/pb.h"
#include "services/sync/core/sight.h"
#include "services/sync/core/vision_frame.h"
#include "services/vision/core/subscribers.h"
#include "tests/fuzz/input.h"

#include <stdlib.h>
#include <string.h>

enum { EMPIRES = 7, SUBSCRIBERS = 3, STEPS_MAX = 64, BYTES_MAX = 1 << 16, LEASE = 100 };

// --- the table -----------------------------------------------------------------------------------

struct row {
    char name[VISION_SUBSCRIBER_BYTES_MAX + 1];
    uint64_t revision, used, reads;
    uint32_t set; // bits
};
static struct {
    struct row rows[SUBSCRIBERS];
    size_t count;
    uint64_t now;
} table;

static struct row *row_of(const char *name)
{
    for (size_t i = 0; i < table.count; i++)
        if (strcmp(table.rows[i].name, name) == 0)
            return &table.rows[i];
    return NULL;
}

static bool set_of(const Mmorts__Vision__ServeRequest *request, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < request->n_empires; i++) {
        uint32_t empire = request->empires[i];
        if (empire < 1 || empire > EMPIRES || *out >> empire)
            return false; // that one, or one above it, was there
        *out |= 1u << empire;
    }
    return true;
}

static bool is_good_name(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') &&
            name[i] != '_' && name[i] != '-')
            return false;
    return len >= 1 && len <= VISION_SUBSCRIBER_BYTES_MAX;
}

static enum mm_err expected(const Mmorts__Vision__ServeRequest *request, uint32_t *set)
{
    if (!is_good_name(request->subscriber) || request->revision == 0 || !set_of(request, set))
        return MM_INVALID_ARGUMENT;
    const struct row *row = row_of(request->subscriber);
    if (!row)
        return table.count < SUBSCRIBERS ? MM_OK : MM_RESOURCE_EXHAUSTED;
    bool older = request->revision < row->revision;
    bool other = request->revision == row->revision && *set != row->set;
    return older || other ? MM_FAILED_PRECONDITION : MM_OK;
}

// --- calls ---------------------------------------------------------------------------------------

static void serve(struct vision_subscribers *subscribers,
                  const Mmorts__Vision__ServeRequest *request)
{
    uint32_t set = 0;
    enum mm_err want = expected(request, &set);
    struct vision_subscriber *out;
    char why[VISION_SUBSCRIBER_WHY_BYTES] = "";
    enum mm_err err = vision_subscribers_serve(subscribers, request, table.now, &out, why);
    MM_CHECK(err == want && (out != NULL) == (err == MM_OK) && (why[0] == '\0') == (err == MM_OK));
    if (err != MM_OK)
        return;
    struct row *row = row_of(request->subscriber);
    if (!row) {
        row = &table.rows[table.count++];
        *row = (struct row){0};
        memcpy(row->name, request->subscriber, strlen(request->subscriber) + 1);
    }
    row->revision = request->revision;
    row->set = set;
    row->used = table.now;
    MM_CHECK(strcmp(out->name, row->name) == 0 && out->revision == row->revision);
}

static void serve_built(struct vision_subscribers *subscribers, struct fuzz_input *in)
{
    static char *const names[] = {"a", "b", "sync-1", "4_x", "a", "b", "sync-1", "", "A", "v/a"};
    uint32_t empires[EMPIRES + 1];
    Mmorts__Vision__ServeRequest request = MMORTS__VISION__SERVE_REQUEST__INIT;
    request.subscriber = names[fuzz_below(in, sizeof names / sizeof *names)];
    request.revision = fuzz_below(in, 8);
    uint32_t bits = fuzz_below(in, 256);
    for (uint32_t empire = 1; empire <= EMPIRES; empire++)
        if (bits >> empire & 1)
            empires[request.n_empires++] = empire;
    if ((bits & 1) && request.n_empires < EMPIRES)
        empires[request.n_empires++] = fuzz_below(in, EMPIRES + 2); // in place or not
    request.empires = empires;
    serve(subscribers, &request);
}

static size_t raw(struct fuzz_input *in, const uint8_t **out)
{
    size_t len = fuzz_below(in, 256);
    len = len < in->len ? len : in->len;
    *out = in->data;
    in->data += len;
    in->len -= len;
    return len;
}

static void serve_raw(struct vision_subscribers *subscribers, struct fuzz_input *in)
{
    const uint8_t *bytes;
    size_t len = raw(in, &bytes);
    ProtobufCMessage *request;
    if (mm_pb_unpack(&mmorts__vision__serve_request__descriptor, NULL, bytes, len, BYTES_MAX,
                     &request) != MM_OK)
        return;
    serve(subscribers, (const Mmorts__Vision__ServeRequest *)(const void *)request);
    protobuf_c_message_free_unpacked(request, NULL);
}

static void ask_view(const struct vision_subscribers *subscribers, struct fuzz_input *in)
{
    static const char *const names[] = {"a", "b", "sync-1", "nobody"};
    const char *name = names[fuzz_below(in, 4)], *why;
    uint64_t revision = fuzz_below(in, 8);
    uint32_t empire = fuzz_below(in, EMPIRES + 2);
    const struct row *row = row_of(name);
    bool given = row && row->revision >= revision && (row->set >> empire & 1);
    const struct vision_subscriber *found =
        vision_subscribers_for_view(subscribers, name, revision, empire, &why);
    MM_CHECK((found != NULL) == given && (given || why[0] != '\0'));
    MM_CHECK(!found || strcmp(found->name, name) == 0);
}

static void sweep(struct vision_subscribers *subscribers, struct fuzz_input *in)
{
    table.now += fuzz_below(in, LEASE);
    uint32_t reading = fuzz_below(in, 256);
    for (size_t i = vision_subscribers_count(subscribers); i-- > 0;) {
        struct vision_subscriber *subscriber = vision_subscribers_at(subscribers, i);
        struct row *row = row_of(subscriber->name);
        if (reading >> (subscriber->name[0] % 8) & 1) {
            row->reads++;
            row->used = table.now;
        }
        bool is_read = vision_subscriber_is_read(subscriber, row->reads, table.now, LEASE);
        MM_CHECK(is_read == (table.now - row->used < LEASE));
        if (is_read)
            continue;
        *row = table.rows[--table.count];
        vision_subscribers_drop(subscribers, subscriber);
    }
}

// --- frames --------------------------------------------------------------------------------------

enum { ROWS = 4 * EMPIRES };
static struct {
    uint32_t empire[EMPIRES], counts[5][EMPIRES];
    int32_t q[ROWS], r[ROWS];
    Mmorts__Frame__Visibility state[ROWS];
    uint32_t terrain[ROWS], entered[ROWS];
    uint64_t left[ROWS], forgotten[ROWS];
    uint64_t id[ROWS], seen[ROWS];
    uint32_t type[ROWS];
    Mmorts__Frame__CacheMode mode[ROWS];
} columns;

// As vision_apply() gives them; no two rows are the same.
static void build(struct fuzz_input *in, Mmorts__Frame__VisionFrame *f,
                  Mmorts__Frame__MemoryColumns *m)
{
    size_t rows[5] = {0}, n = 0;
    mmorts__frame__vision_frame__init(f);
    mmorts__frame__memory_columns__init(m);
    uint32_t bits = fuzz_below(in, 256);
    for (uint32_t empire = 1; empire <= EMPIRES; empire++) {
        if (!(bits >> empire & 1))
            continue;
        columns.empire[n] = empire;
        for (size_t kind = 0; kind < 5; kind++) {
            columns.counts[kind][n] = fuzz_below(in, 5);
            rows[kind] += columns.counts[kind][n];
        }
        n++;
    }
    for (size_t i = 0; i < ROWS; i++) {
        columns.q[i] = (int32_t)i - 10;
        columns.r[i] = 3 * (int32_t)i;
        columns.state[i] = (Mmorts__Frame__Visibility)(i % 3);
        columns.terrain[i] = columns.type[i] = 1 + (uint32_t)i % 5;
        columns.entered[i] = 100 + (uint32_t)i;
        columns.left[i] = 1000 + i;
        columns.forgotten[i] = 2000 + i;
        columns.id[i] = 3000 + i;
        columns.seen[i] = i;
        columns.mode[i] = (Mmorts__Frame__CacheMode)(i % 2);
    }
    f->tick = table.now;
    f->n_empire = f->n_hex_count = f->n_entered_count = f->n_left_count = n;
    f->n_remembered_count = f->n_forgotten_count = n;
    f->empire = columns.empire;
    f->hex_count = columns.counts[0];
    f->entered_count = columns.counts[1];
    f->left_count = columns.counts[2];
    f->remembered_count = columns.counts[3];
    f->forgotten_count = columns.counts[4];
    f->n_hex_q = f->n_hex_r = f->n_hex_state = f->n_hex_terrain = rows[0];
    f->hex_q = columns.q, f->hex_r = columns.r;
    f->hex_state = columns.state, f->hex_terrain = columns.terrain;
    f->n_entered = rows[1], f->entered = columns.entered;
    f->n_left = rows[2], f->left = columns.left;
    f->n_forgotten = rows[4], f->forgotten = columns.forgotten;
    m->n_id = m->n_type = m->n_owner = m->n_q = m->n_r = m->n_health = rows[3];
    m->n_first_seen = m->n_last_seen = m->n_mode = m->n_expires_at = rows[3];
    m->id = columns.id, m->type = m->owner = columns.type;
    m->q = m->health = columns.q, m->r = columns.r;
    m->first_seen = m->last_seen = m->expires_at = columns.seen;
    m->mode = columns.mode;
    f->remembered = m;
}

static void same_rows(const Mmorts__Frame__VisionFrame *x, struct sync_range at_x,
                      const Mmorts__Frame__VisionFrame *y, struct sync_range at_y,
                      enum sync_group group)
{
    MM_CHECK(at_x.to - at_x.from == at_y.to - at_y.from);
    for (size_t i = at_x.from, k = at_y.from; i < at_x.to; i++, k++) {
        switch (group) {
        case SYNC_GROUP_HEXES:
            MM_CHECK(x->hex_q[i] == y->hex_q[k] && x->hex_r[i] == y->hex_r[k] &&
                     x->hex_state[i] == y->hex_state[k] && x->hex_terrain[i] == y->hex_terrain[k]);
            break;
        case SYNC_GROUP_ENTERED:
            MM_CHECK(x->entered[i] == y->entered[k]);
            break;
        case SYNC_GROUP_LEFT:
            MM_CHECK(x->left[i] == y->left[k]);
            break;
        case SYNC_GROUP_REMEMBERED: {
            struct sync_memory a = sync_memory_at(x->remembered, i);
            struct sync_memory b = sync_memory_at(y->remembered, k);
            MM_CHECK(a.id == b.id && a.type == b.type && a.owner == b.owner && a.q == b.q &&
                     a.r == b.r && a.health == b.health && a.last_seen == b.last_seen &&
                     a.expires_at == b.expires_at);
            break;
        }
        default:
            MM_CHECK(x->forgotten[i] == y->forgotten[k]);
        }
    }
}

static void check_part(const Mmorts__Frame__VisionFrame *whole,
                       const Mmorts__Frame__VisionFrame *part, uint32_t set)
{
    uint32_t *of_whole = sync_vision_starts(whole), *of_part = sync_vision_starts(part);
    MM_CHECK(of_whole && of_part && part->tick == whole->tick && !part->snapshot);
    for (uint32_t empire = 0; empire <= EMPIRES + 1; empire++) {
        size_t at_whole, at_part;
        bool told = sync_vision_find(whole, empire, &at_whole) && (set >> empire & 1);
        MM_CHECK(sync_vision_find(part, empire, &at_part) == told);
        for (enum sync_group group = 0; told && group < SYNC_GROUPS; group++)
            same_rows(whole, sync_vision_range(of_whole, at_whole, group), part,
                      sync_vision_range(of_part, at_part, group), group);
    }
    free(of_whole);
    free(of_part);
}

// Whatever it says: what is accepted can be read to the last row.
static void read_anything(const uint8_t *bytes, size_t len)
{
    ProtobufCMessage *message;
    if (mm_pb_unpack(&mmorts__frame__vision_frame__descriptor, NULL, bytes, len, BYTES_MAX,
                     &message) != MM_OK)
        return;
    const Mmorts__Frame__VisionFrame *f = (const void *)message;
    uint32_t *starts = sync_vision_starts(f);
    for (size_t e = 0; starts && e < f->n_empire; e++) {
        size_t at;
        MM_CHECK(sync_vision_find(f, f->empire[e], &at) && at == e);
        for (enum sync_group group = 0; group < SYNC_GROUPS; group++) {
            struct sync_range range = sync_vision_range(starts, e, group);
            same_rows(f, range, f, range, group);
        }
    }
    free(starts);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void spoil(struct fuzz_input *in, const struct vision_cut *cut)
{
    uint8_t *bytes = malloc(cut->len + 1);
    MM_CHECK(bytes);
    memcpy(bytes, cut->bytes, cut->len);
    for (uint32_t i = 0; cut->len > 0 && i < 3; i++)
        bytes[(fuzz_below(in, 256) + 256 * fuzz_below(in, 2)) % cut->len] ^=
            (uint8_t)fuzz_below(in, 256);
    read_anything(bytes, cut->len - (cut->len > 0 ? fuzz_below(in, 2) : 0));
    free(bytes);
}

static void publish(struct vision_subscribers *subscribers, struct fuzz_input *in)
{
    Mmorts__Frame__VisionFrame frame;
    Mmorts__Frame__MemoryColumns memories;
    build(in, &frame, &memories);
    uint32_t made[SUBSCRIBERS];
    size_t made_count = 0;
    for (size_t i = 0; i < vision_subscribers_count(subscribers); i++) {
        const struct vision_subscriber *subscriber = vision_subscribers_at(subscribers, i);
        const struct row *row = row_of(subscriber->name);
        struct vision_cut cut = vision_subscribers_cut(subscribers, subscriber, &frame);
        MM_CHECK(row && cut.bytes);
        bool fresh = true;
        for (size_t k = 0; k < made_count; k++)
            fresh &= made[k] != row->set;
        MM_CHECK(cut.fresh == fresh);
        made[made_count++] = row->set;
        ProtobufCMessage *part;
        MM_CHECK(mm_pb_unpack(&mmorts__frame__vision_frame__descriptor, NULL, cut.bytes, cut.len,
                              BYTES_MAX, &part) == MM_OK);
        check_part(&frame, (const Mmorts__Frame__VisionFrame *)(const void *)part, row->set);
        protobuf_c_message_free_unpacked(part, NULL);
        spoil(in, &cut);
    }
    vision_subscribers_next_frame(subscribers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    memset(&table, 0, sizeof table);
    struct vision_subscribers *subscribers = vision_subscribers_new(SUBSCRIBERS, EMPIRES);
    MM_CHECK(subscribers);
    for (int i = 0; i < STEPS_MAX && in.len > 0; i++) {
        uint32_t what = fuzz_below(&in, 16);
        const uint8_t *bytes;
        size_t len;
        if (what < 5) {
            serve_built(subscribers, &in);
        } else if (what < 7) {
            serve_raw(subscribers, &in);
        } else if (what < 11) {
            publish(subscribers, &in);
        } else if (what < 13) {
            ask_view(subscribers, &in);
        } else if (what < 15) {
            sweep(subscribers, &in);
        } else {
            len = raw(&in, &bytes);
            read_anything(bytes, len);
        }
        size_t empires = 0;
        for (size_t k = 0; k < table.count; k++)
            empires += (size_t)__builtin_popcount(table.rows[k].set);
        MM_CHECK(vision_subscribers_count(subscribers) == table.count &&
                 vision_subscribers_empires(subscribers) == empires);
    }
    vision_subscribers_free(subscribers);
    return 0;
}
