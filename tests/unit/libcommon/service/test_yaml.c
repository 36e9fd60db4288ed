// Every refusal of the YAML reader, with its exact message: an operator works from that line alone.

#include "libcommon/service/yaml.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mm_yaml *parse(const char *text)
{
    return mm_yaml_parse("f.yaml", text, strlen(text));
}

// The document's only error has to be this one.
static void expect_error(struct mm_yaml *doc, const char *expected)
{
    cr_expect(mm_yaml_error_count(doc) == 1, "%s", expected);
    const char *error = mm_yaml_error(doc, 0);
    cr_assert(error != NULL, "no error, expected: %s", expected);
    cr_expect_str_eq(error, expected);
}

struct refusal {
    const char *text;
    const char *error;
};

static const struct refusal refused_files[] = {
    {"a: 1\nb: [1, 2\n", "f.yaml:3: not valid YAML: did not find expected ',' or ']'"},
    {"a: 1\n\tb: 2\n", "f.yaml:2: not valid YAML: found a tab character that violates indentation"},
    {"a: \"open\n", "f.yaml:2: not valid YAML: found unexpected end of stream"},
    {"- 1\n- 2\n", "f.yaml:1: the file has to be a map (key: value)"},
    {"just words\n", "f.yaml:1: the file has to be a map (key: value)"},
    {"a: 1\n---\nb: 2\n", "f.yaml:2: a file holds one document only"},
    {"a: 1\nb: 2\na: 3\n", "f.yaml:3: duplicate key \"a\" (first on line 1)"},
    {"s:\n  x: 1\n  y: 2\n  x: 3\n", "f.yaml:4: duplicate key \"x\" (first on line 2)"},
    {"a: &anchor 1\n", "f.yaml:1: anchors (&) are not supported"},
    {"a: !!int 1\n", "f.yaml:1: tags (!) are not supported"},
    {"a: *b\n", "f.yaml:1: aliases (*) are not supported"},
    {"? [x]\n: 1\n", "f.yaml:1: a key has to be a plain word"},
    {"<<: 1\n", "f.yaml:1: merge keys (<<) are not supported"},
    {"a: 1\nb: ~\n", "f.yaml:2: b: null is not a value; leave the key out instead"},
    {"a: null\n", "f.yaml:1: a: null is not a value; leave the key out instead"},
    {"\n\na: ${MM_TEST_UNSET}\n", "f.yaml:3: environment variable MM_TEST_UNSET is not set"},
    {"a: ${}\n", "f.yaml:1: malformed ${...}: expected ${NAME} or ${NAME:-default}"},
    {"a: ${X\n", "f.yaml:1: malformed ${...}: expected ${NAME} or ${NAME:-default}"},
    {"a: ${1X}\n", "f.yaml:1: malformed ${...}: expected ${NAME} or ${NAME:-default}"},
    {"a: ${X-y}\n", "f.yaml:1: malformed ${...}: expected ${NAME} or ${NAME:-default}"},
    {"a: \"x\\0y\"\n", "f.yaml:1: a: a zero byte is not allowed"},
    {"a: \xff\n", "f.yaml: not valid UTF-8 text (byte 3): invalid leading UTF-8 octet"},
};

Test(yaml, refuses_malformed_files)
{
    for (size_t i = 0; i < sizeof refused_files / sizeof refused_files[0]; i++) {
        struct mm_yaml *doc = parse(refused_files[i].text);
        expect_error(doc, refused_files[i].error);
        mm_yaml_free(doc);
    }
}

Test(yaml, refuses_what_is_too_deep_or_too_much)
{
    char deep[200] = "a: ";
    memset(deep + 3, '[', 60);
    struct mm_yaml *doc = parse(deep);
    cr_expect(strstr(mm_yaml_error(doc, 0), "nested deeper than 32 levels") != NULL);
    mm_yaml_free(doc);

    size_t bytes = (size_t)MM_YAML_NODES_MAX * 2 + 100;
    char *many = malloc(bytes);
    int at = snprintf(many, bytes, "a: [");
    for (int i = 0; i < MM_YAML_NODES_MAX; i++) {
        at += snprintf(many + at, bytes - (size_t)at, "1,");
    }
    doc = mm_yaml_parse("f.yaml", many, (size_t)at);
    expect_error(doc, "f.yaml:1: more than 200000 values in one file");
    mm_yaml_free(doc);
    free(many);

    doc = mm_yaml_load("/nonexistent/x.yaml");
    expect_error(doc, "/nonexistent/x.yaml: cannot be opened: No such file or directory");
    cr_expect(mm_yaml_count(mm_yaml_root(doc)) == 0);
    mm_yaml_free(doc);
}

enum getter { AS_STRING, AS_INT, AS_BOOL, AS_DURATION, AS_FIXED, AS_LIST, AS_MAP };

static const struct {
    enum getter getter;
    const char *text;
    const char *error; // NULL: accepted, with this value
    int64_t value;
} scalars[] = {
    {AS_STRING, "a: hello", NULL, 5},
    {AS_STRING, "a: \"\"", NULL, 0},
    {AS_STRING, "a:", "f.yaml:1: a: expected a text, found nothing", 0},
    {AS_STRING, "a: [x]", "f.yaml:1: a: expected a text, found a list", 0},
    {AS_INT, "a: 7", NULL, 7},
    {AS_INT, "a: -3", NULL, -3},
    {AS_INT, "a: 1_0", NULL, 10},
    {AS_INT, "a: ${MM_TEST_NUMBER}", NULL, 42},
    {AS_INT, "a: ${MM_TEST_UNSET:-9}", NULL, 9},
    {AS_INT, "a: ${MM_TEST_EMPTY:-8}", NULL, 8},
    {AS_INT, "a: 101", "f.yaml:1: a: 101 is out of range, expected -100 to 100", 0},
    {AS_INT, "a: 9223372036854775808",
     "f.yaml:1: a: expected a whole number from -100 to 100, found \"9223372036854775808\"", 0},
    {AS_INT, "a: 1.5", "f.yaml:1: a: expected a whole number from -100 to 100, found \"1.5\"", 0},
    {AS_INT, "a: 0x10", "f.yaml:1: a: expected a whole number from -100 to 100, found \"0x10\"", 0},
    {AS_INT, "a: 1__0", "f.yaml:1: a: expected a whole number from -100 to 100, found \"1__0\"", 0},
    {AS_INT, "a: \"7\"",
     "f.yaml:1: a: expected a whole number from -100 to 100, found the text \"7\"", 0},
    {AS_INT, "a: {b: 1}", "f.yaml:1: a: expected a whole number from -100 to 100, found a map", 0},
    {AS_BOOL, "a: true", NULL, 1},
    {AS_BOOL, "a: false", NULL, 0},
    {AS_BOOL, "a: yes", "f.yaml:1: a: expected true or false, found \"yes\"", 0},
    {AS_BOOL, "a: True", "f.yaml:1: a: expected true or false, found \"True\"", 0},
    {AS_DURATION, "a: 250ms", NULL, 250},
    {AS_DURATION, "a: 10s", NULL, 10000},
    {AS_DURATION, "a: 5m", NULL, 300000},
    {AS_DURATION, "a: 0", NULL, 0},
    {AS_DURATION, "a: 2h", "f.yaml:1: a: 2h is out of range, expected 0 to 1h", 0},
    {AS_DURATION, "a: 10",
     "f.yaml:1: a: expected a duration such as 250ms, 10s, 5m, 2h or 7d, found \"10\"", 0},
    {AS_DURATION, "a: 1.5s",
     "f.yaml:1: a: expected a duration such as 250ms, 10s, 5m, 2h or 7d, found \"1.5s\"", 0},
    {AS_DURATION, "a: 99999999999999d",
     "f.yaml:1: a: expected a duration such as 250ms, 10s, 5m, 2h or 7d, found "
     "\"99999999999999d\"",
     0},
    {AS_FIXED, "a: 0.75", NULL, 750},
    {AS_FIXED, "a: -1.5", NULL, -1500},
    {AS_FIXED, "a: -0.5", NULL, -500},
    {AS_FIXED, "a: 2", NULL, 2000},
    {AS_FIXED, "a: 0.1250", NULL, 125},
    {AS_FIXED, "a: 0.1255",
     "f.yaml:1: a: expected a number from -2 to 2.5 in steps of 1/1000, found \"0.1255\"", 0},
    {AS_FIXED, "a: 2.501", "f.yaml:1: a: 2.501 is out of range, expected -2 to 2.5", 0},
    {AS_FIXED, "a: 1e3",
     "f.yaml:1: a: expected a number from -2 to 2.5 in steps of 1/1000, found \"1e3\"", 0},
    {AS_FIXED, "a: 1.",
     "f.yaml:1: a: expected a number from -2 to 2.5 in steps of 1/1000, found \"1.\"", 0},
    {AS_LIST, "a: [1, 2, 3]", NULL, 3},
    {AS_LIST, "a: {x: 1}", "f.yaml:1: a: expected a list, found a map", 0},
    {AS_MAP, "a: {x: 1, y: 2}", NULL, 2},
    {AS_MAP, "a: 5", "f.yaml:1: a: expected a map, found \"5\"", 0},
};

static int64_t get(struct mm_yaml_node *root, enum getter getter)
{
    switch (getter) {
    case AS_STRING:
        return (int64_t)strlen(mm_yaml_need_string(root, "a"));
    case AS_INT:
        return mm_yaml_get_int(root, "a", -100, 100, -77);
    case AS_BOOL:
        return mm_yaml_get_bool(root, "a", false);
    case AS_DURATION:
        return mm_yaml_get_duration_ms(root, "a", 0, 3600000, -77);
    case AS_FIXED:
        return mm_yaml_get_fixed(root, "a", 1000, -2000, 2500, -77);
    case AS_LIST:
        return (int64_t)mm_yaml_count(mm_yaml_get_list(root, "a"));
    case AS_MAP:
        return (int64_t)mm_yaml_count(mm_yaml_get_map(root, "a"));
    }
    return 0;
}

Test(yaml, reads_scalars_strictly)
{
    setenv("MM_TEST_NUMBER", "42", 1);
    setenv("MM_TEST_EMPTY", "", 1);
    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++) {
        struct mm_yaml *doc = parse(scalars[i].text);
        int64_t value = get(mm_yaml_root(doc), scalars[i].getter);
        if (scalars[i].error != NULL) {
            expect_error(doc, scalars[i].error);
        } else {
            cr_expect(mm_yaml_error_count(doc) == 0, "%s: %s", scalars[i].text,
                      mm_yaml_error(doc, 0));
            cr_expect(value == scalars[i].value, "%s", scalars[i].text);
        }
        mm_yaml_free(doc);
    }
}

Test(yaml, expands_variables_inside_texts)
{
    setenv("MM_TEST_HOST", "db.example", 1);
    struct mm_yaml *doc = parse("a: http://${MM_TEST_HOST}:${MM_TEST_UNSET:-80}/$${x}$\n"
                                "b: \"${MM_TEST_UNSET:-}\"\n"
                                "c: ${MM_TEST_UNSET:-tcp://127.0.0.1:7110}\n");
    struct mm_yaml_node *root = mm_yaml_root(doc);
    cr_expect_str_eq(mm_yaml_need_string(root, "a"), "http://db.example:80/${x}$");
    cr_expect_str_eq(mm_yaml_need_string(root, "b"), "");
    cr_expect_str_eq(mm_yaml_need_string(root, "c"), "tcp://127.0.0.1:7110");
    mm_yaml_end(root);
    cr_expect(mm_yaml_error_count(doc) == 0);
    mm_yaml_free(doc);
}

Test(yaml, names_unknown_keys_and_what_was_meant)
{
    struct mm_yaml *doc = parse("units:\n"
                                "  - name: scout\n"
                                "    hitpoints: 30\n"
                                "    spede: 4\n"
                                "  - hitpoints: 10\n"
                                "    colour: red\n");
    struct mm_yaml_node *units = mm_yaml_get_list(mm_yaml_root(doc), "units");
    for (size_t i = 0; i < mm_yaml_count(units); i++) {
        struct mm_yaml_node *unit = mm_yaml_at(units, i);
        (void)mm_yaml_need_string(unit, "name");
        (void)mm_yaml_need_int(unit, "hitpoints", 1, 100);
        (void)mm_yaml_get_int(unit, "speed", 1, 10, 1);
        mm_yaml_end(unit);
    }
    mm_yaml_end(mm_yaml_root(doc));
    cr_assert(mm_yaml_error_count(doc) == 3);
    cr_expect_str_eq(mm_yaml_error(doc, 0),
                     "f.yaml:4: unknown key \"units[0].spede\"; did you mean \"speed\"?");
    cr_expect_str_eq(mm_yaml_error(doc, 1), "f.yaml:5: units[1].name is missing");
    cr_expect_str_eq(mm_yaml_error(doc, 2), "f.yaml:6: unknown key \"units[1].colour\"");
    mm_yaml_free(doc);
}

Test(yaml, callers_add_errors_at_the_line)
{
    struct mm_yaml *doc = parse("a: 1\nb: 2\n");
    mm_yaml_fail(mm_yaml_find(mm_yaml_root(doc), "b"), "unknown item '%s'", "irn");
    expect_error(doc, "f.yaml:2: unknown item 'irn'");
    mm_yaml_free(doc);
}

Test(yaml, keeps_no_more_errors_than_its_bound)
{
    char *text = malloc(MM_YAML_ERRORS_MAX * 64);
    int at = 0;
    for (int i = 0; i < MM_YAML_ERRORS_MAX + 10; i++) {
        at += snprintf(text + at, 64, "key%d: ~\n", i);
    }
    struct mm_yaml *doc = mm_yaml_parse("f.yaml", text, (size_t)at);
    cr_expect(mm_yaml_error_count(doc) == MM_YAML_ERRORS_MAX + 10);
    cr_expect(mm_yaml_error(doc, MM_YAML_ERRORS_MAX - 1) != NULL);
    cr_expect(mm_yaml_error(doc, MM_YAML_ERRORS_MAX) == NULL);
    mm_yaml_free(doc);
    free(text);
}
