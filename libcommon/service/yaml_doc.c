// A document as its parts share it: its memory, and what is wrong with it. See yaml.h.

#include "libcommon/base/check.h"
#include "libcommon/service/yaml.h"
#include "libcommon/service/yaml_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 << 10, ERROR_CHARS_MAX = 400 };

struct mm_yaml_block {
    struct mm_yaml_block *next;
    size_t used, size;
    max_align_t bytes[];
};

void *mm_yaml_alloc(struct mm_yaml *doc, size_t bytes)
{
    MM_CHECK(bytes <= 2 * (size_t)MM_YAML_FILE_BYTES_MAX * sizeof(void *));
    size_t need = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct mm_yaml_block *block = doc->blocks;
    if (block == NULL || block->size - block->used < need) {
        size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES;
        block = calloc(1, sizeof *block + size);
        MM_CHECK(block != NULL);
        block->size = size;
        block->next = doc->blocks;
        doc->blocks = block;
    }
    void *memory = (char *)block->bytes + block->used;
    block->used += need;
    return memory;
}

char *mm_yaml_copy(struct mm_yaml *doc, const char *text, size_t chars)
{
    char *copy = mm_yaml_alloc(doc, chars + 1);
    memcpy(copy, text, chars);
    copy[chars] = '\0';
    return copy;
}

char *mm_yaml_text(struct mm_yaml *doc, const char *format, ...)
{
    char text[ERROR_CHARS_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return mm_yaml_copy(doc, text, strlen(text));
}

void *mm_yaml_grow(struct mm_yaml *doc, void *array, size_t count, size_t *room, size_t item_bytes)
{
    if (count < *room) {
        return array;
    }
    size_t more = *room == 0 ? 4 : *room * 2;
    void *grown = mm_yaml_alloc(doc, more * item_bytes);
    if (count > 0) {
        memcpy(grown, array, count * item_bytes);
    }
    *room = more;
    return grown;
}

void mm_yaml_free(struct mm_yaml *doc)
{
    if (doc == NULL) {
        return;
    }
    struct mm_yaml_block *block = doc->blocks;
    while (block != NULL) {
        struct mm_yaml_block *next = block->next;
        free(block);
        block = next;
    }
    free(doc);
}

// --- errors --------------------------------------------------------------------------------------

static void fail_line(struct mm_yaml *doc, int line, const char *format, va_list args)
{
    size_t index = doc->error_count++;
    if (index >= MM_YAML_ERRORS_MAX) {
        return;
    }
    char text[ERROR_CHARS_MAX];
    vsnprintf(text, sizeof text, format, args);
    doc->errors[index] = line > 0 ? mm_yaml_text(doc, "%s:%d: %s", doc->name, line, text)
                                  : mm_yaml_text(doc, "%s: %s", doc->name, text);
}

void mm_yaml_fail_at(struct mm_yaml *doc, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_line(doc, line, format, args);
    va_end(args);
}

void mm_yaml_fail(struct mm_yaml_node *node, const char *format, ...)
{
    MM_CHECK(node != NULL);
    va_list args;
    va_start(args, format);
    fail_line(node->doc, node->line, format, args);
    va_end(args);
}

void mm_yaml_fail_document(struct mm_yaml *doc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_line(doc, 0, format, args);
    va_end(args);
}

size_t mm_yaml_error_count(const struct mm_yaml *doc)
{
    return doc->error_count;
}

const char *mm_yaml_error(const struct mm_yaml *doc, size_t index)
{
    return index < doc->error_count && index < MM_YAML_ERRORS_MAX ? doc->errors[index] : NULL;
}

const char *mm_yaml_name(const struct mm_yaml *doc)
{
    return doc->name;
}
