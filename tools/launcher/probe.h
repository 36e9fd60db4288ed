#ifndef LAUNCHER_PROBE_H
#define LAUNCHER_PROBE_H

#include "libcommon/io/loop.h"
#include <stdbool.h>
#include <stdint.h>

// Finds out when a program that was just started is ready, by asking it over and over: the first
// answer that says so ends the probe.

enum probe_kind {
    PROBE_NONE,    // ready as soon as it runs
    PROBE_HTTP,    // GET path answers 200
    PROBE_MARIADB, // sends its greeting
    PROBE_REDIS,   // answers PING, and not with LOADING
};

struct probe_target {
    enum probe_kind kind;
    uint16_t port; // on 127.0.0.1
    const char *path;
};

typedef void (*probe_ready_fn)(void *arg);

struct probe {
    struct mm_loop *loop;
    const struct probe_target *target;
    probe_ready_fn on_ready;
    void *arg;
    int fd; // -1: none
    bool sent;
    char answer[2048];
    uint32_t answer_bytes;
    struct mm_loop_timer timer; // the next attempt, or the end of this one
    char seen[200];             // why not ready, at the latest attempt
};

void probe_init(struct probe *probe, struct mm_loop *loop);
// on_ready is called once, from the loop, unless the probe is stopped before.
void probe_start(struct probe *probe, const struct probe_target *target, probe_ready_fn on_ready,
                 void *arg);
void probe_stop(struct probe *probe);
// Why it was not ready when it was last asked: for people, as the end of a sentence.
const char *probe_seen(const struct probe *probe);

#endif
