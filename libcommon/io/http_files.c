#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/str.h"
#include "libcommon/io/http_internal.h"

struct mm_http_files {
    int directory_fd;
    size_t prefix_len;
    char *content_policy;
};

static const char *content_type(const char *name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".md", "text/markdown; charset=utf-8"},
        {".ts", "text/plain; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".wasm", "application/wasm"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(dot, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

// Opens a path below the directory step by step, so that neither ".." nor a link can lead out of
// it. Hidden files do not exist. -1 if there is no such regular file.
static int open_below(int directory_fd, const char *path, char name[NAME_MAX + 1])
{
    int at = dup(directory_fd);
    mm_str_copy(name, NAME_MAX + 1, "index.html");
    while (at >= 0) {
        size_t len = strcspn(path, "/");
        bool is_last = path[len] == '\0';
        if (len > NAME_MAX || path[0] == '.' || (len == 0 && !is_last)) {
            close(at);
            return -1;
        }
        if (len > 0) {
            memcpy(name, path, len);
            name[len] = '\0';
        } else {
            mm_str_copy(name, NAME_MAX + 1, "index.html");
        }
        int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (is_last ? 0 : O_DIRECTORY);
        int next = openat(at, name, flags);
        close(at);
        if (is_last)
            return next;
        at = next;
        path += len + 1;
    }
    return -1;
}

static void serve(struct mm_http_request *request, void *arg)
{
    const struct mm_http_files *files = arg;
    char name[NAME_MAX + 1];
    struct stat info;
    int fd =
        open_below(files->directory_fd, mm_http_request_path(request) + files->prefix_len, name);
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        if (fd >= 0)
            close(fd);
        mm_http_reply_error(request, MM_NOT_FOUND, "there is no such file");
        return;
    }
    char tag[64];
    snprintf(tag, sizeof tag, "\"%" PRIx64 "-%" PRIx64 "%08lx\"", (uint64_t)info.st_size,
             (uint64_t)info.st_mtim.tv_sec, (unsigned long)info.st_mtim.tv_nsec);
    mm_http_add_header(request, "ETag", tag);
    mm_http_add_header(request, "Cache-Control", "no-cache");
    mm_http_add_header(request, "Content-Security-Policy", files->content_policy);
    mm_http_add_header(request, "X-Content-Type-Options", "nosniff");
    const char *known = mm_http_request_header(request, "If-None-Match");
    if (known && strcmp(known, tag) == 0) {
        close(fd);
        mm_http_reply(request, 304, NULL, NULL, 0);
        return;
    }
    mm_http_add_header(request, "Content-Type", content_type(name));
    // The response closes fd.
    mm_http_answer(request, 200, MHD_create_response_from_fd64((uint64_t)info.st_size, fd));
}

enum mm_err mm_http_route_files(struct mm_http_server *server, const char *prefix,
                                const char *directory, const char *content_policy,
                                struct mm_http_files **out)
{
    size_t prefix_len = strlen(prefix);
    MM_CHECK(prefix_len > 0 && prefix[prefix_len - 1] == '/');
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return MM_NOT_FOUND;
    struct mm_http_files *files = mm_calloc(1, sizeof *files);
    char *policy = mm_strdup(content_policy ? content_policy : "default-src 'self'");
    if (!files || !policy) {
        mm_free(files);
        mm_free(policy);
        close(fd);
        return MM_RESOURCE_EXHAUSTED;
    }
    files->directory_fd = fd;
    files->prefix_len = prefix_len;
    files->content_policy = policy;
    mm_http_route(server, MM_HTTP_GET, prefix, serve, files);
    *out = files;
    return MM_OK;
}

void mm_http_files_close(struct mm_http_files *files)
{
    if (!files)
        return;
    close(files->directory_fd);
    mm_free(files->content_policy);
    mm_free(files);
}
