#ifndef LAUNCHER_PLAN_H
#define LAUNCHER_PLAN_H

#include "tools/launcher/child.h"
#include "tools/launcher/files.h"
#include "tools/launcher/options.h"

// What is run, with which arguments and environment, in which order.

enum {
    PLAN_SESSIONS_MAX = 7, // besides `main`
    PLAN_SESSION_CHILDREN = 4,
    PLAN_SYNCS_MAX = 7, // their operations endpoints are at the ports behind the first one's
    PLAN_CHILDREN_MAX = 9 + PLAN_SYNCS_MAX + PLAN_SESSIONS_MAX * PLAN_SESSION_CHILDREN,
    PLAN_ENV_MAX = 2048,
    PLAN_ENV_OWN = 64, // of these, for what the launcher says itself
    PLAN_STAGES = 7,
    PLAN_SESSION_BYTES = 33,
};

// A further session: a world, a vision, a production and a social of its own, on sockets of its
// own.
struct plan_session {
    char session[PLAN_SESSION_BYTES]; // "": free
    bool ending;
    struct child *children; // PLAN_SESSION_CHILDREN of the plan's, NULL: never used
    char *env[PLAN_ENV_MAX + 1];
};

struct plan {
    char *data;     // absolute
    char *run;      // sockets
    char *binaries; // where the programs are
    char *services; // where the settings are
    uint16_t mariadb_port, redis_port, login_port, players_port;
    struct launcher_secrets secrets;
    char *env[PLAN_ENV_MAX + 1];
    unsigned env_count;
    char **sync_env[PLAN_SYNCS_MAX]; // of those beside the first; its own, as is the array
    struct child children[PLAN_CHILDREN_MAX];
    unsigned child_count;
    uint16_t sessions_port; // from here on ports are looked for
    struct plan_session sessions[PLAN_SESSIONS_MAX];
};

// Finds the programs, makes the directories, takes the lock and fills the plan; dies with a message
// if that is not possible.
void plan_make(struct plan *plan, const struct launcher_options *options);
void plan_free(struct plan *plan);

// Fills a place of the sessions with the children of a session, which are not started yet. NULL:
// no place or no port is free. Whoever calls has to initialise them (child_init) and start them.
struct plan_session *plan_add_session(struct plan *plan, const char *session);
// Frees the place when none of its children runs.
void plan_drop_session(struct plan_session *place);

// Of which session a child is; NULL: of none.
struct plan_session *plan_session_of(struct plan *plan, const struct child *child);

// Dies with a message that names each of the plan's ports that is taken, and its use.
void plan_check_ports(const struct plan *plan);

#endif
