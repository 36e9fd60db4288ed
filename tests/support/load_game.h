#ifndef TESTS_SUPPORT_LOAD_GAME_H
#define TESTS_SUPPORT_LOAD_GAME_H

#include <stdbool.h>
#include <stdint.h>

// The whole game as the launcher runs it, real processes and real stores, with the scenario
// `patrol-v1` (docs/performance.md) in it. Failures of the harness abort (process.h).

struct load_game;

// Starts the game and waits until it is ready; `players` empires are founded, each with its 20
// units, and the units are sent on patrol. `syncs` processes of sync share the players ("sync",
// "sync-2", ...).
struct load_game *load_game_start(uint32_t players, uint64_t seed, uint32_t syncs);
// The same with other settings of sync: pairs of how a setting begins in sync.yaml ("log: ") and
// its value; {NULL, NULL} is the last.
struct load_game *load_game_start_with(uint32_t players, uint64_t seed, uint32_t syncs,
                                       const char *const (*sync)[2]);
void load_game_stop(struct load_game *game);

uint16_t load_game_port(const struct load_game *game); // players'
const char *load_game_world_rpc(const struct load_game *game);
const char *load_game_world_stream(const struct load_game *game);

// The empire of player `index`, and a token to log in with, valid until the next call.
uint32_t load_game_empire(const struct load_game *game, uint32_t index);
const char *load_game_token(void *game, uint32_t index);

// Of a service ("sync"): CPU time used so far, and memory now.
uint64_t load_game_cpu_ns(const struct load_game *game, const char *service);
uint64_t load_game_rss_bytes(const struct load_game *game, const char *service);

// A figure of the service's metrics, without labels.
double load_game_metric(const struct load_game *game, const char *service, const char *name);

// SIGSTOP or SIGCONT, say.
void load_game_signal(const struct load_game *game, const char *service, int signal);

// kill -9. The launcher starts it again by itself; when that is done, all services are ready again.
void load_game_kill(struct load_game *game, const char *service);
bool load_game_is_ready(const struct load_game *game);

// Raises the limit on open files as far as it goes; before anything is started. Fails with a
// message if `sockets` are more than that leaves room for.
void load_raise_limits(uint32_t sockets);

#endif
