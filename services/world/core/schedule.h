#ifndef WORLD_CORE_SCHEDULE_H
#define WORLD_CORE_SCHEDULE_H

#include "libcommon/base/err.h"
#include <stddef.h>
#include <stdint.h>

struct world;

// The order of a tick. Stages follow one another; the systems of one stage must not depend on
// their order (so that they may run side by side), which their declarations prove: none may write
// what another of its stage reads or writes. Structural changes are put off to the stage's end.
//
// Where workers are lent (world_set_workers), the systems of a stage that are due do run side by
// side. A declaration that is not true ends the process when the system is alone in running, so
// it is found with one thread and not only when two get in each other's way.
//
// A system that is divided has no `run`: `divide` says, before anything of the stage runs, into how
// many parts (up to WORLD_PARTS_MAX, none included), and each is run by itself. Parts must not
// depend on one another, nor write what another reads.
struct world_system {
    const char *name;
    void (*run)(struct world *world);
    uint32_t (*divide)(struct world *world);
    void (*run_part)(struct world *world, uint32_t part);
    uint64_t reads, writes; // bits of enum world_component_id and WORLD_USES_*
    uint32_t stage;         // ascending in the table, below WORLD_STAGES_MAX
    uint32_t every, offset; // runs in ticks where tick % every == offset
};

// FAILED_PRECONDITION, and the reason in problem, unless the table is sound and free of conflicts.
enum mm_err MM_MUST_USE world_schedule_check(const struct world_system *systems, size_t count,
                                             char *problem, size_t problem_bytes);

// Runs all systems that are due in the world's present tick.
void world_schedule_run(struct world *world, const struct world_system *systems, size_t count);

// Calls part(arg, i) for every i below `parts`: at the same time where workers are lent, else, and
// within a system that runs beside others, one after the other. Parts must not depend on one
// another, nor write what another reads; they only look at the world, or at marks and rows of
// slots that are theirs alone.
void world_parallel(struct world *world, void (*part)(void *arg, uint32_t i), void *arg,
                    uint32_t parts);
// How many parts to make of a piece of work: 1 where it would not pay.
uint32_t world_parts(const struct world *world, size_t items, size_t items_per_part);

// The world's own table.
extern const struct world_system world_systems[];
extern const size_t world_systems_count;

#endif
