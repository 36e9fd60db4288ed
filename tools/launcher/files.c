#include "tools/launcher/files.h"

#include "libcommon/base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    LOG_LINES_SHOWN = 12,
    // MariaDB makes a log of 96 MB at its first start, and each schema files of some MB.
    FREE_MB_LEAST = 200,
};

void launcher_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("mmorts-launcher: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

char *launcher_text(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        launcher_die("out of memory");
    va_end(args);
    return text;
}

void launcher_show_log(const char *path, bool end)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    char lines[LOG_LINES_SHOWN][400];
    unsigned count = 0;
    while ((end || count < LOG_LINES_SHOWN) &&
           fgets(lines[count % LOG_LINES_SHOWN], sizeof lines[0], file))
        count++;
    fclose(file);
    unsigned shown = count < LOG_LINES_SHOWN ? count : LOG_LINES_SHOWN;
    for (unsigned i = count - shown; i < count; i++) {
        char *line = lines[i % LOG_LINES_SHOWN];
        line[strcspn(line, "\n")] = '\0';
        fprintf(stderr, "    | %s\n", line);
    }
}

void launcher_tell_if_full(const char *path)
{
    struct statvfs disk;
    if (statvfs(path, &disk) != 0)
        return;
    uint64_t free_mb = (uint64_t)disk.f_bavail * disk.f_frsize >> 20;
    if (free_mb < FREE_MB_LEAST || (disk.f_files > 0 && disk.f_favail == 0))
        fprintf(stderr, "    the disk that holds %s is nearly full: %llu MB are free\n", path,
                (unsigned long long)free_mb);
}

bool launcher_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

void launcher_make_dirs(const char *path)
{
    char *copy = launcher_text("%s", path);
    for (char *at = copy + 1;; at++) {
        char end = *at;
        if (end != '/' && end != '\0')
            continue;
        *at = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST)
            launcher_die("cannot make the directory %s: %s", copy, strerror(errno));
        *at = end;
        if (end == '\0')
            break;
    }
    free(copy);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

void launcher_remove_tree(const char *path)
{
    if (launcher_exists(path) && nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        launcher_die("cannot remove %s: %s", path, strerror(errno));
}

bool launcher_write_file(const char *path, unsigned mode, const void *data, size_t len)
{
    char *temporary = launcher_text("%s.new", path);
    // Unlinked first, so that the mode counts even if the file is there.
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    ssize_t written = fd >= 0 ? write(fd, data, len) : -1;
    int error = written >= 0 && written < (ssize_t)len ? ENOSPC : errno;
    bool good = written == (ssize_t)len;
    if (fd >= 0 && close(fd) != 0 && good) {
        good = false;
        error = errno;
    }
    if (good && rename(temporary, path) != 0) {
        good = false;
        error = errno;
    }
    if (!good)
        unlink(temporary);
    free(temporary);
    errno = error;
    return good;
}

static void draw_secret(char out[LAUNCHER_SECRET_BYTES])
{
    uint8_t bytes[(LAUNCHER_SECRET_BYTES - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        launcher_die("no random numbers: %s", strerror(errno));
    mm_hex_encode(bytes, sizeof bytes, out);
}

static bool read_secret(FILE *file, const char *name, char out[LAUNCHER_SECRET_BYTES])
{
    char line[128];
    if (!fgets(line, sizeof line, file))
        return false;
    size_t name_len = strlen(name);
    line[strcspn(line, "\n")] = '\0';
    return strncmp(line, name, name_len) == 0 && line[name_len] == '=' &&
           strlen(line + name_len + 1) == LAUNCHER_SECRET_BYTES - 1 &&
           mm_str_copy(out, LAUNCHER_SECRET_BYTES, line + name_len + 1);
}

void launcher_secrets_load(const char *data, struct launcher_secrets *out)
{
    char *path = launcher_text("%s/secrets", data);
    FILE *file = fopen(path, "re");
    if (file) {
        bool good = read_secret(file, "MMORTS_DB_PASSWORD", out->db_password) &&
                    read_secret(file, "MMORTS_REDIS_PASSWORD", out->redis_password);
        fclose(file);
        // New ones would lock the servers' data away: better to say so.
        if (!good)
            launcher_die("%s is damaged; restore it, or remove %s to begin anew", path, data);
    } else if (errno == ENOENT) {
        draw_secret(out->db_password);
        draw_secret(out->redis_password);
        char *text = launcher_text("MMORTS_DB_PASSWORD=%s\nMMORTS_REDIS_PASSWORD=%s\n",
                                   out->db_password, out->redis_password);
        if (!launcher_write_file(path, 0600, text, strlen(text)))
            launcher_die("cannot write %s: %s", path, strerror(errno));
        free(text);
    } else {
        launcher_die("cannot read %s: %s", path, strerror(errno));
    }
    free(path);
}

void launcher_lock(const char *data)
{
    char *path = launcher_text("%s/lock", data);
    // Never closed: the lock lasts as long as the process.
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        launcher_die("cannot open %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        launcher_die("the game already runs in %s (another launcher holds %s)", data, path);
    free(path);
    // cppcheck-suppress resourceLeak
}
