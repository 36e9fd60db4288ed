#ifndef LAUNCHER_FILES_H
#define LAUNCHER_FILES_H

#include "libcommon/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Prints "mmorts-launcher: ..." to stderr and exits with status 1. For what makes a start
// impossible, before any child runs (children die with the launcher in any case).
__attribute__((noreturn)) void launcher_die(const char *format, ...) MM_PRINTF(1, 2);

// printf into a string of its own; the caller frees it. Never NULL.
char *launcher_text(const char *format, ...) MM_PRINTF(1, 2);

// Some lines of a log on stderr, for whoever would have to look there anyway: its end, or its
// beginning.
void launcher_show_log(const char *path, bool end);

// Says so on stderr when the disk that holds a path is as good as full: a program that fails for
// want of room seldom says it in so many words.
void launcher_tell_if_full(const char *path);

// Makes a directory (and those above) if it is not there.
void launcher_make_dirs(const char *path);

// Removes a directory with all that is in it; what is not there is no error.
void launcher_remove_tree(const char *path);

bool launcher_exists(const char *path);

// Writes a file in one step: whoever reads it sees the old or the new content. False with errno.
bool launcher_write_file(const char *path, unsigned mode, const void *data, size_t len);

// What the launcher draws at the first start and keeps in DIR/secrets (mode 0600).
enum { LAUNCHER_SECRET_BYTES = 33 }; // 32 hex digits and a NUL
struct launcher_secrets {
    char db_password[LAUNCHER_SECRET_BYTES];
    char redis_password[LAUNCHER_SECRET_BYTES];
};
void launcher_secrets_load(const char *data, struct launcher_secrets *out);

// Takes DIR/lock for the life of this process, or dies: one launcher per directory.
void launcher_lock(const char *data);

#endif
