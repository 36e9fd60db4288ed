// The simulation and nothing around it: replays an exported session and prints the hash of every
// tick. Built by several compilers (see the Makefile); test_determinism.c holds what they print
// side by side. `core-replay DIR THREADS`; with faults.c also `core-replay DIR THREADS FAULT`.

#include "services/world/pool.h"
#include "tests/determinism/faults.h"
#include "tools/replay/source.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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
    char problem[REPLAY_PROBLEM_BYTES] = "usage: core-replay DIR THREADS [FAULT]";
    struct replay_source *source = NULL;
    struct world_pool *pool = NULL;
    unsigned long threads = argc >= 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (argc > 4 || threads < 1 || threads > WORLD_THREADS_MAX ||
        world_pool_open((uint32_t)threads, &pool) != MM_OK ||
        !fault_choose(argc == 4 ? argv[3] : NULL) ||
        replay_source_dir(argv[1], &source, problem) != MM_OK ||
        replay_source_load(source, 0, &world) != MM_OK) {
        printf("%s\n", problem);
        return 2;
    }
    struct world_workers workers = world_pool_workers(pool);
    workers.grain = 1;
    world_set_workers(world, &workers);
    arena = mm_arena_new(1 << 16, (size_t)1 << 30);
    struct replay_row row;
    enum mm_err err = source->seek(source, world_tick(world));
    while (err == MM_OK && (err = source->read_row(source, &row)) == MM_OK)
        step_row(&row);
    printf("%s\n", err == MM_NOT_FOUND ? "end" : source->problem);
    mm_arena_free(arena);
    world_free(world);
    replay_source_close(source);
    world_pool_close(pool);
    return err == MM_NOT_FOUND ? 0 : 1;
}
