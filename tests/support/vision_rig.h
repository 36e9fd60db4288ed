#ifndef TESTS_SUPPORT_VISION_RIG_H
#define TESTS_SUPPORT_VISION_RIG_H

#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"
#include "libcommon/io/stream_reader.h"
#include "services/vision/core/vision.h"
#include "tests/support/call.h"
#include "tests/support/servers.h"
#include "tests/support/vision_scene.h"

#include <stdbool.h>
#include <stdint.h>

// The vision service as a process, with a world made of a scene that ticks 20 times a second, and
// MariaDB. A core in this program, which sees the same frames and is never killed, says what must
// come: every vision frame is compared with it, and whole views whenever that is asked for. What
// differs, or does not come, fails the program.

enum { VISION_RIG_TICK_MS = 50, VISION_RIG_TICKS_MAX = 4096 };

struct vision_rig {
    struct mm_loop *loop;
    char *dir;
    struct mm_rpc_server *server;
    struct mm_stream_hub *hub;
    struct mm_stream_publisher *ticks;
    struct mm_loop_timer timer;
    struct scene *scene;
    struct vision *core;
    uint64_t tick;
    uint64_t published_ns[VISION_RIG_TICKS_MAX];
    uint64_t digests[VISION_RIG_TICKS_MAX];

    struct test_service *service;
    struct test_server *mariadb;
    struct mm_rpc_client *client;
    struct mm_stream_reader *reader;
    uint64_t epoch;     // of the last vision frame
    uint64_t seen_tick; // its tick
    uint64_t epoch_ns;  // when the epoch's first came
    uint64_t missed;    // ticks without a frame: in a restart only
    uint64_t until_tick;
    bool reached;
    double waits_ms[VISION_RIG_TICKS_MAX]; // by tick
};

// So many empires with so many entities each, SCENE_MOVERS of which walk. Returns when vision
// publishes.
void vision_rig_open(struct vision_rig *rig, uint32_t empires, uint32_t per_empire);
void vision_rig_close(struct vision_rig *rig);
// World ticks, or does not.
void vision_rig_run(struct vision_rig *rig);
void vision_rig_pause(struct vision_rig *rig);
// Until vision has published so many ticks more.
void vision_rig_play(struct vision_rig *rig, uint64_t ticks);
void vision_rig_until_seen(struct vision_rig *rig, uint64_t tick);
// Until vision publishes under another epoch than that.
void vision_rig_until_epoch(struct vision_rig *rig, uint64_t epoch);
// Whole views of some empires; world is to pause meanwhile.
void vision_rig_compare(struct vision_rig *rig);
// The tick of the checkpoint that a restart would go on from; 0: there is none.
uint64_t vision_rig_checkpoint_tick(struct vision_rig *rig);
// Until vision has a checkpoint: killed earlier it begins anew with what it has saved, which is
// less.
void vision_rig_until_checkpoint(struct vision_rig *rig);
// The process: starts it; kills it as kill -9 does.
void vision_rig_launch(struct vision_rig *rig);
void vision_rig_kill(struct vision_rig *rig);
// CPU time that the process has taken until now.
double vision_rig_cpu_ms(const struct vision_rig *rig);
// A figure of its /metrics; 0 if it is not there.
double vision_rig_metric(struct vision_rig *rig, const char *name);

#endif
