#ifndef MM_IO_STREAM_FOLLOWER_H
#define MM_IO_STREAM_FOLLOWER_H

#include "libcommon/io/stream_reader.h"

struct mm_loop;
struct mm_rpc_client;
struct mm_stream_follower;

// Follows a stream by Replay calls that wait for what is new: for a stream that is not on the
// publisher's socket (a part of another, made for this reader), or where there is only RPC. Every
// message comes once per (epoch, seq), in order. As a reader without snapshots: it begins at the
// newest message, and goes on from the oldest held where some are gone or the epoch is another.
// Everything here is for the loop's thread; callbacks run on it and may close the follower.

#define MM_STREAM_FOLLOWER_WAIT_MS 5000

struct mm_stream_follower_options {
    const char *stream;  // copied
    const char *session; // copied
    uint32_t wait_ms;    // of one call; 0 = default

    void *arg;
    void (*on_message)(void *arg, const struct mm_stream_message *message);
    // May be NULL. DOWN also while the publisher has no such stream.
    void (*on_state)(void *arg, enum mm_stream_state state);
    // May be NULL. The publisher has no such stream: it has to be asked for (again). Told with
    // every attempt; mm_stream_follower_hurry makes the next one.
    void (*on_unknown)(void *arg);
};

// Begins with the loop's next turn. `rpc` is a client of the publisher's RPC address, not owned,
// and must outlive the follower. MM_INVALID_ARGUMENT: a name that is none.
MM_MUST_USE enum mm_err mm_stream_follower_open(struct mm_loop *loop, struct mm_rpc_client *rpc,
                                                const struct mm_stream_follower_options *options,
                                                struct mm_stream_follower **out);
void mm_stream_follower_close(struct mm_stream_follower *follower);

enum mm_stream_state mm_stream_follower_state(const struct mm_stream_follower *follower);
// Whether a call is under way; nearly always.
bool mm_stream_follower_is_asking(const struct mm_stream_follower *follower);
// If it waits before its next attempt, that is made now.
void mm_stream_follower_hurry(struct mm_stream_follower *follower);

// What happened so far.
struct mm_stream_follower_counts {
    uint64_t messages, bytes; // given to on_message
    uint64_t calls;           // answered
    uint64_t gaps;            // epochs and holes seen
};
struct mm_stream_follower_counts
mm_stream_follower_counts(const struct mm_stream_follower *follower);

#endif
