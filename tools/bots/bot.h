#ifndef BOTS_BOT_H
#define BOTS_BOT_H

#include "libcommon/base/rng.h"
#include "tools/bots/game.h"
#include "tools/bots/login.h"
#include "tools/bots/stats.h"
#include "tools/bots/ws.h"

// One computer player: logs in, connects, plays, and comes back when it loses the connection.

enum { BOT_PENDING_MAX = 16, BOT_COMMAND_BYTES = 512, BOT_NAME_BYTES = 48 };

// A command that has no answer yet. It is sent again, under its number, after a reconnect.
struct bot_pending {
    uint64_t seq;
    uint64_t sent_ns;
    uint32_t len;
    char text[BOT_COMMAND_BYTES];
};

struct bot_world {
    struct mm_loop *loop;
    struct address login_server;
    struct address game_server;
    const char *session; // NULL: the server's own
    struct stats *stats;
};

struct bot {
    const struct bot_world *world;
    char name[BOT_NAME_BYTES];
    char *token; // NULL: to be asked for
    struct mm_rng rng;
    struct game game;
    struct login login;
    struct ws ws;
    uint64_t ws_bytes_counted;
    bool playing;      // counted in stats->playing
    bool has_played;   // ever
    bool leaving;      // goes and does not come back
    uint64_t lost_ns;  // when the connection was lost; 0: it was not
    uint32_t failures; // in a row, of login and connection
    uint64_t next_seq;
    uint64_t quiet_until_ns; // told to be slower
    uint64_t chat_after_ns;
    uint64_t ping_after_ns;
    struct bot_pending pending[BOT_PENDING_MAX];
    uint32_t pending_count;
    struct mm_loop_timer timer; // the next attempt to come in, or the next thought
};

// `number` makes the name and the behaviour: the same each time.
void bot_init(struct bot *bot, const struct bot_world *world, const char *prefix, uint32_t number);
// Comes in after delay_ms.
void bot_start(struct bot *bot, uint64_t delay_ms);
// Says goodbye; the connection ends when the server has answered, within five seconds at most.
void bot_leave(struct bot *bot);
bool bot_has_left(const struct bot *bot);
void bot_free(struct bot *bot);

#endif
