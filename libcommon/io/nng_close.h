#ifndef MM_IO_NNG_CLOSE_H
#define MM_IO_NNG_CLOSE_H

#include <nng/nng.h>
#include <stdbool.h>

// For libcommon/io only. nng_close that cannot hang.
//
// nng 1.5.2 can wait for ever for a connection to end: when it is closed between the arrival of a
// message's length and the reading of its body, the body's read is refused without a completion
// (nni_aio_begin returns an error in tcp_pipe_recv_cb, ipc_pipe_recv_cb), so that the operation
// above it is never finished and the reaper thread waits for it. So the socket is closed on a
// thread of its own, for which we wait only so long.
//
// False: nng is stuck, and everything its callbacks may touch (contexts, aios and their arguments)
// must be left alone, so leaked. Further sockets of the process are given up on at once; it should
// end.
bool mm_nng_close(nng_socket socket);

#endif
