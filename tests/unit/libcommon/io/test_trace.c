#include <criterion/criterion.h>
#include <string.h>

#include "libcommon/io/trace.h"

Test(trace, parses_and_formats)
{
    static const char text[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    struct mm_trace trace;
    char out[MM_TRACEPARENT_CHARS + 1];
    cr_assert(mm_trace_parse(text, &trace));
    cr_expect_eq(trace.trace_id[0], 0x0a);
    cr_expect_eq(trace.span_id[7], 0x31);
    cr_expect_eq(trace.flags, 1);
    mm_trace_format(&trace, out);
    cr_expect_str_eq(out, text);
    // A later version may have more behind it.
    cr_expect(
        mm_trace_parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", &trace));
}

Test(trace, refuses_what_is_invalid)
{
    static const char *const invalid[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
    };
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        struct mm_trace trace;
        cr_expect_not(mm_trace_parse(invalid[i], &trace), "%s", invalid[i]);
        cr_expect_not(mm_trace_valid(&trace));
    }
    struct mm_trace trace;
    cr_expect_not(mm_trace_parse(NULL, &trace));
}

Test(trace, a_child_keeps_the_trace)
{
    struct mm_trace parent = mm_trace_new(true), none = {.flags = 0};
    struct mm_trace child = mm_trace_child(&parent);
    cr_expect(mm_trace_valid(&parent) && mm_trace_valid(&child));
    cr_expect_eq(memcmp(parent.trace_id, child.trace_id, 16), 0);
    cr_expect_neq(memcmp(parent.span_id, child.span_id, 8), 0);
    cr_expect_eq(child.flags, 1);
    struct mm_trace first = mm_trace_child(&none), other = mm_trace_child(NULL);
    cr_expect(mm_trace_valid(&first) && mm_trace_valid(&other));
    cr_expect_neq(memcmp(first.trace_id, other.trace_id, 16), 0);
}
