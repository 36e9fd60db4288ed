// Tables of settings filled from YAML. See config.h.

#include "libcommon/service/config.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/service/config_internal.h"
#include "libcommon/service/yaml_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define BLANKS " \t\r\n"

enum { STRING_CHARS_DEFAULT = 1024, STRINGS_MAX = 256, PATH_PART_CHARS_MAX = 63 };

struct mm_config *mm_config_new(void)
{
    struct mm_config *config = mm_calloc(1, sizeof *config);
    MM_CHECK(config != NULL);
    return config;
}

void mm_config_free(struct mm_config *config)
{
    if (config == NULL) {
        return;
    }
    mm_yaml_free(config->doc);
    mm_free(config->entries);
    mm_free(config->directory);
    mm_free(config);
}

static struct mm_config_entry *find_entry(const struct mm_config *config, const char *path)
{
    for (size_t i = 0; i < config->entry_count; i++) {
        if (strcmp(config->entries[i].field->path, path) == 0) {
            return &config->entries[i];
        }
    }
    return NULL;
}

void mm_config_add(struct mm_config *config, const struct mm_config_field *fields, size_t count,
                   void *settings)
{
    if (count == 0) {
        return;
    }
    size_t total = config->entry_count + count;
    config->entries = mm_realloc(config->entries, total * sizeof *config->entries);
    MM_CHECK(config->entries != NULL);
    for (size_t i = 0; i < count; i++) {
        MM_CHECK(find_entry(config, fields[i].path) == NULL);
        config->entries[config->entry_count++] = (struct mm_config_entry){
            .field = &fields[i],
            .value = (char *)settings + fields[i].offset,
        };
    }
}

// --- one value -----------------------------------------------------------------------------------

// Whether `value` is one of "a|b|c".
static bool is_choice(const char *choices, const char *value)
{
    size_t chars = strlen(value);
    for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
        at += *at == '|' ? 1 : 0;
        if (strncmp(at, value, chars) == 0 && (at[chars] == '|' || at[chars] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool read_string(const struct mm_config_field *field, struct mm_yaml_node *node,
                        const char **out)
{
    const char *text;
    if (!mm_yaml_as_string(node, &text)) {
        return false;
    }
    int64_t max = field->max > 0 ? field->max : STRING_CHARS_DEFAULT;
    if ((int64_t)strlen(text) > max) {
        mm_yaml_fail(node, "%s: longer than %" PRId64 " characters", field->path, max);
        return false;
    }
    if (field->choices != NULL && !is_choice(field->choices, text)) {
        mm_yaml_fail(node, "%s: expected one of %s, found %s", field->path, field->choices,
                     field->secret ? "another text" : mm_yaml_describe(node));
        return false;
    }
    *out = text;
    return true;
}

static struct mm_config_strings split_texts(struct mm_yaml *doc, const char *text)
{
    struct mm_config_strings list = {.count = 0};
    if (text[strspn(text, BLANKS)] == '\0') {
        return list;
    }
    size_t count = 1;
    for (const char *at = text; *at != '\0'; at++) {
        count += *at == ',' ? 1 : 0;
    }
    const char **items = mm_yaml_alloc(doc, count * sizeof *items);
    for (const char *at = text; list.count < count; at += strcspn(at, ",") + 1) {
        const char *first = at + strspn(at, BLANKS);
        size_t chars = strcspn(first, ",");
        while (chars > 0 && strchr(BLANKS, first[chars - 1]) != NULL) {
            chars--;
        }
        items[list.count++] = mm_yaml_copy(doc, first, chars);
    }
    list.items = items;
    return list;
}

static bool read_list(const struct mm_config_field *field, struct mm_yaml_node *node,
                      struct mm_config_strings *out)
{
    size_t count = mm_yaml_count(node);
    if (count > STRINGS_MAX) {
        mm_yaml_fail(node, "%s: more than %d texts", field->path, STRINGS_MAX);
        return false;
    }
    const char **items = mm_yaml_alloc(node->doc, (count + 1) * sizeof *items);
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        good = mm_yaml_as_string(mm_yaml_at(node, i), &items[i]) && good;
    }
    if (good) {
        *out = (struct mm_config_strings){.items = items, .count = count};
    }
    return good;
}

// A scalar is what an environment variable can hold.
static bool read_strings(const struct mm_config_field *field, struct mm_yaml_node *node,
                         struct mm_config_strings *out)
{
    if (mm_yaml_kind(node) == MM_YAML_LIST) {
        return read_list(field, node, out);
    }
    if (node->refused) {
        return false;
    }
    if (node->kind != MM_YAML_SCALAR || node->empty) {
        mm_yaml_fail(node, "%s: expected a list of texts, or texts with commas between, found %s",
                     field->path, mm_yaml_describe(node));
        return false;
    }
    struct mm_config_strings list = split_texts(node->doc, node->text);
    if (list.count > STRINGS_MAX) {
        mm_yaml_fail(node, "%s: more than %d texts", field->path, STRINGS_MAX);
        return false;
    }
    for (size_t i = 0; i < list.count; i++) {
        if (list.items[i][0] == '\0') {
            mm_yaml_fail(node, "%s: text %zu of %zu is empty in %s", field->path, i + 1, list.count,
                         mm_yaml_describe(node));
            return false;
        }
    }
    *out = list;
    return true;
}

static void read_entry(struct mm_config_entry *entry)
{
    const struct mm_config_field *field = entry->field;
    struct mm_yaml_node *node = entry->node;
    switch (field->type) {
    case MM_CONFIG_STRING:
        (void)read_string(field, node, entry->value);
        break;
    case MM_CONFIG_INT:
        (void)mm_yaml_as_int(node, field->min, field->max, entry->value);
        break;
    case MM_CONFIG_BOOL:
        (void)mm_yaml_as_bool(node, entry->value);
        break;
    case MM_CONFIG_DURATION:
        (void)mm_yaml_as_duration_ms(node, field->min, field->max, entry->value);
        break;
    case MM_CONFIG_STRINGS:
        (void)read_strings(field, node, entry->value);
        break;
    case MM_CONFIG_SECTION:
        if (node->kind == MM_YAML_SCALAR) {
            mm_yaml_fail(node, "%s: expected a map or a list, found %s", field->path,
                         mm_yaml_describe(node));
        } else {
            *(struct mm_yaml_node **)entry->value = node;
        }
        break;
    }
}

// --- fallbacks -----------------------------------------------------------------------------------

// A fallback that its own field would refuse is a bug in the table.
static void apply_fallback(struct mm_yaml *doc, struct mm_config_entry *entry)
{
    const struct mm_config_field *field = entry->field;
    const char *text = field->fallback;
    int64_t number = 0;
    switch (field->type) {
    case MM_CONFIG_STRING:
        MM_CHECK(field->choices == NULL || text == NULL || is_choice(field->choices, text));
        *(const char **)entry->value = text == NULL ? "" : text;
        break;
    case MM_CONFIG_INT:
        MM_CHECK(text == NULL ||
                 (mm_yaml_scan_int(text, &number) && number >= field->min && number <= field->max));
        *(int64_t *)entry->value = number;
        break;
    case MM_CONFIG_BOOL:
        MM_CHECK(text == NULL || strcmp(text, "true") == 0 || strcmp(text, "false") == 0);
        *(bool *)entry->value = text != NULL && strcmp(text, "true") == 0;
        break;
    case MM_CONFIG_DURATION:
        MM_CHECK(text == NULL || (mm_yaml_scan_duration_ms(text, &number) && number >= field->min &&
                                  number <= field->max));
        *(int64_t *)entry->value = number;
        break;
    case MM_CONFIG_STRINGS:
        *(struct mm_config_strings *)entry->value = split_texts(doc, text == NULL ? "" : text);
        break;
    case MM_CONFIG_SECTION:
        *(struct mm_yaml_node **)entry->value = NULL;
        break;
    }
}

// --- the whole file ------------------------------------------------------------------------------

// Copies the path's part that begins at `path` and returns what follows its dot, or NULL.
static const char *split_path(const char *path, char part[PATH_PART_CHARS_MAX + 1])
{
    size_t chars = strcspn(path, ".");
    MM_CHECK(chars > 0 && chars <= PATH_PART_CHARS_MAX);
    memcpy(part, path, chars);
    part[chars] = '\0';
    return path[chars] == '.' ? path + chars + 1 : NULL;
}

// The map's section of that name, or NULL. One that is no map is the same node for all its fields:
// its error is told once.
static struct mm_yaml_node *enter_section(struct mm_yaml_node *map, const char *key)
{
    struct mm_yaml_node *node = mm_yaml_find(map, key);
    if (node == NULL || node->kind == MM_YAML_MAP) {
        return node;
    }
    if (!node->refused) {
        mm_yaml_fail(node, "%s: expected a section (a map), found %s", node->name,
                     mm_yaml_describe(node));
        node->refused = true;
    }
    return node;
}

static void look_up(struct mm_config *config, struct mm_config_entry *entry)
{
    struct mm_yaml_node *map = mm_yaml_root(config->doc);
    struct mm_yaml_node *section = map; // the innermost that exists
    MM_CHECK(section != NULL);
    char part[PATH_PART_CHARS_MAX + 1];
    const char *rest = split_path(entry->field->path, part);
    while (rest != NULL && map != NULL) {
        map = enter_section(map, part);
        section = map != NULL ? map : section;
        rest = split_path(rest, part);
    }
    entry->node = rest == NULL ? mm_yaml_find(map, part) : NULL;
    apply_fallback(config->doc, entry);
    if (entry->node != NULL) {
        read_entry(entry);
    } else if (entry->field->fallback == NULL && entry->field->type != MM_CONFIG_SECTION &&
               !section->refused) {
        mm_yaml_fail(section, "%s is missing: %s", entry->field->path, entry->field->help);
    }
}

// Reports the unknown keys of every section on the way to a field, each section once.
static void end_sections(struct mm_yaml_node *map, const struct mm_config *config, size_t prefix)
{
    if (map->kind != MM_YAML_MAP) {
        return; // reported by enter_section
    }
    mm_yaml_end(map);
    for (size_t i = 0; i < map->count; i++) {
        struct mm_yaml_node *child = map->pairs[i].value;
        size_t chars = prefix + strlen(map->pairs[i].key);
        for (size_t e = 0; e < config->entry_count; e++) {
            const char *path = config->entries[e].field->path;
            if (strncmp(path, child->name, chars) == 0 && strlen(child->name) == chars &&
                path[chars] == '.') {
                end_sections(child, config, chars + 1);
                break;
            }
        }
    }
}

static enum mm_err fill(struct mm_config *config)
{
    for (size_t i = 0; i < config->entry_count; i++) {
        look_up(config, &config->entries[i]);
    }
    end_sections(mm_yaml_root(config->doc), config, 0);
    return mm_yaml_error_count(config->doc) == 0 ? MM_OK : MM_INVALID_ARGUMENT;
}

static void set_document(struct mm_config *config, struct mm_yaml *doc, const char *path)
{
    mm_yaml_free(config->doc);
    mm_free(config->directory);
    config->doc = doc;
    const char *slash = strrchr(path, '/');
    config->directory = mm_strdup(slash == NULL ? "." : path);
    MM_CHECK(config->directory != NULL);
    if (slash != NULL) {
        config->directory[slash == path ? 1 : slash - path] = '\0';
    }
}

enum mm_err mm_config_load(struct mm_config *config, const char *path)
{
    set_document(config, mm_yaml_load(path), path);
    if (mm_yaml_error_count(config->doc) > 0 && mm_yaml_count(mm_yaml_root(config->doc)) == 0) {
        for (size_t i = 0; i < config->entry_count; i++) {
            apply_fallback(config->doc, &config->entries[i]);
        }
        return MM_INVALID_ARGUMENT; // not read at all: what is missing is not the news
    }
    return fill(config);
}

enum mm_err mm_config_parse(struct mm_config *config, const char *name, const char *text,
                            size_t text_bytes)
{
    set_document(config, mm_yaml_parse(name, text, text_bytes), name);
    return fill(config);
}

size_t mm_config_error_count(const struct mm_config *config)
{
    return config->doc == NULL ? 0 : mm_yaml_error_count(config->doc);
}

const char *mm_config_error(const struct mm_config *config, size_t index)
{
    return config->doc == NULL ? NULL : mm_yaml_error(config->doc, index);
}

void mm_config_fail(struct mm_config *config, const char *path, const char *format, ...)
{
    MM_CHECK(config->doc != NULL);
    const struct mm_config_entry *entry = find_entry(config, path);
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (entry != NULL && entry->node != NULL) {
        mm_yaml_fail(entry->node, "%s: %s", path, text);
    } else {
        mm_yaml_fail_document(config->doc, "%s: %s", path, text);
    }
}

const char *mm_config_directory(const struct mm_config *config)
{
    return config->directory == NULL ? "." : config->directory;
}

const char *mm_config_resolve(struct mm_config *config, const char *name)
{
    if (name[0] == '/') {
        return name;
    }
    const char *directory = mm_config_directory(config);
    size_t bytes = strlen(directory) + strlen(name) + 2;
    char *path = mm_yaml_alloc(config->doc, bytes);
    snprintf(path, bytes, "%s/%s", directory, name);
    return path;
}
