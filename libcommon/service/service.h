#ifndef MM_SERVICE_SERVICE_H
#define MM_SERVICE_SERVICE_H

#include "libcommon/base/err.h"
#include "libcommon/io/http_rpc.h"
#include "libcommon/io/rpc.h"
#include "libcommon/service/config.h"
#include "libcommon/service/metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The life of a service process, from its command line to its exit code:
//
//   configure  YAML -> settings; any error: file:line on stderr, exit 2
//   start      loop, watchdog, HTTP (/healthz answers, /readyz says 503 and why); then the database
//              (retried until it is there, migrated), Redis and the peers' clients; then the
//              start hook; then RPC listens
//   ready      every condition is true: /readyz says 200
//   drain      SIGTERM or SIGINT: /readyz says 503, the drain hook runs, at most drain.timeout
//   stop       database and Redis are closed, the stop hook runs, then the rest in reverse order;
//              exit 0
//
// A second signal while draining exits at once (status 130). All hooks run on the loop thread.
//
// Sections and keys of the YAML file that every service has, besides its own (spec.fields):
//   session, log.level, rpc.listen, rpc.tls.{ca,cert_key}, http.listen, watchdog.{stall,abort},
//   drain.timeout, peers.<name> (addresses), and by what it uses: mariadb.*, redis.*,
//   stream.listen, streams.<name>.
//
// A service's main.c is a settings table, a spec and `return mm_service_main(argc, argv, &spec)`.

struct mm_loop;
struct mm_rpc_server;
struct mm_rpc_client;
struct mm_db;
struct mm_redis;
struct mm_http_server;
struct mm_stream_hub;
struct mm_progress;
struct mm_watchdog;
struct mm_service;

enum mm_service_uses {
    MM_SERVICE_DB = 1 << 0,     // section mariadb; migrations from <config directory>/schema
    MM_SERVICE_REDIS = 1 << 1,  // section redis
    MM_SERVICE_STREAM = 1 << 2, // key stream.listen: the service publishes streams
    // One of the connections is for background jobs (struct mm_db_job), if there are several.
    MM_SERVICE_DB_BACKGROUND = 1 << 3,
};

struct mm_service_spec {
    const char *name;    // "world": metrics, logs, database mmorts_world
    const char *summary; // one line for --help
    const char *exits;   // what its own exit statuses mean, for --help ("3 ..."); NULL: it has none
    uint16_t port;       // default ports: 7110 -> rpc 7110, stream 7111, http 7112
    unsigned uses;       // of enum mm_service_uses
    bool redis_optional; // the service is ready without Redis too

    // Peers by name ("world"), ended by NULL: their RPC clients (peers.world) and, for
    // stream_peers, the addresses of their streams (streams.world). NULL for none. Unless
    // `authorise` is given, peer "auth" is there in any case.
    const char *const *peers;
    const char *const *stream_peers;

    // Own settings. The state is zeroed memory of state_bytes; the fields' offsets are into it, so
    // the settings are a member of the state (its first, by custom).
    const struct mm_config_field *fields;
    size_t field_count;
    size_t state_bytes;

    // All hooks may be NULL. `state` is the service's state.

    // Checks of the settings that the table cannot say, files of rules that they name; report
    // with mm_config_fail(). Called if the table itself had no error.
    void (*check)(struct mm_config *config, void *state);

    // Frees what check made; always called, last of all.
    void (*release)(void *state);

    // The process got SIGHUP while it runs: files that can be read anew are. NULL: SIGHUP ends the
    // process, as it does by default.
    void (*reload)(struct mm_service *service, void *state);

    // Registers RPC services, metrics and conditions, loads what is needed, starts timers. Not OK:
    // logged, and the process exits with 1.
    enum mm_err (*start)(struct mm_service *service, void *state);

    // Stop taking new work and finish what is under way; call mm_service_drained() when done (or
    // at once). If NULL, the service counts as drained when RPC handlers under way have ended.
    void (*drain)(struct mm_service *service, void *state);

    // Free everything start made. Nothing asynchronous is left: all database jobs and Redis
    // commands have completed (or got CANCELLED) and both are closed; the last state is saved in
    // drain. RPC calls not yet answered are to be failed here. Also called if start failed (on a
    // partial state), but not if the service ended before start.
    void (*stop)(struct mm_service *service, void *state);

    // Who a bearer token of the HTTP gateway belongs to, for the auth service itself; its arg is
    // the state. Others leave it NULL: they ask auth.
    mm_http_authorise_fn authorise;
};

// Runs the service; returns the process's exit status.
int mm_service_main(int argc, char **argv, const struct mm_service_spec *spec);

// --- what a running service has; all on the loop thread ------------------------------------------

void *mm_service_state(struct mm_service *service);
const char *mm_service_name(const struct mm_service *service);
const char *mm_service_instance(const struct mm_service *service); // "<host>:<pid>"
struct mm_config *mm_service_config(struct mm_service *service);
struct mm_loop *mm_service_loop(struct mm_service *service);
struct mm_metrics *mm_service_metrics(struct mm_service *service);
struct mm_http_server *mm_service_http(struct mm_service *service);
struct mm_rpc_server *mm_service_rpc_server(struct mm_service *service);
struct mm_db *mm_service_db(struct mm_service *service);       // NULL unless MM_SERVICE_DB
struct mm_redis *mm_service_redis(struct mm_service *service); // or MM_SERVICE_REDIS
struct mm_stream_hub *mm_service_stream_hub(struct mm_service *service); // or MM_SERVICE_STREAM

// The client of a peer that the spec names. Another name is a bug.
struct mm_rpc_client *mm_service_peer(struct mm_service *service, const char *name);

// The address of a peer's stream (spec.stream_peers), for mm_stream_reader_open.
const char *mm_service_stream_peer(struct mm_service *service, const char *name);

// The TLS files of the settings: the same for RPC (where peers' clients have them already) and for
// stream readers. They belong to the config.
struct mm_rpc_tls mm_service_tls(const struct mm_service *service);

// The game session's id (setting `session`).
const char *mm_service_session(struct mm_service *service);

// --- readiness -----------------------------------------------------------------------------------

enum { MM_SERVICE_CONDITIONS_MAX = 32 };

// Declares something that must be true for the service to be ready ("world feed caught up"); false
// to begin with. Returns its number. The name is copied and shown by /readyz while it is false.
// Database and Redis (where used) are conditions already; peers are not.
int mm_service_condition_add(struct mm_service *service, const char *name);
void mm_service_condition_set(struct mm_service *service, int condition, bool is_true);

// True if every condition is, and the service is not draining.
bool mm_service_is_ready(const struct mm_service *service);

// --- told of changes -----------------------------------------------------------------------------

// Called on the loop when the database or Redis comes or goes. One each; set in start.
void mm_service_on_db(struct mm_service *service, void (*fn)(bool is_up, void *arg), void *arg);
void mm_service_on_redis(struct mm_service *service, void (*fn)(bool is_up, void *arg), void *arg);

// --- long work -----------------------------------------------------------------------------------

// Watches the calling thread (one of the database's, that restores something large) by the steps of
// `progress`, as the loop is watched and by the same settings, until it calls the other function
// with what this returned (NULL if there is no thread for that: then it is not watched).
struct mm_watchdog *mm_service_watch_begin(struct mm_service *service,
                                           struct mm_progress *progress);
void mm_service_watch_end(struct mm_watchdog *watchdog);

// --- ending --------------------------------------------------------------------------------------

// The drain hook's work is done; the service stops on the loop's next turn.
void mm_service_drained(struct mm_service *service);

// Drains and stops as SIGTERM does, with that exit status: for a service that cannot go on. A
// supervisor starts it again.
void mm_service_quit(struct mm_service *service, int exit_status);

#endif
