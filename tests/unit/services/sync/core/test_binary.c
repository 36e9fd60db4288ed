#include "services/sync/core/binary.h"
#include "services/sync/core/core.h"
#include "services/sync/core/update.h"
#include "tests/support/sync_world.h"
#include "tests/support/wire_json.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The two encodings say the same: two cores are given the same frames, one's clients are told in
// JSON and the other's in binary, and every message, decoded, equals its counterpart. One client's
// messages are also held against tests/support/wire_vectors.json, which is what decoders in other
// languages are tested with; WIRE_VECTORS=write writes it anew.

#define VECTORS "tests/support/wire_vectors.json"

enum { TICKS = 150, VECTOR_TICKS = 120, VECTOR_EMPIRE = 3, TOLD_ANEW = 60 };

struct side {
    enum sync_encoding encoding;
    struct sync_core core;
    struct sync_encoder encoder;
    struct mm_buf out;
    struct wire_json *wire[SYNC_WORLD_EMPIRES + 1];
    uint64_t told[SYNC_WORLD_EMPIRES + 1];
    size_t bytes;
    json_t *messages; // of this tick, by client: decoded
    json_t *raw;      // likewise: as they are, in hexadecimal
};

static void open_side(struct side *side, enum sync_encoding encoding, struct sync_world *world)
{
    memset(side, 0, sizeof *side);
    side->encoding = encoding;
    cr_assert_eq(sync_core_init(&side->core), MM_OK);
    sync_encoder_init(&side->encoder);
    mm_buf_init(&side->out, SYNC_FULL_BYTES_MAX);
    cr_assert_eq(sync_core_world_snapshot(&side->core, sync_world_snapshot(world)), MM_OK);
    for (uint32_t e = 1; e <= SYNC_WORLD_EMPIRES; e++) {
        side->wire[e] = wire_json_new(sync_world_map());
        struct sync_view *view = sync_core_view_open(&side->core, e);
        Mmorts__Frame__VisionFrame *answer = sync_world_get_view(world, e);
        cr_assert_eq(sync_core_view_load(&side->core, view, 1, answer), MM_OK);
        mmorts__frame__vision_frame__free_unpacked(answer, NULL);
    }
}

static void close_side(struct side *side)
{
    for (uint32_t e = 1; e <= SYNC_WORLD_EMPIRES; e++)
        wire_json_free(side->wire[e]);
    sync_core_free(&side->core);
    sync_encoder_free(&side->encoder);
    mm_buf_free(&side->out);
}

static json_t *client_list(json_t *all, uint32_t empire)
{
    char key[12];
    (void)snprintf(key, sizeof key, "%u", empire);
    if (!json_object_get(all, key))
        json_object_set_new(all, key, json_array());
    return json_object_get(all, key);
}

static void take(struct side *side, uint32_t empire, const uint8_t *data, size_t len)
{
    json_error_t where;
    side->bytes += len;
    json_t *message = NULL;
    if (side->encoding == SYNC_JSON) {
        message = json_loadb((const char *)data, len, 0, &where);
        cr_assert_not_null(message, "%s: %.*s", where.text, (int)len, (const char *)data);
    } else {
        const char *text = wire_json_take(side->wire[empire], data, len);
        cr_assert_not_null(text, "%s", wire_json_fault(side->wire[empire]));
        message = json_loads(text, 0, &where);
        struct mm_buf hex;
        mm_buf_init(&hex, 2 * len + 1);
        mm_buf_hex(&hex, data, len);
        json_array_append_new(client_list(side->raw, empire), json_string(mm_buf_cstr(&hex)));
        mm_buf_free(&hex);
    }
    json_array_append_new(client_list(side->messages, empire), message);
}

static void take_encoded(struct side *side, uint32_t empire)
{
    const struct sync_encoder *e = &side->encoder;
    for (size_t m = 0; m < e->messages.count; m++) {
        struct mm_buf message;
        mm_buf_init(&message, SYNC_STEP_BYTES_MAX);
        for (size_t i = 0; i < e->messages.items[m].slice_count; i++) {
            const struct sync_slice *slice = &e->slices.items[e->messages.items[m].slice + i];
            mm_buf_append(&message, e->buf.data + slice->offset, slice->len);
        }
        take(side, empire, message.data, message.len);
        mm_buf_free(&message);
    }
    if (e->messages.count > 0)
        side->told[empire] = side->core.mirror.tick;
}

static void tell_everything(struct side *side, struct sync_view *view)
{
    struct sync_full full = {.active = true};
    mm_buf_reset(&side->out);
    cr_assert_eq(
        sync_encode_full(&side->core, view, side->encoding, &full, (size_t)1 << 20, &side->out),
        MM_OK);
    for (size_t at = 0; at < side->out.len;) {
        uint32_t len;
        memcpy(&len, side->out.data + at, 4);
        take(side, view->empire, side->out.data + at + 4, len);
        at += 4 + (size_t)len;
    }
    side->told[view->empire] = side->core.mirror.tick;
}

// Production tells of everybody now and then.
static void produce(struct side *side, unsigned t)
{
    char *items[] = {"gold", "wood"};
    uint32_t empire[SYNC_WORLD_EMPIRES], item[SYNC_WORLD_EMPIRES];
    int64_t amount[SYNC_WORLD_EMPIRES];
    Mmorts__Frame__JobChange changes[SYNC_WORLD_EMPIRES], *jobs[SYNC_WORLD_EMPIRES];
    Mmorts__Frame__ProductionFrame frame = MMORTS__FRAME__PRODUCTION_FRAME__INIT;
    frame.snapshot = t == 0;
    frame.n_items = 2;
    frame.items = items;
    frame.n_stock_empire = frame.n_stock_item = frame.n_stock_amount = SYNC_WORLD_EMPIRES;
    frame.stock_empire = empire;
    frame.stock_item = item;
    frame.stock_amount = amount;
    frame.n_jobs = SYNC_WORLD_EMPIRES;
    frame.jobs = jobs;
    for (uint32_t i = 0; i < SYNC_WORLD_EMPIRES; i++) {
        empire[i] = i + 1;
        item[i] = t / 7 % 2;
        amount[i] = (int64_t)t * 1000 + i;
        mmorts__frame__job_change__init(&changes[i]);
        changes[i].event = (Mmorts__Frame__JobEvent)(1 + t / 7 % 5);
        changes[i].job_id = UINT64_C(0xfedcba9876543210) + t / 35 * 16 + i;
        changes[i].building_id = t % 2 ? UINT64_C(0x0123456789abcdef) : 0;
        changes[i].empire = i + 1;
        changes[i].recipe = "train_soldier";
        changes[i].reason = changes[i].event == 4 ? "storage_full" : "";
        changes[i].start_tick = t;
        changes[i].end_tick = t + 200;
        jobs[i] = &changes[i];
    }
    cr_assert_eq(sync_stock_apply(&side->core.stock, &frame), MM_OK);
    for (uint32_t e = 1; e <= SYNC_WORLD_EMPIRES; e++)
        sync_core_touch(&side->core, sync_core_view(&side->core, e));
}

static void step(struct side *side, unsigned t)
{
    side->messages = json_object();
    side->raw = json_object();
    while (sync_core_step(&side->core) == SYNC_STEP_DELTAS) {
        if (t % 7 == 0)
            produce(side, t);
        for (uint32_t e = 1; e <= SYNC_WORLD_EMPIRES; e++) {
            struct sync_view *view = sync_core_view(&side->core, e);
            if (t % TOLD_ANEW == 0) {
                tell_everything(side, view);
            } else if (view->delta.touched) {
                cr_assert(sync_encode_view(&side->encoder, &side->core, view, side->encoding,
                                           side->told[e]));
                take_encoded(side, e);
            } else {
                cr_assert(sync_encode_idle(&side->encoder, &side->core, 0, side->encoding,
                                           side->told[e]));
                take_encoded(side, e);
            }
        }
    }
}

// --- the order of what has none ------------------------------------------------------------------

static int by_text(const void *a, const void *b)
{
    char *left = json_dumps(*(json_t *const *)a, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    char *right = json_dumps(*(json_t *const *)b, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    int order = strcmp(left, right);
    free(left);
    free(right);
    return order;
}

// The same message with its lists sorted: in JSON they are in no particular order.
static json_t *sorted(const json_t *message)
{
    static const char *const lists[] = {"appeared", "changed", "disappeared", "vision", "hexes"};
    json_t *copy = json_copy((json_t *)(uintptr_t)message);
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        const json_t *list = json_object_get(message, lists[l]);
        size_t count = json_array_size(list);
        if (count == 0)
            continue;
        json_t **items = calloc(count, sizeof *items);
        for (size_t i = 0; i < count; i++)
            items[i] = json_array_get(list, i);
        qsort(items, count, sizeof *items, by_text);
        json_t *array = json_array();
        for (size_t i = 0; i < count; i++)
            json_array_append(array, items[i]);
        json_object_set_new(copy, lists[l], array);
        free(items);
    }
    return copy;
}

// explored_hexes messages end where they are long enough, which differs: their hexes as one list.
static json_t *merged(const json_t *messages)
{
    json_t *result = json_array(), *last = NULL;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *message = json_array_get(messages, i);
        bool explored =
            strcmp(json_string_value(json_object_get(message, "type")), "explored_hexes") == 0;
        if (explored && last) {
            json_array_extend(json_object_get(last, "hexes"), json_object_get(message, "hexes"));
            continue;
        }
        last = explored ? json_deep_copy(message) : NULL;
        if (explored)
            json_array_append_new(result, last);
        else
            json_array_append(result, message);
    }
    return result;
}

static void compare(const json_t *one, const json_t *other, uint64_t tick)
{
    json_t *left = merged(one), *right = merged(other);
    cr_assert_eq(json_array_size(left), json_array_size(right), "tick %llu",
                 (unsigned long long)tick);
    for (size_t i = 0; i < json_array_size(left); i++) {
        json_t *a = sorted(json_array_get(left, i)), *b = sorted(json_array_get(right, i));
        if (!json_equal(a, b)) {
            char *x = json_dumps(a, JSON_SORT_KEYS), *y = json_dumps(b, JSON_SORT_KEYS);
            cr_assert_fail("tick %llu:\n%s\n%s", (unsigned long long)tick, x, y);
        }
        json_decref(a);
        json_decref(b);
    }
    json_decref(left);
    json_decref(right);
}

static json_t *play(uint64_t seed, unsigned ticks, size_t *json_bytes, size_t *binary_bytes)
{
    struct sync_world *world = sync_world_new(seed);
    static struct side json, binary;
    json_t *vectors = json_array();
    sync_world_tick(world, 12);
    open_side(&json, SYNC_JSON, world);
    open_side(&binary, SYNC_BINARY, world);
    for (unsigned t = 0; t <= ticks; t++) {
        struct side *sides[] = {&json, &binary};
        if (t > 0)
            sync_world_tick(world, t % 40 < 3 ? 0 : 12);
        for (size_t s = 0; s < 2; s++) {
            if (t > 0) {
                sync_core_push_tick(&sides[s]->core, sync_world_frame(world));
                sync_core_push_vision(&sides[s]->core, 1, sync_world_vision(world));
            }
            step(sides[s], t);
        }
        for (uint32_t e = 1; e <= SYNC_WORLD_EMPIRES; e++)
            compare(client_list(json.messages, e), client_list(binary.messages, e),
                    binary.core.mirror.tick);
        const json_t *raw = client_list(binary.raw, VECTOR_EMPIRE);
        for (size_t i = 0; i < json_array_size(raw); i++)
            json_array_append_new(
                vectors, json_pack("{s:O, s:O}", "binary", json_array_get(raw, i), "json",
                                   json_array_get(client_list(binary.messages, VECTOR_EMPIRE), i)));
        for (size_t s = 0; s < 2; s++) {
            json_decref(sides[s]->messages);
            json_decref(sides[s]->raw);
        }
    }
    *json_bytes = json.bytes;
    *binary_bytes = binary.bytes;
    close_side(&json);
    close_side(&binary);
    sync_world_free(world);
    return vectors;
}

Test(sync_binary, says_what_json_says)
{
    for (uint64_t seed = 100; seed < 104; seed++) {
        size_t json = 0, binary = 0;
        json_decref(play(seed, TICKS, &json, &binary));
        cr_expect_gt(json, 12 * binary, "%zu bytes of JSON, %zu of binary", json, binary);
    }
}

Test(sync_binary, is_what_decoders_are_tested_with)
{
    size_t json = 0, binary = 0;
    json_t *vectors = play(7, VECTOR_TICKS, &json, &binary);
    if (getenv("WIRE_VECTORS")) {
        cr_assert_eq(json_dump_file(vectors, VECTORS, JSON_SORT_KEYS | JSON_COMPACT), 0);
    }
    json_error_t where;
    json_t *kept = json_load_file(VECTORS, 0, &where);
    cr_assert_not_null(kept, "%s: %s", VECTORS, where.text);
    cr_assert_eq(json_array_size(kept), json_array_size(vectors));
    for (size_t i = 0; i < json_array_size(vectors); i++)
        cr_assert(json_equal(json_array_get(kept, i), json_array_get(vectors, i)),
                  "message %zu is another one: was the encoding changed without its version?", i);
    json_decref(kept);
    json_decref(vectors);
}
