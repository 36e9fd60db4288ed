#ifndef MM_IO_RPC_ENVELOPE_H
#define MM_IO_RPC_ENVELOPE_H

#include <nng/nng.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/io/rpc.h"

// For libcommon/io only. The envelopes of proto/rpc.proto and proto/stream.proto, read in place:
// bodies can be tens of megabytes, and the generated code would copy each once more. A fuzz test
// holds these readers against the generated ones.

struct mm_span {
    const uint8_t *data;
    size_t len;
};

struct mm_rpc_request_view { // borrowed from the bytes that were read
    struct mm_span method, request_id, traceparent, service, instance, body;
    uint64_t player_id, permissions;
    uint32_t deadline_ms;
};

struct mm_rpc_reply_view {
    uint32_t code;
    struct mm_span message, body;
    size_t details_count; // at most MM_RPC_DETAILS_MAX, the rest is left out
    struct mm_span detail_keys[MM_RPC_DETAILS_MAX], detail_values[MM_RPC_DETAILS_MAX];
};

struct mm_stream_message_view {
    struct mm_span stream, session, body;
    uint64_t epoch, seq, tick;
};

// False: the bytes are not such a message. Unknown fields are skipped.
bool mm_rpc_request_read(const void *bytes, size_t len, struct mm_rpc_request_view *out);
bool mm_rpc_reply_read(const void *bytes, size_t len, struct mm_rpc_reply_view *out);
bool mm_stream_message_read(const void *bytes, size_t len, struct mm_stream_message_view *out);

// A message of `head` (its body field unset) followed by body_message packed, or else `body`, as
// bytes field number body_field, which must be the last one of head's type.
struct mm_envelope {
    const ProtobufCMessage *head;
    unsigned body_field;
    const ProtobufCMessage *body_message; // NULL: body
    struct mm_span body;
    size_t head_len, body_len, len; // set by mm_envelope_measure
};
void mm_envelope_measure(struct mm_envelope *envelope);
// Writes exactly envelope->len bytes.
void mm_envelope_write(const struct mm_envelope *envelope, uint8_t *out);
// Measures and writes into a new message. MM_RESOURCE_EXHAUSTED: longer than bytes_max.
MM_MUST_USE enum mm_err mm_envelope_to_msg(struct mm_envelope *envelope, size_t bytes_max,
                                           nng_msg **out);

// --- nng --------------------------------------------------------------------------------------

// The error value that stands for an nng result.
enum mm_err mm_nng_err(int rv);

// Starts a listener or a (background) dialer of the socket, with TLS where the address says so.
// *port_out (may be NULL) is the TCP port, 0 for other transports.
MM_MUST_USE enum mm_err mm_nng_listen(nng_socket socket, const char *url,
                                      const struct mm_rpc_tls *tls, uint16_t *port_out);
MM_MUST_USE enum mm_err mm_nng_dial(nng_socket socket, const char *url,
                                    const struct mm_rpc_tls *tls);

#endif
