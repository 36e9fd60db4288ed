#include "services/production/core/production.h"

#include <inttypes.h>
#include <stdio.h>

#include "libcommon/base/check.h"
#include "services/production/core/state.h"

// World's bills. Each is decided once, and the decision kept until world says that it will never
// ask again: so world may ask as often as it likes, whatever was lost on the way.

static const struct production_bill *find(const struct production *production, uint64_t bill)
{
    for (size_t i = 0; i < production->bills.count; i++)
        if (production->bills.items[i].number == bill)
            return &production->bills.items[i];
    return NULL;
}

enum mm_err production_restore_bill(struct production *production, uint64_t number, bool paid)
{
    if (number == 0 || find(production, number))
        return MM_INVALID_ARGUMENT;
    struct production_bill bill = {.number = number, .paid = paid};
    return mm_vec_push(&production->bills, bill) ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

void production_restore_bill_floor(struct production *production, uint64_t floor)
{
    production->bill_floor = floor;
}

static void raise_floor(struct production *production, uint64_t floor,
                        struct production_changes *changes)
{
    if (floor <= production->bill_floor)
        return;
    production->bill_floor = floor;
    size_t i = 0;
    while (i < production->bills.count) {
        if (production->bills.items[i].number < floor)
            mm_vec_remove_swap(&production->bills, i);
        else
            i++;
    }
    production_note(changes, PRODUCTION_CHANGE_BILL_FLOOR)->bill = floor;
}

enum production_reason production_pay(struct production *production,
                                      const struct production_payment *payment,
                                      struct production_changes *changes, bool *paid_out,
                                      const char **missing_out)
{
    *missing_out = "";
    if (payment->bill == 0 || payment->bill < payment->settled_below)
        return PRODUCTION_INVALID;
    if (payment->bill < production->bill_floor)
        return PRODUCTION_REPEATED;
    const struct production_bill *known = find(production, payment->bill);
    if (known) {
        *paid_out = known->paid;
        return PRODUCTION_OK;
    }
    if (!production_has_empire(production, payment->empire))
        return PRODUCTION_NO_EMPIRE;
    raise_floor(production, payment->settled_below, changes);
    if (production->bills.count == PRODUCTION_BILLS_MAX)
        return PRODUCTION_QUEUE_FULL;
    *paid_out = payment->known_items;
    for (size_t i = 0; *paid_out && i < payment->count; i++) {
        int64_t left = production_stock(production, payment->empire, payment->amounts[i].item);
        for (size_t j = 0; j <= i; j++)
            if (payment->amounts[j].item == payment->amounts[i].item)
                left -= payment->amounts[j].amount;
        if (left >= 0)
            continue;
        *paid_out = false;
        *missing_out = production->book->items[payment->amounts[i].item];
    }
    char cause[PRODUCTION_CAUSE_BYTES];
    (void)snprintf(cause, sizeof cause, "bill %" PRIu64, payment->bill);
    for (size_t i = 0; *paid_out && i < payment->count; i++)
        production_move(production, payment->empire, payment->amounts[i].item,
                        -(int64_t)payment->amounts[i].amount, cause, changes);
    MM_CHECK(production_restore_bill(production, payment->bill, *paid_out) == MM_OK);
    struct production_change *change = production_note(changes, PRODUCTION_CHANGE_BILL);
    change->bill = payment->bill;
    change->amount = *paid_out;
    return PRODUCTION_OK;
}
