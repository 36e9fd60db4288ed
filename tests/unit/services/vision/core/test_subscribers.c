// Who reads which part of the vision stream: revisions that overtake each other, leases, limits,
// memory that runs out, and frames encoded once for all who serve the same.

#include "libcommon/base/alloc.h"
#include "services/vision/core/subscribers.h"

#include <criterion/criterion.h>
#include <string.h>

enum { EMPIRES_MAX = 9, LEASE = 100 };

static char why[VISION_SUBSCRIBER_WHY_BYTES];

// The empires are the digits of the text.
static enum mm_err serve(struct vision_subscribers *subscribers, const char *name,
                         uint64_t revision, const char *digits, uint64_t now,
                         struct vision_subscriber **out)
{
    uint32_t empires[16];
    Mmorts__Vision__ServeRequest request = MMORTS__VISION__SERVE_REQUEST__INIT;
    request.subscriber = (char *)(uintptr_t)name;
    request.revision = revision;
    for (; digits[request.n_empires]; request.n_empires++)
        empires[request.n_empires] = (uint32_t)(digits[request.n_empires] - '0');
    request.empires = empires;
    return vision_subscribers_serve(subscribers, &request, now, out, why);
}

static struct vision_subscribers *two(void)
{
    struct vision_subscribers *subscribers = vision_subscribers_new(2, EMPIRES_MAX);
    cr_assert(subscribers);
    return subscribers;
}

static bool goes_on(const struct vision_subscribers *subscribers, const char *name,
                    uint64_t revision, uint32_t empire)
{
    const char *reason;
    return vision_subscribers_for_view(subscribers, name, revision, empire, &reason) != NULL;
}

Test(vision_subscribers, a_later_set_replaces_an_earlier_one_whichever_comes_first)
{
    struct vision_subscribers *subscribers = two();
    struct vision_subscriber *a, *again;
    cr_assert_eq(serve(subscribers, "a", 5, "13", 0, &a), MM_OK);
    cr_expect_null(a->stream);
    cr_expect_eq(serve(subscribers, "a", 4, "12", 0, &again), MM_FAILED_PRECONDITION);
    cr_expect_null(again);
    cr_expect_str_eq(why, "there is a set of revision 5");
    cr_expect_eq(serve(subscribers, "a", 5, "12", 0, &again), MM_FAILED_PRECONDITION);
    cr_expect(goes_on(subscribers, "a", 5, 3) && !goes_on(subscribers, "a", 5, 2));
    cr_expect_eq(serve(subscribers, "a", 5, "13", 0, &again), MM_OK);
    cr_expect_eq(again, a);
    cr_expect_eq(serve(subscribers, "a", 7, "2", 0, &again), MM_OK);
    cr_expect_eq(again, a);
    cr_expect_eq(a->revision, 7);
    cr_expect(goes_on(subscribers, "a", 7, 2) && goes_on(subscribers, "a", 1, 2));
    cr_expect_not(goes_on(subscribers, "a", 7, 3) || goes_on(subscribers, "a", 8, 2) ||
                  goes_on(subscribers, "b", 1, 2) || goes_on(subscribers, "a", 7, UINT32_MAX));
    cr_expect_eq(vision_subscribers_count(subscribers), 1);
    cr_expect_eq(vision_subscribers_empires(subscribers), 1);
    vision_subscribers_free(subscribers);
}

Test(vision_subscribers, what_is_no_request_is_refused_and_changes_nothing)
{
    struct vision_subscribers *subscribers = two();
    struct vision_subscriber *out;
    cr_assert_eq(serve(subscribers, "a", 3, "19", 0, &out), MM_OK);
    static const struct {
        const char *name, *empires;
        uint64_t revision;
    } cases[] = {
        {"", "1", 9},    {"A", "1", 9},
        {"a/b", "1", 9}, {"abcdefghijklmnopqrstuvwxyz0123456", "1", 9},
        {"a", "1", 0},   {"a", "21", 9},
        {"a", "11", 9},  {"a", "0", 9},
        {"a", "1:", 9}, // the tenth
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        why[0] = '\0';
        cr_expect_eq(
            serve(subscribers, cases[i].name, cases[i].revision, cases[i].empires, 0, &out),
            MM_INVALID_ARGUMENT, "case %zu", i);
        cr_expect(!out && strchr(why, ':'), "case %zu: %s", i, why);
    }
    cr_expect_eq(serve(subscribers, "abcdefghijklmnopqrstuvwxyz012345", 1, "", 0, &out), MM_OK);
    cr_expect_eq(serve(subscribers, "c", 1, "1", 0, &out), MM_RESOURCE_EXHAUSTED);
    cr_expect_str_eq(why, "at most 2 subscribers");
    cr_expect_eq(vision_subscribers_count(subscribers), 2);
    cr_expect(goes_on(subscribers, "a", 3, 9) && !goes_on(subscribers, "a", 4, 9));
    vision_subscribers_free(subscribers);
}

Test(vision_subscribers, a_lease_is_renewed_by_reading_and_by_serving)
{
    struct vision_subscribers *subscribers = two();
    struct vision_subscriber *a;
    cr_assert_eq(serve(subscribers, "a", 1, "1", 1000, &a), MM_OK);
    cr_expect(vision_subscriber_is_read(a, 0, 1000 + LEASE - 1, LEASE));
    cr_expect_not(vision_subscriber_is_read(a, 0, 1000 + LEASE, LEASE));
    cr_expect(vision_subscriber_is_read(a, 3, 1000 + LEASE, LEASE));
    cr_expect(vision_subscriber_is_read(a, 3, 1000 + 2 * LEASE - 1, LEASE));
    cr_expect_not(vision_subscriber_is_read(a, 3, 1000 + 2 * LEASE, LEASE));
    cr_assert_eq(serve(subscribers, "a", 1, "1", 2000, &a), MM_OK);
    cr_expect(vision_subscriber_is_read(a, 3, 2000 + LEASE - 1, LEASE));
    // One that is refused renews nothing.
    cr_assert_eq(serve(subscribers, "a", 1, "2", 2050, &a), MM_FAILED_PRECONDITION);
    a = vision_subscribers_at(subscribers, 0);
    cr_expect_not(vision_subscriber_is_read(a, 3, 2000 + LEASE, LEASE));
    vision_subscribers_drop(subscribers, a);
    cr_expect_eq(vision_subscribers_count(subscribers), 0);
    cr_expect_not(goes_on(subscribers, "a", 1, 1));
    vision_subscribers_free(subscribers);
}

Test(vision_subscribers, equal_sets_are_cut_once_in_each_frame)
{
    struct vision_subscribers *subscribers = two();
    struct vision_subscriber *a, *b;
    cr_assert_eq(serve(subscribers, "a", 1, "12", 0, &a), MM_OK);
    cr_assert_eq(serve(subscribers, "b", 9, "12", 0, &b), MM_OK);
    cr_expect_eq(vision_subscribers_empires(subscribers), 4);
    uint32_t empires[] = {2, 3}, counts[] = {1, 1}, entered[] = {20, 30};
    Mmorts__Frame__VisionFrame frame = MMORTS__FRAME__VISION_FRAME__INIT;
    frame.empire = empires;
    frame.entered_count = counts;
    frame.entered = entered;
    frame.n_empire = frame.n_entered_count = frame.n_entered = 2;
    for (frame.tick = 1; frame.tick < 4; frame.tick++) {
        struct vision_cut one = vision_subscribers_cut(subscribers, a, &frame);
        struct vision_cut other = vision_subscribers_cut(subscribers, b, &frame);
        cr_assert(one.bytes && one.fresh);
        cr_expect_eq(other.fresh, frame.tick == 3, "different sets in the third frame");
        cr_expect_eq(other.bytes == one.bytes, frame.tick != 3);
        Mmorts__Frame__VisionFrame *part =
            mmorts__frame__vision_frame__unpack(NULL, one.len, one.bytes);
        cr_assert(part && part->n_empire == 1 && part->n_entered == 1);
        cr_expect(part->tick == frame.tick && part->empire[0] == 2 && part->entered[0] == 20);
        mmorts__frame__vision_frame__free_unpacked(part, NULL);
        vision_subscribers_next_frame(subscribers);
        if (frame.tick == 2)
            cr_assert_eq(serve(subscribers, "b", 10, "3", 0, &b), MM_OK);
    }
    vision_subscribers_free(subscribers);
}

// Whichever allocation fails: the call fails, and the set of before is still served.
Test(vision_subscribers, without_memory_nothing_changes)
{
    unsigned failed = 0;
    for (int64_t countdown = 0;; countdown++) {
        struct vision_subscribers *subscribers = two();
        struct vision_subscriber *out;
        cr_assert_eq(serve(subscribers, "a", 1, "1", 0, &out), MM_OK);
        mm_alloc_fail_after(countdown);
        enum mm_err changed = serve(subscribers, "a", 2, "2", 0, &out);
        enum mm_err added = serve(subscribers, "b", 1, "3", 0, &out);
        mm_alloc_fail_after(-1);
        cr_expect(goes_on(subscribers, "a", 1, changed == MM_OK ? 2 : 1));
        cr_expect_eq(goes_on(subscribers, "b", 1, 3), added == MM_OK);
        cr_expect_eq(vision_subscribers_count(subscribers), added == MM_OK ? 2 : 1);
        vision_subscribers_free(subscribers);
        if (changed == MM_OK && added == MM_OK)
            break;
        cr_expect(added == MM_RESOURCE_EXHAUSTED);
        failed++;
    }
    cr_expect_geq(failed, 4);
}
