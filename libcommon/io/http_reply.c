#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/check.h"
#include "libcommon/io/http_internal.h"

// The answer of a request: given at once, from within its handler, or later, when the connection is
// taken up again.

void mm_http_add_header(struct mm_http_request *request, const char *name, const char *value)
{
    if (request->header_count == MM_HTTP_HEADERS_MAX)
        return;
    struct mm_http_header header = {mm_strdup(name), mm_strdup(value)};
    MM_CHECK(header.name && header.value);
    request->headers[request->header_count++] = header;
}

void mm_http_answer(struct mm_http_request *request, int status, struct MHD_Response *response)
{
    MM_CHECK(request->state == MM_HTTP_HANDLING || request->state == MM_HTTP_WAITING ||
             request->state == MM_HTTP_READING);
    MM_CHECK(response);
    bool was_waiting = request->state == MM_HTTP_WAITING;
    request->gone = NULL;
    request->status = (unsigned)status;
    request->response = response;
    request->state = MM_HTTP_ANSWERED;
    if (was_waiting) {
        MHD_resume_connection(request->connection);
        mm_http_run_soon(request->server);
    }
}

static void reply_with(struct mm_http_request *request, int status, const char *content_type,
                       void *body, size_t len, enum MHD_ResponseMemoryMode mode)
{
    if (content_type)
        mm_http_add_header(request, "Content-Type", content_type);
    mm_http_add_header(request, "X-Content-Type-Options", "nosniff");
    mm_http_answer(request, status, MHD_create_response_from_buffer(len, body, mode));
}

void mm_http_reply(struct mm_http_request *request, int status, const char *content_type,
                   const void *body, size_t len)
{
    reply_with(request, status, content_type, (void *)(uintptr_t)body, len, MHD_RESPMEM_MUST_COPY);
}

void mm_http_reply_take(struct mm_http_request *request, int status, const char *content_type,
                        void *body, size_t len)
{
    reply_with(request, status, content_type, body, len, MHD_RESPMEM_MUST_FREE);
}

void mm_http_reply_error(struct mm_http_request *request, enum mm_err code, const char *message)
{
    struct mm_buf body;
    mm_buf_init(&body, 64 << 10);
    MM_BUF_LIT(&body, "{\"code\":");
    mm_buf_json_cstr(&body, mm_err_name(code));
    MM_BUF_LIT(&body, ",\"message\":");
    mm_buf_json_cstr(&body, message);
    MM_BUF_LIT(&body, "}\n");
    if (code == MM_UNAUTHENTICATED)
        mm_http_add_header(request, "WWW-Authenticate", "Bearer");
    mm_http_reply(request, mm_err_http_status(code), "application/json", body.data, body.len);
    mm_buf_free(&body);
}
