#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "libcommon/io/pb.h"
#include "services/vision/app.h"

#include <inttypes.h>
#include <string.h>

// A core made of what was saved. With a checkpoint this is all done by the worker that loads,
// beside the loop: among a million entities it takes seconds, and a process that starts is to
// answer for its health and to end when it is told to. Without one it has to wait for world's
// catalogue.

enum { ARENA_CHUNK_BYTES = 1 << 20 };
#define ARENA_BYTES_MAX ((size_t)1 << 30)

static struct vision_options core_options(const struct vision_settings *settings,
                                          uint32_t chunk_radius)
{
    return (struct vision_options){
        .chunk_radius = (int32_t)chunk_radius,
        .update_interval_ticks = (uint32_t)settings->update_interval_ticks,
        .alliances_share = settings->alliances_share,
        .entities_max = (uint32_t)settings->entities_max,
        .empires_max = (uint32_t)settings->empires_max,
        .chunks_max = (uint32_t)settings->chunks_max,
        .memory = {.enabled = settings->memory_enabled,
                   .buildings = settings->buildings,
                   .npcs = settings->npcs,
                   .heroes = settings->heroes,
                   .endgame = settings->endgame,
                   .settlement_ticks = (uint64_t)settings->settlement_ticks,
                   .building_ticks = (uint64_t)settings->building_ticks,
                   .npc_ticks = (uint64_t)settings->npc_ticks,
                   .hero_ticks = (uint64_t)settings->hero_ticks,
                   .endgame_ticks = (uint64_t)settings->endgame_ticks,
                   .per_empire_max = (uint32_t)settings->memories_per_empire_max},
    };
}

static bool type_number(const Mmorts__Frame__TypeColumns *types, const char *name, uint32_t *out)
{
    for (size_t i = 0; i < types->n_name; i++) {
        if (strcmp(types->name[i], name) == 0) {
            *out = (uint32_t)i;
            return true;
        }
    }
    return false;
}

static size_t load_explored(struct vision *core, const struct vision_stored *stored,
                            struct mm_progress *progress)
{
    size_t dropped = 0;
    for (size_t i = 0; i < stored->explored.count && !mm_progress_given_up(progress); i++) {
        struct vision_explored row = stored->explored.items[i];
        row.cells = stored->bits.items + i * stored->words;
        dropped += vision_load_explored(core, &row) != MM_OK;
        (void)mm_progress_row(progress, i);
    }
    return dropped;
}

static size_t load_memories(struct vision *core, struct vision_stored *stored,
                            const Mmorts__Frame__TypeColumns *types, struct mm_progress *progress)
{
    size_t dropped = 0;
    for (size_t i = 0; i < stored->memories.count && !mm_progress_given_up(progress); i++) {
        struct vision_stored_memory *memory = &stored->memories.items[i];
        dropped += !type_number(types, memory->type, &memory->row.type) ||
                   vision_load_memory(core, &memory->row) != MM_OK;
        (void)mm_progress_row(progress, i);
    }
    return dropped;
}

static size_t load_shares(struct vision *core, const struct vision_stored *stored)
{
    size_t dropped = 0;
    for (size_t i = 0; i < stored->shares.count; i++) {
        const struct vision_stored_share *share = &stored->shares.items[i];
        dropped += vision_share(core, share->from, share->to, share->since_tick) != MM_OK;
        if (share->until_tick != 0)
            dropped += vision_unshare(core, share->from, share->to, share->until_tick) != MM_OK;
    }
    return dropped;
}

// One that makes no sense is no ally's any more.
static void load_allies(struct vision *core, struct vision_stored *stored)
{
    for (size_t i = 0; i < stored->allies.count; i++) {
        struct vision_stored_ally *ally = &stored->allies.items[i];
        if (vision_ally(core, ally->alliance, ally->empire, ally->since_tick) != MM_OK) {
            MM_LOG_WARN("a stored alliance makes no sense", "empire=%" PRIu32, ally->empire);
            ally->empire = 0;
        } else if (ally->until_tick != 0) {
            (void)!vision_unally(core, ally->alliance, ally->empire, ally->until_tick);
        }
    }
}

enum mm_err vision_begin_core(const struct vision_settings *settings, struct vision_stored *stored,
                              const Mmorts__Frame__Catalogue *catalogue,
                              struct mm_progress *progress)
{
    uint32_t radius = catalogue ? catalogue->chunk_radius : 0;
    if (radius == 0 || !catalogue->types)
        return MM_INVALID_ARGUMENT;
    if (stored->chunk_radius != 0 && stored->chunk_radius != radius) {
        MM_LOG_ERROR("world's chunks are not those that exploration was saved for",
                     "world=%" PRIu32 " saved=%" PRIu32, radius, stored->chunk_radius);
        return MM_FAILED_PRECONDITION;
    }
    struct vision_options options = core_options(settings, radius);
    struct vision *core;
    enum mm_err err = vision_new(&options, &core);
    if (err != MM_OK)
        return err;
    vision_set_progress(core, progress);
    size_t dropped = load_explored(core, stored, progress);
    vision_loaded_as_of(core, stored->tick, stored->all);
    dropped += load_memories(core, stored, catalogue->types, progress);
    dropped += load_shares(core, stored);
    load_allies(core, stored);
    if (mm_progress_given_up(progress)) {
        vision_free(core);
        return MM_CANCELLED;
    }
    MM_LOG_INFO("what was saved is known again",
                "explored=%zu remembered=%zu sharing=%zu dropped=%zu", stored->explored.count,
                stored->memories.count, stored->shares.count, dropped);
    stored->core = core;
    return MM_OK;
}

enum mm_err vision_catalogue_copy(const Mmorts__Frame__Catalogue *catalogue,
                                  Mmorts__Frame__Catalogue **out)
{
    uint8_t *bytes;
    size_t size;
    ProtobufCMessage *copy = NULL;
    enum mm_err err = mm_pb_pack(&catalogue->base, VISION_FRAME_BYTES_MAX, &bytes, &size);
    if (err != MM_OK)
        return err;
    err = mm_pb_unpack(&mmorts__frame__catalogue__descriptor, NULL, bytes, size,
                       VISION_FRAME_BYTES_MAX, &copy);
    mm_free(bytes);
    *out = (Mmorts__Frame__Catalogue *)copy;
    return err;
}

static enum mm_err begin(const struct vision_settings *settings, struct vision_stored *stored,
                         const Mmorts__Frame__TickFrame *frame, struct mm_progress *progress)
{
    if (!frame->snapshot)
        return MM_INVALID_ARGUMENT;
    enum mm_err err = vision_begin_core(settings, stored, frame->catalogue, progress);
    if (err == MM_OK)
        err = vision_resume(stored->core, frame);
    return err == MM_OK ? vision_catalogue_copy(frame->catalogue, &stored->catalogue) : err;
}

enum mm_err vision_begin_checkpoint(const struct vision_settings *settings,
                                    struct vision_stored *stored, struct mm_progress *progress)
{
    if (!stored->checkpoint)
        return MM_OK;
    struct mm_arena *arena = mm_arena_new(ARENA_CHUNK_BYTES, ARENA_BYTES_MAX);
    if (!arena)
        return MM_RESOURCE_EXHAUSTED;
    struct mm_pb_watched watched = {arena, progress};
    ProtobufCAllocator allocator = mm_pb_watched_allocator(&watched);
    ProtobufCMessage *unpacked = NULL;
    enum mm_err err =
        mm_pb_unpack(&mmorts__frame__tick_frame__descriptor, &allocator, stored->checkpoint,
                     stored->checkpoint_bytes, VISION_CHECKPOINT_BYTES_MAX, &unpacked);
    if (err == MM_OK)
        err = begin(settings, stored, (const Mmorts__Frame__TickFrame *)unpacked, progress);
    mm_arena_free(arena);
    if (mm_progress_given_up(progress))
        return MM_CANCELLED;
    if (err == MM_OK || err == MM_FAILED_PRECONDITION)
        return err;
    // It only saves work and the last moments: without it everything begins with a snapshot.
    MM_LOG_WARN("the checkpoint is of no use", "error=%s reason=%s", mm_err_name(err),
                stored->core ? vision_refusal(stored->core) : "");
    return MM_OK;
}
