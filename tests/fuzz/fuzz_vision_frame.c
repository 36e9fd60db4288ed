// Tick frames into vision's core, after a snapshot that is in order: whatever is accepted leaves
// counters, viewers and memories consistent (the core's own checks abort if not), and what can be
// asked about each empire agrees. Frames are bytes as they are, or built of small numbers, so that
// they get past the first checks: entities come, move, change and go, chunks are made, empires
// share their sight.

#include "libcommon/base/check.h"
#include "libcommon/io/pb.h"
#include "services/vision/core/vision.h"
#include "tests/fuzz/input.h"

#include <string.h>

enum { RADIUS = 1, CELLS = 7, FRAME_BYTES_MAX = 1 << 16, FRAMES_MAX = 48 };
enum { EMPIRES = 4, SLOTS = 12, TYPES = 5, MEMORIES_MAX = 3, ROWS = 6 };

// What is asked about an empire in several ways is answered the same.
static void ask(const struct vision *vision, uint32_t empire)
{
    Mmorts__Frame__VisionFrame *view;
    enum mm_err err = vision_view(vision, empire, &view);
    MM_CHECK((err == MM_OK) == vision_knows_empire(vision, empire));
    if (err != MM_OK)
        return;
    for (size_t i = 0; i < view->n_hex_q; i++) {
        struct hex_axial at = {view->hex_q[i], view->hex_r[i]};
        struct vision_explanation why;
        MM_CHECK(vision_hex_state(vision, empire, at) == view->hex_state[i]);
        MM_CHECK(vision_explain(vision, empire, 0, at, &why) == MM_OK);
        MM_CHECK(why.visible ==
                 (view->hex_state[i] == MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE));
    }
    MM_CHECK(!view->remembered || view->remembered->n_id <= MEMORIES_MAX);
    for (size_t i = 0; view->remembered && i < view->remembered->n_id; i++) {
        struct vision_memory memory;
        MM_CHECK(vision_recall(vision, empire, view->remembered->id[i], &memory));
        MM_CHECK(!vision_sees_entity(vision, empire, view->remembered->id[i], NULL));
    }
    vision_view_free(view);
}

static void apply(struct vision *vision, const Mmorts__Frame__TickFrame *frame)
{
    const Mmorts__Frame__VisionFrame *out = NULL;
    if (vision_apply(vision, frame, &out) != MM_OK)
        return;
    MM_CHECK(out->tick == frame->tick);
    for (uint32_t empire = 1; empire <= EMPIRES; empire++)
        ask(vision, empire);
}

static void apply_first(struct vision *vision, uint32_t rules)
{
    // A hero that detects, a hut, a spy, a tower that lends its sight, a beast.
    static char *names[] = {"scout", "hut", "spy", "tower", "beast"};
    static Mmorts__Frame__Kind kinds[] = {1, 2, 1, 2, 4};
    static uint32_t sights[] = {2, 1, 0, 3, 0}, zeros[TYPES], flags[] = {1, 0, 8, 4, 0};
    static uint32_t costs[] = {0, 0, 1}, empires[] = {1, 2, 3};
    static Mmorts__Frame__SightType senses[] = {2, 0, 0, 1, 0};
    static uint64_t ids[] = {1, 2, 3};
    static int32_t places[] = {0, 0, 0};
    static uint8_t cells[CELLS] = {1, 1, 2, 1, 1, 1, 1};
    Mmorts__Frame__TypeColumns types = MMORTS__FRAME__TYPE_COLUMNS__INIT;
    types.n_name = types.n_kind = types.n_sight_hexes = types.n_sight_type = TYPES;
    types.n_health_max = types.n_ticks_per_hex = types.n_flags = TYPES;
    types.name = names, types.kind = kinds, types.sight_hexes = sights, types.sight_type = senses;
    types.health_max = types.ticks_per_hex = zeros, types.flags = flags;
    Mmorts__Frame__TerrainColumns terrains = MMORTS__FRAME__TERRAIN_COLUMNS__INIT;
    terrains.n_name = terrains.n_move_cost_percent = terrains.n_sight_cost = 3;
    terrains.name = names, terrains.move_cost_percent = zeros, terrains.sight_cost = costs;
    Mmorts__Frame__SightRules sight = MMORTS__FRAME__SIGHT_RULES__INIT;
    sight.terrain_blocks = rules % 2, sight.fog_lifted = rules % 8 == 7;
    Mmorts__Frame__Catalogue catalogue = MMORTS__FRAME__CATALOGUE__INIT;
    catalogue.types = &types, catalogue.terrains = &terrains, catalogue.chunk_radius = RADIUS;
    catalogue.sight = &sight;
    Mmorts__Frame__EmpireColumns e = MMORTS__FRAME__EMPIRE_COLUMNS__INIT;
    e.n_empire = e.n_id = e.n_player_id = e.n_name = e.n_home_q = e.n_home_r = 3;
    e.empire = empires, e.id = e.player_id = ids, e.name = names, e.home_q = e.home_r = places;
    Mmorts__Frame__ChunkColumns chunks = MMORTS__FRAME__CHUNK_COLUMNS__INIT;
    chunks.n_q = chunks.n_r = 1, chunks.q = chunks.r = places;
    chunks.cells.data = cells, chunks.cells.len = CELLS;
    Mmorts__Frame__SpawnColumns s = MMORTS__FRAME__SPAWN_COLUMNS__INIT;
    s.n_entity = s.n_id = s.n_type = s.n_owner = s.n_q = s.n_r = 3;
    s.entity = empires, s.id = ids, s.type = zeros, s.owner = empires, s.q = s.r = places;
    Mmorts__Frame__TickFrame frame = MMORTS__FRAME__TICK_FRAME__INIT;
    frame.tick = 1, frame.snapshot = 1, frame.catalogue = &catalogue, frame.empires = &e;
    frame.chunks = &chunks, frame.spawned = &s;
    apply(vision, &frame);
    MM_CHECK(vision_is_live(vision));
}

// --- frames built of small numbers ---------------------------------------------------------------

static const int32_t chunk_q[] = {0, 3, 1, -2, -3, -1, 2}, chunk_r[] = {0, -1, 2, 3, 1, -2, -3};

// A frame of the next tick that spawns, moves, ends or changes a few, and may make a chunk. Ids
// follow the slots and the tick, so that a slot's next holder is somebody else.
static void apply_built(struct vision *vision, struct fuzz_input *in)
{
    static uint8_t cells[CELLS] = {2, 1, 1, 2, 0, 1, 1};
    uint32_t gone[ROWS], spawned[ROWS], types[ROWS], owners[ROWS], moved[ROWS], changed[ROWS];
    int32_t q[ROWS], r[ROWS], to_q[ROWS], to_r[ROWS], values[ROWS];
    uint64_t ids[ROWS];
    Mmorts__Frame__TickFrame frame = MMORTS__FRAME__TICK_FRAME__INIT;
    frame.tick = vision_tick(vision) + 1 + fuzz_below(in, 3) / 2 * fuzz_below(in, 100);
    frame.despawned = gone, frame.n_despawned = fuzz_below(in, 4) == 3;
    gone[0] = 1 + fuzz_below(in, SLOTS);
    Mmorts__Frame__SpawnColumns s = MMORTS__FRAME__SPAWN_COLUMNS__INIT;
    s.entity = spawned, s.id = ids, s.type = types, s.owner = owners, s.q = q, s.r = r;
    s.n_entity = s.n_id = s.n_type = s.n_owner = s.n_q = s.n_r = fuzz_below(in, ROWS + 1);
    for (size_t i = 0; i < s.n_entity; i++) {
        spawned[i] = 1 + fuzz_below(in, SLOTS), types[i] = fuzz_below(in, TYPES);
        ids[i] = 100 * frame.tick + spawned[i], owners[i] = fuzz_below(in, EMPIRES);
        q[i] = (int32_t)fuzz_below(in, 9) - 4, r[i] = (int32_t)fuzz_below(in, 9) - 4;
    }
    Mmorts__Frame__PositionColumns p = MMORTS__FRAME__POSITION_COLUMNS__INIT;
    p.entity = moved, p.q = to_q, p.r = to_r;
    p.n_entity = p.n_q = p.n_r = fuzz_below(in, ROWS + 1);
    for (size_t i = 0; i < p.n_entity; i++) {
        moved[i] = 1 + fuzz_below(in, SLOTS);
        to_q[i] = (int32_t)fuzz_below(in, 9) - 4, to_r[i] = (int32_t)fuzz_below(in, 9) - 4;
    }
    Mmorts__Frame__AttributeColumn column = MMORTS__FRAME__ATTRIBUTE_COLUMN__INIT, *all = &column;
    column.entity = changed, column.value = values, column.attribute = fuzz_below(in, 16);
    column.n_entity = column.n_value = fuzz_below(in, 3);
    for (size_t i = 0; i < column.n_entity; i++)
        changed[i] = 1 + fuzz_below(in, SLOTS), values[i] = (int32_t)fuzz_below(in, 5);
    uint32_t chunk = fuzz_below(in, 16);
    Mmorts__Frame__ChunkColumns c = MMORTS__FRAME__CHUNK_COLUMNS__INIT;
    c.n_q = c.n_r = 1, c.cells = (ProtobufCBinaryData){CELLS, cells};
    if (chunk < sizeof chunk_q / sizeof chunk_q[0]) {
        c.q = (int32_t *)(uintptr_t)&chunk_q[chunk], c.r = (int32_t *)(uintptr_t)&chunk_r[chunk];
        frame.chunks = &c;
    }
    frame.spawned = &s, frame.moved = &p, frame.columns = &all, frame.n_columns = 1;
    apply(vision, &frame);
}

static void order(struct vision *vision, struct fuzz_input *in)
{
    uint32_t what = fuzz_below(in, 4), a = fuzz_below(in, EMPIRES + 1);
    uint32_t b = fuzz_below(in, EMPIRES + 1);
    uint64_t at_tick = vision_tick(vision) + fuzz_below(in, 4);
    enum mm_err err = what == 0   ? vision_share(vision, a, b, at_tick)
                      : what == 1 ? vision_unshare(vision, a, b, at_tick)
                      : what == 2 ? vision_ally(vision, a, b, at_tick)
                                  : vision_unally(vision, a, b, at_tick);
    if (err == MM_OK)
        MM_CHECK((what < 2 ? vision_shares(vision, a, b) : vision_is_ally(vision, a, b)) ==
                 (what % 2 == 0));
}

static void apply_raw(struct vision *vision, struct fuzz_input *in)
{
    size_t length = fuzz_below(in, 256) + 256 * fuzz_below(in, 256);
    length = length < in->len ? length : in->len;
    ProtobufCMessage *frame = NULL;
    if (mm_pb_unpack(&mmorts__frame__tick_frame__descriptor, NULL, in->data, length,
                     FRAME_BYTES_MAX, &frame) == MM_OK) {
        apply(vision, (const Mmorts__Frame__TickFrame *)frame);
        protobuf_c_message_free_unpacked(frame, NULL);
    }
    in->data += length, in->len -= length;
}

static void save(struct vision *vision, bool written)
{
    struct vision_save rows;
    if (vision_is_replaying(vision) || vision_save_take(vision, 8, &rows) != MM_OK)
        return;
    if (written)
        vision_save_free(&rows);
    else
        vision_save_return(vision, &rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    uint32_t rules = fuzz_below(&in, 64);
    struct vision_options options = vision_options_default();
    options.chunk_radius = RADIUS;
    options.update_interval_ticks = 1 + rules / 8 % 3;
    options.alliances_share = rules < 32;
    options.entities_max = options.empires_max = options.chunks_max = 256;
    options.memory.per_empire_max = MEMORIES_MAX;
    options.memory.building_ticks = 20;
    struct vision *vision;
    MM_CHECK(vision_new(&options, &vision) == MM_OK);
    apply_first(vision, rules);
    for (int i = 0; i < FRAMES_MAX && in.len > 0 && vision_is_live(vision); i++) {
        uint32_t what = fuzz_below(&in, 8);
        if (what < 4)
            apply_built(vision, &in);
        else if (what < 6)
            order(vision, &in);
        else if (what == 6)
            apply_raw(vision, &in);
        else
            save(vision, fuzz_below(&in, 2));
    }
    vision_free(vision);
    return 0;
}
