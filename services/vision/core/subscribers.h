#ifndef VISION_CORE_SUBSCRIBERS_H
#define VISION_CORE_SUBSCRIBERS_H

#include "gen/vision.pb-c.h"
#include "libcommon/base/err.h"
#include "services/vision/core/audience.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Who reads a part of the vision stream, and which: names, sets of empires and their revisions,
// leases, and each frame cut for them, once for all who serve the same. Pure: clocks and streams
// are the caller's.

#define VISION_SUBSCRIBER_BYTES_MAX 32
#define VISION_SUBSCRIBER_WHY_BYTES 128

struct vision_subscribers;
struct vision_subscribed; // a set, shared by those who serve it

struct vision_subscriber {
    char name[VISION_SUBSCRIBER_BYTES_MAX + 1];
    uint64_t revision; // of its set
    struct vision_subscribed *subscribed;
    uint64_t used_ns, reads_seen; // see vision_subscriber_is_read()
    void *stream;                 // the caller's; NULL in a new one
};

// NULL: memory.
struct vision_subscribers *vision_subscribers_new(size_t subscribers_max, uint32_t empires_max);
void vision_subscribers_free(struct vision_subscribers *subscribers);

size_t vision_subscribers_count(const struct vision_subscribers *subscribers);
// The i-th; the order changes when one is dropped: the last one takes its place.
struct vision_subscriber *vision_subscribers_at(const struct vision_subscribers *subscribers,
                                                size_t i);
// Empires in all sets, those in several counted as often.
size_t vision_subscribers_empires(const struct vision_subscribers *subscribers);

// What a reader says it serves: a new subscriber's set, another set of a greater revision, or the
// same set as before; it is in *out, with its lease renewed. INVALID_ARGUMENT, FAILED_PRECONDITION
// (there is a newer set, or another of that revision) or RESOURCE_EXHAUSTED: nothing has changed,
// and `why` says what is wrong.
enum mm_err MM_MUST_USE vision_subscribers_serve(struct vision_subscribers *subscribers,
                                                 const Mmorts__Vision__ServeRequest *request,
                                                 uint64_t now_ns, struct vision_subscriber **out,
                                                 char why[VISION_SUBSCRIBER_WHY_BYTES]);
// Its stream is the caller's to close.
void vision_subscribers_drop(struct vision_subscribers *subscribers,
                             struct vision_subscriber *subscriber);

// Who goes on with a view of that empire, asked for with that revision: its frames will tell of
// the empire. NULL: nobody, and *why_out says why.
struct vision_subscriber *vision_subscribers_for_view(const struct vision_subscribers *subscribers,
                                                      const char *name, uint64_t revision,
                                                      uint32_t empire, const char **why_out);

// `reads`: how often its stream was asked for so far. False: no more than before, for longer than
// the lease.
bool vision_subscriber_is_read(struct vision_subscriber *subscriber, uint64_t reads,
                               uint64_t now_ns, uint64_t lease_ns);

// A frame cut for one subscriber.
struct vision_cut {
    const uint8_t *bytes; // packed; NULL: no memory. Valid until vision_subscribers_next_frame()
    size_t len;
    bool fresh; // not made for another subscriber before
};
struct vision_cut vision_subscribers_cut(struct vision_subscribers *subscribers,
                                         const struct vision_subscriber *subscriber,
                                         const Mmorts__Frame__VisionFrame *frame);
// What was cut so far was of a former frame.
void vision_subscribers_next_frame(struct vision_subscribers *subscribers);

#endif
