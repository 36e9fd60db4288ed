#include "libcommon/base/check.h"
#include "libcommon/base/id.h"
#include "tests/support/load_view_internal.h"
#include "tests/support/wire_decoder.h"

#include <stdlib.h>
#include <string.h>

struct binary {
    struct load_view *view;
    struct load_message *message;
};

static void on_explored(void *arg, bool reset)
{
    struct binary *binary = arg;
    if (reset)
        load_view_forget(binary->view);
}

static void on_resumed(void *arg, uint64_t tick)
{
    struct binary *binary = arg;
    (void)tick;
    (void)load_view_resumed(binary->view);
}

// What is remembered is not in sight; who was away may learn it from this alone.
static void on_snapshot(void *arg, const struct wire_memory *memory)
{
    struct binary *binary = arg;
    load_view_take_away(binary->view, memory->id);
}

static void on_cached(void *arg, const struct wire_entity *wire, const struct wire_memory *memory)
{
    struct binary *binary = arg;
    (void)memory;
    load_view_take_away(binary->view, wire->id);
}

static void on_ack(void *arg, uint64_t seq, uint64_t tick, uint64_t job)
{
    struct binary *binary = arg;
    (void)tick;
    (void)job;
    binary->message->news = LOAD_NEWS_ACK;
    binary->message->seq = seq;
}

static void on_update(void *arg, uint64_t tick, bool full)
{
    struct binary *binary = arg;
    binary->message->news = LOAD_NEWS_UPDATE;
    binary->message->tick = tick;
    binary->message->full = full;
    binary->message->deferred = binary->view->decoder->deferred > 0;
}

static struct load_entity entity_of(const struct load_view *view, const struct wire_entity *wire)
{
    struct load_entity entity = {.id = wire->id, .placed = true, .q = wire->q, .r = wire->r};
    uint64_t empire = 0;
    size_t len = strlen(view->empire);
    entity.own =
        mm_id_parse(view->empire, len, "empire_", &empire) == MM_OK && empire == wire->owner;
    entity.has_target = wire->has_target;
    entity.target_q = (int32_t)wire->target_q;
    entity.target_r = (int32_t)wire->target_r;
    return entity;
}

static void on_appeared(void *arg, const struct wire_entity *wire)
{
    struct binary *binary = arg;
    struct load_entity entity = entity_of(binary->view, wire);
    load_view_entity(binary->view, &entity, true, binary->message);
}

static void on_changed(void *arg, const struct wire_entity *wire, unsigned fields)
{
    struct binary *binary = arg;
    struct load_entity entity = {.id = wire->id, .placed = fields & WIRE_PLACE};
    entity.q = wire->q;
    entity.r = wire->r;
    entity.has_target = (fields & WIRE_TARGET) && wire->has_target;
    entity.target_q = (int32_t)wire->target_q;
    entity.target_r = (int32_t)wire->target_r;
    load_view_entity(binary->view, &entity, false, binary->message);
}

static void on_gone(void *arg, const struct wire_entity *wire)
{
    struct binary *binary = arg;
    binary->message->entities++;
    load_view_take_away(binary->view, wire->id);
}

static void on_gone_by_id(void *arg, unsigned kind, uint64_t id)
{
    struct binary *binary = arg;
    (void)kind;
    binary->message->entities++;
    load_view_take_away(binary->view, id);
}

// Of an update's flags: no part but the names.
static bool has_only_names(const uint8_t *data, size_t len, const struct load_message *message)
{
    return len >= 2 && (data[0] & 0x5e) == 0x40 && data[1] == 0x02 && message->entities == 0;
}

bool load_view_take_binary(struct load_view *view, const uint8_t *data, size_t len,
                           struct load_message *message)
{
    static const struct wire_sink sink = {
        .explored_begin = on_explored,
        .snapshot = on_snapshot,
        .cached = on_cached,
        .ack = on_ack,
        .resumed = on_resumed,
        .update_begin = on_update,
        .gone_entity = on_gone,
        .gone_memory = on_gone_by_id,
        .appeared = on_appeared,
        .changed = on_changed,
    };
    struct binary binary = {view, message};
    *message = (struct load_message){.news = LOAD_NEWS_OTHER};
    if (!view->decoder) {
        view->decoder = malloc(sizeof *view->decoder);
        MM_CHECK(view->decoder);
        wire_decoder_init(view->decoder);
    }
    if (!wire_decoder_take(view->decoder, data, len, &sink, &binary))
        return load_view_fault(view, "binary: %s", view->decoder->fault);
    if (message->news == LOAD_NEWS_UPDATE) {
        message->only_names = has_only_names(data, len, message);
        load_view_end_update(view, message);
    }
    return view->fault[0] == '\0';
}
