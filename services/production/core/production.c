#include "services/production/core/production.h"

#include <inttypes.h>
#include <stdio.h>

#include "libcommon/base/check.h"
#include "libcommon/base/str.h"
#include "services/production/core/state.h"

// Empires, their stocks, and what changes them from outside of jobs.

// --- empires -----------------------------------------------------------------------------------

enum mm_err production_restore_empire(struct production *production, uint32_t empire)
{
    if (empire == 0)
        return MM_INVALID_ARGUMENT;
    if (mm_idmap_has(production->empires, empire))
        return MM_OK;
    size_t items = production->book->item_count;
    if (!mm_vec_reserve(&production->stocks, production->stocks.count + items) ||
        !mm_vec_reserve(&production->empire_numbers, production->empire_numbers.count + 1))
        return MM_RESOURCE_EXHAUSTED;
    enum mm_err err = mm_idmap_set(production->empires, empire, production->empire_numbers.count);
    if (err != MM_OK)
        return err;
    MM_CHECK(mm_vec_push(&production->empire_numbers, empire));
    for (size_t i = 0; i < items; i++)
        MM_CHECK(mm_vec_push(&production->stocks, 0));
    return MM_OK;
}

enum mm_err production_restore_stock(struct production *production, uint32_t empire, uint16_t item,
                                     int64_t amount)
{
    int64_t *row = production_row(production, empire);
    if (!row || item >= production->book->item_count || amount < 0 || amount > PRODUCTION_STOCK_MAX)
        return MM_INVALID_ARGUMENT;
    row[item] = amount;
    return MM_OK;
}

enum mm_err production_found(struct production *production, uint32_t empire,
                             struct production_changes *changes)
{
    if (production_has_empire(production, empire))
        return MM_OK;
    enum mm_err err = production_restore_empire(production, empire);
    if (err != MM_OK)
        return err;
    production_note(changes, PRODUCTION_CHANGE_EMPIRE)->empire = empire;
    for (size_t i = 0; i < production->book->item_count; i++)
        production_move(production, empire, (uint16_t)i, production->book->starting_stock[i],
                        "founding", changes);
    return MM_OK;
}

// --- deposits ----------------------------------------------------------------------------------

static size_t deposit_key(char key[PRODUCTION_CAUSE_BYTES], uint32_t empire, const char *resource)
{
    return (size_t)snprintf(key, PRODUCTION_CAUSE_BYTES, "%" PRIu32 " %.63s", empire, resource);
}

enum mm_err production_restore_deposit(struct production *production, uint32_t empire,
                                       const char *resource, uint64_t total)
{
    char key[PRODUCTION_CAUSE_BYTES];
    size_t len = deposit_key(key, empire, resource);
    return mm_strmap_set_n(production->deposits, key, len, total);
}

void production_deposit(struct production *production, uint32_t empire, const char *resource,
                        uint16_t item, uint64_t total, struct production_changes *changes)
{
    char key[PRODUCTION_CAUSE_BYTES];
    uint64_t known = 0;
    size_t len = deposit_key(key, empire, resource);
    (void)mm_strmap_get_n(production->deposits, key, len, &known);
    if (!production_has_empire(production, empire) || item >= production->book->item_count ||
        total <= known)
        return;
    int64_t room = PRODUCTION_STOCK_MAX - production_stock(production, empire, item);
    uint64_t more = total - known;
    if (room <= 0 || more > (uint64_t)room ||
        mm_strmap_set_n(production->deposits, key, len, total) != MM_OK)
        return; // nothing is lost: the next total holds it as well
    char cause[PRODUCTION_CAUSE_BYTES];
    (void)snprintf(cause, sizeof cause, "gathered %.63s", resource);
    production_move(production, empire, item, (int64_t)more, cause, changes);
    struct production_change *change = production_note(changes, PRODUCTION_CHANGE_DEPOSIT);
    change->empire = empire;
    change->amount = (int64_t)total;
    mm_str_copy(change->resource, sizeof change->resource, resource);
}

enum production_reason production_grant(struct production *production, uint32_t empire,
                                        const struct production_amount *amounts, size_t count,
                                        const char *cause, struct production_changes *changes)
{
    if (!production_has_empire(production, empire))
        return PRODUCTION_NO_EMPIRE;
    for (size_t i = 0; i < count; i++) {
        if (amounts[i].item >= production->book->item_count ||
            amounts[i].amount > PRODUCTION_AMOUNT_MAX ||
            amounts[i].amount < -(int64_t)PRODUCTION_AMOUNT_MAX)
            return PRODUCTION_INVALID;
        int64_t left = production_stock(production, empire, amounts[i].item);
        for (size_t j = 0; j <= i; j++)
            if (amounts[j].item == amounts[i].item)
                left += amounts[j].amount;
        if (left < 0)
            return PRODUCTION_NOT_ENOUGH;
    }
    for (size_t i = 0; i < count; i++)
        production_move(production, empire, amounts[i].item, amounts[i].amount, cause, changes);
    return PRODUCTION_OK;
}

void production_spawn_failed(struct production *production, const struct production_spawn *spawn,
                             struct production_changes *changes)
{
    int index = production_book_recipe(production->book, spawn->recipe);
    if (index < 0 || !production_has_empire(production, spawn->empire))
        return;
    const struct production_recipe *recipe = &production->book->recipes[index];
    uint64_t cost_permille = production_cost_of(production, spawn->building);
    for (size_t i = 0; i < recipe->input_count; i++)
        production_move(production, spawn->empire, recipe->inputs[i].item,
                        production_cost(recipe->inputs[i].amount, cost_permille), spawn->key,
                        changes);
}

void production_pause(struct production *production, bool is_paused)
{
    production->is_paused = is_paused;
}
