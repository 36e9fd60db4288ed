#include "tools/launcher/plan.h"

#include "libcommon/base/check.h"
#include "libcommon/base/str.h"
#include "tools/launcher/ports.h"
#include "tools/launcher/services.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Further sessions: places in the plan that are filled and freed while the game runs.

// What is said below for each session anew; and no seed: a session has its own from its creation,
// and with one seed the ids of two would be the same.
static bool is_overridden(const char *entry)
{
    static const char *const own[] = {"_RPC=", "_HTTP=", "_STREAM="};
    if (strncmp(entry, "MMORTS_WORLD_SEED=", 18) == 0)
        return true;
    for (unsigned i = 0; i < LAUNCHER_SERVICES; i++) {
        size_t len = strlen(launcher_services[i].upper);
        if (!launcher_services[i].per_session || strncmp(entry, "MMORTS_", 7) != 0 ||
            strncmp(entry + 7, launcher_services[i].upper, len) != 0)
            continue;
        for (unsigned k = 0; k < sizeof own / sizeof own[0]; k++)
            if (strncmp(entry + 7 + len, own[k], strlen(own[k])) == 0)
                return true;
    }
    return false;
}

static void session_env(const struct plan *plan, struct plan_session *place, unsigned number,
                        const uint16_t *ports)
{
    unsigned count = 0;
    for (unsigned i = 0; i < plan->env_count; i++)
        if (!is_overridden(plan->env[i]))
            place->env[count++] = launcher_text("%s", plan->env[i]);
    place->env[count++] = launcher_text("MMORTS_SESSION=%s", place->session);
    for (unsigned i = 0, k = 0; i < LAUNCHER_SERVICES; i++) {
        if (!launcher_services[i].per_session)
            continue;
        const char *name = launcher_services[i].name, *upper = launcher_services[i].upper;
        // By number: a session's name might not fit a socket's path.
        place->env[count++] =
            launcher_text("MMORTS_%s_RPC=ipc://%s/%u-%s.rpc", upper, plan->run, number, name);
        place->env[count++] = launcher_text("MMORTS_%s_HTTP=127.0.0.1:%u", upper, ports[k++]);
        if (launcher_services[i].has_stream)
            place->env[count++] = launcher_text("MMORTS_%s_STREAM=ipc://%s/%u-%s.stream", upper,
                                                plan->run, number, name);
        MM_CHECK(count + 3 < PLAN_ENV_MAX);
    }
}

static bool find_ports(const struct plan *plan, uint16_t *ports)
{
    uint16_t port = plan->sessions_port;
    for (unsigned k = 0; k < PLAN_SESSION_CHILDREN; port++) {
        bool taken = false;
        for (unsigned i = 0; i < plan->child_count; i++)
            taken |= plan->children[i].target.port == port;
        if (port >= 32768)
            return false;
        if (!taken && ports_can_listen(port))
            ports[k++] = port;
    }
    return true;
}

static void session_child(const struct plan *plan, struct plan_session *place, unsigned number,
                          unsigned service, struct child *child, uint16_t port)
{
    const char *name = launcher_services[service].name;
    *child = (struct child){
        .name = launcher_text("%s.%s", name, place->session),
        .stage = launcher_services[service].stage,
        .env = place->env,
        .log_path = launcher_text("%s/log/%s.%s.log", plan->data, name, place->session),
        .target = {PROBE_HTTP, port, "/readyz"},
        .rpc = launcher_text("ipc://%s/%u-%s.rpc", plan->run, number, name),
        .stop_ms = 10000,
        .optional = true,
    };
    child->argv[child->argc++] = launcher_text("%s/mmorts-%s", plan->binaries, name);
    child->argv[child->argc++] = launcher_text("--config");
    child->argv[child->argc++] = launcher_text("%s/%s/%s.yaml", plan->services, name, name);
}

struct plan_session *plan_add_session(struct plan *plan, const char *session)
{
    unsigned number = 0;
    while (number < PLAN_SESSIONS_MAX && plan->sessions[number].session[0] != '\0')
        number++;
    uint16_t ports[PLAN_SESSION_CHILDREN];
    if (number == PLAN_SESSIONS_MAX || !find_ports(plan, ports))
        return NULL;
    struct plan_session *place = &plan->sessions[number];
    if (!mm_str_copy(place->session, sizeof place->session, session))
        return NULL;
    place->ending = false;
    if (!place->children) {
        MM_CHECK(plan->child_count + PLAN_SESSION_CHILDREN <= PLAN_CHILDREN_MAX);
        place->children = &plan->children[plan->child_count];
        plan->child_count += PLAN_SESSION_CHILDREN;
    }
    session_env(plan, place, number, ports);
    for (unsigned i = 0, k = 0; i < LAUNCHER_SERVICES; i++)
        if (launcher_services[i].per_session) {
            session_child(plan, place, number, i, &place->children[k], ports[k]);
            k++;
        }
    return place;
}

struct plan_session *plan_session_of(struct plan *plan, const struct child *child)
{
    for (unsigned i = 0; i < PLAN_SESSIONS_MAX; i++)
        for (unsigned k = 0; plan->sessions[i].children && k < PLAN_SESSION_CHILDREN; k++)
            if (&plan->sessions[i].children[k] == child)
                return &plan->sessions[i];
    return NULL;
}

void plan_drop_session(struct plan_session *place)
{
    for (unsigned k = 0; place->children && k < PLAN_SESSION_CHILDREN; k++)
        child_clear(&place->children[k]);
    for (unsigned i = 0; place->env[i]; i++)
        free(place->env[i]);
    memset(place->env, 0, sizeof place->env);
    place->session[0] = '\0';
}
