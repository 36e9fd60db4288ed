#include "libcommon/base/log.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char last[MM_LOG_LINE_BYTES + 1];
static unsigned lines;

static void keep(void *ctx, const char *line, size_t len)
{
    (void)ctx;
    cr_assert_leq(len, MM_LOG_LINE_BYTES);
    cr_assert_eq(line[len - 1], '\n');
    memcpy(last, line, len - 1);
    last[len - 1] = '\0';
    lines++;
}

// What follows the time stamp.
static const char *rest(void)
{
    cr_assert_eq(strncmp(last, "ts=20", 5), 0);
    cr_assert_eq(last[27], ' ');
    return last + 28;
}

static void setup(void)
{
    mm_log_init("test", MM_LOG_LEVEL_DEBUG);
    mm_log_set_sink(keep, NULL);
    lines = 0;
}

TestSuite(log, .init = setup);

Test(log, fields_are_printed_by_type)
{
    MM_LOG_INFO("started");
    cr_assert_str_eq(rest(), "level=info service=test msg=started");
    MM_LOG_WARN("all kinds",
                "d=%d u=%u i64=%" PRId64 " z=%zu x=%#x c=%c f=%.2f s=%s w=%-5s| p=%d%% n=%.*s", -1,
                2U, INT64_MIN, (size_t)3, 255U, 'q', 1.5, "str", "ab", 50, 2, "xyz");
    cr_assert_str_eq(rest(), "level=warn service=test msg=\"all kinds\" d=-1 u=2 "
                             "i64=-9223372036854775808 z=3 x=0xff c=q f=1.50 s=str w=\"ab   |\" "
                             "p=50% n=xy");
}

Test(log, values_cannot_forge_fields_or_lines)
{
    MM_LOG_ERROR("chat", "name=%s text=%s", "eve admin=true", "a\"b\\c\nlevel=error\x01\xff");
    cr_assert_str_eq(rest(), "level=error service=test msg=chat name=\"eve admin=true\" "
                             "text=\"a\\\"b\\\\c\\nlevel=error\\x01\\xff\"");
    const char *volatile nothing = NULL;
    MM_LOG_ERROR("m", "a=%s b=%s c=%s", "", nothing, "gr\xc3\xbc\xc3\x9f");
    cr_assert_str_eq(rest(), "level=error service=test msg=m a=\"\" b=(null) c=gr\xc3\xbc\xc3\x9f");
}

Test(log, long_lines_are_cut)
{
    char text[900];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    MM_LOG_INFO("long", "a=%s b=%s c=%s d=%s", text, text, text, text);
    cr_assert_eq(strlen(last), MM_LOG_LINE_BYTES - 1);
}

Test(log, levels_are_honoured)
{
    mm_log_set_level(MM_LOG_LEVEL_WARN);
    MM_LOG_DEBUG("no");
    MM_LOG_INFO("no");
    cr_assert_eq(lines, 0);
    MM_LOG_WARN("yes");
    MM_LOG_ERROR("yes");
    cr_assert_eq(lines, 2);
    mm_log_set_level(MM_LOG_LEVEL_OFF);
    MM_LOG_ERROR("no");
    cr_assert_eq(lines, 2);
    enum mm_log_level level;
    for (int i = MM_LOG_LEVEL_DEBUG; i <= MM_LOG_LEVEL_OFF; i++) {
        cr_assert_eq(mm_log_level_parse(mm_log_level_name((enum mm_log_level)i), &level), MM_OK);
        cr_assert_eq((int)level, i);
    }
    cr_assert_eq(mm_log_level_parse("loud", &level), MM_INVALID_ARGUMENT);
}

Test(log, a_busy_site_is_limited_and_says_so)
{
    // A second may turn while the loop runs, which admits more.
    for (int i = 0; i < 2000; i++)
        MM_LOG_INFO("busy");
    cr_assert_geq(lines, MM_LOG_SITE_PER_SECOND);
    cr_assert_leq(lines, 3 * MM_LOG_SITE_PER_SECOND);
    static struct mm_log_site site;
    site.suppressed = 41;
    mm_log_write(MM_LOG_LEVEL_INFO, &site, "after", " a=%d", 1);
    cr_assert_str_eq(rest(), "level=info service=test msg=after suppressed=41 a=1");
    mm_log_write(MM_LOG_LEVEL_INFO, &site, "after", " a=%d", 1);
    cr_assert_str_eq(rest(), "level=info service=test msg=after a=1");
}

Test(log, trace_is_added)
{
    mm_log_set_trace("4bf92f3577b34da6a3ce929d0e0e4736");
    MM_LOG_INFO("m", "a=%d", 1);
    cr_assert_str_eq(rest(), "level=info service=test msg=m "
                             "trace=4bf92f3577b34da6a3ce929d0e0e4736 a=1");
    mm_log_set_trace(NULL);
    MM_LOG_INFO("m");
    cr_assert_str_eq(rest(), "level=info service=test msg=m");
}

// stderr is a full pipe that nobody reads: logging returns, and later tells how many lines were
// lost.
Test(log, a_full_stderr_blocks_nobody)
{
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    mm_log_set_sink(NULL, NULL);
    int saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    alarm(20); // a log call that blocks ends the test
    for (int i = 0; i < 5000; i++)
        mm_log_write(MM_LOG_LEVEL_INFO, NULL, "filling the pipe", " i=%d", i);
    alarm(0);
    dup2(saved, STDERR_FILENO);
    mm_log_set_sink(keep, NULL);
    mm_log_write(MM_LOG_LEVEL_INFO, NULL, "after", " ");
    unsigned dropped = 0;
    cr_assert_not_null(strstr(last, "dropped="));
    cr_assert_eq(sscanf(strstr(last, "dropped="), "dropped=%u", &dropped), 1);
    cr_assert(dropped > 1000 && dropped < 5000);
    close(fds[0]);
    close(fds[1]);
    close(saved);
}
