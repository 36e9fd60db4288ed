#include "services/sync/app.h"

static const char *const peers[] = {"auth", "world", "vision", "production", "social", NULL};
static const char *const stream_peers[] = {"world", "vision", "production", NULL};

int main(int argc, char **argv)
{
    const struct mm_service_spec spec = {
        .name = "sync",
        .summary = "the players' connections",
        .port = 7130,
        .uses = MM_SERVICE_REDIS,
        .peers = peers,
        .stream_peers = stream_peers,
        .fields = sync_fields,
        .field_count = sync_field_count,
        .state_bytes = sizeof(struct sync_app),
        .check = sync_check,
        .start = sync_start_service,
        .drain = sync_drain_service,
        .stop = sync_stop_service,
        .reload = sync_reload_service,
    };
    return mm_service_main(argc, argv, &spec);
}
