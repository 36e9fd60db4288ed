#include "libcommon/base/log.h"

#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

static const char *service_name = "-";
static _Atomic int least_level = MM_LOG_LEVEL_INFO;
static _Atomic uint64_t dropped_lines;
static _Thread_local char trace_text[64];
static mm_log_sink_fn sink_fn;
static void *sink_ctx;

void mm_log_init(const char *service, enum mm_log_level level)
{
    service_name = service;
    atomic_store(&least_level, (int)level);
}

void mm_log_set_level(enum mm_log_level level)
{
    atomic_store(&least_level, (int)level);
}

enum mm_log_level mm_log_get_level(void)
{
    return (enum mm_log_level)atomic_load_explicit(&least_level, memory_order_relaxed);
}

bool mm_log_enabled(enum mm_log_level level)
{
    return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

enum mm_err mm_log_level_parse(const char *text, enum mm_log_level *out)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum mm_log_level)i;
            return MM_OK;
        }
    }
    return MM_INVALID_ARGUMENT;
}

const char *mm_log_level_name(enum mm_log_level level)
{
    unsigned i = (unsigned)level;
    return i < sizeof level_names / sizeof level_names[0] ? level_names[i] : "unknown";
}

void mm_log_set_trace(const char *trace_id)
{
    mm_str_copy(trace_text, sizeof trace_text, trace_id ? trace_id : "");
}

void mm_log_set_sink(mm_log_sink_fn sink, void *ctx)
{
    sink_fn = sink;
    sink_ctx = ctx;
}

// --- the line ------------------------------------------------------------------------------------

// A line in the making. What does not fit is left out; one byte is kept for the newline.
struct line {
    char text[MM_LOG_LINE_BYTES];
    size_t len;
};

static void put(struct line *line, const char *text, size_t len)
{
    size_t room = sizeof line->text - 1 - line->len;
    if (len > room)
        len = room;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_str(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static bool needs_quotes(const char *value, size_t len)
{
    if (len == 0)
        return true;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return true;
    }
    return !mm_utf8_valid(value, len);
}

static void put_value(struct line *line, const char *value, size_t len)
{
    if (!needs_quotes(value, len)) {
        put(line, value, len);
        return;
    }
    put(line, "\"", 1);
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)value[i];
        size_t sequence = mm_utf8_sequence((const uint8_t *)value + i, len - i);
        if (c == '"' || c == '\\') {
            const char escaped[2] = {'\\', (char)c};
            put(line, escaped, 2);
        } else if (c == '\n') {
            put(line, "\\n", 2);
        } else if (c < ' ' || c == 0x7f || sequence == 0) {
            char escaped[8];
            put(line, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\x%02x", c));
            sequence = 1;
        } else {
            put(line, value + i, sequence);
        }
        i += sequence > 0 ? sequence : 1;
    }
    put(line, "\"", 1);
}

// --- fields --------------------------------------------------------------------------------------

// One field's value while it is printed.
struct value {
    char text[1024];
    size_t len;
};

// Formats one conversion with its argument. snprintf does the work; only the argument's type is
// read from the format here, so that each value can be escaped by itself.
static void format_one(struct value *value, const char *spec, size_t spec_len, va_list *args)
{
    char format[32];
    if (!mm_str_copy_n(format, sizeof format, spec, spec_len))
        return;
    char conversion = spec[spec_len - 1];
    bool is_long_long = strstr(format, "ll") || strchr(format, 'j');
    bool is_long = strchr(format, 'l') || strchr(format, 'z') || strchr(format, 't');
    int stars[2] = {0, 0};
    unsigned star_count = 0;
    for (size_t i = 0; i < spec_len; i++)
        if (spec[i] == '*' && star_count < 2)
            stars[star_count++] = va_arg(*args, int);
    char *out = value->text + value->len;
    size_t room = sizeof value->text - value->len;
    int wanted;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#define FORMAT(argument)                                                                           \
    (star_count == 0   ? snprintf(out, room, format, argument)                                     \
     : star_count == 1 ? snprintf(out, room, format, stars[0], argument)                           \
                       : snprintf(out, room, format, stars[0], stars[1], argument))
    if (conversion == 's') {
        const char *text = va_arg(*args, const char *);
        wanted = FORMAT(text ? text : "(null)");
    } else if (conversion == 'p') {
        void *pointer = va_arg(*args, void *);
        wanted = FORMAT(pointer);
    } else if (strchr("fFeEgGaA", conversion)) {
        double number = va_arg(*args, double);
        wanted = FORMAT(number);
    } else if (is_long_long) {
        long long number = va_arg(*args, long long);
        wanted = FORMAT(number);
    } else if (is_long) {
        long number = va_arg(*args, long);
        wanted = FORMAT(number);
    } else {
        int number = va_arg(*args, int);
        wanted = FORMAT(number);
    }
#undef FORMAT
#pragma GCC diagnostic pop
    if (wanted > 0)
        value->len += (size_t)wanted < room ? (size_t)wanted : room - 1;
}

static const char *end_of_spec(const char *percent)
{
    const char *at = percent + 1;
    at += strspn(at, "-+ #0123456789.*hlzjtL");
    return *at ? at + 1 : at;
}

static void put_fields(struct line *line, const char *fields, va_list *args)
{
    const char *at = fields;
    while (*at) {
        at += strspn(at, " ");
        size_t key_len = strcspn(at, "= ");
        if (key_len == 0)
            break;
        put(line, " ", 1);
        put(line, at, key_len);
        at += key_len;
        if (*at != '=')
            continue;
        put(line, "=", 1);
        at++;
        struct value value = {.len = 0};
        while (*at && *at != ' ') {
            if (at[0] == '%' && at[1] != '%') {
                const char *end = end_of_spec(at);
                format_one(&value, at, (size_t)(end - at), args);
                at = end;
            } else {
                at += at[0] == '%'; // "%%" prints one
                if (value.len + 1 < sizeof value.text)
                    value.text[value.len++] = *at;
                at++;
            }
        }
        put_value(line, value.text, value.len);
    }
}

// --- writing -------------------------------------------------------------------------------------

// Whether the site may print now. The counts may be off by a few when threads race at the turn of a
// second; that is harmless.
static bool admit(struct mm_log_site *site, uint32_t *suppressed_out)
{
    uint64_t second = mm_clock_ms() / 1000 + 1;
    if (atomic_load_explicit(&site->second, memory_order_relaxed) != second) {
        atomic_store_explicit(&site->second, second, memory_order_relaxed);
        atomic_store_explicit(&site->printed, 0, memory_order_relaxed);
    }
    if (atomic_fetch_add_explicit(&site->printed, 1, memory_order_relaxed) >=
        MM_LOG_SITE_PER_SECOND) {
        atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
        return false;
    }
    *suppressed_out = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);
    return true;
}

static bool write_line(const char *text, size_t len)
{
    if (sink_fn) {
        sink_fn(sink_ctx, text, len);
        return true;
    }
    // A pipe that polls writable takes PIPE_BUF (4096) bytes without blocking, and whole.
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT) &&
           write(STDERR_FILENO, text, len) == (ssize_t)len;
}

void mm_log_write(enum mm_log_level level, struct mm_log_site *site, const char *msg,
                  const char *fields, ...)
{
    uint32_t suppressed = 0;
    if (site && !admit(site, &suppressed))
        return;
    struct line line = {.len = 0};
    char time_text[MM_CLOCK_TEXT_BYTES];
    mm_clock_format(mm_clock_wall_ms(), time_text);
    put_str(&line, "ts=");
    put_str(&line, time_text);
    put_str(&line, " level=");
    put_str(&line, mm_log_level_name(level));
    put_str(&line, " service=");
    put_str(&line, service_name);
    put_str(&line, " msg=");
    put_value(&line, msg, strlen(msg));
    if (trace_text[0]) {
        put_str(&line, " trace=");
        put_value(&line, trace_text, strlen(trace_text));
    }
    uint64_t dropped = atomic_exchange(&dropped_lines, 0);
    char number[48];
    if (suppressed > 0)
        put(&line, number, (size_t)snprintf(number, sizeof number, " suppressed=%u", suppressed));
    if (dropped > 0)
        put(&line, number,
            (size_t)snprintf(number, sizeof number, " dropped=%llu", (unsigned long long)dropped));
    va_list args;
    va_start(args, fields);
    put_fields(&line, fields, &args);
    va_end(args);
    line.text[line.len++] = '\n';
    // What this line was to tell of dropped ones is lost with it.
    if (!write_line(line.text, line.len))
        atomic_fetch_add(&dropped_lines, dropped + 1);
}
