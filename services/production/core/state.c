#include "services/production/core/state.h"

#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/str.h"

struct production *production_new(const struct production_book *book, uint64_t seed)
{
    struct production *production = mm_calloc(1, sizeof *production);
    if (!production)
        return NULL;
    production->book = book;
    production->next_order = 1;
    mm_rng_seed(&production->rng, seed);
    mm_vec_init(&production->empire_numbers, PRODUCTION_EMPIRES_MAX);
    mm_vec_init(&production->stocks, (size_t)PRODUCTION_EMPIRES_MAX * PRODUCTION_ITEMS_MAX);
    mm_vec_init(&production->buildings, PRODUCTION_JOBS_MAX);
    mm_vec_init(&production->slots, PRODUCTION_JOBS_MAX);
    mm_vec_init(&production->free_slots, PRODUCTION_JOBS_MAX);
    mm_vec_init(&production->bills, PRODUCTION_BILLS_MAX);
    mm_vec_init(&production->players, PRODUCTION_PLAYERS_MAX);
    production->empires = mm_idmap_new(PRODUCTION_EMPIRES_MAX);
    production->deposits = mm_strmap_new(PRODUCTION_DEPOSITS_MAX);
    production->building_index = mm_idmap_new(PRODUCTION_JOBS_MAX);
    production->job_index = mm_idmap_new(PRODUCTION_JOBS_MAX);
    production->player_index = mm_idmap_new(PRODUCTION_PLAYERS_MAX);
    production->calendar = mm_heap_new(PRODUCTION_JOBS_MAX);
    if (!production->empires || !production->deposits || !production->building_index ||
        !production->job_index || !production->player_index || !production->calendar) {
        production_free(production);
        return NULL;
    }
    return production;
}

void production_free(struct production *production)
{
    if (!production)
        return;
    mm_heap_free(production->calendar);
    mm_idmap_free(production->player_index);
    mm_idmap_free(production->job_index);
    mm_idmap_free(production->building_index);
    mm_strmap_free(production->deposits);
    mm_idmap_free(production->empires);
    mm_vec_free(&production->players);
    mm_vec_free(&production->bills);
    mm_vec_free(&production->free_slots);
    mm_vec_free(&production->slots);
    mm_vec_free(&production->buildings);
    mm_vec_free(&production->stocks);
    mm_vec_free(&production->empire_numbers);
    mm_free(production);
}

struct production_change *production_note(struct production_changes *changes,
                                          enum production_change_kind kind)
{
    struct production_change change = {.kind = kind, .reason = ""};
    MM_CHECK(mm_vec_push(changes, change));
    return &changes->items[changes->count - 1];
}

int64_t *production_row(const struct production *production, uint32_t empire)
{
    uint64_t index = 0;
    if (!mm_idmap_get(production->empires, empire, &index))
        return NULL;
    return production->stocks.items + index * production->book->item_count;
}

void production_move(struct production *production, uint32_t empire, uint16_t item, int64_t delta,
                     const char *cause, struct production_changes *changes)
{
    int64_t *row = production_row(production, empire);
    MM_CHECK(row && item < production->book->item_count);
    // Above the maximum nothing more is stored: an amount never wraps.
    int64_t room = PRODUCTION_STOCK_MAX - row[item];
    if (delta > room)
        delta = room;
    int64_t amount = row[item] + delta;
    MM_CHECK(amount >= 0);
    row[item] = amount;
    struct production_change *change = production_note(changes, PRODUCTION_CHANGE_STOCK);
    change->empire = empire;
    change->item = item;
    change->amount = amount;
    change->delta = delta;
    mm_str_copy(change->cause, sizeof change->cause, cause);
}

struct production_building *production_find_building(const struct production *production,
                                                     uint64_t id)
{
    uint64_t index = 0;
    if (!mm_idmap_get(production->building_index, id, &index))
        return NULL;
    return &production->buildings.items[index];
}

struct production_building *production_need_building(struct production *production, uint64_t id)
{
    struct production_building *found = production_find_building(production, id);
    if (found)
        return found;
    struct production_building building = {.id = id};
    size_t index = production->buildings.count;
    if (!mm_vec_push(&production->buildings, building))
        return NULL;
    if (mm_idmap_set(production->building_index, id, index) != MM_OK) {
        production->buildings.count--;
        return NULL;
    }
    return &production->buildings.items[index];
}

struct production_slot *production_find_job(const struct production *production, uint64_t job_id)
{
    uint64_t index = 0;
    if (!mm_idmap_get(production->job_index, job_id, &index))
        return NULL;
    return &production->slots.items[index];
}

// --- looking -----------------------------------------------------------------------------------

bool production_has_empire(const struct production *production, uint32_t empire)
{
    return mm_idmap_has(production->empires, empire);
}

int64_t production_stock(const struct production *production, uint32_t empire, uint16_t item)
{
    const int64_t *row = production_row(production, empire);
    return row && item < production->book->item_count ? row[item] : 0;
}

bool production_job_get(const struct production *production, uint64_t job_id,
                        struct production_job *out)
{
    const struct production_slot *slot = production_find_job(production, job_id);
    if (!slot)
        return false;
    *out = slot->job;
    return true;
}

size_t production_job_count(const struct production *production)
{
    return mm_idmap_count(production->job_index);
}

uint64_t production_tick(const struct production *production)
{
    return production->tick;
}

void production_each_stock(const struct production *production, production_visit_stock_fn fn,
                           void *arg)
{
    size_t items = production->book->item_count;
    for (size_t e = 0; e < production->empire_numbers.count; e++)
        for (size_t i = 0; i < items; i++)
            fn(arg, production->empire_numbers.items[e], (uint16_t)i,
               production->stocks.items[e * items + i]);
}

void production_each_job(const struct production *production, uint32_t empire,
                         production_visit_job_fn fn, void *arg)
{
    for (size_t i = 0; i < production->slots.count; i++) {
        const struct production_slot *slot = &production->slots.items[i];
        if (slot->is_used && (empire == 0 || slot->job.empire == empire))
            fn(arg, &slot->job);
    }
}
