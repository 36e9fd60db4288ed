#ifndef TESTS_SUPPORT_SYNC_PLAYER_H
#define TESTS_SUPPORT_SYNC_PLAYER_H

#include "tests/support/sync_world.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A client of the player protocol as docs/client-protocol.md describes it, and nothing more: it
// parses messages (jansson) and keeps what they say. Then what it shows is compared with the truth.

struct sync_player;

struct sync_player *sync_player_new(uint32_t empire);
void sync_player_free(struct sync_player *player);

// Takes one message. Every fault found in it (not JSON, an unknown entity changed, a tick that goes
// back, an owner without a name, somebody else's secrets) is remembered.
void sync_player_take(struct sync_player *player, const char *text, size_t len);

// Not every update tells everything: what it knows may appear again.
void sync_player_allow_late(struct sync_player *player);
// Whether the next update tells several ticks as one: what left sight and came back appears again.
void sync_player_allow_fold(struct sync_player *player, bool fold);
// How many entities and hexes the last update said there is more news of.
uint64_t sync_player_deferred(const struct sync_player *player);
// What the last update told of entities must be in sight, and true, as of its tick.
void sync_player_compare_told(struct sync_player *player, const struct sync_world_truth *truth);

// The first fault, or NULL.
const char *sync_player_fault(const struct sync_player *player);
// The last tick of which everything was told: where the stream may be taken up again.
uint64_t sync_player_position(const struct sync_player *player);
// The last such tick after which nothing was deferred.
uint64_t sync_player_settled(const struct sync_player *player);
uint64_t sync_player_tick(const struct sync_player *player);

// Compares everything the client shows with what its empire knows: a fault if it differs.
void sync_player_compare(struct sync_player *player, const struct sync_world_truth *truth);

// An amount of a resource as last told; -1 if never.
long long sync_player_resource(const struct sync_player *player, const char *name);
size_t sync_player_open_jobs(const struct sync_player *player);
size_t sync_player_events(const struct sync_player *player);

#endif
