#ifndef BOTS_GAME_H
#define BOTS_GAME_H

#include "libcommon/base/idmap.h"
#include "libcommon/base/strmap.h"
#include "libcommon/base/vec.h"
#include "libcommon/hex/hex.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// What one computer player knows of the game: its own units and buildings, its resources and where
// it has been. Built from the server's messages alone, as docs/client-protocol.md describes them.

enum {
    GAME_ID_BYTES = 40,
    GAME_TYPE_BYTES = 24,
    GAME_OWN_MAX = 256,       // own entities that are remembered
    GAME_OTHERS_MAX = 4096,   // ids of others in sight
    GAME_SEEN_MAX = 256,      // resources and enemies that are remembered with their places
    GAME_EXPLORED_MAX = 8192, // explored hexes that are remembered
};

struct game_own {
    char id[GAME_ID_BYTES];
    char type[GAME_TYPE_BYTES];
    bool is_building;
    bool idle;
    struct hex_axial at;
    uint64_t ordered_ms; // when it last got an order
};

// Somebody else's, or a resource, in sight.
struct game_seen {
    char id[GAME_ID_BYTES];
    bool is_resource; // else an enemy
    struct hex_axial at;
};

struct game {
    char empire[GAME_ID_BYTES];
    struct hex_axial home;
    bool full;     // a full update has come
    bool running;  // the session is not paused
    uint64_t tick; // of the last update
    struct {
        MM_VEC(struct game_own);
    } own;
    struct {
        MM_VEC(struct game_seen);
    } seen;
    struct mm_strmap *others;    // id -> 1
    struct mm_idmap *explored;   // packed hex -> 1
    struct mm_strmap *resources; // name -> amount
    json_t *recipes;             // of the last `map`
    json_t *types;               // of the last `map`
};

// False when out of memory.
bool game_init(struct game *game);
void game_free(struct game *game);

// Messages; `message` is the whole object. What is missing or of the wrong type is passed over.
void game_on_welcome(struct game *game, const json_t *message);
void game_on_map(struct game *game, json_t *message);
void game_on_explored(struct game *game, const json_t *message);
void game_on_session_status(struct game *game, const json_t *payload);

// What is wrong with an update, as a player would see it.
struct game_faults {
    bool tick_back;       // the tick went back
    bool changed_unknown; // `changed` names an entity that never appeared
};
struct game_faults game_on_update(struct game *game, const json_t *message);

// The nearest resource or enemy in sight within `radius` hexes, or NULL.
const struct game_seen *game_nearest(const struct game *game, bool is_resource,
                                     struct hex_axial about, int32_t radius);

uint64_t game_resource(const struct game *game, const char *name);

#endif
