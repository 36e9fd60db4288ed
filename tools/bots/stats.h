#ifndef BOTS_STATS_H
#define BOTS_STATS_H

#include "libcommon/base/histogram.h"
#include "libcommon/base/strmap.h"
#include <stdbool.h>
#include <stdint.h>

// What all bots together saw.
struct stats {
    uint32_t bots;
    uint32_t playing; // connected, and the full state has come
    uint64_t logins_failed;
    uint64_t connects;
    uint64_t reconnects; // connects of a bot that had played before
    uint64_t closes;     // connections that ended while the bot wanted to play
    uint64_t messages_in;
    uint64_t bytes_in;
    uint64_t updates;
    uint64_t commands; // sent, resent ones not counted
    uint64_t resends;  // sent again after a reconnect, under the same sequence number
    uint64_t acks;
    uint64_t chats_sent;
    uint64_t chats_heard;
    uint64_t units_trained; // own units that appeared after the first full state
    // What must never happen.
    uint64_t ticks_back;
    uint64_t unknown_changes;
    uint64_t malformed;       // not JSON, or without a type
    struct mm_strmap *errors; // code -> count, of errors and refused commands
    struct mm_strmap *close_codes;
    struct mm_histogram ack_us;              // from command to acknowledgement
    struct mm_histogram ping_us;             // round trips
    struct mm_histogram away_ms;             // from a lost connection to the full state
    uint64_t updates_printed, bytes_printed; // of the previous line
};

void stats_init(struct stats *stats);
void stats_free(struct stats *stats);
// Counts one more of `key`; beyond the limit of different keys, as "other".
void stats_count(struct mm_strmap *counts, const char *key);

// One line for people: what stands, and rates since the previous call. elapsed_ms since that call.
void stats_print(struct stats *stats, uint64_t elapsed_ms);
// Everything as one JSON object in a file. False with errno.
bool stats_write(const struct stats *stats, const char *path);

#endif
