#ifndef MM_IO_STREAM_READER_H
#define MM_IO_STREAM_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/base/err.h"
#include "libcommon/io/rpc.h"

struct mm_loop;
struct mm_rpc_client;
struct mm_stream_reader;

// Reads one stream of one session: every message exactly once per (epoch, seq), in order, with
// Replay or a snapshot wherever PUB/SUB lost something. Everything here is for the loop's
// thread; callbacks run on it and may close the reader.

#define MM_STREAM_READER_BUFFER_MESSAGES 256 // live ones kept while catching up
#define MM_STREAM_READER_BUFFER_BYTES    ((size_t)64 << 20)
#define MM_STREAM_READER_SILENCE_MS      1000

enum mm_stream_state {
    MM_STREAM_DOWN,        // no connection to the publisher
    MM_STREAM_CATCHING_UP, // connected; replaying or waiting for a snapshot
    MM_STREAM_LIVE,        // each message arrives as it is published
};

struct mm_stream_position {
    uint64_t epoch; // 0 = nowhere: begin with a snapshot
    uint64_t seq;   // last message applied (or included in the snapshot)
};

struct mm_stream_message {
    uint64_t epoch, seq, tick;
    const uint8_t *body; // borrowed, valid during the callback
    size_t body_len;
};

struct mm_stream_reader_options {
    const char *stream;             // copied
    const char *session;            // copied
    struct mm_stream_position from; // where an earlier run stopped
    const uint8_t *filter;          // for the snapshot; copied
    size_t filter_len;
    uint32_t silence_ms; // nothing heard that long: ask whether something was lost. 0 = default
    uint32_t call_deadline_ms;     // of Replay. 0 = 5000
    uint32_t snapshot_deadline_ms; // that of a large world takes a while. 0 = 60000
    // No snapshots: a reader that only wants what is new from now on. It starts at the
    // publisher's newest message, and goes on from the oldest held one where a snapshot would be
    // due.
    bool without_snapshot;
    struct mm_rpc_tls tls;

    void *arg;
    // The message after the last one. Required.
    void (*on_message)(void *arg, const struct mm_stream_message *message);
    // State as of (epoch, seq): replaces everything known. Required unless without_snapshot.
    void (*on_snapshot)(void *arg, const struct mm_stream_message *snapshot);
    // May be NULL.
    void (*on_state)(void *arg, enum mm_stream_state state);
};

// Begins to connect to the stream's address; `rpc` is a client of the publisher's RPC address, not
// owned, and must outlive the reader. MM_INVALID_ARGUMENT: not an address.
MM_MUST_USE enum mm_err mm_stream_reader_open(struct mm_loop *loop, const char *url,
                                              struct mm_rpc_client *rpc,
                                              const struct mm_stream_reader_options *options,
                                              struct mm_stream_reader **out);

void mm_stream_reader_close(struct mm_stream_reader *reader);

enum mm_stream_state mm_stream_reader_state(const struct mm_stream_reader *reader);
struct mm_stream_position mm_stream_reader_position(const struct mm_stream_reader *reader);

// Forgets the position and asks for a snapshot (a reader that found its own state wrong).
void mm_stream_reader_restart(struct mm_stream_reader *reader);

// What happened so far, for metrics.
struct mm_stream_reader_counts {
    uint64_t messages, bytes;  // given to on_message
    uint64_t gaps;             // holes seen
    uint64_t epochs;           // new epochs seen
    uint64_t replays;          // Replay calls answered
    uint64_t snapshots;        // snapshots taken
    uint64_t buffer_overflows; // live messages dropped while catching up
};
struct mm_stream_reader_counts mm_stream_reader_counts(const struct mm_stream_reader *reader);

#endif
