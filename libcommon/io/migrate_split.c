#include "libcommon/io/migrate_split.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

// Index behind the closing quote; size + 1 if there is none. A doubled quote stands for itself; a
// backslash escapes in strings, not in names.
static size_t skip_quoted(const char *text, size_t size, size_t at)
{
    char quote = text[at++];
    while (at < size) {
        if (text[at] == '\\' && quote != '`') {
            at += 2;
        } else if (text[at] != quote) {
            at++;
        } else if (at + 1 < size && text[at + 1] == quote) {
            at += 2;
        } else {
            return at + 1;
        }
    }
    return size + 1;
}

static size_t skip_line(const char *text, size_t size, size_t at)
{
    const char *end = memchr(text + at, '\n', size - at);
    return end ? (size_t)(end - text) + 1 : size;
}

static size_t skip_block_comment(const char *text, size_t size, size_t at)
{
    for (at += 2; at + 1 < size; at++)
        if (text[at] == '*' && text[at + 1] == '/')
            return at + 2;
    return size + 1;
}

// "--" begins a comment only before a blank or the end (MariaDB reference manual, "Comment
// Syntax"): 5--3 is arithmetic.
static bool is_line_comment(const char *text, size_t size, size_t at)
{
    if (text[at] == '#')
        return true;
    return text[at] == '-' && at + 1 < size && text[at + 1] == '-' &&
           (at + 2 >= size || is_blank(text[at + 2]));
}

static bool is_block_comment(const char *text, size_t size, size_t at)
{
    return text[at] == '/' && at + 1 < size && text[at + 1] == '*';
}

// A comment that MariaDB executes: /*! ... */ and /*M! ... */.
static bool is_executed_comment(const char *text, size_t size, size_t at)
{
    return (at + 2 < size && text[at + 2] == '!') ||
           (at + 3 < size && text[at + 2] == 'M' && text[at + 3] == '!');
}

enum mm_err mm_migrate_split_next(struct mm_migrate_split *split, const char **statement,
                                  size_t *size)
{
    const char *text = split->text;
    size_t end = split->size;
    size_t begin = split->offset;
    size_t at = begin;
    bool has_content = false;
    *statement = NULL;
    *size = 0;
    while (at < end) {
        char c = text[at];
        if (c == ';') {
            if (has_content)
                break;
            begin = ++at;
        } else if (is_line_comment(text, end, at)) {
            at = skip_line(text, end, at);
        } else if (is_block_comment(text, end, at)) {
            has_content = has_content || is_executed_comment(text, end, at);
            at = skip_block_comment(text, end, at);
        } else if (c == '\'' || c == '"' || c == '`') {
            has_content = true;
            at = skip_quoted(text, end, at);
        } else {
            has_content = has_content || !is_blank(c);
            at++;
        }
    }
    if (at > end)
        return MM_INVALID_ARGUMENT;
    split->offset = at < end ? at + 1 : end;
    if (!has_content)
        return MM_OK;
    while (begin < at && is_blank(text[begin]))
        begin++;
    *statement = text + begin;
    *size = at - begin;
    return MM_OK;
}
