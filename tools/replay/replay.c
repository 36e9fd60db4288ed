#include "tools/replay/replay.h"

#include "libcommon/base/buf.h"
#include "libcommon/io/json_pb.h"
#include "services/world/core/compare.h"
#include <inttypes.h>

enum { DIFFERENCES_TOLD = 20, INPUTS_TOLD = 200 };
#define ARENA_BYTES_MAX ((size_t)1 << 30)
#define JSON_BYTES_MAX  ((size_t)1 << 24)

struct replay {
    struct replay_source *source;
    const struct replay_wish *wish;
    struct replay_outcome *outcome;
    FILE *out;
    struct world *world;
    struct mm_arena *arena; // of one tick
    size_t next_snapshot;   // to be held against the state
    uint64_t end;           // the last tick to be made
    uint64_t sound_tick;    // up to here everything was as recorded
};

// --- telling ------------------------------------------------------------------------------------

static void tell_input(FILE *out, const world_input *input, const struct world_result *result)
{
    struct mm_buf text;
    mm_buf_init(&text, JSON_BYTES_MAX);
    enum mm_err err = mm_json_from_pb(&input->base, NULL, &text);
    fprintf(out, "    %s", err == MM_OK ? mm_buf_cstr(&text) : mm_err_name(err));
    if (result && !result->applied)
        fprintf(out, "  (refused: %s)", result->message ? result->message : "");
    fputc('\n', out);
    mm_buf_free(&text);
}

static void tell_inputs(FILE *out, const Mmorts__World__JournalEntry *entry,
                        const struct world_result *results)
{
    fprintf(out, "  inputs of that tick: %zu\n", entry->n_inputs);
    for (size_t i = 0; i < entry->n_inputs && i < INPUTS_TOLD; i++)
        tell_input(out, entry->inputs[i], results ? &results[i] : NULL);
    if (entry->n_inputs > INPUTS_TOLD)
        fprintf(out, "    ... and %zu more\n", entry->n_inputs - INPUTS_TOLD);
}

static void tell_difference(void *ctx, const char *difference)
{
    fprintf(ctx, "    %s\n", difference);
}

// Whether the state is one that the simulation can be in at all. False, and told, if not.
static bool audit(struct replay *replay)
{
    char problem[256] = "";
    uint64_t kept = world_state_hash(replay->world), full = world_state_hash_full(replay->world);
    bool sound = world_verify(replay->world, problem, sizeof problem) == MM_OK;
    if (!sound)
        fprintf(replay->out, "  tick %" PRIu64 ": an invariant is broken: %s\n",
                world_tick(replay->world), problem);
    if (kept != full)
        fprintf(replay->out,
                "  tick %" PRIu64 ": the hash kept up to date is %016" PRIx64
                ", the state's is %016" PRIx64 "\n",
                world_tick(replay->world), kept, full);
    return sound && kept == full;
}

static void diverge(struct replay *replay, const char *what, uint64_t recorded)
{
    replay->outcome->diverged = true;
    replay->outcome->diverged_tick = world_tick(replay->world);
    fprintf(replay->out,
            "DIVERGED at tick %" PRIu64 " (%s)\n"
            "  recorded state hash %016" PRIx64 "\n"
            "  computed state hash %016" PRIx64 "\n"
            "  last tick known to be as recorded: %" PRIu64 "\n",
            world_tick(replay->world), what, recorded, world_state_hash(replay->world),
            replay->sound_tick);
    audit(replay);
    // A journal row tells the inputs, but only a snapshot tells what differs: so it goes on to
    // that.
    replay->end = world_tick(replay->world);
    if (replay->next_snapshot < replay->source->snapshot_count)
        replay->end = replay->source->snapshots[replay->next_snapshot].tick;
}

// Tells of a snapshot that cannot be taken up. One of another version of the simulation is no
// fault: a session goes on from it if it was ended cleanly.
static void pass_over(struct replay *replay, const struct world_stored_snapshot *snapshot,
                      enum mm_err err)
{
    fprintf(replay->out, "snapshot of tick %" PRIu64 ", epoch %" PRIu64 " is ", snapshot->tick,
            snapshot->epoch);
    if (err == MM_UNIMPLEMENTED)
        fprintf(replay->out, "of another version of the simulation\n");
    else
        fprintf(replay->out, "not sound: %s\n", mm_err_name(err));
    replay->outcome->snapshots_unsound += err != MM_UNIMPLEMENTED;
}

// --- snapshots on the way -----------------------------------------------------------------------

static enum mm_err meet_snapshot(struct replay *replay, size_t index)
{
    const struct world_stored_snapshot *snapshot = &replay->source->snapshots[index];
    struct world *other;
    enum mm_err err = replay_source_load(replay->source, index, &other);
    if (err == MM_DATA_LOSS || err == MM_UNIMPLEMENTED) {
        pass_over(replay, snapshot, err);
        return MM_OK;
    }
    if (err != MM_OK)
        return err;
    replay->outcome->snapshots_met++;
    bool same = world_state_hash(replay->world) == snapshot->state_hash;
    if (!same) {
        if (!replay->outcome->diverged)
            diverge(replay, "snapshot", snapshot->state_hash);
        replay->end = snapshot->tick;
        fprintf(replay->out,
                "  replayed state and snapshot of tick %" PRIu64 " differ (first, second):\n",
                snapshot->tick);
        size_t count =
            world_compare(replay->world, other, DIFFERENCES_TOLD, tell_difference, replay->out);
        if (count > DIFFERENCES_TOLD)
            fprintf(replay->out, "    ... and %zu more\n", count - DIFFERENCES_TOLD);
    } else if (!replay->outcome->diverged) {
        replay->sound_tick = snapshot->tick;
    }
    world_free(other);
    return MM_OK;
}

// --- ticks --------------------------------------------------------------------------------------

static enum mm_err after_tick(struct replay *replay)
{
    uint64_t tick = world_tick(replay->world);
    const struct replay_wish *wish = replay->wish;
    if (!replay->outcome->diverged && wish->audit_every && tick % wish->audit_every == 0 &&
        !audit(replay)) {
        replay->outcome->diverged = true;
        replay->outcome->diverged_tick = replay->end = tick;
    }
    enum mm_err err = MM_OK;
    while (err == MM_OK && replay->next_snapshot < replay->source->snapshot_count &&
           replay->source->snapshots[replay->next_snapshot].tick == tick)
        err = meet_snapshot(replay, replay->next_snapshot++);
    if (!replay->outcome->diverged) {
        replay->outcome->tick = tick;
        replay->outcome->state_hash = world_state_hash(replay->world);
        if (wish->hashes_every && tick % wish->hashes_every == 0)
            fprintf(replay->out, "%" PRIu64 " %016" PRIx64 "\n", tick, replay->outcome->state_hash);
    }
    return err;
}

static enum mm_err advance(struct replay *replay, uint64_t to)
{
    enum mm_err err = MM_OK;
    while (err == MM_OK && world_tick(replay->world) < to) {
        world_stored_step_empty(replay->world, replay->arena);
        err = after_tick(replay);
    }
    return err;
}

static enum mm_err step_row(struct replay *replay, const struct replay_row *row)
{
    mm_arena_reset(replay->arena);
    const Mmorts__World__JournalEntry *entry;
    struct world_result *results;
    enum mm_err err = world_stored_inputs(row->inputs, row->inputs_len, replay->arena, &entry);
    if (err == MM_OK)
        err = world_stored_step(replay->world, entry, replay->arena, &results);
    if (err != MM_OK) {
        snprintf(replay->source->problem, sizeof replay->source->problem,
                 "the journal row of tick %" PRIu64 " cannot be read", row->tick);
        return err;
    }
    if (entry->rules.len > 0)
        fprintf(replay->out, "tick %" PRIu64 ": the rules of the game change here\n", row->tick);
    if (!replay->outcome->diverged) {
        replay->outcome->rows++;
        replay->outcome->inputs += entry->n_inputs;
        if (world_state_hash(replay->world) == row->state_hash) {
            replay->sound_tick = row->tick;
        } else {
            diverge(replay, "journal row", row->state_hash);
            tell_inputs(replay->out, entry, results);
        }
    }
    return after_tick(replay);
}

// --- the whole ----------------------------------------------------------------------------------

static enum mm_err run(struct replay *replay)
{
    struct replay_source *source = replay->source;
    struct replay_row row;
    enum mm_err err = source->seek(source, world_tick(replay->world));
    if (err == MM_OK)
        err = after_tick(replay);
    bool more = true;
    while (err == MM_OK && more) {
        err = source->read_row(source, &row);
        more = err == MM_OK && row.tick <= replay->end;
        if (err == MM_NOT_FOUND)
            err = MM_OK;
        if (more)
            err = advance(replay, row.tick - 1);
        more = more && row.tick <= replay->end; // it may have diverged on the way there
        if (err == MM_OK && more)
            err = step_row(replay, &row);
    }
    return err == MM_OK ? advance(replay, replay->end) : err;
}

// The state to begin with.
static enum mm_err begin(struct replay *replay)
{
    struct replay_source *source = replay->source;
    size_t index = replay->wish->snapshot == SIZE_MAX ? 0 : replay->wish->snapshot;
    size_t last = replay->wish->snapshot == SIZE_MAX ? source->snapshot_count : index + 1;
    for (; index < last; index++) {
        enum mm_err err = replay_source_load(source, index, &replay->world);
        if (err == MM_OK) {
            replay->next_snapshot = index + 1;
            replay->sound_tick = replay->outcome->from_tick = source->snapshots[index].tick;
            replay->outcome->began = true;
            return MM_OK;
        }
        if (err != MM_DATA_LOSS && err != MM_UNIMPLEMENTED)
            return err;
        pass_over(replay, &source->snapshots[index], err);
    }
    snprintf(source->problem, sizeof source->problem, "no sound snapshot to begin with");
    return MM_DATA_LOSS;
}

enum mm_err replay_run(struct replay_source *source, const struct replay_wish *wish, FILE *out,
                       struct replay_outcome *outcome)
{
    *outcome = (struct replay_outcome){0};
    struct replay replay = {.source = source, .wish = wish, .outcome = outcome, .out = out};
    replay.end = source->last_row_tick;
    if (source->snapshot_count > 0 &&
        source->snapshots[source->snapshot_count - 1].tick > replay.end)
        replay.end = source->snapshots[source->snapshot_count - 1].tick;
    if (wish->to != UINT64_MAX)
        replay.end = wish->to;
    replay.arena = mm_arena_new(1 << 16, ARENA_BYTES_MAX);
    if (!replay.arena)
        return MM_RESOURCE_EXHAUSTED;
    enum mm_err err = begin(&replay);
    if (err == MM_OK)
        err = run(&replay);
    world_free(replay.world);
    mm_arena_free(replay.arena);
    return err;
}

static enum mm_err list_rows(struct replay_source *source, bool with_inputs, struct mm_arena *arena,
                             FILE *out)
{
    struct replay_row row;
    enum mm_err err = source->seek(source, 0);
    while (err == MM_OK && (err = source->read_row(source, &row)) == MM_OK) {
        mm_arena_reset(arena);
        const Mmorts__World__JournalEntry *entry;
        enum mm_err read = world_stored_inputs(row.inputs, row.inputs_len, arena, &entry);
        fprintf(out, "row tick %" PRIu64 " epoch %" PRIu64 " hash %016" PRIx64 " bytes %zu",
                row.tick, row.epoch, row.state_hash, row.inputs_len);
        if (read != MM_OK)
            fprintf(out, " cannot be read: %s\n", mm_err_name(read));
        else
            fprintf(out, " inputs %zu%s\n", entry->n_inputs,
                    entry->rules.len > 0 ? ", other rules" : "");
        if (read == MM_OK && with_inputs)
            for (size_t i = 0; i < entry->n_inputs; i++)
                tell_input(out, entry->inputs[i], NULL);
    }
    return err == MM_NOT_FOUND ? MM_OK : err;
}

enum mm_err replay_list(struct replay_source *source, bool with_inputs, FILE *out)
{
    fprintf(out,
            "session %s, run by %" PRIu64 " processes, ticks reserved to %" PRIu64 ", %" PRIu64
            " journal rows\n",
            source->session, source->epoch, source->tick_reserved, source->row_count);
    for (size_t i = 0; i < source->snapshot_count; i++) {
        const struct world_stored_snapshot *s = &source->snapshots[i];
        struct world *world;
        enum mm_err err = replay_source_load(source, i, &world);
        if (err != MM_OK && err != MM_DATA_LOSS && err != MM_UNIMPLEMENTED)
            return err;
        fprintf(out,
                "snapshot tick %" PRIu64 " epoch %" PRIu64 " hash %016" PRIx64 " bytes %" PRIu64
                " stored %" PRIu64,
                s->tick, s->epoch, s->state_hash, s->raw_bytes, s->stored_bytes);
        if (err == MM_OK)
            fprintf(out, " sound: %u entities, %u empires, %u chunks\n", world_entity_count(world),
                    world_empire_count(world), world_chunk_count(world));
        else if (err == MM_UNIMPLEMENTED)
            fprintf(out, " of another version of the simulation\n");
        else
            fprintf(out, " not sound: %s\n", mm_err_name(err));
        world_free(world);
    }
    struct mm_arena *arena = mm_arena_new(1 << 16, ARENA_BYTES_MAX);
    if (!arena)
        return MM_RESOURCE_EXHAUSTED;
    enum mm_err err = list_rows(source, with_inputs, arena, out);
    mm_arena_free(arena);
    return err;
}
