#ifndef TESTS_SUPPORT_LOAD_GAME_INTERNAL_H
#define TESTS_SUPPORT_LOAD_GAME_INTERNAL_H

#include <jansson.h>
#include <stdint.h>

#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "tests/support/load_game.h"
#include "tools/login/login.h"

#define LOAD_FIRST_PLAYER UINT64_C(1000) // player_id of player 0

struct load_game {
    char *directory;
    char status_path[512];
    struct test_process *launcher;
    uint16_t players_port;
    char world_rpc[256], world_stream[256];
    struct login_signer *signer;
    char token[LOGIN_TOKEN_CHARS_MAX + 1];

    uint32_t players, syncs;
    uint64_t seed;
    uint32_t *empires;
    const char *const (*sync_settings)[2]; // of the caller; NULL: none
};

// load_patrol.c: founds the empires and sends their units on patrol.
void load_patrol_begin(struct load_game *game);

#endif
