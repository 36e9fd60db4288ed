#include "libcommon/base/thread.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

struct weight {
    int policy, nice;
};

static struct weight own_weight(void)
{
    errno = 0;
    struct weight weight = {.policy = sched_getscheduler(0), .nice = getpriority(PRIO_PROCESS, 0)};
    cr_assert_eq(errno, 0);
    return weight;
}

// Whatever these tests were started under.
static void take_usual_policy(void)
{
    struct sched_param none = {0};
    cr_assert_eq(sched_setscheduler(0, SCHED_OTHER, &none), 0);
}

static void *stand_back(void *out)
{
    mm_thread_stand_back();
    *(struct weight *)out = own_weight();
    return NULL;
}

static void *stand_back_twice(void *out)
{
    mm_thread_stand_back();
    return stand_back(out);
}

static struct weight weight_after(void *(*run)(void *))
{
    pthread_t thread;
    struct weight weight;
    cr_assert_eq(pthread_create(&thread, NULL, run, &weight), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    return weight;
}

static int seven_more(int nice)
{
    return nice + 7 < 19 ? nice + 7 : 19;
}

Test(thread, has_less_weight_and_its_process_has_what_it_had)
{
    take_usual_policy();
    struct weight before = own_weight();
    struct weight thread = weight_after(stand_back), after = own_weight();
    cr_assert_eq(thread.policy, SCHED_BATCH);
    cr_assert_eq(thread.nice, seven_more(before.nice));
    cr_assert_eq(after.policy, before.policy);
    cr_assert_eq(after.nice, before.nice);
}

Test(thread, stands_back_once)
{
    take_usual_policy();
    struct weight before = own_weight();
    cr_assert_eq(weight_after(stand_back_twice).nice, seven_more(before.nice));
}

static void *stand_back_idle(void *out)
{
    struct sched_param none = {0};
    cr_assert_eq(sched_setscheduler(0, SCHED_IDLE, &none), 0);
    return stand_back(out);
}

Test(thread, another_policy_is_left_alone)
{
    struct weight before = own_weight(), thread = weight_after(stand_back_idle);
    cr_assert_eq(thread.policy, SCHED_IDLE);
    cr_assert_eq(thread.nice, before.nice);
}
