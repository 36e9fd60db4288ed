#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/str.h"
#include "libcommon/service/yaml.h"
#include "services/production/app.h"

enum { TICKS_PER_SECOND = 20, DURATION_MS_MAX = 7 * 24 * 3600 * 1000 };

static bool read_name(struct mm_yaml_node *node, char out[PRODUCTION_NAME_BYTES])
{
    const char *text = "";
    if (!mm_yaml_as_string(node, &text))
        return false;
    if (*text == '\0' || !mm_str_copy(out, PRODUCTION_NAME_BYTES, text)) {
        mm_yaml_fail(node, "a name has 1 to %d characters", PRODUCTION_NAME_BYTES - 1);
        return false;
    }
    return true;
}

static int read_item(const struct production_book *book, struct mm_yaml_node *at, const char *name)
{
    int item = production_book_item(book, name);
    if (item < 0)
        mm_yaml_fail(at, "unknown item '%s': it is not in the list items", name);
    return item;
}

// {gold: 50, food: 20}
static size_t read_amounts(struct production_book *book, struct mm_yaml_node *map,
                           struct production_amount *out, size_t out_max)
{
    size_t count = 0;
    for (size_t i = 0; i < mm_yaml_count(map); i++) {
        struct mm_yaml_node *value = mm_yaml_at(map, i);
        int item = read_item(book, value, mm_yaml_key_at(map, i));
        int64_t amount = 0;
        if (item < 0 || !mm_yaml_as_int(value, 1, PRODUCTION_AMOUNT_MAX, &amount))
            continue;
        if (count == out_max) {
            mm_yaml_fail(value, "more than %zu items", out_max);
            break;
        }
        out[count++] = (struct production_amount){(uint16_t)item, amount};
    }
    return count;
}

static void read_items(struct production_book *book, struct mm_yaml_node *root)
{
    struct mm_yaml_node *list = mm_yaml_get_list(root, "items");
    size_t count = mm_yaml_count(list);
    if (count == 0 || count > PRODUCTION_ITEMS_MAX) {
        mm_yaml_fail(list ? list : root, "items: a list of 1 to %d names", PRODUCTION_ITEMS_MAX);
        return;
    }
    book->items = mm_calloc(count, sizeof *book->items);
    book->starting_stock = mm_calloc(count, sizeof *book->starting_stock);
    MM_CHECK(book->items && book->starting_stock);
    for (size_t i = 0; i < count; i++) {
        char name[PRODUCTION_NAME_BYTES];
        struct mm_yaml_node *node = mm_yaml_at(list, i);
        if (!read_name(node, name))
            continue;
        if (production_book_item(book, name) >= 0)
            mm_yaml_fail(node, "item '%s' stands here twice", name);
        memcpy(book->items[book->item_count++], name, sizeof name);
    }
    struct mm_yaml_node *stock = mm_yaml_get_map(root, "starting_stock");
    for (size_t i = 0; i < mm_yaml_count(stock); i++) {
        struct mm_yaml_node *value = mm_yaml_at(stock, i);
        int item = read_item(book, value, mm_yaml_key_at(stock, i));
        if (item >= 0)
            mm_yaml_as_int(value, 0, PRODUCTION_AMOUNT_MAX, &book->starting_stock[item]);
    }
}

static void read_outputs(struct production_book *book, struct production_recipe *recipe,
                         struct mm_yaml_node *map)
{
    struct mm_yaml_node *list = mm_yaml_get_list(map, "outputs");
    size_t count = mm_yaml_count(list);
    if (count == 0 || count > PRODUCTION_OUTPUTS_MAX)
        mm_yaml_fail(list ? list : map, "outputs: a list of 1 to %d", PRODUCTION_OUTPUTS_MAX);
    for (size_t i = 0; i < count && i < PRODUCTION_OUTPUTS_MAX; i++) {
        struct mm_yaml_node *node = mm_yaml_at(list, i);
        struct production_output *output = &recipe->outputs[recipe->output_count++];
        struct mm_yaml_node *unit = mm_yaml_find(node, "unit");
        struct mm_yaml_node *item = mm_yaml_find(node, "item");
        output->is_unit = unit != NULL;
        if ((unit == NULL) == (item == NULL)) {
            mm_yaml_fail(node, "an output has either unit or item");
        } else if (unit) {
            read_name(unit, output->unit);
        } else {
            const char *name = "";
            int index = mm_yaml_as_string(item, &name) ? read_item(book, item, name) : -1;
            output->item = (uint16_t)(index < 0 ? 0 : index);
        }
        // World spawns at most 100 units for one key.
        output->amount =
            (uint32_t)mm_yaml_get_int(node, "amount", 1, unit ? 20 : PRODUCTION_AMOUNT_MAX, 1);
        output->probability_permille =
            (uint32_t)mm_yaml_get_fixed(node, "probability", 1000, 1, 1000, 1000);
        mm_yaml_end(node);
    }
}

static void read_recipe(struct production_book *book, struct mm_yaml_node *map)
{
    struct production_recipe *recipe = &book->recipes[book->recipe_count];
    const char *name = mm_yaml_need_string(map, "name");
    if (*name == '\0' || !mm_str_copy(recipe->name, sizeof recipe->name, name))
        mm_yaml_fail(map, "name: 1 to %d characters", PRODUCTION_NAME_BYTES - 1);
    if (production_book_recipe(book, name) >= 0)
        mm_yaml_fail(map, "recipe '%s' stands here twice", name);
    book->recipe_count++;
    if (!mm_str_copy(recipe->category, sizeof recipe->category,
                     mm_yaml_get_string(map, "category", "general")))
        mm_yaml_fail(map, "category: at most %d characters", PRODUCTION_NAME_BYTES - 1);

    struct mm_yaml_node *buildings = mm_yaml_get_list(map, "buildings");
    size_t count = mm_yaml_count(buildings);
    if (count == 0 || count > PRODUCTION_BUILDINGS_MAX)
        mm_yaml_fail(map, "buildings: a list of 1 to %d types", PRODUCTION_BUILDINGS_MAX);
    for (size_t i = 0; i < count && i < PRODUCTION_BUILDINGS_MAX; i++)
        if (read_name(mm_yaml_at(buildings, i), recipe->buildings[recipe->building_count]))
            recipe->building_count++;

    recipe->input_count =
        read_amounts(book, mm_yaml_get_map(map, "inputs"), recipe->inputs, PRODUCTION_INPUTS_MAX);
    recipe->tool_count =
        read_amounts(book, mm_yaml_get_map(map, "tools"), recipe->tools, PRODUCTION_TOOLS_MAX);
    read_outputs(book, recipe, map);
    int64_t duration_ms = mm_yaml_need_duration_ms(map, "duration", 50, DURATION_MS_MAX);
    recipe->duration_ticks = (uint32_t)((duration_ms * TICKS_PER_SECOND + 999) / 1000);
    mm_yaml_end(map);
}

static void read_modifiers(struct production_book *book, struct mm_yaml_node *root)
{
    struct mm_yaml_node *list = mm_yaml_get_list(root, "modifiers");
    if (mm_yaml_count(list) > PRODUCTION_MODIFIERS_MAX) {
        mm_yaml_fail(list, "more than %d modifiers", PRODUCTION_MODIFIERS_MAX);
        return;
    }
    for (size_t i = 0; i < mm_yaml_count(list); i++) {
        struct mm_yaml_node *map = mm_yaml_at(list, i);
        struct production_modifier *modifier = &book->modifiers[book->modifier_count++];
        if (!mm_str_copy(modifier->building, sizeof modifier->building,
                         mm_yaml_need_string(map, "building")))
            mm_yaml_fail(map, "building: at most %d characters", PRODUCTION_NAME_BYTES - 1);
        modifier->cost_permille =
            (uint32_t)mm_yaml_get_fixed(map, "cost", 1000, 1, PRODUCTION_PERMILLE_MAX, 1000);
        modifier->yield_permille =
            (uint32_t)mm_yaml_get_fixed(map, "yield", 1000, 1, PRODUCTION_PERMILLE_MAX, 1000);
        modifier->time_permille =
            (uint32_t)mm_yaml_get_fixed(map, "time", 1000, 1, PRODUCTION_PERMILLE_MAX, 1000);
        mm_yaml_end(map);
    }
}

enum mm_err production_book_load(struct production_book *book, const char *path,
                                 production_book_fault_fn fault, void *arg)
{
    struct mm_yaml *doc = mm_yaml_load(path);
    struct mm_yaml_node *root = mm_yaml_root(doc);
    *book = (struct production_book){0};
    read_items(book, root);
    struct mm_yaml_node *recipes = mm_yaml_get_list(root, "recipes");
    size_t count = mm_yaml_count(recipes);
    if (count == 0 || count > PRODUCTION_RECIPES_MAX)
        mm_yaml_fail(recipes ? recipes : root, "recipes: a list of 1 to %d",
                     PRODUCTION_RECIPES_MAX);
    book->recipes = mm_calloc(count + 1, sizeof *book->recipes);
    MM_CHECK(book->recipes);
    for (size_t i = 0; i < count && i < PRODUCTION_RECIPES_MAX; i++)
        read_recipe(book, mm_yaml_at(recipes, i));
    read_modifiers(book, root);
    mm_yaml_end(root);

    size_t errors = mm_yaml_error_count(doc);
    for (size_t i = 0; i < errors && mm_yaml_error(doc, i); i++)
        fault(arg, mm_yaml_error(doc, i));
    mm_yaml_free(doc);
    if (errors == 0)
        return MM_OK;
    production_book_free(book);
    return MM_INVALID_ARGUMENT;
}

void production_book_free(struct production_book *book)
{
    mm_free(book->items);
    mm_free(book->recipes);
    mm_free(book->starting_stock);
    *book = (struct production_book){0};
}
