// What the replay tool says of records that are sound, damaged and wrong.

#include "services/world/core/compare.h"
#include "tests/support/process.h"
#include "tests/support/world_recording.h"
#include "tools/replay/replay.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct recording_wish usual = {
    .seed = 5, .players = 3, .ticks = 600, .snapshot_every = 200};
static const struct replay_wish whole = {.snapshot = SIZE_MAX, .to = UINT64_MAX};

// The report; the caller frees.
static char *replay_text(struct replay_source *source, const struct replay_wish *wish,
                         enum mm_err expected, struct replay_outcome *outcome)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    enum mm_err err = replay_run(source, wish, out, outcome);
    fclose(out);
    cr_assert_eq(err, expected, "%s: %s\n%s", mm_err_name(err), source->problem, text);
    return text;
}

Test(replay, a_sound_record_is_met_at_every_row_and_snapshot, .timeout = 300)
{
    struct replay_source *source = recording_make(&usual);
    struct replay_wish wish = whole;
    wish.hashes_every = 100;
    wish.audit_every = 50;
    struct replay_outcome outcome;
    char *text = replay_text(source, &wish, MM_OK, &outcome);
    cr_assert(!outcome.diverged, "%s", text);
    cr_assert_eq(outcome.tick, 600);
    cr_assert_eq(outcome.rows, source->row_count);
    cr_assert_gt(outcome.inputs, 200);
    cr_assert_eq(outcome.snapshots_met, 3);
    cr_assert_eq(outcome.state_hash, source->snapshots[3].state_hash);
    char line[64];
    snprintf(line, sizeof line, "400 %016" PRIx64 "\n", source->snapshots[2].state_hash);
    cr_assert(strstr(text, line), "%s", text);
    free(text);
    // From the middle, and only so far.
    wish = (struct replay_wish){.snapshot = 1, .to = 450};
    free(replay_text(source, &wish, MM_OK, &outcome));
    cr_assert_eq(outcome.from_tick, 200);
    cr_assert_eq(outcome.tick, 450);
    cr_assert_eq(outcome.snapshots_met, 1);
    replay_source_close(source);
}

Test(replay, the_first_wrong_row_is_named_with_its_inputs, .timeout = 300)
{
    struct replay_source *source = recording_make(&usual);
    struct recording_row *rows = recording_rows(source);
    size_t wrong = source->row_count / 2;
    rows[wrong].state_hash ^= 1;
    rows[wrong + 3].state_hash ^= 1;
    struct replay_outcome outcome;
    char *text = replay_text(source, &whole, MM_OK, &outcome), line[96];
    cr_assert(outcome.diverged);
    cr_assert_eq(outcome.diverged_tick, rows[wrong].tick);
    snprintf(line, sizeof line, "recorded state hash %016" PRIx64, rows[wrong].state_hash);
    cr_assert(strstr(text, line), "%s", text);
    snprintf(line, sizeof line, "computed state hash %016" PRIx64, rows[wrong].state_hash ^ 1);
    cr_assert(strstr(text, line), "%s", text);
    snprintf(line, sizeof line, "known to be as recorded: %" PRIu64, rows[wrong - 1].tick);
    cr_assert(strstr(text, line), "%s", text);
    cr_assert(strstr(text, "inputs of that tick"), "%s", text);
    cr_assert(strstr(text, "\"playerId\""), "%s", text);
    free(text);
    replay_source_close(source);
}

// An input that is missing from the journal: the next snapshot shows what came of it.
Test(replay, a_lost_input_is_told_by_what_differs_later, .timeout = 300)
{
    struct replay_source *source = recording_make(&usual);
    struct recording_row *rows = recording_rows(source);
    size_t wrong = 0;
    while (rows[wrong].tick <= 205)
        wrong++;
    rows[wrong].inputs_len = 0;
    struct replay_outcome outcome;
    char *text = replay_text(source, &whole, MM_OK, &outcome);
    cr_assert(outcome.diverged);
    cr_assert_eq(outcome.diverged_tick, rows[wrong].tick);
    cr_assert(strstr(text, "snapshot of tick 400 differ"), "%s", text);
    cr_assert(strstr(text, "player "), "%s", text);
    free(text);
    replay_source_close(source);
}

Test(replay, a_wrong_snapshot_is_told_field_by_field, .timeout = 300)
{
    struct replay_source *source = recording_make(&usual), *other;
    struct recording_wish wish = usual;
    wish.seed = 6;
    other = recording_make(&wish);
    // A snapshot that is sound in itself, but of another session.
    uint8_t *bytes;
    cr_assert_eq(other->read_snapshot(other, 2, &bytes), MM_OK);
    source->snapshots[2] = other->snapshots[2];
    recording_replace_snapshot(source, 2, bytes);
    struct replay_outcome outcome;
    char *text = replay_text(source, &whole, MM_OK, &outcome);
    cr_assert(outcome.diverged);
    cr_assert_eq(outcome.diverged_tick, 400);
    cr_assert(strstr(text, "    seed: 5 and 6"), "%s", text);
    free(text);
    replay_source_close(other);
    replay_source_close(source);
}

Test(replay, snapshots_that_are_not_sound_are_passed_over_and_told, .timeout = 300)
{
    struct replay_source *source = recording_make(&usual);
    struct replay_outcome outcome;
    // One flipped bit in the oldest, the newest cut short.
    recording_snapshot_bytes(source, 0)[100] ^= 4;
    source->snapshots[3].stored_bytes -= 7;
    char *text = replay_text(source, &whole, MM_OK, &outcome);
    cr_assert(!outcome.diverged, "%s", text);
    cr_assert_eq(outcome.from_tick, 200);
    cr_assert_eq(outcome.tick, 600);
    cr_assert_eq(outcome.snapshots_unsound, 2);
    cr_assert_eq(outcome.snapshots_met, 1);
    cr_assert(strstr(text, "snapshot of tick 600, epoch 1 is not sound: DATA_LOSS"), "%s", text);
    free(text);
    for (size_t i = 1; i < 3; i++)
        recording_snapshot_bytes(source, i)[50] ^= 1;
    free(replay_text(source, &whole, MM_DATA_LOSS, &outcome));
    cr_assert(!outcome.began);
    replay_source_close(source);
}

Test(replay, a_row_that_cannot_be_read_ends_the_replay, .timeout = 300)
{
    struct replay_source *source = recording_make(&usual);
    struct recording_row *rows = recording_rows(source);
    memset(rows[10].inputs, 0xff, rows[10].inputs_len);
    struct replay_outcome outcome;
    free(replay_text(source, &whole, MM_DATA_LOSS, &outcome));
    char problem[96];
    snprintf(problem, sizeof problem, "row of tick %" PRIu64 " cannot be read", rows[10].tick);
    cr_assert(strstr(source->problem, problem), "%s", source->problem);
    cr_assert_eq(outcome.rows, 10);
    replay_source_close(source);
}

// --- exported files -----------------------------------------------------------------------------

static void flip(const char *directory, const char *name, long at, unsigned char bits)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r+b");
    cr_assert_not_null(file, "%s", path);
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(byte ^ bits, file);
    fclose(file);
}

Test(replay, what_was_exported_replays_the_same, .timeout = 300)
{
    struct replay_source *source = recording_make(&usual), *files;
    char *base = test_dir_make(), directory[256], problem[REPLAY_PROBLEM_BYTES] = "";
    snprintf(directory, sizeof directory, "%s/record", base);
    cr_assert_eq(replay_source_dir(directory, &files, problem), MM_NOT_FOUND);
    cr_assert_eq(replay_export(source, directory, problem), MM_OK, "%s", problem);
    cr_assert_eq(replay_export(source, directory, problem), MM_ALREADY_EXISTS);
    cr_assert_eq(replay_source_dir(directory, &files, problem), MM_OK, "%s", problem);
    struct replay_wish wish = whole;
    wish.hashes_every = 1;
    struct replay_outcome outcome;
    char *first = replay_text(source, &wish, MM_OK, &outcome);
    char *second = replay_text(files, &wish, MM_OK, &outcome);
    cr_assert_str_eq(first, second);
    cr_assert_eq(outcome.snapshots_met, 3);
    cr_assert_eq(outcome.rows, source->row_count);
    free(second);
    free(first);

    // A damaged journal is replayed as far as it is sound; the index must be whole.
    flip(directory, "journal", -9, 1);
    free(replay_text(files, &whole, MM_DATA_LOSS, &outcome));
    cr_assert_eq(outcome.rows, source->row_count - 1);
    cr_assert(strstr(files->problem, "it is damaged"), "%s", files->problem);
    flip(directory, "journal", -9, 1);
    free(replay_text(files, &whole, MM_OK, &outcome));
    char path[512];
    snprintf(path, sizeof path, "%s/journal", directory);
    cr_assert_eq(truncate(path, 0), 0);
    free(replay_text(files, &whole, MM_DATA_LOSS, &outcome));
    cr_assert_eq(outcome.rows, 0);
    replay_source_close(files);
    flip(directory, "session", -2, 1);
    cr_assert_eq(replay_source_dir(directory, &files, problem), MM_DATA_LOSS);
    cr_assert_null(files);
    free(base);
    replay_source_close(source);
}

// --- comparing states ---------------------------------------------------------------------------

static void count_difference(void *ctx, const char *difference)
{
    cr_assert_gt(strlen(difference), 3);
    ++*(size_t *)ctx;
}

Test(replay, states_compare_equal_exactly_if_their_hashes_do, .timeout = 300)
{
    struct replay_source *source = recording_make(&usual);
    struct world *worlds[4], *again;
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(replay_source_load(source, i, &worlds[i]), MM_OK);
    cr_assert_eq(replay_source_load(source, 2, &again), MM_OK);
    size_t told = 0;
    cr_assert_eq(world_compare(worlds[2], again, 10, count_difference, &told), 0);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(world_compare(again, worlds[i], 10, count_difference, &told) == 0, i == 2);
    cr_assert_gt(told, 0);
    cr_assert_leq(told, 40);
    for (size_t i = 0; i < 4; i++)
        world_free(worlds[i]);
    world_free(again);
    replay_source_close(source);
}
