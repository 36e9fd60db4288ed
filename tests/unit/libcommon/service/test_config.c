// Tables of settings: values, fallbacks, every refusal with its exact message, and what is printed.

#include "libcommon/service/config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    const char *host;
    const char *password;
    const char *kind;
    int64_t port;
    int64_t pool_size;
    int64_t stall_ms;
    bool abort;
    struct mm_config_strings issuers;
    struct mm_yaml_node *recipes;
};

#define AT(member) .offset = offsetof(struct settings, member)

static const struct mm_config_field fields[] = {
    {.path = "mariadb.host", .type = MM_CONFIG_STRING, AT(host), .help = "address of the server"},
    {.path = "mariadb.port",
     .type = MM_CONFIG_INT,
     AT(port),
     .fallback = "7106",
     .min = 1,
     .max = 65535},
    {.path = "mariadb.password",
     .type = MM_CONFIG_STRING,
     AT(password),
     .fallback = "",
     .secret = true},
    {.path = "mariadb.pool_size",
     .type = MM_CONFIG_INT,
     AT(pool_size),
     .fallback = "4",
     .min = 1,
     .max = 32,
     .unit = "connections",
     .help = "how many"},
    {.path = "map.kind",
     .type = MM_CONFIG_STRING,
     AT(kind),
     .fallback = "noise",
     .choices = "blank|noise"},
    {.path = "watchdog.stall",
     .type = MM_CONFIG_DURATION,
     AT(stall_ms),
     .fallback = "5s",
     .min = 1000,
     .max = 60000},
    {.path = "watchdog.abort", .type = MM_CONFIG_BOOL, AT(abort), .fallback = "true"},
    {.path = "token.issuers",
     .type = MM_CONFIG_STRINGS,
     AT(issuers),
     .fallback = "login-server,other"},
    {.path = "recipes", .type = MM_CONFIG_SECTION, AT(recipes)},
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static struct mm_config *load(const char *text, struct settings *settings)
{
    struct mm_config *config = mm_config_new();
    mm_config_add(config, fields, FIELD_COUNT, settings);
    enum mm_err err = mm_config_parse(config, "etc/w.yaml", text, strlen(text));
    cr_expect((err == MM_OK) == (mm_config_error_count(config) == 0));
    return config;
}

Test(config, takes_values_and_fallbacks)
{
    struct settings settings;
    struct mm_config *config = load("mariadb:\n  host: db\n  port: 3306\n  password: geheim\n"
                                    "watchdog: {stall: 2s, abort: false}\n"
                                    "token:\n  issuers: [a, \"b c\"]\n"
                                    "recipes:\n  - x\n  - y\n",
                                    &settings);
    cr_assert(mm_config_error_count(config) == 0, "%s", mm_config_error(config, 0));
    cr_expect_str_eq(settings.host, "db");
    cr_expect_str_eq(settings.password, "geheim");
    cr_expect_str_eq(settings.kind, "noise");
    cr_expect(settings.port == 3306);
    cr_expect(settings.pool_size == 4);
    cr_expect(settings.stall_ms == 2000);
    cr_expect(!(settings.abort));
    cr_assert(settings.issuers.count == 2);
    cr_expect_str_eq(settings.issuers.items[1], "b c");
    cr_expect(mm_yaml_count(settings.recipes) == 2);
    mm_config_free(config);

    config = load("mariadb: {host: db}\n", &settings);
    cr_expect(mm_config_error_count(config) == 0);
    cr_assert(settings.issuers.count == 2);
    cr_expect_str_eq(settings.issuers.items[0], "login-server");
    cr_expect_str_eq(settings.issuers.items[1], "other");
    cr_expect(settings.abort);
    cr_expect(settings.stall_ms == 5000);
    cr_expect(settings.recipes == NULL);
    mm_config_free(config);
}

static const struct {
    const char *value;
    size_t count;
    const char *items[3];
} comma_separated[] = {
    {"login-server", 1, {"login-server"}},
    {"a,b", 2, {"a", "b"}},
    {"\" a b ,\\tc  ,d\\n\"", 3, {"a b", "c", "d"}},
    {"\"\"", 0, {NULL}},
    {"\"  \\t\"", 0, {NULL}},
    {"${MM_TEST_UNSET:-}", 0, {NULL}},
    {"${MM_TEST_UNSET:-x, y}", 2, {"x", "y"}},
    {"${MM_TEST_LIST}", 2, {"https://a.example:8443", "::1"}},
    {"${MM_TEST_LIST:-z}", 2, {"https://a.example:8443", "::1"}},
    {"[\"a,b\"]", 1, {"a,b"}}, // in a list a comma is a character like others
    {"[]", 0, {NULL}},
};

Test(config, takes_texts_with_commas_between)
{
    cr_assert(setenv("MM_TEST_LIST", " https://a.example:8443, ::1", 1) == 0);
    for (size_t i = 0; i < sizeof comma_separated / sizeof comma_separated[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "mariadb: {host: x}\ntoken:\n  issuers: %s\n",
                 comma_separated[i].value);
        struct settings settings;
        struct mm_config *config = load(text, &settings);
        cr_assert(mm_config_error_count(config) == 0, "%s", mm_config_error(config, 0));
        cr_assert(settings.issuers.count == comma_separated[i].count, "%s", text);
        for (size_t k = 0; k < settings.issuers.count; k++)
            cr_expect_str_eq(settings.issuers.items[k], comma_separated[i].items[k]);
        mm_config_free(config);
    }
}

Test(config, bounds_texts_however_they_are_written)
{
    for (size_t count = 256; count <= 257; count++) {
        for (int listed = 0; listed < 2; listed++) {
            char text[1200] = "mariadb: {host: x}\ntoken:\n  issuers: ";
            size_t chars = strlen(text);
            for (size_t i = 0; i < count; i++)
                chars += (size_t)snprintf(text + chars, sizeof text - chars, "%sx",
                                          i > 0    ? ","
                                          : listed ? "["
                                                   : "");
            snprintf(text + chars, sizeof text - chars, "%s\n", listed ? "]" : "");
            struct settings settings;
            struct mm_config *config = load(text, &settings);
            if (count == 256) {
                cr_expect(mm_config_error_count(config) == 0, "%s", mm_config_error(config, 0));
                cr_expect(settings.issuers.count == 256);
            } else {
                cr_assert(mm_config_error_count(config) == 1);
                cr_expect_str_eq(mm_config_error(config, 0),
                                 "etc/w.yaml:3: token.issuers: more than 256 texts");
                cr_expect(settings.issuers.count == 2, "the fallback");
            }
            mm_config_free(config);
        }
    }
}

static const struct {
    const char *text;
    const char *error;
} refused[] = {
    {"", "etc/w.yaml: mariadb.host is missing: address of the server"},
    {"mariadb:\n  port: 1\n", "etc/w.yaml:1: mariadb.host is missing: address of the server"},
    {"mariadb:\n  host: x\n  pool_sise: 3\n",
     "etc/w.yaml:3: unknown key \"mariadb.pool_sise\"; did you mean \"pool_size\"?"},
    {"mariadb:\n  host: x\nmariabd:\n  port: 3\n",
     "etc/w.yaml:3: unknown key \"mariabd\"; did you mean \"mariadb\"?"},
    {"mariadb:\n  host: x\n  colour: red\n", "etc/w.yaml:3: unknown key \"mariadb.colour\""},
    {"mariadb:\n  host: x\n  port: 70000\n",
     "etc/w.yaml:3: mariadb.port: 70000 is out of range, expected 1 to 65535"},
    {"mariadb:\n  host: x\n  port: http\n",
     "etc/w.yaml:3: mariadb.port: expected a whole number from 1 to 65535, found \"http\""},
    {"mariadb:\n  host: x\n  host: y\n", "etc/w.yaml:3: duplicate key \"host\" (first on line 2)"},
    {"mariadb:\n  host: ${MM_TEST_UNSET}\n",
     "etc/w.yaml:2: environment variable MM_TEST_UNSET is not set"},
    {"mariadb: db:3306\n", "etc/w.yaml:1: mariadb: expected a section (a map), found \"db:3306\""},
    {"mariadb:\n", "etc/w.yaml:1: mariadb: expected a section (a map), found nothing"},
    {"mariadb: {host: x}\nmap:\n  kind: desert\n",
     "etc/w.yaml:3: map.kind: expected one of blank|noise, found \"desert\""},
    {"mariadb: {host: x}\nmap:\n  kind: blan\n",
     "etc/w.yaml:3: map.kind: expected one of blank|noise, found \"blan\""},
    {"mariadb: {host: x}\nwatchdog:\n  stall: 100ms\n",
     "etc/w.yaml:3: watchdog.stall: 100ms is out of range, expected 1s to 1m"},
    {"mariadb: {host: x}\nwatchdog:\n  abort: 1\n",
     "etc/w.yaml:3: watchdog.abort: expected true or false, found \"1\""},
    {"mariadb: {host: x}\ntoken:\n  issuers:\n",
     "etc/w.yaml:3: token.issuers: expected a list of texts, or texts with commas between, found "
     "nothing"},
    {"mariadb: {host: x}\ntoken:\n  issuers: {a: b}\n",
     "etc/w.yaml:3: token.issuers: expected a list of texts, or texts with commas between, found "
     "a map"},
    {"mariadb: {host: x}\ntoken:\n  issuers: a,,b\n",
     "etc/w.yaml:3: token.issuers: text 2 of 3 is empty in \"a,,b\""},
    {"mariadb: {host: x}\ntoken:\n  issuers: a, b ,\n",
     "etc/w.yaml:3: token.issuers: text 3 of 3 is empty in \"a, b ,\""},
    {"mariadb: {host: x}\ntoken:\n  issuers: \" ,a\"\n",
     "etc/w.yaml:3: token.issuers: text 1 of 2 is empty in the text \" ,a\""},
    {"mariadb: {host: x}\ntoken:\n  issuers: \",\"\n",
     "etc/w.yaml:3: token.issuers: text 1 of 2 is empty in the text \",\""},
    {"mariadb: {host: x}\ntoken:\n  issuers: ${MM_TEST_UNSET}\n",
     "etc/w.yaml:3: environment variable MM_TEST_UNSET is not set"},
    {"mariadb: {host: x}\ntoken:\n  issuers:\n    - a\n    - [b]\n",
     "etc/w.yaml:5: token.issuers[1]: expected a text, found a list"},
    {"mariadb: {host: x}\nrecipes: many\n",
     "etc/w.yaml:2: recipes: expected a map or a list, found \"many\""},
};

Test(config, refuses_with_file_and_line)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct settings settings;
        struct mm_config *config = load(refused[i].text, &settings);
        cr_expect(mm_config_error_count(config) == 1, "%s", refused[i].error);
        cr_assert(mm_config_error(config, 0) != NULL, "%s", refused[i].error);
        cr_expect_str_eq(mm_config_error(config, 0), refused[i].error);
        mm_config_free(config);
    }
}

Test(config, tells_all_errors_at_once)
{
    struct settings settings;
    struct mm_config *config =
        load("mariadb:\n  host: x\n  port: -1\nmap: {kind: x}\nextra: 1\n", &settings);
    cr_expect(mm_config_error_count(config) == 3);
    mm_config_free(config);
}

Test(config, services_add_errors_at_the_line_of_a_setting)
{
    struct settings settings;
    struct mm_config *config = load("mariadb:\n  host: x\n", &settings);
    mm_config_fail(config, "mariadb.host", "no such host '%s'", "x");
    mm_config_fail(config, "mariadb.port", "must not be %d", 7106);
    cr_expect_str_eq(mm_config_error(config, 0), "etc/w.yaml:2: mariadb.host: no such host 'x'");
    cr_expect_str_eq(mm_config_error(config, 1), "etc/w.yaml: mariadb.port: must not be 7106");
    mm_config_free(config);
}

static char *printed(const struct mm_config *config,
                     void (*print)(const struct mm_config *, FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    print(config, out);
    fclose(out);
    return text;
}

Test(config, prints_what_reads_back_and_no_secret)
{
    struct settings settings;
    struct mm_config *config =
        load("mariadb:\n  host: \"a \\\"b\\\" $${x}\"\n  password: geheim\n", &settings);
    char *text = printed(config, mm_config_print);
    cr_expect_str_eq(text, "mariadb:\n"
                           "  host: \"a \\\"b\\\" $${x}\"\n"
                           "  port: 7106\n"
                           "  password: \"********\"\n"
                           "  pool_size: 4\n"
                           "map:\n"
                           "  kind: \"noise\"\n"
                           "watchdog:\n"
                           "  stall: 5s\n"
                           "  abort: true\n"
                           "token:\n"
                           "  issuers: [\"login-server\", \"other\"]\n"
                           "recipes: {} # 0 entries\n");
    struct settings again;
    struct mm_config *second = load(text, &again);
    cr_expect(mm_config_error_count(second) == 0, "%s", mm_config_error(second, 0));
    cr_expect_str_eq(again.host, settings.host);
    mm_config_free(second);
    free(text);

    text = printed(config, mm_config_print_help);
    cr_expect(strstr(text, "mariadb.pool_size") != NULL);
    cr_expect(strstr(text, "(1..32 connections; default 4)") != NULL, "%s", text);
    cr_expect(strstr(text, "geheim") == NULL);
    free(text);
    mm_config_free(config);
}

Test(config, resolves_paths_from_the_files_directory)
{
    struct settings settings;
    struct mm_config *config = load("mariadb: {host: x}\n", &settings);
    cr_expect_str_eq(mm_config_resolve(config, "schema"), "etc/schema");
    cr_expect_str_eq(mm_config_resolve(config, "/abs"), "/abs");
    mm_config_free(config);
}
