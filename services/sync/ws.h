#ifndef SYNC_WS_H
#define SYNC_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sync_deflate;

// The receiving side of a WebSocket (RFC 6455) without any socket: bytes in, whole messages out;
// and the header of frames to be sent. wslay parses the frames; what the standard demands of a
// server beyond that is here: masks, fragments, UTF-8, close codes, and a bound on everything.

#define SYNC_WS_MESSAGE_BYTES_MAX 4096
#define SYNC_WS_FRAMES_MAX        8192 // of one message: twice what even single bytes take
#define SYNC_WS_HEADER_BYTES_MAX  10
#define SYNC_WS_CONTROL_BYTES_MAX 125

enum sync_ws_opcode {
    SYNC_WS_TEXT = 1,
    SYNC_WS_BINARY = 2,
    SYNC_WS_CLOSE = 8,
    SYNC_WS_PING = 9,
    SYNC_WS_PONG = 10,
    SYNC_WS_COMPRESSED = 0x40, // added to an opcode in a header: RSV1 of RFC 7692
};

// Close codes: RFC 6455, section 7.4.1; 1012 and 1013 are registered with IANA; 4000 and up are
// the client protocol's.
enum sync_ws_code {
    SYNC_WS_NORMAL = 1000,
    SYNC_WS_GOING_AWAY = 1001,
    SYNC_WS_PROTOCOL_ERROR = 1002,
    SYNC_WS_NO_STATUS = 1005, // never sent: a close frame without a code
    SYNC_WS_INVALID_DATA = 1007,
    SYNC_WS_POLICY = 1008,
    SYNC_WS_TOO_LARGE = 1009,
    SYNC_WS_INTERNAL = 1011,
    SYNC_WS_RESTART = 1012,
    SYNC_WS_TRY_LATER = 1013,
};

// A whole message or control frame; data is borrowed. For SYNC_WS_CLOSE, data is the reason's text
// and code the peer's code (SYNC_WS_NO_STATUS without one). False: take no more, ever (the rest of
// the bytes is dropped, so the place in the stream is lost).
typedef bool (*sync_ws_message_fn)(void *arg, enum sync_ws_opcode opcode, const uint8_t *data,
                                   size_t len, uint16_t code);

struct sync_ws;

// NULL when out of memory.
struct sync_ws *sync_ws_new(sync_ws_message_fn message, void *arg);
void sync_ws_free(struct sync_ws *ws);
// From now on messages may be compressed; `deflate` is borrowed.
void sync_ws_inflate(struct sync_ws *ws, struct sync_deflate *deflate);

// Takes bytes as they come from the socket. 0: go on. Otherwise the code with which the connection
// must be closed; no more bytes are taken after that.
uint16_t sync_ws_receive(struct sync_ws *ws, const uint8_t *data, size_t len);
// Of a message that was SYNC_WS_TOO_LARGE: whether it had too many frames, rather than bytes.
bool sync_ws_too_many_frames(const struct sync_ws *ws);

// Writes the header of an unfragmented server frame; returns its length (2, 4 or 10).
size_t sync_ws_header(uint8_t out[SYNC_WS_HEADER_BYTES_MAX], enum sync_ws_opcode opcode,
                      size_t payload_bytes);

#endif
