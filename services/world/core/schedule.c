#include "services/world/core/schedule.h"

#include "services/world/core/state.h"
#include <stdio.h>
#include <string.h>

static enum mm_err refuse(char *problem, size_t problem_bytes, const struct world_system *a,
                          const char *what, const char *b)
{
    snprintf(problem, problem_bytes, "system %s %s %s", a->name ? a->name : "?", what, b);
    return MM_FAILED_PRECONDITION;
}

enum mm_err world_schedule_check(const struct world_system *systems, size_t count, char *problem,
                                 size_t problem_bytes)
{
    if (count > WORLD_SYSTEMS_MAX) {
        snprintf(problem, problem_bytes, "more than %d systems", WORLD_SYSTEMS_MAX);
        return MM_FAILED_PRECONDITION;
    }
    for (size_t i = 0; i < count; i++) {
        const struct world_system *a = &systems[i];
        if (!a->name || !a->run == !a->run_part || !a->divide != !a->run_part)
            return refuse(problem, problem_bytes, a, "lacks a name or", "a function");
        if (a->every == 0 || a->offset >= a->every)
            return refuse(problem, problem_bytes, a, "has no period above its", "offset");
        if (a->stage >= WORLD_STAGES_MAX || (i > 0 && a->stage < systems[i - 1].stage))
            return refuse(problem, problem_bytes, a, "is not in the order of", "stages");
        for (size_t j = 0; j < i; j++) {
            const struct world_system *b = &systems[j];
            if (strcmp(a->name, b->name) == 0)
                return refuse(problem, problem_bytes, a, "is there twice, as", b->name);
            bool clash = (a->writes & (b->reads | b->writes)) || (b->writes & a->reads);
            if (a->stage == b->stage && clash)
                return refuse(problem, problem_bytes, a, "conflicts in its stage with", b->name);
        }
    }
    return MM_OK;
}

// --- running -------------------------------------------------------------------------------------

void world_parallel(struct world *world, void (*part)(void *arg, uint32_t i), void *arg,
                    uint32_t parts)
{
    if (world->workers.threads < 2 || world->side_by_side || parts < 2) {
        for (uint32_t i = 0; i < parts; i++)
            part(arg, i);
        return;
    }
    world->side_by_side = true;
    world->workers.run(world->workers.ctx, part, arg, parts);
    world->side_by_side = false;
}

uint32_t world_parts(const struct world *world, size_t items, size_t items_per_part)
{
    // More parts than threads, so that one that turns out to be long holds nobody up.
    size_t most = (size_t)world->workers.threads * 4;
    size_t parts = items / (world->workers.grain > 0 ? world->workers.grain : items_per_part);
    if (world->workers.threads < 2 || world->side_by_side || parts < 2)
        return 1;
    return (uint32_t)(parts < most ? parts : most);
}

struct job {
    uint32_t system, part;
};

struct stage {
    struct world *world;
    const struct world_system *systems; // the table
    uint32_t due[WORLD_SYSTEMS_MAX];    // indexes of those that run now
    uint32_t due_count;
    struct job jobs[WORLD_SYSTEMS_MAX + WORLD_PARTS_MAX];
    uint32_t job_count;
};

static void run_job(void *arg, uint32_t i)
{
    const struct stage *stage = arg;
    struct world *world = stage->world;
    struct job job = stage->jobs[i];
    const struct world_system *system = &stage->systems[job.system];
    if (world->hook)
        world->hook(world->hook_ctx, job.system, system->name, true);
    if (system->run)
        system->run(world);
    else
        system->run_part(world, job.part);
    if (world->hook)
        world->hook(world->hook_ctx, job.system, system->name, false);
}

// Those that are not divided come first: they are as long as they are.
static void add_jobs(struct stage *stage, uint32_t index, bool divided)
{
    const struct world_system *system = &stage->systems[index];
    if (divided != !system->run)
        return;
    uint32_t parts = divided ? system->divide(stage->world) : 1;
    MM_CHECK(parts <= WORLD_PARTS_MAX &&
             stage->job_count + parts <= sizeof stage->jobs / sizeof stage->jobs[0]);
    for (uint32_t part = 0; part < parts; part++)
        stage->jobs[stage->job_count++] = (struct job){index, part};
}

static void permit(struct world_ecs *ecs, const char *name, uint64_t reads, uint64_t writes)
{
    ecs->running = name;
    ecs->readable = reads | writes;
    ecs->writable = writes;
}

// One after the other, each held to what it declared itself.
static void run_alone(struct stage *stage)
{
    for (uint32_t i = 0; i < stage->job_count; i++) {
        const struct world_system *system = &stage->systems[stage->jobs[i].system];
        permit(&stage->world->ecs, system->name, system->reads, system->writes);
        run_job(stage, i);
    }
}

static void run_together(struct stage *stage)
{
    uint64_t reads = 0, writes = 0;
    for (uint32_t i = 0; i < stage->due_count; i++) {
        reads |= stage->systems[stage->due[i]].reads;
        writes |= stage->systems[stage->due[i]].writes;
    }
    permit(&stage->world->ecs, "one of several", reads, writes);
    world_parallel(stage->world, run_job, stage, stage->job_count);
}

static void run_stage(struct stage *stage)
{
    struct world *world = stage->world;
    stage->job_count = 0;
    for (uint32_t i = 0; i < stage->due_count; i++)
        add_jobs(stage, stage->due[i], false);
    for (uint32_t i = 0; i < stage->due_count; i++)
        add_jobs(stage, stage->due[i], true);
    if (world->workers.threads < 2 || stage->job_count < 2)
        run_alone(stage);
    else
        run_together(stage);
    permit(&world->ecs, NULL, UINT64_MAX, UINT64_MAX);
    world_flush(world);
}

void world_schedule_run(struct world *world, const struct world_system *systems, size_t count)
{
    struct stage stage = {.world = world, .systems = systems};
    world_ecs_refresh(&world->ecs);
    for (uint32_t i = 0; i < count; i++) {
        if (world->tick % systems[i].every == systems[i].offset)
            stage.due[stage.due_count++] = i;
        if (i + 1 == count || systems[i + 1].stage != systems[i].stage) {
            run_stage(&stage);
            stage.due_count = 0;
        }
    }
}
