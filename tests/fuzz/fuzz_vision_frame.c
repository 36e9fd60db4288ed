// Tick frames of any bytes into vision's core, after a snapshot that is in order: whatever is
// accepted leaves counters, viewers and memories consistent (the core's own checks abort if not),
// and a whole view of each empire can be made.

#include "libcommon/base/check.h"
#include "libcommon/io/pb.h"
#include "services/vision/core/vision.h"

#include <string.h>

enum { RADIUS = 1, CELLS = 7, FRAME_BYTES_MAX = 1 << 16, FRAMES_MAX = 16 };

static void apply(struct vision *vision, const Mmorts__Frame__TickFrame *frame)
{
    const Mmorts__Frame__VisionFrame *out = NULL;
    if (vision_apply(vision, frame, &out) != MM_OK)
        return;
    MM_CHECK(out->tick == frame->tick);
    for (uint32_t empire = 1; empire <= 4; empire++) {
        Mmorts__Frame__VisionFrame *view;
        if (vision_view(vision, empire, &view) == MM_OK)
            vision_view_free(view);
    }
}

static void apply_first(struct vision *vision)
{
    static char *names[] = {"scout", "hut", "spy"};
    static Mmorts__Frame__Kind kinds[] = {1, 2, 1};
    static uint32_t sights[] = {2, 1, 0}, zeros[3], flags[] = {0, 4, 8}, empires[] = {1, 2, 3};
    static Mmorts__Frame__SightType senses[] = {2, 0, 0};
    static uint64_t ids[] = {1, 2, 3};
    static int32_t places[] = {0, 0, 0};
    static uint8_t cells[CELLS] = {1, 1, 1, 1, 1, 1, 1};
    Mmorts__Frame__TypeColumns types = MMORTS__FRAME__TYPE_COLUMNS__INIT;
    types.n_name = types.n_kind = types.n_sight_hexes = types.n_sight_type = 3;
    types.n_health_max = types.n_ticks_per_hex = types.n_flags = 3;
    types.name = names, types.kind = kinds, types.sight_hexes = sights, types.sight_type = senses;
    types.health_max = types.ticks_per_hex = zeros, types.flags = flags;
    Mmorts__Frame__TerrainColumns terrains = MMORTS__FRAME__TERRAIN_COLUMNS__INIT;
    terrains.n_name = terrains.n_move_cost_percent = terrains.n_sight_cost = 2;
    terrains.name = names, terrains.move_cost_percent = terrains.sight_cost = zeros;
    Mmorts__Frame__Catalogue catalogue = MMORTS__FRAME__CATALOGUE__INIT;
    catalogue.types = &types, catalogue.terrains = &terrains, catalogue.chunk_radius = RADIUS;
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Frames one after the other, each behind two bytes of its length.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vision_options options = vision_options_default();
    options.chunk_radius = RADIUS;
    options.entities_max = options.empires_max = options.chunks_max = 256;
    options.memory.per_empire_max = 4;
    struct vision *vision;
    MM_CHECK(vision_new(&options, &vision) == MM_OK);
    apply_first(vision);
    for (int i = 0; i < FRAMES_MAX && size >= 2; i++) {
        size_t length = data[0] | (size_t)data[1] << 8;
        data += 2, size -= 2;
        length = length < size ? length : size;
        ProtobufCMessage *frame = NULL;
        if (mm_pb_unpack(&mmorts__frame__tick_frame__descriptor, NULL, data, length,
                         FRAME_BYTES_MAX, &frame) == MM_OK) {
            apply(vision, (const Mmorts__Frame__TickFrame *)frame);
            protobuf_c_message_free_unpacked(frame, NULL);
        }
        data += length, size -= length;
    }
    vision_free(vision);
    return 0;
}
