#ifndef PRODUCTION_CORE_RECIPES_H
#define PRODUCTION_CORE_RECIPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The book of recipes: what can be made, where, from what and how long it takes. Read-only after
// loading. Bounds are those of the file format; a loader refuses more.

enum {
    PRODUCTION_NAME_BYTES = 64, // of items, recipes and types, with the NUL
    PRODUCTION_ITEMS_MAX = 256,
    PRODUCTION_RECIPES_MAX = 1024,
    PRODUCTION_BUILDINGS_MAX = 8, // types of building per recipe
    PRODUCTION_INPUTS_MAX = 8,
    PRODUCTION_TOOLS_MAX = 8,
    PRODUCTION_OUTPUTS_MAX = 8,
    PRODUCTION_MODIFIERS_MAX = 64,
    PRODUCTION_AMOUNT_MAX = 1000000000, // of one input, output or starting stock
    PRODUCTION_PERMILLE_NEUTRAL = 1000,
    PRODUCTION_PERMILLE_MAX = 100000,
};

struct production_amount {
    uint16_t item; // index into production_book.items
    int64_t amount;
};

struct production_output {
    bool is_unit;
    uint16_t item;                    // if it is not a unit
    char unit[PRODUCTION_NAME_BYTES]; // world's type name
    uint32_t amount;
    uint32_t probability_permille; // 1000 = always
};

struct production_recipe {
    char name[PRODUCTION_NAME_BYTES];
    char category[PRODUCTION_NAME_BYTES];
    char buildings[PRODUCTION_BUILDINGS_MAX][PRODUCTION_NAME_BYTES];
    size_t building_count;
    struct production_amount inputs[PRODUCTION_INPUTS_MAX]; // consumed when a cycle starts
    size_t input_count;
    struct production_amount tools[PRODUCTION_TOOLS_MAX]; // must be present, stay
    size_t tool_count;
    struct production_output outputs[PRODUCTION_OUTPUTS_MAX];
    size_t output_count;
    uint32_t duration_ticks;
};

// A factor on what is done in one type of building, in permille. Several modifiers of the same
// building multiply.
struct production_modifier {
    char building[PRODUCTION_NAME_BYTES];
    uint32_t cost_permille;
    uint32_t yield_permille;
    uint32_t time_permille;
};

struct production_book {
    char (*items)[PRODUCTION_NAME_BYTES];
    size_t item_count;
    struct production_recipe *recipes;
    size_t recipe_count;
    struct production_modifier modifiers[PRODUCTION_MODIFIERS_MAX];
    size_t modifier_count;
    int64_t *starting_stock; // per item: what a new empire has
};

// Index of the item or recipe, or -1.
int production_book_item(const struct production_book *book, const char *name);
int production_book_recipe(const struct production_book *book, const char *name);

bool production_recipe_fits(const struct production_recipe *recipe, const char *building_type);
bool production_recipe_makes(const struct production_recipe *recipe,
                             const struct production_book *book, const char *output);

// All modifiers of a building type, multiplied.
struct production_factors {
    uint64_t cost_permille;
    uint64_t yield_permille;
    uint64_t time_permille;
};
struct production_factors production_book_factors(const struct production_book *book,
                                                  const char *building_type);

// Costs round up and are at least 1; yields round down; times round up and are at least 1.
int64_t production_cost(int64_t amount, uint64_t permille);
int64_t production_yield(int64_t amount, uint64_t permille);
uint64_t production_time(uint32_t ticks, uint64_t permille);

#endif
