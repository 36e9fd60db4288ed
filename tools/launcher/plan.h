#ifndef LAUNCHER_PLAN_H
#define LAUNCHER_PLAN_H

#include "tools/launcher/child.h"
#include "tools/launcher/files.h"
#include "tools/launcher/options.h"

// What is run, with which arguments and environment, in which order.

enum { PLAN_CHILDREN_MAX = 10, PLAN_ENV_MAX = 256, PLAN_STAGES = 7 };

struct plan {
    char *data;     // absolute
    char *run;      // sockets
    char *binaries; // where the programs are
    char *services; // where the settings are
    uint16_t mariadb_port, redis_port, login_port, players_port;
    struct launcher_secrets secrets;
    char *env[PLAN_ENV_MAX + 1];
    unsigned env_count;
    struct child children[PLAN_CHILDREN_MAX];
    unsigned child_count;
};

// Finds the programs, makes the directories, takes the lock and fills the plan; dies with a message
// if that is not possible.
void plan_make(struct plan *plan, const struct launcher_options *options);
void plan_free(struct plan *plan);

// Dies with a message that names the port and its use if one of the plan's is taken.
void plan_check_ports(const struct plan *plan);

#endif
