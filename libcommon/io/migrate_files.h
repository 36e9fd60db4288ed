#ifndef MM_IO_MIGRATE_FILES_H
#define MM_IO_MIGRATE_FILES_H

#include "libcommon/base/err.h"

#include <stddef.h>

// The migration files of a directory, read into memory.

#define MIGRATE_FILES_MAX      999
#define MIGRATE_FILE_BYTES_MAX (1u << 20)

struct migrate_file {
    unsigned number;
    char *name; // without the directory
    char *text;
    size_t size;
    char sha256_hex[65];
};

struct migrate_files {
    struct migrate_file *files; // sorted; files[i].number == i + 1
    size_t count;
};

// NOT_FOUND: no such directory. FAILED_PRECONDITION: a .sql file that is not named NNN_name.sql, a
// number missing or double. RESOURCE_EXHAUSTED: a file too large. `message` tells what is wrong.
MM_MUST_USE enum mm_err migrate_files_read(const char *directory, struct migrate_files *out,
                                           char *message, size_t message_bytes);
void migrate_files_free(struct migrate_files *files);

#endif
