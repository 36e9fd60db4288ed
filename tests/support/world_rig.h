#ifndef TESTS_SUPPORT_WORLD_RIG_H
#define TESTS_SUPPORT_WORLD_RIG_H

#include "gen/world.pb-c.h"
#include "libcommon/base/err.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"
#include "tests/support/world_mirror.h"
#include <stdbool.h>
#include <stdint.h>

struct mm_loop;
struct mm_rpc_client;
struct mm_stream_reader;
struct world;

// A real world process on a real MariaDB, with a client and a reader of its tick stream that
// outlive it. The reader checks every frame and that ticks never go back.
struct world_rig {
    struct test_address mariadb;
    char session[40];
    char database[64];
    char dir[64];
    uint16_t http_port;
    struct test_process *process;
    struct mm_loop *loop;
    struct mm_rpc_client *client;
    struct mm_stream_reader *reader;
    struct mirror *mirror;
    uint64_t frames, snapshots, last_tick;
    uint64_t *hashes; // by tick, of every frame seen; 0: not seen
    uint64_t hashes_end;
    const char *const *settings; // further NAME=value for the process
    char config[128];            // file
};

// mariadb NULL: the shared one. The database is a fresh one. config NULL: world_rig.yaml here.
void rig_open(struct world_rig *rig, const struct test_address *mariadb, const char *config);
// Another session of the same database.
void rig_open_beside(struct world_rig *rig, const struct world_rig *other, const char *session);
// Starts the process and waits until it is ready.
void rig_start(struct world_rig *rig);
// SIGTERM, and expects exit status 0.
void rig_stop(struct world_rig *rig);
void rig_kill(struct world_rig *rig);
void rig_close(struct world_rig *rig);
// Prints what the reader and the process are at, for a test that is about to fail.
void rig_show(struct world_rig *rig);

// Another process of the same session, on sockets of its own.
struct test_process *rig_rival(const struct world_rig *rig, uint16_t *http_port);
// Such a one, which must refuse to start: it must exit by itself, with that status.
void rig_refused(const struct world_rig *rig, int status);

// The tick at which the process ended by rig_stop; the reader may have seen less.
uint64_t rig_ended_at(const struct world_rig *rig);
// Puts a world in the place of what the session has stored; the process must not run. Returns the
// bytes of its state.
size_t rig_store(const struct world_rig *rig, const struct world *world);
// The same, as a version of the simulation before this one would have stored it (world_older.h).
size_t rig_store_older(const struct world_rig *rig, const struct world *world, uint32_t version);
// Joins players (so there are journal rows) until a restart would have to replay for `seconds`, or
// so many ticks have passed. What it would have to, in seconds.
double rig_play_behind(struct world_rig *rig, double seconds, uint64_t ticks_max);

// Runs mmorts-replay on the session with these further arguments and expects that exit status.
// *output (may be NULL) is what it printed; the caller frees.
void rig_replay(const struct world_rig *rig, const char *const *arguments, int status,
                char **output);

// Turns the loop for a while.
void rig_turn(struct world_rig *rig, uint32_t ms);
// Until the reader has seen the tick; false at the time limit.
bool rig_until_tick(struct world_rig *rig, uint64_t tick, uint32_t timeout_ms);

// The state hash that the stream told for a tick, 0 if that tick was not seen.
uint64_t rig_hash_seen(const struct world_rig *rig, uint64_t tick);

// Until none of the empire's entities is under way.
bool rig_until_still(struct world_rig *rig, uint32_t empire, uint32_t timeout_ms);

// A deadline that nobody reaches who answers at all.
enum { RIG_CALL_MS = TEST_PATIENCE_MS / 2 };

// Calls and waits. The reply is the caller's (free with protobuf_c_message_free_unpacked), NULL
// unless OK.
enum mm_err rig_call(struct world_rig *rig, const char *method, const ProtobufCMessage *request,
                     uint32_t deadline_ms, ProtobufCMessage **reply);

// What rig_call gave; NULL is allowed.
void rig_free_reply(void *reply);

// Joins, and waits until the reader has seen the empire. Any failure ends the test.
void rig_join_seen(struct world_rig *rig, uint64_t player_id, Mmorts__World__JoinReply *out);

// The usual calls in short. Replies are the caller's.
enum mm_err rig_join(struct world_rig *rig, uint64_t player_id, Mmorts__World__JoinReply **reply);
enum mm_err rig_move(struct world_rig *rig, uint64_t player_id, uint64_t client_seq,
                     const uint64_t *units, size_t count, int32_t q, int32_t r,
                     Mmorts__World__CommandResult *result);
enum mm_err rig_spawn(struct world_rig *rig, const char *key, const char *type, uint32_t empire,
                      uint32_t count, int32_t q, int32_t r, Mmorts__World__SpawnReply **reply);
// The session's info; its strings are not kept.
enum mm_err rig_session(struct world_rig *rig, Mmorts__World__SessionInfo *info, char *reason,
                        size_t reason_bytes);

// Ids of an empire's movable units, from the mirror. Types are those of the game's files.
size_t rig_units(const struct world_rig *rig, uint32_t empire, uint64_t *out, size_t out_max);

// The value of a metric without labels; -1 if it is not there. Those of one moment, by their names.
double rig_metric(const struct world_rig *rig, const char *name);
void rig_metrics(const struct world_rig *rig, const char *const *names, double *values,
                 size_t count);

// Statements on the session's database, beside the process: one that must change `rows` rows, and
// one whose first value is a number.
void rig_sql(const struct world_rig *rig, const char *sql, uint64_t rows);
uint64_t rig_count_sql(const struct world_rig *rig, const char *sql);

#endif
