#ifndef MM_IO_STREAM_PUBLISHER_H
#define MM_IO_STREAM_PUBLISHER_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/base/err.h"
#include "libcommon/io/rpc.h"

struct mm_loop;
struct mm_rpc_server;
struct mm_stream_hub;
struct mm_stream_publisher;
struct mm_stream_snapshot;

// Publishes streams over one nng PUB socket and serves mmorts.stream.Stream, by which readers
// catch up. Everything here is for the loop's thread.

#define MM_STREAM_PUBLISHERS_MAX        64
#define MM_STREAM_NAME_LEN_MAX          63
#define MM_STREAM_RING_MESSAGES_DEFAULT 1200 // a minute of ticks
#define MM_STREAM_RING_BYTES_DEFAULT    ((size_t)64 << 20)
// Of one Replay answer: a reader applies it in one go, and has a loop to keep turning.
#define MM_STREAM_REPLAY_BYTES_MAX      ((size_t)256 << 10)
#define MM_STREAM_SNAPSHOTS_MAX         64 // being made at once, per publisher
#define MM_STREAM_SEND_MESSAGES_DEFAULT 4  // unsent to one reader before the oldest drops
#define MM_STREAM_WAITS_MAX             32 // Replay calls that wait for news, of all publishers
#define MM_STREAM_WAIT_MS_MAX           10000

// Opens the socket, listens at url and registers the Stream service with `rpc` (so before
// mm_rpc_server_listen; the Stream methods are open to services, and over HTTP to the operator).
// Close it before the rpc server. tls may be NULL. MM_UNAVAILABLE: the address is in use.
MM_MUST_USE enum mm_err mm_stream_hub_open(struct mm_loop *loop, struct mm_rpc_server *rpc,
                                           const char *url, const struct mm_rpc_tls *tls,
                                           struct mm_stream_hub **out);

// Closes the socket and all its publishers. The rpc server must be drained or closed by then: its
// Stream methods need the hub.
void mm_stream_hub_close(struct mm_stream_hub *hub);

// The process is going to end: Replay calls that wait are answered, none waits any more.
void mm_stream_hub_drain(struct mm_stream_hub *hub);

// The TCP port listened at (for tcp://127.0.0.1:0); 0 for other transports.
uint16_t mm_stream_hub_port(const struct mm_stream_hub *hub);

// Asked for a snapshot: answer with mm_stream_snapshot_reply or _fail, now or later, exactly once.
// filter is borrowed until then.
typedef void (*mm_stream_snapshot_fn)(void *arg, struct mm_stream_snapshot *snapshot,
                                      const uint8_t *filter, size_t filter_len);

struct mm_stream_publisher_options {
    const char *stream;         // "tick"; copied
    const char *session;        // "main"; copied
    uint64_t epoch;             // of this run; 0 = a random one
    uint32_t ring_messages_max; // 0 = default; the oldest leave
    size_t ring_bytes_max;      // 0 = default; a single larger message empties the ring
    // By Replay alone, not over the socket: that sends every message to every reader, also to those
    // who want none of this stream.
    bool replay_only;
    mm_stream_snapshot_fn snapshot;
    void *arg;
};

// Adds a stream. MM_ALREADY_EXISTS: same stream and session. MM_RESOURCE_EXHAUSTED:
// MM_STREAM_PUBLISHERS_MAX.
MM_MUST_USE enum mm_err mm_stream_publisher_open(struct mm_stream_hub *hub,
                                                 const struct mm_stream_publisher_options *options,
                                                 struct mm_stream_publisher **out);

// Removes the stream; snapshots still being made, and Replay calls that wait, answer UNAVAILABLE.
void mm_stream_publisher_close(struct mm_stream_publisher *publisher);

// Publishes the next message; returns its seq. Never blocks; bodies are copied. A body larger than
// MM_RPC_REPLY_BYTES_MAX / 2 is a bug and aborts.
uint64_t mm_stream_publish(struct mm_stream_publisher *publisher, uint64_t tick,
                           const ProtobufCMessage *body);
uint64_t mm_stream_publish_bytes(struct mm_stream_publisher *publisher, uint64_t tick,
                                 const uint8_t *body, size_t len);

uint64_t mm_stream_publisher_epoch(const struct mm_stream_publisher *publisher);
uint64_t mm_stream_publisher_seq(const struct mm_stream_publisher *publisher); // newest; 0 = none

// How often Replay was called, so that an owner can tell whether anybody reads.
uint64_t mm_stream_publisher_replays(const struct mm_stream_publisher *publisher);

// Answers a snapshot: the state after message `seq` (0 = before the first), never newer than what
// was published. body is packed before this returns.
void mm_stream_snapshot_reply(struct mm_stream_snapshot *snapshot, uint64_t seq, uint64_t tick,
                              const ProtobufCMessage *body);
void mm_stream_snapshot_reply_bytes(struct mm_stream_snapshot *snapshot, uint64_t seq,
                                    uint64_t tick, const uint8_t *body, size_t len);
void mm_stream_snapshot_fail(struct mm_stream_snapshot *snapshot, enum mm_err code,
                             const char *message);

#endif
