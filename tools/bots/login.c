#include "tools/bots/login.h"

#include "libcommon/base/buf_json.h"
#include "libcommon/base/check.h"
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 16384, REQUEST_BYTES_MAX = 1024, TIMEOUT_MS = 5000 };

void login_cancel(struct login *login)
{
    mm_loop_timer_stop(login->loop, &login->timer);
    if (login->fd >= 0) {
        mm_loop_fd_remove(login->loop, login->fd);
        close(login->fd);
        login->fd = -1;
    }
}

static void finish(struct login *login, const char *token)
{
    login_cancel(login);
    login->on_done(login->arg, token);
}

// The connection is closed behind the answer, so all of it is there. Anything but 200 is a refusal.
static void read_answer(struct login *login)
{
    const char *text = mm_buf_cstr(&login->answer);
    const char *body = text ? strstr(text, "\r\n\r\n") : NULL;
    if (!body ||
        !(strncmp(text, "HTTP/1.1 200", 12) == 0 || strncmp(text, "HTTP/1.0 200", 12) == 0)) {
        finish(login, NULL);
        return;
    }
    json_t *answer = json_loads(body + 4, JSON_DISABLE_EOF_CHECK, NULL);
    const char *token = json_string_value(json_object_get(answer, "token"));
    char copy[LOGIN_TOKEN_BYTES];
    bool good = token && strlen(token) < sizeof copy;
    if (good)
        memcpy(copy, token, strlen(token) + 1);
    json_decref(answer);
    finish(login, good ? copy : NULL);
}

static void on_fd(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    struct login *login = arg;
    if ((events & MM_LOOP_WRITE) && login->sent < login->request.len) {
        ssize_t sent = send(fd, login->request.data + login->sent, login->request.len - login->sent,
                            MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            finish(login, NULL);
            return;
        }
        login->sent += sent > 0 ? (size_t)sent : 0;
        if (login->sent == login->request.len && mm_loop_fd_set(loop, fd, MM_LOOP_READ) != MM_OK)
            finish(login, NULL);
        return;
    }
    char piece[2048];
    ssize_t got = recv(fd, piece, sizeof piece, 0);
    if (got > 0)
        mm_buf_append(&login->answer, piece, (size_t)got);
    else if (got == 0)
        read_answer(login);
    else if (errno != EAGAIN && errno != EINTR)
        finish(login, NULL);
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    finish(arg, NULL);
}

void login_init(struct login *login, struct mm_loop *loop)
{
    login->loop = loop;
    login->fd = -1;
    mm_buf_init(&login->request, REQUEST_BYTES_MAX);
    mm_buf_init(&login->answer, ANSWER_BYTES_MAX);
    mm_loop_timer_init(&login->timer, on_timer, login);
}

void login_free(struct login *login)
{
    login_cancel(login);
    mm_buf_free(&login->request);
    mm_buf_free(&login->answer);
}

void login_start(struct login *login, const struct address *server, const char *username,
                 login_done_fn on_done, void *arg)
{
    MM_CHECK(login->fd < 0);
    login->on_done = on_done;
    login->arg = arg;
    login->sent = 0;
    mm_buf_reset(&login->request);
    mm_buf_reset(&login->answer);
    struct mm_buf body;
    mm_buf_init(&body, 256);
    mm_buf_byte(&body, '{');
    mm_buf_json_key(&body, "username");
    mm_buf_json_cstr(&body, username);
    mm_buf_byte(&body, '}');
    const char *prefix = strcmp(server->path, "/") == 0 ? "" : server->path;
    mm_buf_printf(&login->request,
                  "POST %s/api/login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                  "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                  prefix, server->authority, body.len);
    mm_buf_append(&login->request, body.data, body.len);
    mm_buf_free(&body);
    login->fd = address_connect(server);
    if (login->fd >= 0 &&
        mm_loop_fd_add(login->loop, login->fd, MM_LOOP_WRITE, on_fd, login) != MM_OK) {
        close(login->fd);
        login->fd = -1;
    }
    // Without a connection, too, the answer comes from the loop: at once.
    mm_loop_timer_start(login->loop, &login->timer, login->fd >= 0 ? MM_LOOP_MS(TIMEOUT_MS) : 0, 0);
}
