#include "services/world/core/frame.h"

#include <string.h>

void *world_frame_take(struct world_frame_maker *maker, size_t count, size_t bytes_each)
{
    // A column of everybody takes a while.
    (void)mm_progress_step(maker->world->progress);
    void *memory = maker->failed ? NULL : mm_arena_calloc(maker->arena, count, bytes_each);
    if (!memory)
        maker->failed = true;
    return memory;
}

size_t world_frame_next(const struct world_frame_maker *maker, enum world_component_id id,
                        size_t from, bool spawned_too)
{
    const struct world_ecs *ecs = &maker->world->ecs;
    const uint64_t *bits = maker->full ? ecs->alive : ecs->columns[id].dirty;
    size_t slot = mm_bitset_next(bits, ecs->slot_end, from);
    while (slot < ecs->slot_end &&
           ((!maker->full && !spawned_too && mm_bitset_get(ecs->spawned, slot)) ||
            !world_ecs_row(ecs, id, (uint32_t)slot)))
        slot = mm_bitset_next(bits, ecs->slot_end, slot + 1);
    return slot;
}

// --- empires, new chunks -------------------------------------------------------------------------

static void gather_empires(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame)
{
    const struct world *world = maker->world;
    size_t first = maker->full ? 0 : world->empires_before;
    size_t count = world->empires.count - first;
    if (count == 0 || maker->failed)
        return;
    Mmorts__Frame__EmpireColumns *columns = world_frame_take(maker, 1, sizeof *columns);
    if (maker->failed)
        return;
    mmorts__frame__empire_columns__init(columns);
    WORLD_FRAME_TAKE(maker, columns->empire, count);
    WORLD_FRAME_TAKE(maker, columns->id, count);
    WORLD_FRAME_TAKE(maker, columns->player_id, count);
    WORLD_FRAME_TAKE(maker, columns->name, count);
    WORLD_FRAME_TAKE(maker, columns->home_q, count);
    WORLD_FRAME_TAKE(maker, columns->home_r, count);
    if (maker->failed)
        return;
    columns->n_empire = columns->n_id = columns->n_player_id = count;
    columns->n_name = columns->n_home_q = columns->n_home_r = count;
    for (size_t i = 0; i < count; i++) {
        struct world_empire_view view;
        MM_CHECK(world_empire(world, (uint32_t)(first + i + 1), &view));
        columns->empire[i] = view.number;
        columns->id[i] = view.id;
        columns->player_id[i] = view.player_id;
        columns->name[i] = mm_arena_strndup(maker->arena, view.name, strlen(view.name));
        maker->failed |= !columns->name[i];
        columns->home_q[i] = view.home.q;
        columns->home_r[i] = view.home.r;
    }
    frame->empires = columns;
}

static void gather_new_chunks(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame)
{
    uint32_t first = maker->full ? 0 : maker->world->chunks_before;
    uint32_t count = maker->world->map.chunk_count - first;
    if (count == 0)
        return;
    uint32_t *chunks;
    WORLD_FRAME_TAKE(maker, chunks, count);
    for (uint32_t i = 0; !maker->failed && i < count; i++)
        chunks[i] = first + i;
    if (!maker->failed)
        frame->chunks = world_frame_chunks(maker, chunks, count);
}

// --- entities ------------------------------------------------------------------------------------

static void gather_despawned(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame)
{
    const struct world_ecs *ecs = &maker->world->ecs;
    if (maker->full || ecs->despawned.count == 0)
        return;
    WORLD_FRAME_TAKE(maker, frame->despawned, ecs->despawned.count);
    if (maker->failed)
        return;
    for (size_t i = 0; i < ecs->despawned.count; i++)
        if (!(ecs->despawned.items[i] & WORLD_NEVER_SEEN))
            frame->despawned[frame->n_despawned++] = ecs->despawned.items[i];
}

static void gather_spawned(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame)
{
    const struct world *world = maker->world;
    const uint64_t *bits = maker->full ? world->ecs.alive : world->ecs.spawned;
    size_t end = world->ecs.slot_end, count = mm_bitset_count(bits, end), i = 0;
    if (count == 0)
        return;
    Mmorts__Frame__SpawnColumns *columns = world_frame_take(maker, 1, sizeof *columns);
    if (maker->failed)
        return;
    mmorts__frame__spawn_columns__init(columns);
    WORLD_FRAME_TAKE(maker, columns->entity, count);
    WORLD_FRAME_TAKE(maker, columns->id, count);
    WORLD_FRAME_TAKE(maker, columns->type, count);
    WORLD_FRAME_TAKE(maker, columns->owner, count);
    WORLD_FRAME_TAKE(maker, columns->q, count);
    WORLD_FRAME_TAKE(maker, columns->r, count);
    if (maker->failed)
        return;
    for (size_t slot = mm_bitset_next(bits, end, 0); slot < end;
         slot = mm_bitset_next(bits, end, slot + 1), i++) {
        struct world_entity_view view;
        MM_CHECK(world_entity_at_slot(world, (uint32_t)slot, &view));
        columns->entity[i] = view.slot;
        columns->id[i] = view.id;
        columns->type[i] = view.type;
        columns->owner[i] = view.owner;
        columns->q[i] = view.at.q;
        columns->r[i] = view.at.r;
    }
    columns->n_entity = columns->n_id = columns->n_type = count;
    columns->n_owner = columns->n_q = columns->n_r = count;
    frame->spawned = columns;
}

static void gather_moved(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame)
{
    const struct world_ecs *ecs = &maker->world->ecs;
    size_t most = ecs->columns[WORLD_PLACE].dirty_count, count = 0;
    if (maker->full || most == 0)
        return;
    Mmorts__Frame__PositionColumns *columns = world_frame_take(maker, 1, sizeof *columns);
    if (maker->failed)
        return;
    mmorts__frame__position_columns__init(columns);
    WORLD_FRAME_TAKE(maker, columns->entity, most);
    WORLD_FRAME_TAKE(maker, columns->q, most);
    WORLD_FRAME_TAKE(maker, columns->r, most);
    if (maker->failed)
        return;
    WORLD_FRAME_EACH(maker, WORLD_PLACE, slot, false)
    {
        const struct world_place *place = WORLD_GET(ecs, WORLD_PLACE, world_place, slot);
        columns->entity[count] = (uint32_t)slot;
        columns->q[count] = place->q;
        columns->r[count++] = place->r;
    }
    columns->n_entity = columns->n_q = columns->n_r = count;
    if (count > 0)
        frame->moved = columns;
}

// --- events --------------------------------------------------------------------------------------

static void gather_events(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame)
{
    size_t count = maker->world->events.count;
    if (maker->full || count == 0)
        return;
    Mmorts__Frame__EventColumns *columns = world_frame_take(maker, 1, sizeof *columns);
    if (maker->failed)
        return;
    mmorts__frame__event_columns__init(columns);
    WORLD_FRAME_TAKE(maker, columns->kind, count);
    WORLD_FRAME_TAKE(maker, columns->entity, count);
    WORLD_FRAME_TAKE(maker, columns->other, count);
    WORLD_FRAME_TAKE(maker, columns->value, count);
    WORLD_FRAME_TAKE(maker, columns->detail, count);
    if (maker->failed)
        return;
    columns->n_kind = columns->n_entity = columns->n_other = count;
    columns->n_value = columns->n_detail = count;
    for (size_t i = 0; i < count; i++) {
        const struct world_event *event = &maker->world->events.items[i];
        columns->kind[i] = (Mmorts__Frame__EventKind)event->kind;
        columns->entity[i] = event->entity;
        columns->other[i] = event->other;
        columns->value[i] = event->value;
        columns->detail[i] = event->detail;
    }
    frame->events = columns;
}

// --- deposits ------------------------------------------------------------------------------------

static void put_deposit(Mmorts__Frame__DepositColumns *columns, const struct world *world,
                        uint32_t empire, uint32_t index)
{
    const struct world_deposit *deposit = &world->empires.items[empire - 1].deposits[index];
    columns->empire[columns->n_empire++] = empire;
    columns->type[columns->n_type++] = deposit->type;
    columns->total[columns->n_total++] = deposit->total;
}

static void gather_deposits(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame)
{
    const struct world *world = maker->world;
    size_t count = maker->full ? 0 : world->deposited.count;
    for (size_t i = 0; maker->full && i < world->empires.count; i++)
        count += world->empires.items[i].deposit_count;
    if (count == 0)
        return;
    Mmorts__Frame__DepositColumns *columns = world_frame_take(maker, 1, sizeof *columns);
    if (maker->failed)
        return;
    mmorts__frame__deposit_columns__init(columns);
    WORLD_FRAME_TAKE(maker, columns->empire, count);
    WORLD_FRAME_TAKE(maker, columns->type, count);
    WORLD_FRAME_TAKE(maker, columns->total, count);
    if (maker->failed)
        return;
    for (size_t i = 0; !maker->full && i < count; i++)
        put_deposit(columns, world, world->deposited.items[i].empire,
                    world->deposited.items[i].index);
    for (uint32_t e = 0; maker->full && e < world->empires.count; e++)
        for (uint32_t d = 0; d < world->empires.items[e].deposit_count; d++)
            put_deposit(columns, world, e + 1, d);
    frame->deposits = columns;
}

// --- refunds, announcements ----------------------------------------------------------------------

static void put_refunds(Mmorts__Frame__RefundColumns *columns, const struct world *world,
                        uint32_t empire)
{
    for (uint32_t item = 0; item < world->rules.item_count; item++) {
        uint64_t total = world->empires.items[empire - 1].refunds[item];
        if (total == 0)
            continue;
        columns->empire[columns->n_empire++] = empire;
        columns->item[columns->n_item++] = item;
        columns->total[columns->n_total++] = total;
    }
}

static void gather_refunds(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame)
{
    const struct world *world = maker->world;
    size_t empires = maker->full ? world->empires.count : world->refunded.count;
    size_t most = empires * world->rules.item_count;
    if (most == 0)
        return;
    Mmorts__Frame__RefundColumns *columns = world_frame_take(maker, 1, sizeof *columns);
    if (maker->failed)
        return;
    mmorts__frame__refund_columns__init(columns);
    WORLD_FRAME_TAKE(maker, columns->empire, most);
    WORLD_FRAME_TAKE(maker, columns->item, most);
    WORLD_FRAME_TAKE(maker, columns->total, most);
    for (size_t i = 0; !maker->failed && i < empires; i++)
        put_refunds(columns, world, maker->full ? (uint32_t)i + 1 : world->refunded.items[i]);
    if (!maker->failed && columns->n_empire > 0)
        frame->refunds = columns;
}

static void gather_announcements(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame)
{
    size_t count = maker->full ? 0 : maker->world->announcements.count;
    if (count == 0)
        return;
    WORLD_FRAME_TAKE(maker, frame->announcements, count);
    for (size_t i = 0; !maker->failed && i < count; i++) {
        const char *text = maker->world->announcements.items[i].text;
        frame->announcements[i] = mm_arena_strndup(maker->arena, text, strlen(text));
        maker->failed |= !frame->announcements[i];
    }
    frame->n_announcements = count;
}

// --- the whole -----------------------------------------------------------------------------------

static Mmorts__Frame__TickFrame *gather_frame(struct world_frame_maker *maker)
{
    const struct world *world = maker->world;
    Mmorts__Frame__TickFrame *frame = world_frame_take(maker, 1, sizeof *frame);
    if (!frame)
        return NULL;
    mmorts__frame__tick_frame__init(frame);
    frame->tick = world->tick;
    frame->state_hash = world_state_hash(world);
    frame->snapshot = maker->full;
    frame->state = world->paused ? MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED
                                 : MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING;
    if (maker->full)
        frame->catalogue = world_frame_catalogue(maker);
    gather_empires(maker, frame);
    gather_new_chunks(maker, frame);
    gather_despawned(maker, frame);
    gather_spawned(maker, frame);
    gather_moved(maker, frame);
    world_frame_attributes(maker, frame);
    gather_events(maker, frame);
    gather_deposits(maker, frame);
    gather_refunds(maker, frame);
    gather_announcements(maker, frame);
    return maker->failed ? NULL : frame;
}

Mmorts__Frame__TickFrame *world_frame(const struct world *world, struct mm_arena *arena)
{
    struct world_frame_maker maker = {.world = world, .arena = arena};
    return gather_frame(&maker);
}

Mmorts__Frame__TickFrame *world_snapshot_frame(const struct world *world, struct mm_arena *arena)
{
    struct world_frame_maker maker = {.world = world, .arena = arena, .full = true};
    return gather_frame(&maker);
}
