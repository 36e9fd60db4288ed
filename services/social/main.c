#include <stddef.h>

#include "services/social/app.h"

static const struct mm_config_field fields[] = {
    {.path = "chat.characters_max",
     .type = MM_CONFIG_INT,
     .offset = offsetof(struct social_app, settings.chat_characters_max),
     .fallback = "500",
     .min = 1,
     .max = 2000,
     .unit = "characters",
     .help = "longest message"},
    {.path = "chat.messages",
     .type = MM_CONFIG_INT,
     .offset = offsetof(struct social_app, settings.chat_messages),
     .fallback = "10",
     .min = 1,
     .max = 10000,
     .unit = "messages",
     .help = "how many a player may send within chat.window"},
    {.path = "chat.window",
     .type = MM_CONFIG_DURATION,
     .offset = offsetof(struct social_app, settings.chat_window_ms),
     .fallback = "1m",
     .min = 1000,
     .max = 86400000,
     .help = "the time that chat.messages is counted over"},
    {.path = "presence.lease",
     .type = MM_CONFIG_DURATION,
     .offset = offsetof(struct social_app, settings.lease_ms),
     .fallback = "15s",
     .min = 1000,
     .max = 600000,
     .help = "how long a player stays online without a heartbeat"},
    {.path = "presence.sweep",
     .type = MM_CONFIG_DURATION,
     .offset = offsetof(struct social_app, settings.sweep_ms),
     .fallback = "1s",
     .min = 100,
     .max = 60000,
     .help = "how often ended leases are looked for"},
};

static const char *const peers[] = {"auth", NULL};

int main(int argc, char **argv)
{
    const struct mm_service_spec spec = {
        .name = "social",
        .summary = "presence, chat and announcements",
        .port = 7150,
        .uses = MM_SERVICE_REDIS,
        .peers = peers,
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0],
        .state_bytes = sizeof(struct social_app),
        .start = social_start_service,
        .stop = social_stop_service,
    };
    return mm_service_main(argc, argv, &spec);
}
