#include "libcommon/io/migrate_files.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t text_size = strlen(text), end_size = strlen(end);
    return text_size >= end_size && strcmp(text + text_size - end_size, end) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// 0 if the name is not NNN_name.sql.
static unsigned file_number(const char *name)
{
    if (!is_digit(name[0]) || !is_digit(name[1]) || !is_digit(name[2]) || name[3] != '_' ||
        strlen(name) <= strlen("NNN_.sql"))
        return 0;
    return (unsigned)(name[0] - '0') * 100 + (unsigned)(name[1] - '0') * 10 +
           (unsigned)(name[2] - '0');
}

static enum mm_err file_digest(struct migrate_file *file)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(file->text, file->size, digest, &size, EVP_sha256(), NULL) != 1)
        return MM_INTERNAL;
    mm_hex_encode(digest, size, file->sha256_hex);
    return MM_OK;
}

static enum mm_err file_read(const char *directory, struct migrate_file *file)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", directory, file->name);
    if (length < 0 || (size_t)length >= sizeof path)
        return MM_NOT_FOUND;
    FILE *stream = fopen(path, "rbe");
    if (!stream)
        return MM_NOT_FOUND;
    enum mm_err err = MM_OK;
    file->text = mm_malloc(MIGRATE_FILE_BYTES_MAX + 1);
    if (file->text)
        file->size = fread(file->text, 1, MIGRATE_FILE_BYTES_MAX + 1, stream);
    if (!file->text || file->size > MIGRATE_FILE_BYTES_MAX)
        err = MM_RESOURCE_EXHAUSTED;
    else if (ferror(stream))
        err = MM_DATA_LOSS;
    else
        err = file_digest(file);
    (void)fclose(stream);
    if (err == MM_OK) {
        char *fitting = mm_realloc(file->text, file->size + 1);
        file->text = fitting ? fitting : file->text;
    }
    return err;
}

static int file_compare(const void *a, const void *b)
{
    const struct migrate_file *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number ? 1 : strcmp(x->name, y->name);
}

static enum mm_err directory_list(DIR *stream, struct migrate_files *out, char *message,
                                  size_t message_bytes)
{
    const struct dirent *entry;
    while ((entry = readdir(stream))) {
        if (!ends_with(entry->d_name, ".sql"))
            continue;
        unsigned number = file_number(entry->d_name);
        if (number == 0) {
            (void)snprintf(message, message_bytes, "%s: not named NNN_name.sql", entry->d_name);
            return MM_FAILED_PRECONDITION;
        }
        if (out->count == MIGRATE_FILES_MAX)
            return MM_RESOURCE_EXHAUSTED;
        char *name = mm_strdup(entry->d_name);
        if (!name)
            return MM_RESOURCE_EXHAUSTED;
        out->files[out->count++] = (struct migrate_file){.number = number, .name = name};
    }
    qsort(out->files, out->count, sizeof *out->files, file_compare);
    for (size_t i = 0; i < out->count; i++) {
        if (out->files[i].number == i + 1)
            continue;
        (void)snprintf(message, message_bytes, "%s: expected number %03zu here", out->files[i].name,
                       i + 1);
        return MM_FAILED_PRECONDITION;
    }
    return MM_OK;
}

enum mm_err migrate_files_read(const char *directory, struct migrate_files *out, char *message,
                               size_t message_bytes)
{
    *out = (struct migrate_files){0};
    DIR *stream = opendir(directory);
    if (!stream) {
        (void)snprintf(message, message_bytes, "%s: no such directory", directory);
        return MM_NOT_FOUND;
    }
    out->files = mm_calloc(MIGRATE_FILES_MAX, sizeof *out->files);
    enum mm_err err =
        out->files ? directory_list(stream, out, message, message_bytes) : MM_RESOURCE_EXHAUSTED;
    (void)closedir(stream);
    for (size_t i = 0; i < out->count && err == MM_OK; i++) {
        err = file_read(directory, &out->files[i]);
        if (err != MM_OK)
            (void)snprintf(message, message_bytes, "%s: cannot be read (%s)", out->files[i].name,
                           mm_err_name(err));
    }
    if (err != MM_OK)
        migrate_files_free(out);
    return err;
}

void migrate_files_free(struct migrate_files *files)
{
    for (size_t i = 0; files->files && i < files->count; i++) {
        mm_free(files->files[i].name);
        mm_free(files->files[i].text);
    }
    mm_free(files->files);
    *files = (struct migrate_files){0};
}
