#ifndef SOCIAL_OUTBOX_H
#define SOCIAL_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/service/metrics.h"

// Events that are written with the change they tell of, published when it is committed, and taken
// out of their table when Redis has them. An event may be published twice, never not at all: its
// publisher may stand still for longer than others wait for it. Who hears it tells by its number
// (of a group's event `seq`, of mail the number in each mailbox) that it was heard before.

struct social_app;

enum {
    SOCIAL_OUTBOX_MAX = 100,      // events published again in one go
    SOCIAL_OUTBOX_WAIT_MS = 3000, // after which an event in the outbox is taken for forgotten
};

enum social_outbox { // a table each
    SOCIAL_OUTBOX_GROUPS,
    SOCIAL_OUTBOX_MAIL,
    SOCIAL_OUTBOXES,
};

struct social_event {
    uint64_t id;    // its key in the table
    uint8_t *bytes; // a packed Event
    size_t size;
};

struct social_outbox_state {
    bool busy;
    uint64_t at_ms; // when it is looked through next (monotonic)
    struct mm_counter *events, *again;
};

// Publishes what was just committed; at most SOCIAL_OUTBOX_MAX. The caller keeps the bytes.
void social_outbox_publish(struct social_app *app, enum social_outbox which,
                           const struct social_event *events, size_t count);
// Publishes what somebody committed and did not come to publish.
void social_outboxes_sweep(struct social_app *app);

#endif
