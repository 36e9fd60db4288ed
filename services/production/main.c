#include <stddef.h>

#include "services/production/app.h"

static const struct mm_config_field fields[] = {
    {.path = "recipes.path",
     .type = MM_CONFIG_STRING,
     .offset = offsetof(struct production_app, settings.recipes_path),
     .fallback = "recipes.yaml",
     .help = "the book of recipes, relative to this file"},
    {.path = "store.retry",
     .type = MM_CONFIG_DURATION,
     .offset = offsetof(struct production_app, settings.retry_ms),
     .fallback = "250ms",
     .min = 10,
     .max = 60000,
     .help = "wait before the state is loaded again after the database failed"},
    {.path = "store.catch_up",
     .type = MM_CONFIG_INT,
     .offset = offsetof(struct production_app, settings.catch_up_changes),
     .fallback = "10000",
     .min = 1,
     .max = PRODUCTION_CHANGES_MAX / 4,
     .help = "changes of one transaction, when many jobs have ended while it was away"},
    {.path = "outbox.spawn_deadline",
     .type = MM_CONFIG_DURATION,
     .offset = offsetof(struct production_app, settings.spawn_deadline_ms),
     .fallback = "3s",
     .min = 100,
     .max = 60000,
     .help = "how long world may take to answer before it is asked again"},
};

static const char *const peers[] = {"auth", "world", NULL};
static const char *const stream_peers[] = {"world", NULL};

int main(int argc, char **argv)
{
    const struct mm_service_spec spec = {
        .name = "production",
        .summary = "inventories, recipes and jobs of every empire",
        .exits = "3 another process has taken the session over",
        .port = 7140,
        .uses = MM_SERVICE_DB | MM_SERVICE_STREAM,
        .peers = peers,
        .stream_peers = stream_peers,
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0],
        .state_bytes = sizeof(struct production_app),
        .check = production_check,
        .release = production_release,
        .start = production_start_service,
        .drain = production_drain_service,
        .stop = production_stop_service,
    };
    return mm_service_main(argc, argv, &spec);
}
