#ifndef MM_IO_HTTP_INTERNAL_H
#define MM_IO_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "libcommon/base/buf.h"
#include "libcommon/io/http.h"
#include "libcommon/io/http_tls.h"
#include "libcommon/io/loop.h"

// How the HTTP server is laid out; for http*.c only.

#define MM_HTTP_PATH_BYTES 128

struct mm_http_route_entry {
    char path[MM_HTTP_PATH_BYTES];
    size_t path_len;
    bool is_prefix;
    unsigned methods;
    mm_http_handler_fn handler;
    void *arg;
};

// A connection that is not (yet) upgraded; of servers with a request_s.
struct mm_http_conn {
    struct mm_http_conn *next, **link;
    int fd;
    uint64_t waiting_ns; // since when a whole request is waited for; 0 = one is being answered
    bool is_late;        // found so once: what had come by then has been read since
};

struct mm_http_server {
    struct mm_loop *loop;
    struct mm_http_tls *tls; // NULL: plain HTTP; then libmicrohttpd listens itself
    uint64_t request_ns;     // 0 = no limit
    struct mm_http_conn *conns;
    struct mm_loop_timer patience;
    struct MHD_Daemon *daemon;
    int epoll_fd; // libmicrohttpd's; the loop watches it
    uint16_t port;
    struct mm_loop_timer timer; // libmicrohttpd's next time-out
    struct mm_loop_task run;    // libmicrohttpd has work although its epoll set is quiet
    size_t body_bytes_max;
    uint32_t connections, connections_max;
    bool is_draining, is_closing;
    struct mm_http_request *requests; // alive, newest first
    struct mm_http_route_entry routes[MM_HTTP_ROUTES_MAX];
    size_t route_count;
};

enum mm_http_state {
    MM_HTTP_READING,  // headers are there, the body is coming
    MM_HTTP_DROPPING, // ... and is too long: it will be answered 413
    MM_HTTP_HANDLING, // the handler runs
    MM_HTTP_WAITING,  // the handler has returned without an answer; the connection is suspended
    MM_HTTP_ANSWERED, // `response` is there, not yet given to libmicrohttpd
    MM_HTTP_QUEUED,   // libmicrohttpd sends it
    MM_HTTP_CUT,      // the server closes: no answer any more
};

struct mm_http_header {
    char *name, *value;
};

struct mm_http_request {
    struct mm_http_server *server;
    struct MHD_Connection *connection;
    struct mm_http_request *next, **link;
    enum mm_http_state state;
    enum mm_http_method method;
    bool is_http11;
    char *path;
    struct mm_buf body;
    size_t body_dropped; // bytes, of state DROPPING
    char peer[64];
    struct mm_http_header headers[MM_HTTP_HEADERS_MAX];
    size_t header_count;
    struct MHD_Response *response; // of state ANSWERED
    unsigned status;
    void (*gone)(void *arg);
    void *gone_arg;
    struct mm_http_upgrade *upgrade; // once answered so
};

struct mm_http_upgrade {
    struct mm_http_server *server;
    struct MHD_UpgradeResponseHandle *handle; // NULL until the 101 went out
    mm_http_upgraded_fn fn;
    void *arg;
};

// http_drive.c: libmicrohttpd in the loop.
void mm_http_drive_init(struct mm_http_server *server);
MM_MUST_USE enum mm_err mm_http_drive_start(struct mm_http_server *server); // its daemon is there
void mm_http_drive_stop(struct mm_http_server *server);
// Has libmicrohttpd run at the end of this turn.
void mm_http_run_soon(struct mm_http_server *server);

// http_conn.c: how long connections take over their requests. All do nothing without a request_s.
void mm_http_conn_open(struct mm_http_server *server, struct MHD_Connection *connection,
                       void **slot);
void mm_http_conn_close(void **slot);
void mm_http_conn_waits(struct mm_http_server *server, struct MHD_Connection *connection,
                        bool is_waiting);
void mm_http_conn_watch(struct mm_http_server *server, uint32_t request_s);

// http_reply.c: gives the request its answer; the response is the request's from now on.
void mm_http_answer(struct mm_http_request *request, int status, struct MHD_Response *response);

// http_request.c: what libmicrohttpd calls for each part of a request, and when it is over.
enum MHD_Result mm_http_request_step(void *server, struct MHD_Connection *connection,
                                     const char *path, const char *method, const char *version,
                                     const char *upload, size_t *upload_bytes, void **request_slot);
void mm_http_request_completed(void *server, struct MHD_Connection *connection, void **request_slot,
                               enum MHD_RequestTerminationCode reason);
// Ends those that wait for their answer, as if their clients had left.
void mm_http_requests_cut(struct mm_http_server *server);

#endif
