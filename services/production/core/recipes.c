#include "services/production/core/recipes.h"

#include <string.h>

int production_book_item(const struct production_book *book, const char *name)
{
    for (size_t i = 0; i < book->item_count; i++)
        if (strcmp(book->items[i], name) == 0)
            return (int)i;
    return -1;
}

int production_book_recipe(const struct production_book *book, const char *name)
{
    for (size_t i = 0; i < book->recipe_count; i++)
        if (strcmp(book->recipes[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool production_recipe_fits(const struct production_recipe *recipe, const char *building_type)
{
    for (size_t i = 0; i < recipe->building_count; i++)
        if (strcmp(recipe->buildings[i], building_type) == 0)
            return true;
    return false;
}

bool production_recipe_makes(const struct production_recipe *recipe,
                             const struct production_book *book, const char *output)
{
    for (size_t i = 0; i < recipe->output_count; i++) {
        const struct production_output *out = &recipe->outputs[i];
        if (strcmp(out->is_unit ? out->unit : book->items[out->item], output) == 0)
            return true;
    }
    return false;
}

static uint64_t combine(uint64_t a_permille, uint64_t b_permille)
{
    uint64_t product = a_permille * b_permille / PRODUCTION_PERMILLE_NEUTRAL;
    return product > PRODUCTION_PERMILLE_MAX ? PRODUCTION_PERMILLE_MAX : product;
}

struct production_factors production_book_factors(const struct production_book *book,
                                                  const char *building_type)
{
    struct production_factors factors = {PRODUCTION_PERMILLE_NEUTRAL, PRODUCTION_PERMILLE_NEUTRAL,
                                         PRODUCTION_PERMILLE_NEUTRAL};
    for (size_t i = 0; i < book->modifier_count; i++) {
        const struct production_modifier *modifier = &book->modifiers[i];
        if (strcmp(modifier->building, building_type) != 0)
            continue;
        factors.cost_permille = combine(factors.cost_permille, modifier->cost_permille);
        factors.yield_permille = combine(factors.yield_permille, modifier->yield_permille);
        factors.time_permille = combine(factors.time_permille, modifier->time_permille);
    }
    return factors;
}

static int64_t scale_up(int64_t amount, uint64_t permille)
{
    int64_t scaled = (amount * (int64_t)permille + PRODUCTION_PERMILLE_NEUTRAL - 1) /
                     PRODUCTION_PERMILLE_NEUTRAL;
    return scaled < 1 ? 1 : scaled;
}

int64_t production_cost(int64_t amount, uint64_t permille)
{
    return scale_up(amount, permille);
}

int64_t production_yield(int64_t amount, uint64_t permille)
{
    return amount * (int64_t)permille / PRODUCTION_PERMILLE_NEUTRAL;
}

uint64_t production_time(uint32_t ticks, uint64_t permille)
{
    return (uint64_t)scale_up((int64_t)ticks, permille);
}
