// The operations endpoint: /healthz, /readyz, /metrics.

#include "libcommon/service/service_internal.h"

#include "libcommon/base/buf.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/io/http.h"

enum { METRICS_BYTES_MAX = 4 << 20, READY_BYTES_MAX = 16 << 10 };

// Whoever gets this answer knows that the loop turns.
static void handle_healthz(struct mm_http_request *request, void *arg)
{
    (void)arg;
    mm_http_reply(request, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

static void handle_readyz(struct mm_http_request *request, void *arg)
{
    const struct mm_service *service = arg;
    bool is_ready = mm_service_is_ready(service);
    struct mm_buf body;
    mm_buf_init(&body, READY_BYTES_MAX);
    mm_buf_printf(&body, "{\"service\":\"%s\",\"ready\":%s,\"draining\":%s,\"waiting_for\":[",
                  service->spec->name, is_ready ? "true" : "false",
                  service->phase >= MM_SERVICE_DRAINING ? "true" : "false");
    const char *comma = "";
    for (int i = 0; i < service->condition_count; i++) {
        if (!service->conditions[i].is_true) {
            mm_buf_str(&body, comma);
            mm_buf_json_cstr(&body, service->conditions[i].name);
            comma = ",";
        }
    }
    MM_BUF_LIT(&body, "]}\n");
    mm_http_reply(request, is_ready ? 200 : 503, "application/json", body.data, body.len);
    mm_buf_free(&body);
}

static void handle_metrics(struct mm_http_request *request, void *arg)
{
    struct mm_service *service = arg;
    struct mm_buf body;
    mm_buf_init(&body, METRICS_BYTES_MAX);
    mm_metrics_render(service->metrics, &body);
    if (body.err == MM_OK) {
        mm_http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", body.data,
                      body.len);
    } else {
        mm_http_reply_error(request, body.err, "the metrics do not fit into an answer");
    }
    mm_buf_free(&body);
    mm_loop_stats_reset_max(service->loop); // maxima are those since the last look
}

void mm_service_add_ops(struct mm_service *service)
{
    mm_http_route(service->http, MM_HTTP_GET, "/healthz", handle_healthz, service);
    mm_http_route(service->http, MM_HTTP_GET, "/readyz", handle_readyz, service);
    mm_http_route(service->http, MM_HTTP_GET, "/metrics", handle_metrics, service);
}
