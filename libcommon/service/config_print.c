// Settings shown to people: --print-config and --help. See config.h.

#include "libcommon/service/config_internal.h"
#include "libcommon/service/yaml_internal.h"

#include <inttypes.h>
#include <string.h>

static void print_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            fprintf(out, "\\%c", *at);
        } else if (*at < 0x20 || *at == 0x7f) {
            fprintf(out, "\\x%02x", *at);
        } else if (at[0] == '$' && at[1] == '{') {
            fputs("$$", out); // so that what is printed reads back as what it is
        } else {
            fputc(*at, out);
        }
    }
    fputc('"', out);
}

static void print_value(FILE *out, const struct mm_config_entry *entry)
{
    char duration[32];
    switch (entry->field->type) {
    case MM_CONFIG_STRING: {
        const char *text = *(const char *const *)entry->value;
        print_quoted(out, entry->field->secret && text[0] != '\0' ? "********" : text);
        break;
    }
    case MM_CONFIG_INT:
        fprintf(out, "%" PRId64, *(const int64_t *)entry->value);
        break;
    case MM_CONFIG_BOOL:
        fputs(*(const bool *)entry->value ? "true" : "false", out);
        break;
    case MM_CONFIG_DURATION:
        mm_yaml_write_duration(*(const int64_t *)entry->value, duration, sizeof duration);
        fputs(duration, out);
        break;
    case MM_CONFIG_STRINGS: {
        const struct mm_config_strings *list = entry->value;
        fputc('[', out);
        for (size_t i = 0; i < list->count; i++) {
            fputs(i == 0 ? "" : ", ", out);
            print_quoted(out, list->items[i]);
        }
        fputc(']', out);
        break;
    }
    case MM_CONFIG_SECTION: {
        const struct mm_yaml_node *node = *(struct mm_yaml_node *const *)entry->value;
        bool is_list = node != NULL && mm_yaml_kind(node) == MM_YAML_LIST;
        fprintf(out, "%s # %zu entries", is_list ? "[]" : "{}", mm_yaml_count(node));
        break;
    }
    }
}

// Whether an entry before `index` lies in the section that `path` begins with.
static bool is_section_open(const struct mm_config *config, size_t index, const char *path,
                            size_t chars)
{
    return index > 0 && strncmp(config->entries[index - 1].field->path, path, chars) == 0;
}

void mm_config_print(const struct mm_config *config, FILE *out)
{
    for (size_t i = 0; i < config->entry_count; i++) {
        const char *path = config->entries[i].field->path;
        const char *key = path;
        int indent = 0;
        for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(key, '.')) {
            if (!is_section_open(config, i, path, (size_t)(dot - path) + 1)) {
                fprintf(out, "%*s%.*s:\n", indent, "", (int)(dot - key), key);
            }
            key = dot + 1;
            indent += 2;
        }
        fprintf(out, "%*s%s: ", indent, "", key);
        print_value(out, &config->entries[i]);
        fputc('\n', out);
    }
}

static void print_type(FILE *out, const struct mm_config_field *field)
{
    char min[32];
    char max[32];
    switch (field->type) {
    case MM_CONFIG_STRING:
        fputs(field->choices != NULL ? field->choices : "text", out);
        break;
    case MM_CONFIG_INT:
        fprintf(out, "%" PRId64 "..%" PRId64 "%s%s", field->min, field->max,
                field->unit == NULL ? "" : " ", field->unit == NULL ? "" : field->unit);
        break;
    case MM_CONFIG_BOOL:
        fputs("true|false", out);
        break;
    case MM_CONFIG_DURATION:
        mm_yaml_write_duration(field->min, min, sizeof min);
        mm_yaml_write_duration(field->max, max, sizeof max);
        fprintf(out, "duration %s..%s", min, max);
        break;
    case MM_CONFIG_STRINGS:
        fputs("list of texts, or texts with commas between", out);
        break;
    case MM_CONFIG_SECTION:
        fputs("section", out);
        break;
    }
}

void mm_config_print_help(const struct mm_config *config, FILE *out)
{
    for (size_t i = 0; i < config->entry_count; i++) {
        const struct mm_config_field *field = config->entries[i].field;
        fprintf(out, "  %-28s %s\n%31s(", field->path, field->help == NULL ? "" : field->help, "");
        print_type(out, field);
        if (field->fallback == NULL) {
            fputs(field->type == MM_CONFIG_SECTION ? ")\n" : "; required)\n", out);
        } else if (field->secret) {
            fputs("; secret)\n", out);
        } else {
            fprintf(out, "; default %s)\n", field->fallback[0] == '\0' ? "empty" : field->fallback);
        }
    }
}
