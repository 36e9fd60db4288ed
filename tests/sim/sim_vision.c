#include "tests/sim/sim_internal.h"

#include "libcommon/io/pb.h"

#include <stdlib.h>
#include <string.h>

// Vision: its core, and a shell that does what services/vision does: frames in, frames out under an
// epoch that ends whenever they do not follow on, views on request, sharing.

enum { SHARE_DELAY_TICKS = 4, FRAME_BYTES_MAX = 1 << 24 };

// --- what cannot be foreseen ---------------------------------------------------------------------

// Whatever is remembered, the empire must have seen: just so, and in that tick.
static void check_adopted(struct sim *sim, uint32_t empire, const struct sim_memory *memory)
{
    const struct sim_moment *then = sim_moment(sim, memory->last_seen);
    if (then->tick != memory->last_seen || !then->lineage)
        return; // too long ago to tell
    for (uint32_t i = 0; i < then->count; i++) {
        const struct sim_entity *e = &then->entities[i];
        if (e->id == memory->id && then->fog[empire].sees[i] && e->owner == memory->owner &&
            e->q == memory->q && e->r == memory->r && e->health == memory->health)
            return;
    }
    sim_fail(sim, "empire %u remembers a %s that it never saw so", empire,
             sim_types[memory->type].name);
}

// Where a restart cannot come back to exactly what was known, the core's own answer is taken over:
// after a jump from rows that were newer than the checkpoint.
static void adopt(struct sim *sim, struct sim_moment *now)
{
    for (uint32_t empire = 1; empire <= SIM_EMPIRES; empire++) {
        struct sim_fog *fog = &now->fog[empire];
        Mmorts__Frame__VisionFrame *view;
        if (vision_view(sim->vision.core, empire, &view) != MM_OK)
            continue;
        for (size_t i = 0; i < view->n_hex_q; i++)
            fog->explored[view->hex_r[i] + SIM_HALF] |= UINT64_C(1) << (view->hex_q[i] + SIM_HALF);
        const Mmorts__Frame__MemoryColumns *m = view->remembered;
        fog->memory_count = 0;
        for (size_t i = 0; m && i < m->n_id; i++) {
            struct sim_memory memory = {.id = m->id[i],
                                        .type = m->type[i],
                                        .owner = m->owner[i],
                                        .q = m->q[i],
                                        .r = m->r[i],
                                        .health = m->health[i],
                                        .last_seen = m->last_seen[i],
                                        .expires_at = m->expires_at[i]};
            check_adopted(sim, empire, &memory);
            fog->memories[fog->memory_count++] = memory;
        }
        vision_view_free(view);
    }
}

// --- the stream ----------------------------------------------------------------------------------

static void publish(struct sim *sim, const Mmorts__Frame__VisionFrame *frame)
{
    sim_publish(sim, SIM_VISIONS, frame->tick, sim_bytes_of(&frame->base));
}

uint64_t sim_vision_epoch(struct sim *sim)
{
    uint64_t epoch = ++sim->vision.epochs;
    while (sim->lineage_of_epoch.count <= epoch)
        if (!mm_vec_push(&sim->lineage_of_epoch, sim->lineage))
            abort();
    return epoch;
}

static void publish_restart(struct sim *sim)
{
    sim_publisher_open(sim, SIM_VISIONS, sim_vision_epoch(sim));
    sim_parts_restart(sim);
    // The tick that views are of from here on.
    Mmorts__Frame__VisionFrame frame = MMORTS__FRAME__VISION_FRAME__INIT;
    frame.tick = vision_tick(sim->vision.core);
    publish(sim, &frame);
}

void sim_vision_live(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    if (vision->up && vision->core && vision_is_live(vision->core) &&
        sim->publishers[SIM_VISIONS].epoch == 0) {
        publish_restart(sim);
    }
}

// --- what must come of it ------------------------------------------------------------------------

// `previous` is the tick the core had before; 0: it knew nothing.
static void foresee(struct sim *sim, uint64_t tick, uint64_t previous, bool jump)
{
    static struct sim_moment before;
    struct sim_vision_store *store = &sim->vision.store;
    struct sim_moment *now = sim_moment(sim, tick);
    if (!jump && now->lineage == sim->lineage && now->lineage != 0)
        return; // replayed after a restart: must come out as it did
    const struct sim_moment *known = previous ? sim_moment(sim, previous) : NULL;
    if (known && (known->tick != previous || known->lineage == 0))
        known = store->moment && store->moment->tick == previous ? store->moment : NULL;
    if (previous && !known) {
        sim_fail(sim, "simulator: tick %llu is no longer known", (unsigned long long)previous);
        return;
    }
    if (jump) {
        sim->report->jumps++;
        if (previous < sim->fog_tick || !sim->lineage)
            sim->lineage++; // what was known since is lost
    }
    if (known == now) {
        before = *known; // of the same tick, learnt anew
        known = &before;
    }
    sim_fog_step(sim, known, now, previous);
    if (jump && store->rows_tick > previous && previous < sim->fog_tick)
        adopt(sim, now);
    sim->fog_tick = tick;
}

// --- frames --------------------------------------------------------------------------------------

static void keep_catalogue(struct sim_vision *vision, const Mmorts__Frame__Catalogue *catalogue)
{
    if (vision->catalogue)
        return;
    struct sim_bytes *bytes = sim_bytes_of(&catalogue->base);
    vision->catalogue = mmorts__frame__catalogue__unpack(NULL, bytes->len, bytes->data);
    sim_bytes_drop(bytes);
}

void sim_vision_frame(struct sim *sim, const struct sim_message *message, bool snapshot)
{
    struct sim_vision *vision = &sim->vision;
    mm_arena_reset(vision->arena);
    ProtobufCAllocator allocator = mm_pb_arena_allocator(vision->arena);
    Mmorts__Frame__TickFrame *frame =
        mmorts__frame__tick_frame__unpack(&allocator, message->bytes->len, message->bytes->data);
    if (!vision->core)
        sim_vision_make(sim);
    uint64_t previous = vision_tick(vision->core);
    const Mmorts__Frame__VisionFrame *out;
    enum mm_err err = vision_apply(vision->core, frame, &out);
    if (err != MM_OK) {
        sim_fail(sim, "vision refused tick %llu: %s %s", (unsigned long long)message->tick,
                 mm_err_name(err), vision_refusal(vision->core));
        return;
    }
    if (snapshot) {
        keep_catalogue(vision, frame->catalogue);
        sim_vision_jumped(sim);
    }
    foresee(sim, frame->tick, previous, snapshot);
    if (sim->publishers[SIM_VISIONS].epoch == 0)
        return;
    if (snapshot) {
        publish_restart(sim);
    } else {
        if (sim->parts) // then nobody reads the whole
            sim_parts_frame(sim, out);
        else
            publish(sim, out);
    }
    // Not while it replays: then what was saved is ahead of the tick, and nobody is answered.
    if (frame->tick % 50 == 0)
        sim_vision_ask(sim, sim_moment(sim, frame->tick));
}

// --- calls ---------------------------------------------------------------------------------------

static void get_view(struct sim *sim, const struct sim_message *message)
{
    struct sim_vision *vision = &sim->vision;
    struct sim_message reply = {.kind = SIM_GET_VIEW_REPLY,
                                .from = SIM_VISION,
                                .to = SIM_SYNC,
                                .call = message->call,
                                .a = message->a};
    Mmorts__Frame__VisionFrame *view;
    const struct sim_publisher *stream = &sim->publishers[SIM_VISIONS];
    if (vision->core && stream->epoch && sim->parts)
        stream = sim_parts_of_view(sim, message);
    if (vision->core && stream && stream->epoch &&
        vision_knows_empire(vision->core, (uint32_t)message->a) &&
        vision_view(vision->core, (uint32_t)message->a, &view) == MM_OK) {
        if (sim->options.fault == SIM_FAULT_VIEW_FROM_WRONG_TICK)
            view->tick++;
        reply.flag = true;
        reply.epoch = stream->epoch;
        reply.seq = stream->seq;
        reply.tick = view->tick;
        reply.bytes = sim_bytes_of(&view->base);
        vision_view_free(view);
    }
    sim_send(sim, reply);
}

void sim_vision_order(struct sim *sim, const struct sim_share_order *order)
{
    struct vision *core = sim->vision.core;
    enum mm_err err;
    if (order->alliance != 0)
        err = order->begin ? vision_ally(core, order->alliance, order->from, order->tick)
                           : vision_unally(core, order->alliance, order->from, order->tick);
    else
        err = order->begin ? vision_share(core, order->from, order->to, order->tick)
                           : vision_unshare(core, order->from, order->to, order->tick);
    if (err != MM_OK && err != MM_NOT_FOUND)
        sim_fail(sim, "vision refused sharing: %s", mm_err_name(err));
}

// Durable before it is in effect; a crash may come in between.
static void share(struct sim *sim, const struct sim_message *message)
{
    struct sim_vision *vision = &sim->vision;
    uint32_t alliance = (uint32_t)message->seq;
    uint32_t from = (uint32_t)message->a, to = (uint32_t)message->b;
    if (alliance)
        to = 0;
    if (!vision->core || sim->publishers[SIM_VISIONS].epoch == 0 ||
        sim->store_away_until > sim->round || from == to ||
        !vision_knows_empire(vision->core, from) ||
        (!alliance && !vision_knows_empire(vision->core, to)))
        return;
    struct sim_share_order order = {alliance, from, to,
                                    vision_tick(vision->core) + SHARE_DELAY_TICKS, message->flag};
    bool stored = sim->options.fault == SIM_FAULT_SHARE_NOT_SAVED ||
                  mm_vec_push(&vision->store.shares, order);
    if (!stored || !mm_vec_push(&sim->shares, order))
        abort();
    *(alliance ? &sim->report->allied : &sim->report->shares) += 1;
    if (!sim->calm && sim_chance(sim, 300)) {
        sim_vision_crash(sim);
        return;
    }
    sim_vision_order(sim, &order);
}

void sim_vision_take(struct sim *sim, const struct sim_message *message)
{
    if (message->kind == SIM_GET_VIEW)
        get_view(sim, message);
    else if (message->kind == SIM_SHARE)
        share(sim, message);
    else if (sim->parts)
        sim_parts_take(sim, message);
}
