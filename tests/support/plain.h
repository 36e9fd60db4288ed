#ifndef TESTS_SUPPORT_PLAIN_H
#define TESTS_SUPPORT_PLAIN_H

#include <stdbool.h>
#include <stdio.h>

// For plain test programs (no Criterion, so that they run under ThreadSanitizer). main returns
// plain_finish().

static int plain_passed, plain_failed;

#define EXPECT(condition)            plain_expect((condition), #condition, __FILE__, __LINE__)
#define EXPECT_THAT(condition, what) plain_expect((condition), (what), __FILE__, __LINE__)

static inline bool plain_expect(bool ok, const char *what, const char *file, int line)
{
    if (ok) {
        plain_passed++;
    } else {
        plain_failed++;
        printf("FAILED %s:%d: %s\n", file, line, what);
        fflush(stdout);
    }
    return ok;
}

static inline int plain_finish(void)
{
    printf("%d passed, %d failed\n", plain_passed, plain_failed);
    return plain_failed == 0 && plain_passed > 0 ? 0 : 1;
}

#endif
