#include "services/vision/core/subscribers.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/str.h"
#include "libcommon/base/vec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct vision_subscribed {
    struct vision_audience *set;
    uint32_t subscribers;
    uint8_t *packed; // the frame, cut for them; NULL: not yet
    size_t packed_bytes;
};

struct vision_subscribers {
    struct {
        MM_VEC(struct vision_subscriber *);
    } list;
    uint32_t empires_max;
    struct vision_part *part;
};

struct vision_subscribers *vision_subscribers_new(size_t subscribers_max, uint32_t empires_max)
{
    struct vision_subscribers *subscribers = mm_calloc(1, sizeof *subscribers);
    if (!subscribers)
        return NULL;
    mm_vec_init(&subscribers->list, subscribers_max);
    subscribers->empires_max = empires_max;
    subscribers->part = vision_part_new();
    if (subscribers->part)
        return subscribers;
    mm_free(subscribers);
    return NULL;
}

void vision_subscribers_free(struct vision_subscribers *subscribers)
{
    if (!subscribers)
        return;
    while (subscribers->list.count > 0)
        vision_subscribers_drop(subscribers, subscribers->list.items[subscribers->list.count - 1]);
    mm_vec_free(&subscribers->list);
    vision_part_free(subscribers->part);
    mm_free(subscribers);
}

size_t vision_subscribers_count(const struct vision_subscribers *subscribers)
{
    return subscribers->list.count;
}

struct vision_subscriber *vision_subscribers_at(const struct vision_subscribers *subscribers,
                                                size_t i)
{
    return subscribers->list.items[i];
}

size_t vision_subscribers_empires(const struct vision_subscribers *subscribers)
{
    size_t empires = 0;
    for (size_t i = 0; i < subscribers->list.count; i++)
        empires += vision_audience_count(subscribers->list.items[i]->subscribed->set);
    return empires;
}

// --- sets ----------------------------------------------------------------------------------------

// Takes the set. NULL: memory.
static struct vision_subscribed *subscribed_to(const struct vision_subscribers *subscribers,
                                               struct vision_audience *set)
{
    for (size_t i = 0; i < subscribers->list.count; i++) {
        struct vision_subscribed *subscribed = subscribers->list.items[i]->subscribed;
        if (!vision_audience_equal(subscribed->set, set))
            continue;
        vision_audience_free(set);
        subscribed->subscribers++;
        return subscribed;
    }
    struct vision_subscribed *subscribed = mm_calloc(1, sizeof *subscribed);
    if (!subscribed) {
        vision_audience_free(set);
        return NULL;
    }
    *subscribed = (struct vision_subscribed){.set = set, .subscribers = 1};
    return subscribed;
}

static void unsubscribe(struct vision_subscribed *subscribed)
{
    if (--subscribed->subscribers > 0)
        return;
    vision_audience_free(subscribed->set);
    mm_free(subscribed->packed);
    mm_free(subscribed);
}

// --- subscribers ---------------------------------------------------------------------------------

static bool is_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return length > 0 && length <= VISION_SUBSCRIBER_BYTES_MAX && name[length] == '\0';
}

static struct vision_subscriber *find(const struct vision_subscribers *subscribers,
                                      const char *name)
{
    for (size_t i = 0; i < subscribers->list.count; i++)
        if (mm_str_equal(subscribers->list.items[i]->name, name))
            return subscribers->list.items[i];
    return NULL;
}

void vision_subscribers_drop(struct vision_subscribers *subscribers,
                             struct vision_subscriber *subscriber)
{
    size_t at = 0;
    while (subscribers->list.items[at] != subscriber)
        at++;
    mm_vec_remove_swap(&subscribers->list, at);
    unsubscribe(subscriber->subscribed);
    mm_free(subscriber);
}

// Takes the set.
static enum mm_err add(struct vision_subscribers *subscribers, const char *name,
                       struct vision_audience *set, struct vision_subscriber **out)
{
    struct vision_subscriber *subscriber = NULL;
    if (mm_vec_reserve(&subscribers->list, subscribers->list.count + 1))
        subscriber = mm_calloc(1, sizeof *subscriber);
    if (!subscriber) {
        vision_audience_free(set);
        return MM_RESOURCE_EXHAUSTED;
    }
    subscriber->subscribed = subscribed_to(subscribers, set);
    if (!subscriber->subscribed) {
        mm_free(subscriber);
        return MM_RESOURCE_EXHAUSTED;
    }
    (void)mm_str_copy(subscriber->name, sizeof subscriber->name, name);
    MM_CHECK(mm_vec_push(&subscribers->list, subscriber));
    *out = subscriber;
    return MM_OK;
}

// Replaces the set. Takes it.
static enum mm_err change(const struct vision_subscribers *subscribers,
                          struct vision_subscriber *subscriber, uint64_t revision,
                          struct vision_audience *set)
{
    bool same = vision_audience_equal(subscriber->subscribed->set, set);
    if (revision < subscriber->revision || (revision == subscriber->revision && !same)) {
        vision_audience_free(set);
        return MM_FAILED_PRECONDITION;
    }
    struct vision_subscribed *subscribed = subscribed_to(subscribers, set);
    if (!subscribed)
        return MM_RESOURCE_EXHAUSTED;
    unsubscribe(subscriber->subscribed);
    subscriber->subscribed = subscribed;
    return MM_OK;
}

enum mm_err vision_subscribers_serve(struct vision_subscribers *subscribers,
                                     const Mmorts__Vision__ServeRequest *request, uint64_t now_ns,
                                     struct vision_subscriber **out,
                                     char why[VISION_SUBSCRIBER_WHY_BYTES])
{
    *out = NULL;
    if (!is_name(request->subscriber) || request->revision == 0) {
        (void)snprintf(why, VISION_SUBSCRIBER_WHY_BYTES,
                       "subscriber: 1 to %d of a-z, 0-9, _ and -; revision: at least 1",
                       VISION_SUBSCRIBER_BYTES_MAX);
        return MM_INVALID_ARGUMENT;
    }
    struct vision_audience *set;
    enum mm_err err =
        vision_audience_new(request->empires, request->n_empires, subscribers->empires_max, &set);
    if (err != MM_OK) {
        (void)snprintf(why, VISION_SUBSCRIBER_WHY_BYTES, "empires: ascending, from 1 to %" PRIu32,
                       subscribers->empires_max);
        return err;
    }
    struct vision_subscriber *subscriber = find(subscribers, request->subscriber);
    err = subscriber ? change(subscribers, subscriber, request->revision, set)
                     : add(subscribers, request->subscriber, set, &subscriber);
    if (err == MM_FAILED_PRECONDITION)
        (void)snprintf(why, VISION_SUBSCRIBER_WHY_BYTES, "there is a set of revision %" PRIu64,
                       subscriber->revision);
    else if (err != MM_OK)
        (void)snprintf(why, VISION_SUBSCRIBER_WHY_BYTES, "at most %zu subscribers",
                       subscribers->list.count_max);
    if (err != MM_OK)
        return err;
    subscriber->revision = request->revision;
    subscriber->used_ns = now_ns;
    *out = subscriber;
    return MM_OK;
}

struct vision_subscriber *vision_subscribers_for_view(const struct vision_subscribers *subscribers,
                                                      const char *name, uint64_t revision,
                                                      uint32_t empire, const char **why_out)
{
    struct vision_subscriber *subscriber = find(subscribers, name);
    *why_out = "there is no such subscriber; call Serve";
    if (!subscriber)
        return NULL;
    *why_out = "the set of that revision has not come";
    if (subscriber->revision < revision)
        return NULL;
    *why_out = "the subscriber does not serve this empire";
    return vision_audience_has(subscriber->subscribed->set, empire) ? subscriber : NULL;
}

bool vision_subscriber_is_read(struct vision_subscriber *subscriber, uint64_t reads,
                               uint64_t now_ns, uint64_t lease_ns)
{
    if (reads != subscriber->reads_seen)
        subscriber->used_ns = now_ns;
    subscriber->reads_seen = reads;
    return now_ns - subscriber->used_ns < lease_ns;
}

// --- frames --------------------------------------------------------------------------------------

struct vision_cut vision_subscribers_cut(struct vision_subscribers *subscribers,
                                         const struct vision_subscriber *subscriber,
                                         const Mmorts__Frame__VisionFrame *frame)
{
    struct vision_subscribed *subscribed = subscriber->subscribed;
    bool fresh = !subscribed->packed;
    if (fresh) {
        const Mmorts__Frame__VisionFrame *part =
            vision_part_of(subscribers->part, frame, subscribed->set);
        size_t bytes = part ? mmorts__frame__vision_frame__get_packed_size(part) : 0;
        subscribed->packed = part ? mm_malloc(bytes + 1) : NULL;
        subscribed->packed_bytes = bytes;
        if (!subscribed->packed)
            return (struct vision_cut){0};
        (void)mmorts__frame__vision_frame__pack(part, subscribed->packed);
    }
    return (struct vision_cut){subscribed->packed, subscribed->packed_bytes, fresh};
}

void vision_subscribers_next_frame(struct vision_subscribers *subscribers)
{
    for (size_t i = 0; i < subscribers->list.count; i++) {
        struct vision_subscribed *subscribed = subscribers->list.items[i]->subscribed;
        mm_free(subscribed->packed);
        subscribed->packed = NULL;
    }
}
