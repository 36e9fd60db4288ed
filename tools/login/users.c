// DIR/users holds one name a line; its number is the line's. Lines are only ever appended, so that
// a crash can at worst leave an unfinished last line, which is dropped at the next start.

#include "tools/login/login.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "libcommon/base/name.h"
#include "libcommon/base/strmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 4 * LOGIN_NAME_CHARS_MAX + 2 };

struct login_users {
    struct mm_strmap *by_name;
    int fd;
    int64_t count;
    off_t bytes; // of whole lines
};

static enum mm_err load(struct login_users *users, FILE *file)
{
    char line[LINE_BYTES_MAX + 1];
    while (fgets(line, sizeof line, file) != NULL) {
        size_t chars = strcspn(line, "\n");
        if (chars < LINE_BYTES_MAX && line[chars] != '\n' && feof(file)) {
            break; // unfinished
        }
        line[chars] = '\0';
        uint64_t known;
        if (!mm_name_valid(line, chars, LOGIN_NAME_CHARS_MAX) ||
            mm_strmap_get(users->by_name, line, &known) ||
            mm_strmap_set(users->by_name, line, (uint64_t)users->count + 1) != MM_OK) {
            MM_LOG_ERROR("the file of users is damaged", "line=%lld", (long long)users->count + 1);
            return MM_INTERNAL;
        }
        users->count++;
        users->bytes += (off_t)chars + 1;
    }
    return MM_OK;
}

enum mm_err login_users_open(const char *directory, struct login_users **out)
{
    char path[4096];
    struct login_users *users = mm_calloc(1, sizeof *users);
    if (users == NULL || snprintf(path, sizeof path, "%s/users", directory) >= (int)sizeof path) {
        mm_free(users);
        return MM_INTERNAL;
    }
    users->by_name = mm_strmap_new(LOGIN_USERS_MAX);
    users->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    FILE *file = users->fd < 0 ? NULL : fopen(path, "re");
    enum mm_err err = users->by_name == NULL || file == NULL ? MM_INTERNAL : load(users, file);
    if (file != NULL) {
        fclose(file);
    } else {
        MM_LOG_ERROR("cannot open the file of users", "path=%s problem=%s", path, strerror(errno));
    }
    if (err == MM_OK && ftruncate(users->fd, users->bytes) != 0) {
        err = MM_INTERNAL;
    }
    if (err != MM_OK) {
        login_users_close(users);
        return err;
    }
    *out = users;
    return MM_OK;
}

void login_users_close(struct login_users *users)
{
    if (users == NULL) {
        return;
    }
    if (users->fd >= 0) {
        close(users->fd);
    }
    mm_strmap_free(users->by_name);
    mm_free(users);
}

enum mm_err login_users_id(struct login_users *users, const char *name, int64_t *out)
{
    uint64_t known;
    if (mm_strmap_get(users->by_name, name, &known)) {
        *out = (int64_t)known;
        return MM_OK;
    }
    char line[LINE_BYTES_MAX + 1];
    int chars = snprintf(line, sizeof line, "%s\n", name);
    if (users->count >= LOGIN_USERS_MAX || chars >= (int)sizeof line) {
        return MM_RESOURCE_EXHAUSTED;
    }
    if (pwrite(users->fd, line, (size_t)chars, users->bytes) != chars ||
        fdatasync(users->fd) != 0) {
        MM_LOG_ERROR("cannot write the file of users", "problem=%s", strerror(errno));
        return MM_UNAVAILABLE;
    }
    enum mm_err err = mm_strmap_set(users->by_name, name, (uint64_t)users->count + 1);
    if (err != MM_OK) {
        return err; // the line is written over by the next name
    }
    users->bytes += chars;
    *out = ++users->count;
    return MM_OK;
}
