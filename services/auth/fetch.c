// libcurl's multi interface on the loop (https://curl.se/libcurl/c/libcurl-multi.html,
// "multi_socket"): curl tells which sockets and what time-out it waits for, the loop tells curl
// what has happened. One transfer has one multi handle, so that ending it leaves nothing behind.

#include "services/auth/fetch.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf.h"
#include "libcommon/io/loop.h"

#include <curl/curl.h>
#include <stdio.h>

enum { FETCH_SOCKETS_MAX = 16 };

struct auth_fetch {
    struct mm_loop *loop;
    CURLM *multi;
    CURL *easy;
    struct mm_loop_timer timer;
    struct mm_loop_task done_task;
    int sockets[FETCH_SOCKETS_MAX]; // watched by the loop
    int socket_count;
    struct mm_buf body;
    auth_fetch_fn fn;
    void *arg;
    CURLcode result;
    char problem[CURL_ERROR_SIZE];
};

static void free_fetch(struct auth_fetch *fetch)
{
    mm_loop_timer_stop(fetch->loop, &fetch->timer);
    mm_loop_defer_cancel(fetch->loop, &fetch->done_task);
    if (fetch->multi != NULL && fetch->easy != NULL) {
        curl_multi_remove_handle(fetch->multi, fetch->easy);
    }
    curl_easy_cleanup(fetch->easy);
    if (fetch->multi != NULL) {
        curl_multi_cleanup(fetch->multi);
    }
    // curl reports every socket it closes; none is left, unless it failed to.
    while (fetch->socket_count > 0) {
        mm_loop_fd_remove(fetch->loop, fetch->sockets[--fetch->socket_count]);
    }
    mm_buf_free(&fetch->body);
    mm_free(fetch);
}

static void finish(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct auth_fetch *fetch = arg;
    long status = 0;
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    enum mm_err err = MM_OK;
    const char *body = mm_buf_cstr(&fetch->body);
    if (fetch->body.err != MM_OK) {
        err = MM_RESOURCE_EXHAUSTED;
        snprintf(fetch->problem, sizeof fetch->problem, "the answer is too long");
    } else if (fetch->result == CURLE_OPERATION_TIMEDOUT) {
        err = MM_DEADLINE_EXCEEDED;
    } else if (fetch->result != CURLE_OK) {
        err = MM_UNAVAILABLE;
    } else if (status != 200) {
        err = MM_UNAVAILABLE;
        snprintf(fetch->problem, sizeof fetch->problem, "HTTP status %ld", status);
    }
    if (err != MM_OK && fetch->problem[0] == '\0') {
        snprintf(fetch->problem, sizeof fetch->problem, "%s", curl_easy_strerror(fetch->result));
    }
    fetch->fn(fetch->arg, err, fetch->problem, err == MM_OK ? body : NULL,
              err == MM_OK ? fetch->body.len : 0);
    free_fetch(fetch);
}

static void look_whether_done(struct auth_fetch *fetch)
{
    int left;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(fetch->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            fetch->result = message->data.result;
            mm_loop_defer(fetch->loop, &fetch->done_task);
        }
    }
}

static void on_socket(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    struct auth_fetch *fetch = arg;
    int mask = (events & MM_LOOP_READ ? CURL_CSELECT_IN : 0) |
               (events & MM_LOOP_WRITE ? CURL_CSELECT_OUT : 0);
    int running;
    curl_multi_socket_action(fetch->multi, fd, mask, &running);
    look_whether_done(fetch);
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct auth_fetch *fetch = arg;
    int running;
    curl_multi_socket_action(fetch->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look_whether_done(fetch);
}

// --- what curl asks for --------------------------------------------------------------------------

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct auth_fetch *fetch = arg;
    if (timeout_ms < 0) {
        mm_loop_timer_stop(fetch->loop, &fetch->timer);
    } else {
        mm_loop_timer_start(fetch->loop, &fetch->timer, MM_LOOP_MS(timeout_ms), 0);
    }
    return 0;
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    (void)socket_arg;
    struct auth_fetch *fetch = arg;
    int index = 0;
    while (index < fetch->socket_count && fetch->sockets[index] != fd) {
        index++;
    }
    bool is_known = index < fetch->socket_count;
    if (what == CURL_POLL_REMOVE) {
        if (is_known) {
            mm_loop_fd_remove(fetch->loop, fd);
            fetch->sockets[index] = fetch->sockets[--fetch->socket_count];
        }
        return 0;
    }
    unsigned events =
        (what & CURL_POLL_IN ? MM_LOOP_READ : 0) | (what & CURL_POLL_OUT ? MM_LOOP_WRITE : 0);
    if (is_known) {
        return mm_loop_fd_set(fetch->loop, fd, events) == MM_OK ? 0 : -1;
    }
    if (fetch->socket_count == FETCH_SOCKETS_MAX ||
        mm_loop_fd_add(fetch->loop, fd, events, on_socket, fetch) != MM_OK) {
        return -1;
    }
    fetch->sockets[fetch->socket_count++] = fd;
    return 0;
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    struct auth_fetch *fetch = arg;
    mm_buf_append(&fetch->body, data, size * count);
    return fetch->body.err == MM_OK ? size * count : 0;
}

// --- start and end -------------------------------------------------------------------------------

static bool set_options(struct auth_fetch *fetch, const char *url, int64_t timeout_ms)
{
    CURL *easy = fetch->easy;
    CURLM *multi = fetch->multi;
    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->problem) == CURLE_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, fetch) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, fetch) == CURLM_OK &&
           curl_multi_add_handle(multi, easy) == CURLM_OK;
}

enum mm_err auth_fetch_start(struct mm_loop *loop, const char *url, int64_t timeout_ms,
                             size_t bytes_max, auth_fetch_fn fn, void *arg, struct auth_fetch **out)
{
    struct auth_fetch *fetch = mm_calloc(1, sizeof *fetch);
    if (fetch == NULL) {
        return MM_RESOURCE_EXHAUSTED;
    }
    fetch->loop = loop;
    fetch->fn = fn;
    fetch->arg = arg;
    mm_buf_init(&fetch->body, bytes_max + 1); // and the NUL
    mm_loop_timer_init(&fetch->timer, on_timer, fetch);
    mm_loop_task_init(&fetch->done_task, finish, fetch);
    fetch->multi = curl_multi_init();
    fetch->easy = curl_easy_init();
    if (fetch->multi == NULL || fetch->easy == NULL || !set_options(fetch, url, timeout_ms)) {
        free_fetch(fetch);
        return MM_RESOURCE_EXHAUSTED;
    }
    *out = fetch;
    return MM_OK;
}

void auth_fetch_cancel(struct auth_fetch *fetch)
{
    free_fetch(fetch);
}
