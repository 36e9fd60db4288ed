// Loading: libyaml's events become a tree of nodes with lines and names. See yaml.h.

#include "libcommon/service/yaml.h"

#include "libcommon/base/check.h"
#include "libcommon/service/yaml_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

// --- events to nodes -----------------------------------------------------------------------------

struct reader {
    struct mm_yaml *doc;
    yaml_parser_t parser;
    yaml_event_t event; // the current one
    bool failed;        // the rest of the file cannot be made sense of
};

static int event_line(const struct reader *reader)
{
    return (int)reader->event.start_mark.line + 1;
}

static void next_event(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (yaml_parser_parse(&reader->parser, &reader->event)) {
        return;
    }
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem != NULL ? parser->problem : "cannot be read";
    if (parser->error == YAML_READER_ERROR) {
        mm_yaml_fail_at(reader->doc, 0, "not valid UTF-8 text (byte %zu): %s",
                        parser->problem_offset, problem);
    } else {
        mm_yaml_fail_at(reader->doc, (int)parser->problem_mark.line + 1, "not valid YAML: %s",
                        problem);
    }
    memset(&reader->event, 0, sizeof reader->event);
    reader->failed = true;
}

static struct mm_yaml_node *make_node(struct reader *reader, enum mm_yaml_kind kind,
                                      const char *name)
{
    struct mm_yaml *doc = reader->doc;
    if (++doc->node_count > MM_YAML_NODES_MAX) {
        mm_yaml_fail_at(doc, event_line(reader), "more than %d values in one file",
                        MM_YAML_NODES_MAX);
        reader->failed = true;
        return NULL;
    }
    struct mm_yaml_node *node = mm_yaml_alloc(doc, sizeof *node);
    node->doc = doc;
    node->kind = kind;
    node->line = event_line(reader);
    node->name = name;
    return node;
}

static void refuse_decoration(struct reader *reader, const void *anchor, const void *tag)
{
    if (anchor != NULL) {
        mm_yaml_fail_at(reader->doc, event_line(reader), "anchors (&) are not supported");
    }
    if (tag != NULL) {
        mm_yaml_fail_at(reader->doc, event_line(reader), "tags (!) are not supported");
    }
}

static struct mm_yaml_node *read_node(struct reader *reader, const char *name, int depth);

static struct mm_yaml_node *read_scalar(struct reader *reader, const char *name)
{
    const yaml_event_t *event = &reader->event;
    refuse_decoration(reader, event->data.scalar.anchor, event->data.scalar.tag);
    struct mm_yaml_node *node = make_node(reader, MM_YAML_SCALAR, name);
    if (node == NULL) {
        return NULL;
    }
    const char *raw = (const char *)event->data.scalar.value;
    size_t raw_bytes = event->data.scalar.length;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->empty = !node->quoted && raw_bytes == 0;
    node->text = "";
    if (memchr(raw, '\0', raw_bytes) != NULL) {
        mm_yaml_fail_at(reader->doc, node->line, "%s: a zero byte is not allowed", name);
        node->refused = true;
    } else {
        const char *text = mm_yaml_expand(reader->doc, node->line, raw, raw_bytes);
        node->refused = text == NULL;
        node->text = text == NULL ? "" : text;
    }
    if (!node->quoted && (strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0)) {
        mm_yaml_fail_at(reader->doc, node->line,
                        "%s: null is not a value; leave the key out instead", name);
        node->refused = true;
    }
    return node;
}

static struct mm_yaml_node *read_list(struct reader *reader, const char *name, int depth)
{
    refuse_decoration(reader, reader->event.data.sequence_start.anchor,
                      reader->event.data.sequence_start.tag);
    struct mm_yaml_node *node = make_node(reader, MM_YAML_LIST, name);
    next_event(reader);
    while (node != NULL && !reader->failed && reader->event.type != YAML_SEQUENCE_END_EVENT) {
        const char *item_name = mm_yaml_text(reader->doc, "%s[%zu]", name, node->count);
        struct mm_yaml_node *item = read_node(reader, item_name, depth + 1);
        if (item != NULL) {
            node->items = mm_yaml_grow(reader->doc, node->items, node->count, &node->room,
                                       sizeof *node->items);
            node->items[node->count++] = item;
        }
        if (!reader->failed) {
            next_event(reader);
        }
    }
    return node;
}

// Reports a key that is there already. `lines` of pairs are those of their values.
static bool is_duplicate(struct mm_yaml_node *map, const char *key, int line)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->pairs[i].key, key) == 0) {
            mm_yaml_fail_at(map->doc, line, "duplicate key \"%s\" (first on line %d)", key,
                            map->pairs[i].value->line);
            return true;
        }
    }
    return false;
}

static void read_pair(struct reader *reader, struct mm_yaml_node *map, int depth)
{
    struct mm_yaml *doc = reader->doc;
    int line = event_line(reader);
    if (reader->event.type != YAML_SCALAR_EVENT) {
        mm_yaml_fail_at(doc, line, "a key has to be a plain word");
        reader->failed = true;
        return;
    }
    refuse_decoration(reader, reader->event.data.scalar.anchor, reader->event.data.scalar.tag);
    const char *raw = (const char *)reader->event.data.scalar.value;
    const char *key = mm_yaml_copy(doc, raw, strnlen(raw, reader->event.data.scalar.length));
    if (strcmp(key, "<<") == 0) {
        mm_yaml_fail_at(doc, line, "merge keys (<<) are not supported");
    }
    const char *name = map->name[0] == '\0' ? key : mm_yaml_text(doc, "%s.%s", map->name, key);
    next_event(reader);
    if (reader->failed) {
        return;
    }
    struct mm_yaml_node *value = read_node(reader, name, depth + 1);
    if (value == NULL || is_duplicate(map, key, line)) {
        return;
    }
    value->line = line; // that of its key: a block or a folded text begins on a later one
    map->pairs = mm_yaml_grow(doc, map->pairs, map->count, &map->room, sizeof *map->pairs);
    map->pairs[map->count++] = (struct mm_yaml_pair){.key = key, .value = value};
}

static struct mm_yaml_node *read_map(struct reader *reader, const char *name, int depth)
{
    refuse_decoration(reader, reader->event.data.mapping_start.anchor,
                      reader->event.data.mapping_start.tag);
    struct mm_yaml_node *node = make_node(reader, MM_YAML_MAP, name);
    next_event(reader);
    while (node != NULL && !reader->failed && reader->event.type != YAML_MAPPING_END_EVENT) {
        read_pair(reader, node, depth);
        if (!reader->failed) {
            next_event(reader);
        }
    }
    return node;
}

// Reads the value that begins with the current event; ends on its last event. NULL if it was
// refused; then the reader has failed or stands on the value's last event all the same.
static struct mm_yaml_node *read_node(struct reader *reader, const char *name, int depth)
{
    if (depth > MM_YAML_DEPTH_MAX) {
        mm_yaml_fail_at(reader->doc, event_line(reader), "nested deeper than %d levels",
                        MM_YAML_DEPTH_MAX);
        reader->failed = true;
        return NULL;
    }
    switch (reader->event.type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, name);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(reader, name, depth);
    case YAML_MAPPING_START_EVENT:
        return read_map(reader, name, depth);
    case YAML_ALIAS_EVENT:
        mm_yaml_fail_at(reader->doc, event_line(reader), "aliases (*) are not supported");
        return NULL;
    default:
        mm_yaml_fail_at(reader->doc, event_line(reader), "a value is expected here");
        reader->failed = true;
        return NULL;
    }
}

static void read_document(struct reader *reader)
{
    struct mm_yaml *doc = reader->doc;
    next_event(reader); // stream start
    if (!reader->failed) {
        next_event(reader); // document start, or stream end: an empty file is an empty map
    }
    if (reader->failed || reader->event.type == YAML_STREAM_END_EVENT) {
        return;
    }
    next_event(reader);
    if (reader->failed) {
        return;
    }
    int line = event_line(reader);
    struct mm_yaml_node *root = read_node(reader, "", 0);
    if (root != NULL && root->kind == MM_YAML_MAP) {
        doc->root = root;
    } else if (root != NULL && !root->empty) {
        mm_yaml_fail_at(doc, line, "the file has to be a map (key: value)");
    }
    if (!reader->failed) {
        next_event(reader); // document end
    }
    if (!reader->failed) {
        next_event(reader);
    }
    if (!reader->failed && reader->event.type != YAML_STREAM_END_EVENT) {
        mm_yaml_fail_at(doc, event_line(reader), "a file holds one document only");
    }
}

static struct mm_yaml *make_document(const char *name)
{
    struct mm_yaml *doc = calloc(1, sizeof *doc);
    MM_CHECK(doc != NULL);
    doc->name = mm_yaml_copy(doc, name, strlen(name));
    doc->root = mm_yaml_alloc(doc, sizeof *doc->root);
    *doc->root = (struct mm_yaml_node){.doc = doc, .kind = MM_YAML_MAP, .name = ""};
    return doc;
}

static void parse_into(struct mm_yaml *doc, const char *text, size_t text_bytes)
{
    if (text_bytes > MM_YAML_FILE_BYTES_MAX) {
        mm_yaml_fail_at(doc, 0, "larger than %d bytes", MM_YAML_FILE_BYTES_MAX);
        return;
    }
    struct reader reader = {.doc = doc};
    MM_CHECK(yaml_parser_initialize(&reader.parser));
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, text_bytes);
    read_document(&reader);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
}

struct mm_yaml *mm_yaml_parse(const char *name, const char *text, size_t text_bytes)
{
    struct mm_yaml *doc = make_document(name);
    parse_into(doc, text, text_bytes);
    return doc;
}

struct mm_yaml *mm_yaml_load(const char *path)
{
    struct mm_yaml *doc = make_document(path);
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        mm_yaml_fail_at(doc, 0, "cannot be opened: %s", strerror(errno));
        return doc;
    }
    size_t room = MM_YAML_FILE_BYTES_MAX + 1;
    char *text = malloc(room);
    MM_CHECK(text != NULL);
    size_t bytes = fread(text, 1, room, file);
    if (ferror(file)) {
        mm_yaml_fail_at(doc, 0, "cannot be read: %s", strerror(errno));
    } else {
        parse_into(doc, text, bytes);
    }
    free(text);
    fclose(file);
    return doc;
}

struct mm_yaml_node *mm_yaml_root(struct mm_yaml *doc)
{
    return doc->root;
}
