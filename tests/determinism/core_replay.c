// The simulation and nothing around it: replays an exported session and prints the hash of every
// tick. Built by several compilers (see the Makefile); test_determinism.c holds what they print
// side by side. `core-replay DIR`; with faults.c also `core-replay DIR FAULT`.

#include "tests/determinism/faults.h"
#include "tools/replay/source.h"
#include <inttypes.h>
#include <stdio.h>

static struct world *world;
static struct mm_arena *arena;

static void print_tick(void)
{
    printf("%" PRIu64 " %016" PRIx64 "\n", world_tick(world), world_state_hash(world));
}

static void step_row(const struct replay_row *row)
{
    while (world_tick(world) + 1 < row->tick) {
        world_stored_step_empty(world, arena);
        print_tick();
    }
    mm_arena_reset(arena);
    const Mmorts__World__JournalEntry *entry;
    if (world_stored_inputs(row->inputs, row->inputs_len, arena, &entry) != MM_OK ||
        world_stored_step(world, entry, arena, NULL) != MM_OK)
        printf("row %" PRIu64 " cannot be read\n", row->tick);
    print_tick();
}

int main(int argc, char **argv)
{
    char problem[REPLAY_PROBLEM_BYTES] = "usage: core-replay DIR [FAULT]";
    struct replay_source *source = NULL;
    if (argc < 2 || argc > 3 || !fault_choose(argc == 3 ? argv[2] : NULL) ||
        replay_source_dir(argv[1], &source, problem) != MM_OK ||
        replay_source_load(source, 0, &world) != MM_OK) {
        printf("%s\n", problem);
        return 2;
    }
    arena = mm_arena_new(1 << 16, (size_t)1 << 30);
    struct replay_row row;
    enum mm_err err = source->seek(source, world_tick(world));
    while (err == MM_OK && (err = source->read_row(source, &row)) == MM_OK)
        step_row(&row);
    printf("%s\n", err == MM_NOT_FOUND ? "end" : source->problem);
    mm_arena_free(arena);
    world_free(world);
    replay_source_close(source);
    return err == MM_NOT_FOUND ? 0 : 1;
}
