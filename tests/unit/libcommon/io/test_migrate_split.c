#include "libcommon/io/migrate_split.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

// Joins the statements of text with '|'; "!" at the end stands for an error.
static const char *split(const char *text)
{
    static char joined[1024];
    size_t length = 0;
    struct mm_migrate_split state = {text, strlen(text), 0};
    for (;;) {
        const char *statement;
        size_t size;
        enum mm_err err = mm_migrate_split_next(&state, &statement, &size);
        if (err != MM_OK) {
            joined[length++] = '!';
            break;
        }
        if (!statement)
            break;
        cr_assert_lt(length + size + 2, sizeof joined);
        if (length > 0)
            joined[length++] = '|';
        memcpy(joined + length, statement, size);
        length += size;
    }
    joined[length] = 0;
    return joined;
}

static const struct {
    const char *text, *expected;
} cases[] = {
    {"", ""},
    {" ;; \n ; ", ""},
    {"A;B", "A|B"},
    {"A;\n\nB;\n", "A|B"},
    {"INSERT INTO t VALUES ('a;b');B", "INSERT INTO t VALUES ('a;b')|B"},
    {"SELECT 'it''s;', \"d;\"\"\", `n;``;`;B", "SELECT 'it''s;', \"d;\"\"\", `n;``;`|B"},
    {"SELECT 'a\\';b';B", "SELECT 'a\\';b'|B"},
    {"SELECT `a\\`;B", "SELECT `a\\`|B"},
    {"-- only; a comment", ""},
    {"-- a; comment\nA;B", "-- a; comment\nA|B"},
    {"# a; comment\nA # tail; too\n;B", "# a; comment\nA # tail; too\n|B"},
    {"/* a; comment; */ ;A", "A"},
    {"A /* 'quote; */ B;C", "A /* 'quote; */ B|C"},
    {"/*!40101 SET x=1 */;A", "/*!40101 SET x=1 */|A"},
    {"/*M!100100 SET x=1 */;A", "/*M!100100 SET x=1 */|A"},
    {"SELECT 5--3;B", "SELECT 5--3|B"},
    {"SELECT 1 --", "SELECT 1 --"},
    {"SELECT 4/2;B", "SELECT 4/2|B"},
    {"A; 'open", "A!"},
    {"A; 'open\\'", "A!"},
    {"A; /* open ; ", "A!"},
    {"`open;", "!"},
    {"A;\\", "A|\\"},
};

Test(migrate_split, cases)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_str_eq(split(cases[i].text), cases[i].expected, "case %zu: %s", i, cases[i].text);
}

// Every prefix of a text with everything in it is split without reading past its end (the
// address sanitizer watches) and without looping.
Test(migrate_split, prefixes)
{
    static const char text[] = "A 'x\\'' ;/* c */ -- d\n\"e\"\"\"; `f``` # g\n;/*! h */;";
    for (size_t size = 0; size < sizeof text; size++) {
        char *copy = malloc(size + 1);
        memcpy(copy, text, size);
        struct mm_migrate_split state = {copy, size, 0};
        const char *statement = copy;
        size_t statement_size;
        for (int calls = 0; statement; calls++) {
            cr_assert_lt(calls, 10);
            if (mm_migrate_split_next(&state, &statement, &statement_size) != MM_OK)
                break;
        }
        free(copy);
    }
}
