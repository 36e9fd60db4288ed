#ifndef BOTS_WS_H
#define BOTS_WS_H

#include "libcommon/base/buf.h"
#include "libcommon/io/loop.h"
#include "tools/bots/address.h"
#include <wslay/wslay.h>

// A WebSocket client connection (RFC 6455) on the loop: text messages in and out.

enum {
    WS_MESSAGE_BYTES_MAX = 8 << 20, // a longer message ends the connection
    WS_CLOSE_ABNORMAL = 1006,       // the connection ended without a close frame
};

struct ws_handler {
    void (*on_open)(void *arg);
    // The text is NUL-terminated and dies with the call.
    void (*on_text)(void *arg, const char *text, size_t len);
    // Called once for each ws_open, unless ws_abort comes first; ws_open may be called again from
    // here. code is the peer's close code or WS_CLOSE_ABNORMAL.
    void (*on_close)(void *arg, unsigned code);
};

struct ws {
    struct mm_loop *loop;
    const struct ws_handler *handler;
    void *arg;
    int fd;      // -1: closed
    bool open;   // the handshake is done
    bool broken; // to be closed when the callbacks that run have returned
    uint64_t bytes_in;
    char accept[32];   // Sec-WebSocket-Accept that the server must send
    struct mm_buf out; // handshake request
    struct mm_buf in;  // handshake answer, then what came behind it
    wslay_event_context_ptr frames;
    bool in_close;              // the frame that is being read is a close frame
    unsigned close_code;        // its code so far
    unsigned close_bytes;       // of the code, read so far: 2 when it is whole
    struct mm_loop_timer timer; // the handshake takes too long, or the close
};

void ws_init(struct ws *ws, struct mm_loop *loop, const struct ws_handler *handler, void *arg);
// query ("last_tick=5") may be empty; token goes into the Authorization header.
void ws_open(struct ws *ws, const struct address *server, const char *query, const char *token);
// Queues a message. Does nothing if the connection is not open.
void ws_send(struct ws *ws, const char *text, size_t len);
// Sends a close frame; on_close comes when the server has answered, or after five seconds.
void ws_close(struct ws *ws, unsigned code);
// Ends the connection without a word and without on_close.
void ws_abort(struct ws *ws);
void ws_free(struct ws *ws);

#endif
