#ifndef MM_IO_MIGRATE_SPLIT_H
#define MM_IO_MIGRATE_SPLIT_H

#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stddef.h>

// Cuts SQL text into statements at the semicolons that are not inside a string, a quoted name or
// a comment. Start with offset 0.
struct mm_migrate_split {
    const char *text;
    size_t size;
    size_t offset; // where the next statement is looked for
};

// The next statement without its semicolon; *statement is NULL at the end. What is only blank or
// comment is left out. INVALID_ARGUMENT: a string, quoted name or comment that is never closed.
MM_MUST_USE enum mm_err mm_migrate_split_next(struct mm_migrate_split *split,
                                              const char **statement, size_t *size);

#endif
