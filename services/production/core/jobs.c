#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/base/check.h"
#include "libcommon/base/str.h"
#include "services/production/core/state.h"

// Jobs in their buildings' queues and in the calendar, from acceptance to the end of the last
// cycle.

// --- jobs and their places ---------------------------------------------------------------------

struct production_slot *production_slot_new(struct production *production,
                                            const struct production_job *job, uint32_t *index_out)
{
    uint32_t index;
    if (production->free_slots.count > 0) {
        index = mm_vec_pop(&production->free_slots);
    } else {
        struct production_slot empty = {0};
        index = (uint32_t)production->slots.count;
        if (!mm_vec_push(&production->slots, empty))
            return NULL;
    }
    struct production_slot *slot = &production->slots.items[index];
    *slot = (struct production_slot){.job = *job, .due = MM_HEAP_NONE, .is_used = true};
    if (mm_idmap_set(production->job_index, job->id, index) != MM_OK) {
        slot->is_used = false;
        MM_CHECK(mm_vec_push(&production->free_slots, index));
        return NULL;
    }
    *index_out = index;
    return slot;
}

// Takes a job out of its building's queue and the calendar. The caller notes the change.
void production_slot_drop(struct production *production, struct production_slot *slot)
{
    uint32_t index = (uint32_t)(slot - production->slots.items);
    struct production_building *building = production_find_building(production, slot->job.building);
    for (uint32_t i = 0; building && i < building->job_count; i++) {
        if (building->jobs[i] != index)
            continue;
        memmove(&building->jobs[i], &building->jobs[i + 1],
                (building->job_count - i - 1) * sizeof building->jobs[0]);
        building->job_count--;
        break;
    }
    if (slot->due != MM_HEAP_NONE)
        mm_heap_remove(production->calendar, slot->due);
    mm_idmap_remove(production->job_index, slot->job.id, NULL);
    slot->is_used = false;
    slot->due = MM_HEAP_NONE;
    MM_CHECK(mm_vec_push(&production->free_slots, index));
}

void production_note_job(struct production_changes *changes, enum production_change_kind kind,
                         const struct production_job *job)
{
    production_note(changes, kind)->job = *job;
}

void production_note_event(struct production_changes *changes, enum production_event event,
                           const struct production_job *job, const char *reason)
{
    struct production_change *change = production_note(changes, PRODUCTION_CHANGE_EVENT);
    change->event = event;
    change->job = *job;
    change->reason = reason;
}

void production_job_waits(struct production_changes *changes, const struct production_job *job)
{
    production_note_job(changes, PRODUCTION_CHANGE_JOB, job);
    production_note_event(changes, PRODUCTION_STARTED, job, "");
}

static void calendar_add(struct production *production, struct production_slot *slot)
{
    uint64_t index = (uint64_t)(slot - production->slots.items);
    // The calendar holds as many entries as there can be jobs.
    MM_CHECK(mm_heap_push(production->calendar, slot->job.end_tick, index, &slot->due) == MM_OK);
}

// Starts the job at the head of the building's queue, if it waits.
void production_building_run(struct production *production, struct production_building *building,
                             struct production_changes *changes)
{
    if (building->job_count == 0 || !building->exists)
        return;
    struct production_slot *slot = &production->slots.items[building->jobs[0]];
    if (slot->job.start_tick != 0)
        return;
    const struct production_recipe *recipe = &production->book->recipes[slot->job.recipe];
    struct production_factors factors = production_book_factors(production->book, building->type);
    slot->job.start_tick = production->tick > 0 ? production->tick : 1;
    slot->job.end_tick =
        slot->job.start_tick + production_time(recipe->duration_ticks, factors.time_permille);
    calendar_add(production, slot);
    production_note_job(changes, PRODUCTION_CHANGE_JOB, &slot->job);
    production_note_event(changes, PRODUCTION_STARTED, &slot->job, "");
}

enum mm_err production_restore_job(struct production *production, const struct production_job *job)
{
    if (job->id == 0 || job->recipe >= production->book->recipe_count ||
        !production_has_empire(production, job->empire) || production_find_job(production, job->id))
        return MM_INVALID_ARGUMENT;
    struct production_building *building = production_need_building(production, job->building);
    if (!building || building->job_count == PRODUCTION_BUILDING_JOBS_MAX)
        return MM_RESOURCE_EXHAUSTED;
    uint32_t index = 0;
    struct production_slot *slot = production_slot_new(production, job, &index);
    if (!slot)
        return MM_RESOURCE_EXHAUSTED;
    uint32_t at = building->job_count++;
    while (at > 0 && production->slots.items[building->jobs[at - 1]].job.order > job->order) {
        building->jobs[at] = building->jobs[at - 1];
        at--;
    }
    building->jobs[at] = index;
    if (job->start_tick != 0)
        calendar_add(production, slot);
    if (job->order >= production->next_order)
        production->next_order = job->order + 1;
    return MM_OK;
}

// --- inputs ------------------------------------------------------------------------------------

// True if the stock covers the recipe's inputs and tools; else *missing_out names the first that
// it does not.
bool production_can_afford(const struct production *production, uint32_t empire,
                           const struct production_recipe *recipe, uint64_t cost_permille,
                           const char **missing_out)
{
    for (size_t i = 0; i < recipe->input_count; i++) {
        const struct production_amount *input = &recipe->inputs[i];
        int64_t left = production_stock(production, empire, input->item);
        // The same item may stand in more than one line.
        for (size_t j = 0; j <= i; j++)
            if (recipe->inputs[j].item == input->item)
                left -= production_cost(recipe->inputs[j].amount, cost_permille);
        if (left < 0) {
            *missing_out = production->book->items[input->item];
            return false;
        }
    }
    for (size_t i = 0; i < recipe->tool_count; i++) {
        const struct production_amount *tool = &recipe->tools[i];
        if (production_stock(production, empire, tool->item) < tool->amount) {
            *missing_out = production->book->items[tool->item];
            return false;
        }
    }
    return true;
}

static void job_cause(char out[PRODUCTION_CAUSE_BYTES], const char *what,
                      const struct production_job *job)
{
    snprintf(out, PRODUCTION_CAUSE_BYTES, "%s %016" PRIx64 "/%" PRIu32, what, job->id,
             job->cycles_completed + 1);
}

// direction -1 consumes, +1 gives back.
void production_move_inputs(struct production *production, const struct production_job *job,
                            const struct production_recipe *recipe, uint64_t cost_permille,
                            int direction, struct production_changes *changes)
{
    char cause[PRODUCTION_CAUSE_BYTES];
    job_cause(cause, direction < 0 ? "job" : "refund", job);
    for (size_t i = 0; i < recipe->input_count; i++)
        production_move(production, job->empire, recipe->inputs[i].item,
                        direction * production_cost(recipe->inputs[i].amount, cost_permille), cause,
                        changes);
}

uint64_t production_cost_of(const struct production *production, uint64_t building_id)
{
    const struct production_building *building = production_find_building(production, building_id);
    return production_book_factors(production->book, building ? building->type : "").cost_permille;
}

// --- buildings ---------------------------------------------------------------------------------

void production_building_set(struct production *production, uint64_t id, uint32_t owner,
                             const char *type)
{
    struct production_building *building = production_need_building(production, id);
    if (!building) // as many buildings as jobs at most: orders for more are refused as unknown
        return;
    building->owner = owner;
    building->exists = true;
    mm_str_copy(building->type, sizeof building->type, type);
}

static void building_forget(struct production *production, uint64_t id)
{
    uint64_t index = 0;
    if (!mm_idmap_remove(production->building_index, id, &index))
        return;
    mm_vec_remove_swap(&production->buildings, index);
    if (index < production->buildings.count)
        *mm_idmap_find(production->building_index, production->buildings.items[index].id) = index;
}

void production_building_remove(struct production *production, uint64_t id,
                                struct production_changes *changes)
{
    struct production_building *building = production_find_building(production, id);
    if (!building)
        return;
    uint64_t cost_permille = production_cost_of(production, id);
    while (building->job_count > 0) {
        struct production_slot *slot = &production->slots.items[building->jobs[0]];
        struct production_job job = slot->job;
        production_slot_drop(production, slot);
        production_move_inputs(production, &job, &production->book->recipes[job.recipe],
                               cost_permille, 1, changes);
        production_note_job(changes, PRODUCTION_CHANGE_NO_JOB, &job);
        production_note_event(changes, PRODUCTION_FAILED, &job, "building_lost");
    }
    building_forget(production, id);
}

void production_buildings_clear(struct production *production)
{
    for (size_t i = 0; i < production->buildings.count; i++)
        production->buildings.items[i].exists = false;
}

void production_buildings_complete(struct production *production,
                                   struct production_changes *changes)
{
    size_t i = 0;
    while (i < production->buildings.count) {
        struct production_building *building = &production->buildings.items[i];
        if (building->exists) {
            production_building_run(production, building, changes);
            i++;
        } else {
            production_building_remove(production, building->id, changes);
        }
    }
}

// --- time --------------------------------------------------------------------------------------

static void make_outputs(struct production *production, const struct production_job *job,
                         const struct production_recipe *recipe, uint64_t yield_permille,
                         struct production_changes *changes)
{
    char cause[PRODUCTION_CAUSE_BYTES];
    job_cause(cause, "made", job);
    for (size_t i = 0; i < recipe->output_count; i++) {
        const struct production_output *output = &recipe->outputs[i];
        if (!mm_rng_chance(&production->rng, output->probability_permille,
                           PRODUCTION_PERMILLE_NEUTRAL))
            continue;
        int64_t amount = production_yield(output->amount, yield_permille);
        if (amount <= 0)
            continue;
        if (!output->is_unit) {
            production_move(production, job->empire, output->item, amount, cause, changes);
            continue;
        }
        struct production_change *change = production_note(changes, PRODUCTION_CHANGE_SPAWN);
        struct production_spawn *spawn = &change->spawn;
        spawn->count = (uint32_t)amount;
        spawn->building = job->building;
        spawn->empire = job->empire;
        snprintf(spawn->key, sizeof spawn->key, "job/%016" PRIx64 "/%" PRIu32 "/%zu", job->id,
                 job->cycles_completed + 1, i);
        mm_str_copy(spawn->unit, sizeof spawn->unit, output->unit);
        mm_str_copy(spawn->recipe, sizeof spawn->recipe, recipe->name);
    }
}

static void job_due(struct production *production, struct production_slot *slot,
                    struct production_changes *changes)
{
    struct production_job *job = &slot->job;
    const struct production_recipe *recipe = &production->book->recipes[job->recipe];
    struct production_building *building = production_find_building(production, job->building);
    struct production_factors factors =
        production_book_factors(production->book, building ? building->type : "");
    slot->due = MM_HEAP_NONE;
    make_outputs(production, job, recipe, factors.yield_permille, changes);
    job->cycles_completed++;

    const char *missing = NULL;
    const char *reason = "";
    bool again = job->cycles_left != 1;
    if (again &&
        !production_can_afford(production, job->empire, recipe, factors.cost_permille, &missing)) {
        again = false;
        reason = "inputs_missing";
    }
    if (again) {
        if (job->cycles_left > 0)
            job->cycles_left--;
        production_move_inputs(production, job, recipe, factors.cost_permille, -1, changes);
        job->start_tick = job->end_tick;
        job->end_tick += production_time(recipe->duration_ticks, factors.time_permille);
        calendar_add(production, slot);
        production_note_job(changes, PRODUCTION_CHANGE_JOB, job);
        production_note_event(changes, PRODUCTION_PROGRESS, job, "");
        return;
    }
    struct production_job done = *job;
    production_slot_drop(production, slot);
    production_note_job(changes, PRODUCTION_CHANGE_NO_JOB, &done);
    production_note_event(changes, PRODUCTION_COMPLETED, &done, reason);
    if (building)
        production_building_run(production, building, changes);
}

bool production_advance_some(struct production *production, uint64_t tick, size_t changes_max,
                             struct production_changes *changes)
{
    if (tick < production->tick)
        return true;
    struct mm_heap_entry entry;
    while (changes->count < changes_max) {
        if (!mm_heap_pop_due(production->calendar, tick, &entry)) {
            production->tick = tick;
            return true;
        }
        // A job is carried out at the tick of its end, so that what starts next starts then, even
        // if many ticks are caught up at once.
        if (entry.key > production->tick)
            production->tick = entry.key;
        job_due(production, &production->slots.items[entry.value], changes);
    }
    return false;
}

void production_advance(struct production *production, uint64_t tick,
                        struct production_changes *changes)
{
    if (tick > production->tick)
        (void)production_advance_some(production, tick, SIZE_MAX, changes);
}
