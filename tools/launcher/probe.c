#include "tools/launcher/probe.h"

#include "libcommon/base/check.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Often, so that a restart is noticed within tens of milliseconds; a refused connection is cheap.
enum { ATTEMPT_EVERY_MS = 25, ANSWER_WITHIN_MS = 2000 };

void probe_stop(struct probe *probe)
{
    mm_loop_timer_stop(probe->loop, &probe->timer);
    if (probe->fd >= 0) {
        mm_loop_fd_remove(probe->loop, probe->fd);
        close(probe->fd);
        probe->fd = -1;
    }
}

const char *probe_seen(const struct probe *probe)
{
    return probe->seen;
}

static void try_later(struct probe *probe)
{
    probe_stop(probe);
    mm_loop_timer_start(probe->loop, &probe->timer, MM_LOOP_MS(ATTEMPT_EVERY_MS), 0);
}

static bool send_question(struct probe *probe)
{
    char question[256];
    int len = 0;
    if (probe->target->kind == PROBE_HTTP)
        len = snprintf(question, sizeof question,
                       "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
                       probe->target->path);
    else if (probe->target->kind == PROBE_REDIS)
        len = snprintf(question, sizeof question, "PING\r\n");
    return len == 0 || send(probe->fd, question, (size_t)len, MSG_NOSIGNAL) == len;
}

enum verdict { VERDICT_READY, VERDICT_NOT_READY, VERDICT_INCOMPLETE };

static bool answer_begins(const struct probe *probe, const char *text)
{
    size_t len = strlen(text);
    return probe->answer_bytes >= len && memcmp(probe->answer, text, len) == 0;
}

static enum verdict judge(const struct probe *probe)
{
    switch (probe->target->kind) {
    case PROBE_HTTP: // what is not ready says why: that is read to its end
        return answer_begins(probe, "HTTP/1.1 200") ? VERDICT_READY : VERDICT_INCOMPLETE;
    case PROBE_MARIADB:
        // Length (3 bytes), sequence number, then protocol version 10; an error packet has 255.
        if (probe->answer_bytes < 5)
            return VERDICT_INCOMPLETE;
        return probe->answer[4] == 10 ? VERDICT_READY : VERDICT_NOT_READY;
    case PROBE_REDIS:
        if (probe->answer_bytes < strlen("-NOAUTH"))
            return answer_begins(probe, "+PONG") ? VERDICT_READY : VERDICT_INCOMPLETE;
        return answer_begins(probe, "-NOAUTH") || answer_begins(probe, "+PONG") ? VERDICT_READY
                                                                                : VERDICT_NOT_READY;
    case PROBE_NONE:
        break;
    }
    return VERDICT_READY;
}

// Of {"service":"vision","ready":false,"draining":false,"waiting_for":["world"]}, what it waits
// for.
static void keep_answer(struct probe *probe)
{
    static const char key[] = "\"waiting_for\":[";
    probe->answer[probe->answer_bytes] = '\0';
    const char *reasons = strstr(probe->answer, key);
    if (reasons) {
        reasons += strlen(key);
        snprintf(probe->seen, sizeof probe->seen, "it waits for %.*s",
                 (int)strcspn(reasons, "]\r\n"), reasons);
    } else {
        snprintf(probe->seen, sizeof probe->seen, "port %u answers that it is not ready",
                 probe->target->port);
    }
}

static void on_fd(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    struct probe *probe = arg;
    if (!probe->sent && (events & MM_LOOP_WRITE)) {
        int error = 0;
        socklen_t error_bytes = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes);
        if (error != 0 || !send_question(probe) ||
            mm_loop_fd_set(loop, fd, MM_LOOP_READ) != MM_OK) {
            snprintf(probe->seen, sizeof probe->seen, "nobody answers at port %u",
                     probe->target->port);
            try_later(probe);
            return;
        }
        probe->sent = true;
        return;
    }
    ssize_t got = recv(fd, probe->answer + probe->answer_bytes,
                       sizeof probe->answer - 1 - probe->answer_bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0)
        probe->answer_bytes += (uint32_t)got;
    enum verdict verdict = judge(probe);
    if (verdict == VERDICT_READY) {
        probe_stop(probe);
        probe->on_ready(probe->arg);
    } else if (got <= 0 || verdict == VERDICT_NOT_READY) {
        keep_answer(probe);
        try_later(probe);
    }
}

static void attempt(struct probe *probe)
{
    probe->sent = false;
    probe->answer_bytes = 0;
    probe->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe->fd < 0) {
        try_later(probe);
        return;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(probe->target->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int result = connect(probe->fd, (struct sockaddr *)&address, sizeof address);
    if (result != 0 && errno != EINPROGRESS) {
        snprintf(probe->seen, sizeof probe->seen, "nobody answers at port %u", probe->target->port);
        close(probe->fd);
        probe->fd = -1;
        try_later(probe);
        return;
    }
    if (mm_loop_fd_add(probe->loop, probe->fd, MM_LOOP_WRITE, on_fd, probe) != MM_OK) {
        close(probe->fd);
        probe->fd = -1;
        try_later(probe);
        return;
    }
    mm_loop_timer_start(probe->loop, &probe->timer, MM_LOOP_MS(ANSWER_WITHIN_MS), 0);
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct probe *probe = arg;
    if (probe->target->kind == PROBE_NONE) {
        probe->on_ready(probe->arg);
    } else if (probe->fd >= 0) {
        snprintf(probe->seen, sizeof probe->seen, "port %u does not answer within %d ms",
                 probe->target->port, ANSWER_WITHIN_MS);
        try_later(probe);
    } else {
        attempt(probe);
    }
}

void probe_init(struct probe *probe, struct mm_loop *loop)
{
    probe->loop = loop;
    probe->fd = -1;
    mm_loop_timer_init(&probe->timer, on_timer, probe);
}

void probe_start(struct probe *probe, const struct probe_target *target, probe_ready_fn on_ready,
                 void *arg)
{
    MM_CHECK(probe->fd < 0);
    probe->target = target;
    probe->on_ready = on_ready;
    probe->arg = arg;
    snprintf(probe->seen, sizeof probe->seen, "it was not asked yet");
    mm_loop_timer_start(probe->loop, &probe->timer, 0, 0);
}
