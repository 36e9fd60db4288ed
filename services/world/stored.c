#include "services/world/stored.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "libcommon/io/pb.h"
#include <zstd.h>

enum { INPUTS_PER_TICK_MAX = 1 << 20, PIECE_BYTES = 1 << 20 };

// ZSTD_decompress, with a step for each piece.
static enum mm_err decompress(uint8_t *raw, size_t raw_bytes, const uint8_t *data, size_t len,
                              struct mm_progress *progress)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    if (!stream)
        return MM_RESOURCE_EXHAUSTED;
    ZSTD_inBuffer in = {data, len, 0};
    ZSTD_outBuffer out = {raw, 0, 0};
    size_t left = 1; // of the frame; or an error
    while (left != 0 && !ZSTD_isError(left) && mm_progress_step(progress)) {
        size_t in_before = in.pos, out_before = out.pos;
        out.size = raw_bytes - out.pos < PIECE_BYTES ? raw_bytes : out.pos + PIECE_BYTES;
        left = ZSTD_decompressStream(stream, &out, &in);
        if (left != 0 && in.pos == in_before && out.pos == out_before)
            break; // no more to come, or to be put anywhere
    }
    ZSTD_freeDStream(stream);
    if (mm_progress_given_up(progress))
        return MM_CANCELLED;
    return left == 0 && in.pos == len && out.pos == raw_bytes ? MM_OK : MM_DATA_LOSS;
}

// What was written, before compression: *raw is mm_malloc'ed, of snapshot->raw_bytes.
static enum mm_err inflate(const struct world_stored_snapshot *snapshot, const uint8_t *data,
                           size_t len, struct mm_progress *progress, uint8_t **raw)
{
    *raw = NULL;
    if (len != snapshot->stored_bytes || snapshot->raw_bytes > WORLD_SAVE_BYTES_MAX ||
        mm_hash64(data, len, snapshot->tick) != snapshot->checksum)
        return MM_DATA_LOSS;
    *raw = mm_malloc(snapshot->raw_bytes + 1);
    if (!*raw)
        return MM_RESOURCE_EXHAUSTED;
    enum mm_err err = decompress(*raw, snapshot->raw_bytes, data, len, progress);
    if (err == MM_OK)
        return MM_OK;
    mm_free(*raw);
    *raw = NULL;
    return err;
}

// The state is the one that the row names.
static enum mm_err compare(const struct world_stored_snapshot *snapshot, uint64_t state_hash,
                           struct world **world)
{
    if (world_tick(*world) == snapshot->tick && state_hash == snapshot->state_hash)
        return MM_OK;
    world_free(*world);
    *world = NULL;
    return MM_DATA_LOSS;
}

enum mm_err world_stored_load(const struct world_stored_snapshot *snapshot, const uint8_t *data,
                              size_t len, struct mm_progress *progress, struct world **out)
{
    *out = NULL;
    uint8_t *raw;
    enum mm_err err = inflate(snapshot, data, len, progress, &raw);
    if (err == MM_OK)
        err = world_load_watched(raw, snapshot->raw_bytes, progress, out);
    mm_free(raw);
    return err == MM_OK ? compare(snapshot, world_state_hash(*out), out) : err;
}

enum mm_err world_stored_load_older(const struct world_stored_snapshot *snapshot,
                                    const uint8_t *data, size_t len, struct world **out,
                                    uint32_t *version)
{
    *out = NULL;
    *version = 0;
    uint8_t *raw;
    uint64_t saved_hash = 0;
    enum mm_err err = inflate(snapshot, data, len, NULL, &raw);
    if (err == MM_OK) {
        *version = world_saved_version(raw, snapshot->raw_bytes);
        err = world_load_older(raw, snapshot->raw_bytes, out, &saved_hash);
    }
    mm_free(raw);
    return err == MM_OK ? compare(snapshot, saved_hash, out) : err;
}

enum mm_err world_stored_inputs(const void *data, size_t len, struct mm_arena *arena,
                                const Mmorts__World__JournalEntry **out)
{
    ProtobufCAllocator allocator = mm_pb_arena_allocator(arena);
    ProtobufCMessage *message;
    enum mm_err err = mm_pb_unpack(&mmorts__world__journal_entry__descriptor, &allocator, data, len,
                                   len, &message);
    if (err != MM_OK)
        return err == MM_INVALID_ARGUMENT ? MM_DATA_LOSS : err;
    *out = (const void *)message;
    return (*out)->n_inputs <= INPUTS_PER_TICK_MAX ? MM_OK : MM_DATA_LOSS;
}

static enum mm_err change_rules(struct world *world, const ProtobufCBinaryData *data)
{
    struct world_rules *rules = mm_malloc(sizeof *rules);
    if (!rules)
        return MM_RESOURCE_EXHAUSTED;
    size_t used = 0;
    char problem[256];
    enum mm_err err = world_rules_decode(rules, data->data, data->len, &used);
    if (err == MM_OK && used == data->len)
        err = world_change_rules(world, rules, problem, sizeof problem);
    else if (err != MM_RESOURCE_EXHAUSTED)
        err = MM_DATA_LOSS;
    mm_free(rules);
    return err == MM_OK || err == MM_RESOURCE_EXHAUSTED ? err : MM_DATA_LOSS;
}

enum mm_err world_stored_step(struct world *world, const Mmorts__World__JournalEntry *entry,
                              struct mm_arena *arena, struct world_result **results)
{
    struct world_result *all = mm_arena_calloc(arena, entry->n_inputs + 1, sizeof *all);
    if (!all)
        return MM_RESOURCE_EXHAUSTED;
    if (entry->rules.len > 0) {
        enum mm_err err = change_rules(world, &entry->rules);
        if (err != MM_OK)
            return err;
    }
    world_step(world, (const world_input *const *)entry->inputs, entry->n_inputs, arena, all);
    if (results)
        *results = all;
    return MM_OK;
}

void world_stored_step_empty(struct world *world, struct mm_arena *arena)
{
    mm_arena_reset(arena);
    world_step(world, NULL, 0, arena, NULL);
}
