// Arbitrary frames of world, vision and production, and answers of vision, into sync's core: no
// crash, whatever they claim, and every message that comes out is framed as counted. The input is a
// list of records: a kind, a length, and that many bytes, which are protobuf or small numbers that
// frames are built of. Ticks are made to follow each other half of the time, so that frames get
// past the first check. A world of two types and a live view are there at the beginning.

#include "libcommon/base/check.h"
#include "services/sync/core/binary.h"
#include "services/sync/core/core.h"
#include "services/sync/core/update.h"

#include <stdlib.h>
#include <string.h>

enum { EMPIRES = 3 };

// The views with an odd index are told in binary.
static enum sync_encoding encoding_of(const struct sync_view *view)
{
    return view->index % 2 ? SYNC_BINARY : SYNC_JSON;
}

static void deliver(struct sync_core *core, struct sync_encoder *encoder)
{
    for (size_t i = 0; i < core->touched.count; i++) {
        struct sync_view *view = core->touched.items[i];
        enum sync_encoding encoding = encoding_of(view);
        if (view->state != SYNC_VIEW_LIVE ||
            !sync_encode_view(encoder, core, view, encoding, core->mirror.tick / 2))
            continue;
        for (size_t m = 0; m < encoder->messages.count; m++) {
            const struct sync_message *message = &encoder->messages.items[m];
            size_t bytes = 0;
            for (size_t s = 0; s < message->slice_count; s++) {
                const struct sync_slice *slice = &encoder->slices.items[message->slice + s];
                MM_CHECK(slice->offset + slice->len <= encoder->buf.len);
                bytes += slice->len;
            }
            MM_CHECK(bytes == message->bytes && bytes > 0);
            uint8_t first = encoder->buf.data[encoder->slices.items[message->slice].offset];
            MM_CHECK(encoding == SYNC_JSON
                         ? first == '{'
                         : first >= SYNC_BINARY_UPDATE || first == SYNC_BINARY_SNAPSHOT ||
                               first == SYNC_BINARY_CACHED);
        }
    }
}

static void full(struct sync_core *core)
{
    struct mm_buf out;
    mm_buf_init(&out, (size_t)4 << 20);
    for (size_t i = 0; i < core->views.count; i++) {
        struct sync_full state = {.active = true};
        if (core->views.items[i] && core->views.items[i]->state == SYNC_VIEW_LIVE)
            (void)!sync_encode_full(core, core->views.items[i], encoding_of(core->views.items[i]),
                                    &state, 1000, &out);
    }
    mm_buf_free(&out);
}

// --- frames built of small numbers ---------------------------------------------------------------

struct reader {
    const uint8_t *data;
    size_t len;
};

static uint32_t next(struct reader *in, uint32_t bound)
{
    if (in->len == 0)
        return 0;
    in->len--;
    return *in->data++ % bound;
}

enum { SLOTS = 12, TYPES = 2, ROW = 4 };

struct rows {
    uint32_t a[ROW], b[ROW], c[ROW], d[ROW];
    int32_t q[ROW], r[ROW];
    uint64_t id[ROW];
};

static size_t fill(struct reader *in, struct rows *rows)
{
    size_t count = next(in, ROW + 1);
    for (size_t i = 0; i < count; i++) {
        rows->a[i] = next(in, SLOTS);
        rows->b[i] = next(in, TYPES + 1);
        rows->c[i] = next(in, EMPIRES + 2);
        rows->d[i] = next(in, 4);
        rows->q[i] = (int32_t)next(in, 40) - 20;
        rows->r[i] = (int32_t)next(in, 40) - 20;
        rows->id[i] = 100 + next(in, 2 * SLOTS);
    }
    return count;
}

static Mmorts__Frame__TickFrame *repack(const Mmorts__Frame__TickFrame *frame)
{
    static uint8_t bytes[65536];
    MM_CHECK(mmorts__frame__tick_frame__get_packed_size(frame) <= sizeof bytes);
    size_t len = mmorts__frame__tick_frame__pack(frame, bytes);
    return mmorts__frame__tick_frame__unpack(NULL, len, bytes);
}

static Mmorts__Frame__TickFrame *build_tick(struct reader *in, bool snapshot)
{
    static char *names[] = {"unit", "house"}, *terrains[] = {"dead", "plains"};
    static Mmorts__Frame__Kind kinds[] = {1, 2};
    static uint32_t numbers[] = {1, 2, 3, 4, 5};
    static char *empire_names[] = {"a", "\"b\"", "c"};
    static uint64_t ids[] = {11, 12, 13};
    static int32_t home[] = {0, 0, 0};
    Mmorts__Frame__TickFrame f = MMORTS__FRAME__TICK_FRAME__INIT;
    Mmorts__Frame__Catalogue catalogue = MMORTS__FRAME__CATALOGUE__INIT;
    Mmorts__Frame__TypeColumns types = MMORTS__FRAME__TYPE_COLUMNS__INIT;
    Mmorts__Frame__TerrainColumns ground = MMORTS__FRAME__TERRAIN_COLUMNS__INIT;
    types.n_name = types.n_kind = types.n_sight_hexes = types.n_health_max = TYPES;
    types.n_ticks_per_hex = types.n_flags = TYPES;
    types.name = names;
    types.kind = kinds;
    types.sight_hexes = types.health_max = types.ticks_per_hex = types.flags = numbers;
    ground.n_name = ground.n_move_cost_percent = 2;
    ground.name = terrains;
    ground.move_cost_percent = numbers;
    catalogue.types = &types;
    catalogue.terrains = &ground;
    Mmorts__Frame__EmpireColumns empires = MMORTS__FRAME__EMPIRE_COLUMNS__INIT;
    empires.n_empire = empires.n_id = empires.n_player_id = empires.n_name = EMPIRES;
    empires.n_home_q = empires.n_home_r = EMPIRES;
    empires.empire = numbers;
    empires.id = empires.player_id = ids;
    empires.name = empire_names;
    empires.home_q = empires.home_r = home;
    f.snapshot = snapshot;
    if (snapshot) {
        f.catalogue = &catalogue;
        f.empires = &empires;
    }
    struct rows spawn, move, attribute, event, gone;
    Mmorts__Frame__SpawnColumns s = MMORTS__FRAME__SPAWN_COLUMNS__INIT;
    s.n_entity = s.n_id = s.n_type = s.n_owner = s.n_q = s.n_r = fill(in, &spawn);
    s.entity = spawn.a;
    s.id = spawn.id;
    s.type = spawn.b;
    s.owner = spawn.c;
    s.q = spawn.q;
    s.r = spawn.r;
    f.spawned = &s;
    Mmorts__Frame__PositionColumns m = MMORTS__FRAME__POSITION_COLUMNS__INIT;
    m.n_entity = m.n_q = m.n_r = fill(in, &move);
    m.entity = move.a;
    m.q = move.q;
    m.r = move.r;
    f.moved = &m;
    Mmorts__Frame__AttributeColumn column = MMORTS__FRAME__ATTRIBUTE_COLUMN__INIT, *columns[1];
    column.attribute = (Mmorts__Frame__Attribute)next(in, 13);
    column.n_entity = column.n_value = fill(in, &attribute);
    column.entity = attribute.a;
    column.value = attribute.q;
    columns[0] = &column;
    f.n_columns = 1;
    f.columns = columns;
    Mmorts__Frame__EventColumns e = MMORTS__FRAME__EVENT_COLUMNS__INIT;
    Mmorts__Frame__EventKind event_kinds[ROW];
    e.n_kind = e.n_entity = e.n_other = e.n_value = e.n_detail = fill(in, &event);
    for (size_t i = 0; i < e.n_kind; i++)
        event_kinds[i] = (Mmorts__Frame__EventKind)(event.c[i] + event.b[i]);
    e.kind = event_kinds;
    e.entity = event.a;
    e.other = event.d;
    e.value = event.q;
    e.detail = event.b;
    f.events = &e;
    f.n_despawned = snapshot ? 0 : fill(in, &gone);
    f.despawned = gone.a;
    return repack(&f);
}

static Mmorts__Frame__VisionFrame *build_vision(struct reader *in, uint32_t empire, bool snapshot)
{
    Mmorts__Frame__VisionFrame f = MMORTS__FRAME__VISION_FRAME__INIT;
    struct rows hexes, entered, left, memories, forgotten;
    uint32_t counts[5] = {(uint32_t)fill(in, &hexes), (uint32_t)fill(in, &entered),
                          (uint32_t)fill(in, &left), (uint32_t)fill(in, &memories),
                          (uint32_t)fill(in, &forgotten)};
    Mmorts__Frame__Visibility states[ROW];
    Mmorts__Frame__CacheMode modes[ROW];
    for (size_t i = 0; i < ROW; i++) {
        states[i] = (Mmorts__Frame__Visibility)(i < counts[0] ? hexes.d[i] : 0);
        modes[i] = (Mmorts__Frame__CacheMode)(i < counts[3] ? memories.d[i] : 0);
    }
    f.snapshot = snapshot;
    f.n_empire = f.n_hex_count = f.n_entered_count = f.n_left_count = 1;
    f.n_remembered_count = f.n_forgotten_count = 1;
    f.empire = &empire;
    f.hex_count = &counts[0];
    f.entered_count = &counts[1];
    f.left_count = &counts[2];
    f.remembered_count = &counts[3];
    f.forgotten_count = &counts[4];
    f.n_hex_q = f.n_hex_r = f.n_hex_state = f.n_hex_terrain = counts[0];
    f.hex_q = hexes.q;
    f.hex_r = hexes.r;
    f.hex_state = states;
    f.hex_terrain = hexes.b;
    f.n_entered = counts[1];
    f.entered = entered.a;
    f.n_left = counts[2];
    f.left = left.id;
    f.n_forgotten = counts[4];
    f.forgotten = forgotten.id;
    Mmorts__Frame__MemoryColumns m = MMORTS__FRAME__MEMORY_COLUMNS__INIT;
    m.n_id = m.n_type = m.n_owner = m.n_q = m.n_r = m.n_health = counts[3];
    m.n_first_seen = m.n_last_seen = m.n_mode = m.n_expires_at = counts[3];
    m.id = m.first_seen = m.last_seen = m.expires_at = memories.id;
    m.type = memories.b;
    m.owner = memories.c;
    m.q = memories.q;
    m.r = memories.r;
    m.health = memories.q;
    m.mode = modes;
    f.remembered = &m;
    static uint8_t bytes[65536];
    size_t len = mmorts__frame__vision_frame__pack(&f, bytes);
    return mmorts__frame__vision_frame__unpack(NULL, len, bytes);
}

// --- records -------------------------------------------------------------------------------------

static Mmorts__Frame__VisionFrame *vision_of(unsigned kind, const uint8_t *data, size_t len)
{
    struct reader in = {data, len};
    if (kind & 1)
        return build_vision(&in, 1 + (kind >> 4) % EMPIRES, (kind & 7) >= 4);
    return mmorts__frame__vision_frame__unpack(NULL, len, data);
}

static void take_tick(struct sync_core *core, unsigned kind, const uint8_t *data, size_t len,
                      bool follow)
{
    struct reader in = {data, len};
    Mmorts__Frame__TickFrame *frame = kind & 1 ? build_tick(&in, (kind >> 4 & 7) == 7)
                                               : mmorts__frame__tick_frame__unpack(NULL, len, data);
    if (!frame)
        return;
    if (frame->snapshot && kind & 1)
        frame->tick = core->world_newest + 1;
    if (frame->snapshot) {
        (void)!sync_core_world_snapshot(core, frame);
        core->rewound = false;
        return;
    }
    if (follow)
        frame->tick = core->world_newest + 1;
    sync_core_push_tick(core, frame);
    core->world_snapshot_wanted = false;
}

static void take_record(struct sync_core *core, unsigned kind, const uint8_t *data, size_t len)
{
    bool follow = kind & 0x80;
    struct sync_view *view = sync_core_view(core, 1 + (kind >> 4) % EMPIRES);
    switch (kind & 7) {
    case 0:
    case 1:
        take_tick(core, kind, data, len, follow);
        break;
    case 2:
    case 3: {
        Mmorts__Frame__VisionFrame *frame = vision_of(kind, data, len);
        if (!frame)
            break;
        if (follow)
            frame->tick = core->vision_newest + 1;
        sync_core_push_vision(core, 1 + (kind >> 6 & 1), frame);
        break;
    }
    case 4:
    case 5: {
        Mmorts__Frame__VisionFrame *frame = vision_of(kind, data, len);
        if (!frame)
            break;
        if (follow)
            frame->tick = core->mirror.tick;
        if (view && view->state == SYNC_VIEW_WAITING)
            (void)!sync_core_view_load(core, view, 1 + (kind >> 6 & 1), frame);
        mmorts__frame__vision_frame__free_unpacked(frame, NULL);
        break;
    }
    case 6: {
        Mmorts__Frame__ProductionFrame *frame =
            mmorts__frame__production_frame__unpack(NULL, len, data);
        if (!frame)
            break;
        (void)!sync_stock_apply(&core->stock, frame);
        mmorts__frame__production_frame__free_unpacked(frame, NULL);
        break;
    }
    default:
        if (view)
            sync_core_view_close(core, view);
        (void)sync_core_view_open(core, 1 + (kind >> 4) % EMPIRES);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sync_core core;
    struct sync_encoder encoder;
    MM_CHECK(sync_core_init(&core) == MM_OK);
    sync_encoder_init(&encoder);
    for (uint32_t empire = 1; empire <= EMPIRES; empire++)
        MM_CHECK(sync_core_view_open(&core, empire));
    // One spawn of type 0 in slot 5, owned by empire 1; empire 1 sees it.
    static const uint8_t spawn[] = {1, 5, 0, 1, 0, 20, 20, 7};
    static const uint8_t view[] = {1, 0, 2, 0, 2, 20, 20, 0, 1, 5};
    take_tick(&core, 0x71, spawn, sizeof spawn, false);
    take_record(&core, 0x85, view, sizeof view);
    MM_CHECK(sync_core_step(&core) == SYNC_STEP_DELTAS && core.live_count == 1);
    for (size_t at = 0; at + 3 <= size;) {
        size_t len = data[at + 1] | (size_t)data[at + 2] << 8;
        unsigned kind = data[at];
        at += 3;
        if (len > size - at)
            len = size - at;
        take_record(&core, kind, data + at, len);
        at += len;
        enum sync_step step = SYNC_STEP_DELTAS;
        for (unsigned steps = 0; steps < 300 && step == SYNC_STEP_DELTAS; steps++) {
            step = sync_core_step(&core);
            if (step == SYNC_STEP_DELTAS)
                deliver(&core, &encoder);
        }
        full(&core);
    }
    sync_encoder_free(&encoder);
    sync_core_free(&core);
    return 0;
}
