// The same journal gives the same hash at every tick, whoever compiled the simulation and however
// many threads it runs on; and a simulation that depends on anything else is caught.
//
// A journal of random play is recorded by this program, exported, and replayed by itself and by
// the programs of tests/determinism, which the Makefile builds with several compilers.

#include "tests/support/process.h"
#include "tests/support/world_recording.h"
#include "tests/support/world_rig.h"
#include "tools/replay/replay.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { PLAYERS = 4, TICKS = 3000, TICKS_PLANTED = 400, REPLAYS_PLANTED = 5, RUN_MS = 120000 };

// Every compiler, and every number of threads; not each with each.
static const struct variant {
    const char *name, *threads;
} variants[] = {
    {"gcc-O0", "1"}, {"gcc-O2", "1"},   {"gcc-O2", "2"},   {"gcc-O2", "4"},
    {"gcc-O0", "3"}, {"clang-O2", "4"}, {"sanitize", "1"}, {"sanitize", "2"},
};
#define VARIANT_COUNT (sizeof variants / sizeof variants[0])

// A build under a sanitizer has no programs of other compilers beside it: there this program's own
// replay is the one that counts.
static bool variants_are_built(void)
{
    const char *sanitize = getenv("SANITIZE");
#ifdef __SANITIZE_ADDRESS__
    return false;
#endif
    return !sanitize || sanitize[0] == '\0';
}

static char *export_random_play(uint64_t seed, unsigned ticks)
{
    struct recording_wish wish = {
        .seed = seed, .players = PLAYERS, .ticks = ticks, .snapshot_every = ticks / 2};
    struct replay_source *source = recording_make(&wish);
    char problem[REPLAY_PROBLEM_BYTES] = "", *base = test_dir_make();
    char *directory = malloc(strlen(base) + 16);
    snprintf(directory, strlen(base) + 16, "%s/record", base);
    cr_assert_gt(source->row_count, ticks / 4, "too few ticks with inputs to say anything");
    cr_assert_eq(replay_export(source, directory, problem), MM_OK, "%s", problem);
    replay_source_close(source);
    free(base);
    return directory;
}

// What core-replay-NAME prints.
static char *replay_by(const char *name, const char *directory, const char *threads,
                       const char *fault)
{
    char *world = test_binary_path("mmorts-world"), program[512];
    const char *build_end = strstr(world, "/bin/mmorts-world");
    cr_assert_not_null(build_end, "%s", world);
    snprintf(program, sizeof program, "%.*s/determinism/core-replay-%s", (int)(build_end - world),
             world, name);
    free(world);
    const char *const argv[] = {program, directory, threads, fault, NULL};
    struct test_process *process = test_process_start(argv, NULL);
    int status = test_process_wait(process, RUN_MS);
    char *text = test_process_log(process);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %d\n%.2000s", name, status,
              text);
    test_process_free(process);
    return text;
}

// What this program itself makes of it, beginning with the first snapshot.
static char *replay_here(const char *directory)
{
    struct replay_source *source;
    char problem[REPLAY_PROBLEM_BYTES] = "", *text = NULL;
    size_t len = 0;
    cr_assert_eq(replay_source_dir(directory, &source, problem), MM_OK, "%s", problem);
    FILE *out = open_memstream(&text, &len);
    struct replay_wish wish = {.to = source->last_row_tick, .hashes_every = 1};
    struct replay_outcome outcome;
    enum mm_err err = replay_run(source, &wish, out, &outcome);
    fclose(out);
    cr_assert(err == MM_OK && !outcome.diverged, "%s %s", mm_err_name(err), text);
    replay_source_close(source);
    return text;
}

// The first tick at which two replays differ, 0 if they are the same. The text of the later one is
// said in `words`.
static uint64_t first_difference(const char *a, const char *b, char words[160])
{
    // Here the tick of the snapshot is printed too.
    if (strncmp(a, "0 ", 2) == 0)
        a = strchr(a, '\n') + 1;
    uint64_t tick = 0;
    while (*a && *b && strcmp(b, "end\n") != 0) {
        size_t x = strcspn(a, "\n"), y = strcspn(b, "\n");
        tick++;
        snprintf(words, 160, "tick %" PRIu64 ": '%.*s' and '%.*s'", tick, (int)x, a, (int)y, b);
        if (x != y || memcmp(a, b, x) != 0)
            return tick;
        a += x + (a[x] == '\n');
        b += y + (b[y] == '\n');
    }
    bool same_end = *a == '\0' && strcmp(b, "end\n") == 0;
    snprintf(words, 160, "%s after %" PRIu64 " ticks", same_end ? "the same" : "not as long", tick);
    cr_assert_gt(tick, 100, "no ticks were compared");
    return same_end ? 0 : tick;
}

Test(determinism, every_compiler_and_number_of_threads_comes_to_the_same_hash, .timeout = 300)
{
    char *directory = export_random_play(1, TICKS), *here = replay_here(directory), words[160];
    for (size_t i = 0; i < VARIANT_COUNT && variants_are_built(); i++) {
        char *text = replay_by(variants[i].name, directory, variants[i].threads, NULL);
        cr_assert_eq(first_difference(here, text, words), 0, "%s, %s threads: %s", variants[i].name,
                     variants[i].threads, words);
        free(text);
    }
    free(here);
    free(directory);
}

// The journal of a real process, killed and restarted on the way.
Test(determinism, the_journal_of_a_real_process_too, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    uint64_t units[8][16];
    size_t count[8];
    Mmorts__World__JoinReply home[8];
    for (uint64_t p = 1; p <= 4; p++) {
        rig_join_seen(&rig, p, &home[p]);
        count[p] = rig_units(&rig, home[p].empire, units[p], 16);
    }
    for (uint64_t seq = 1; seq <= 15; seq++) {
        Mmorts__World__CommandResult result;
        for (uint64_t p = 1; p <= 4; p++)
            cr_assert_eq(rig_move(&rig, p, seq, units[p], count[p],
                                  home[p].home_q + (int32_t)(seq * p % 11) - 5,
                                  home[p].home_r + (int32_t)(seq * 7 % 11) - 5, &result),
                         MM_OK);
        if (seq == 8) {
            rig_kill(&rig);
            rig_start(&rig);
        }
    }
    rig_kill(&rig);
    char directory[128];
    snprintf(directory, sizeof directory, "%s/record", rig.dir);
    rig_replay(&rig, (const char *const[]){"--export", directory, NULL}, 0, NULL);
    char *here = replay_here(directory), words[160];
    for (size_t i = 0; i < VARIANT_COUNT && variants_are_built(); i++) {
        char *text = replay_by(variants[i].name, directory, variants[i].threads, NULL);
        cr_assert_eq(first_difference(here, text, words), 0, "%s, %s threads: %s", variants[i].name,
                     variants[i].threads, words);
        free(text);
    }
    free(here);
    rig_start(&rig);
    rig_close(&rig);
}

// --- planted ------------------------------------------------------------------------------------

static void must_be_caught(const char *fault)
{
    if (!variants_are_built())
        return;
    char *directory = export_random_play(3, TICKS_PLANTED), *here = replay_here(directory),
         words[160];
    // The program with the faults in it, but none of them chosen, is a good one.
    char *good = replay_by("planted", directory, "4", NULL);
    cr_assert_eq(first_difference(here, good, words), 0, "%s", words);
    // What a fault does hangs on what chance brings, which may be nothing in one replay.
    bool caught = false;
    for (int i = 0; i < REPLAYS_PLANTED && !caught; i++) {
        char *bad = replay_by("planted", directory, "4", fault);
        caught = first_difference(here, bad, words) > 0;
        free(bad);
    }
    cr_assert(caught, "the fault '%s' was not caught", fault);
    cr_log_info("%s: caught at %s", fault, words);
    free(good);
    free(here);
    free(directory);
}

Test(determinism, a_planted_look_at_the_clock_is_caught, .timeout = 300)
{
    must_be_caught("clock");
}

Test(determinism, planted_uninitialised_memory_is_caught, .timeout = 300)
{
    must_be_caught("uninitialised");
}

Test(determinism, planted_address_order_is_caught, .timeout = 300)
{
    must_be_caught("address-order");
}

Test(determinism, a_planted_race_is_caught, .timeout = 300)
{
    must_be_caught("race");
}
