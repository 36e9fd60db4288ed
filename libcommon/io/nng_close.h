#ifndef MM_IO_NNG_CLOSE_H
#define MM_IO_NNG_CLOSE_H

#include <nng/nng.h>
#include <stdbool.h>

// For libcommon/io only. Around defects of nng 1.5.2.
//
// nng_fini is never called, not even at the end of a program: a TLS connection that was being made
// while its socket was closed may come to the reaper thread after nng_fini has seen that idle and
// freed what the reaper needs, and the process aborts ("panic: pthread_mutex_lock"). What nng still
// holds at the end is reachable, so no leak.
//
// The other one lets it wait for ever for a connection to end.
//
// A message is read in two steps, its length and its body. When a connection is closed while the
// result of the first waits to be handled, the second is refused without a completion
// (nni_aio_begin fails in tcp_pipe_recv_cb and ipc_pipe_recv_cb), the operation above it never
// ends, and nng's one reaper thread waits for that: no connection of the process is freed, and no
// lost one made again, any more. A connection is closed so by a failed send (a peer was killed
// while its requests come in; then it is the rule, not the exception) and by nng_close.

// Failed sends: nng never sees that the peer has gone. The connection is shut down and the bytes
// are dropped, as if they had been sent a moment before the peer died; then reading finds the end,
// and a connection closed by its reader is closed safely. Called before the first connection; the
// rest is sendmsg() in nng_send.c, which takes the place of libc's for calls made by nng.
void mm_nng_guard_sends(void);

// nng_close: on a thread of its own, for which we wait only so long. False: nng is stuck, and
// everything its callbacks may touch (contexts, aios and their arguments) must be left alone, so
// leaked. Further sockets of the process are given up on sooner; it should end.
bool mm_nng_close(nng_socket socket);

// Whether mm_nng_close has ever returned false.
bool mm_nng_is_stuck(void);

#endif
