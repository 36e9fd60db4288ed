#ifndef MM_IO_HTTP_RPC_DESCRIBE_H
#define MM_IO_HTTP_RPC_DESCRIBE_H

#include "libcommon/base/buf.h"
#include "libcommon/io/rpc_server.h"

// For libcommon/io only. Appends a JSON description of every service the server has: methods with
// their policy, and all messages and enums they use.
void mm_http_rpc_describe(const struct mm_rpc_server *server, struct mm_buf *out);

#endif
