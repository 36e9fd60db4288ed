// Metrics: a list of families (one name), each with its series (one set of labels). See metrics.h.

#include "libcommon/service/metrics.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf.h"
#include "libcommon/base/check.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum { LABELS_CHARS_MAX = 512 };

struct mm_metrics_histogram {
    size_t bound_count;
    uint64_t bounds[MM_METRICS_BOUNDS_MAX];
    atomic_uint_fast64_t buckets[MM_METRICS_BOUNDS_MAX + 1]; // not cumulative; the last is +Inf
    atomic_uint_fast64_t sum;
    double scale;
};

struct series {
    struct series *next;
    char *labels; // `a="b",c="d"`, as shown between the braces
    double (*read)(void *ctx);
    void *read_ctx;
    union {
        struct mm_counter counter;
        struct mm_gauge gauge;
        struct mm_metrics_histogram histogram;
    } as;
};

struct family {
    struct family *next;
    char *name;
    char *help;
    enum metric_kind kind;
    size_t series_count;
    struct series *first;
    struct series **tail;
};

struct mm_metrics {
    struct family *first;
    struct family **tail;
};

struct mm_metrics *mm_metrics_new(void)
{
    struct mm_metrics *metrics = mm_calloc(1, sizeof *metrics);
    MM_CHECK(metrics != NULL);
    metrics->tail = &metrics->first;
    return metrics;
}

void mm_metrics_free(struct mm_metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (struct family *family = metrics->first; family != NULL;) {
        struct family *next_family = family->next;
        for (struct series *series = family->first; series != NULL;) {
            struct series *next_series = series->next;
            mm_free(series->labels);
            mm_free(series);
            series = next_series;
        }
        mm_free(family->name);
        mm_free(family->help);
        mm_free(family);
        family = next_family;
    }
    mm_free(metrics);
}

// --- registration --------------------------------------------------------------------------------

static bool is_name(const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        bool letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '_';
        bool digit = *at >= '0' && *at <= '9';
        if (!letter && !(digit && at > name)) {
            return false;
        }
    }
    return name[0] != '\0';
}

static struct family *get_family(struct mm_metrics *metrics, const char *name, const char *help,
                                 enum metric_kind kind)
{
    for (struct family *family = metrics->first; family != NULL; family = family->next) {
        if (strcmp(family->name, name) == 0) {
            MM_CHECK(family->kind == kind);
            return family;
        }
    }
    MM_CHECK(is_name(name));
    struct family *family = mm_calloc(1, sizeof *family);
    MM_CHECK(family != NULL);
    family->name = mm_strdup(name);
    family->help = mm_strdup(help);
    MM_CHECK(family->name != NULL && family->help != NULL);
    family->kind = kind;
    family->tail = &family->first;
    *metrics->tail = family;
    metrics->tail = &family->next;
    return family;
}

// Escapes backslash, line feed and, in label values, the quote.
static void put_escaped(struct mm_buf *out, const char *text, bool quotes)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            MM_BUF_LIT(out, "\\n");
            continue;
        }
        if (*text == '\\' || (quotes && *text == '"')) {
            mm_buf_byte(out, '\\');
        }
        mm_buf_byte(out, (uint8_t)*text);
    }
}

static void write_labels(struct mm_buf *out, const char *const *labels)
{
    for (size_t i = 0; labels != NULL && labels[i] != NULL; i += 2) {
        MM_CHECK(i < 2 * (size_t)MM_METRICS_LABELS_MAX && labels[i + 1] != NULL);
        MM_CHECK(is_name(labels[i]));
        mm_buf_printf(out, "%s%s=\"", i == 0 ? "" : ",", labels[i]);
        put_escaped(out, labels[i + 1], true);
        mm_buf_byte(out, '"');
    }
}

static struct series *get_series(struct family *family, const char *const *labels)
{
    struct mm_buf text;
    mm_buf_init(&text, LABELS_CHARS_MAX);
    write_labels(&text, labels);
    const char *key = text.len == 0 ? "" : mm_buf_cstr(&text);
    // The last place is the shared one: a peer that can choose label values cannot grow memory.
    if (key == NULL) {
        key = "other=\"true\"";
    }
    struct series *series = family->first;
    while (series != NULL && strcmp(series->labels, key) != 0) {
        series = series->next;
    }
    if (series == NULL && family->series_count >= MM_METRICS_SERIES_MAX - 1 && key[0] != '\0') {
        key = "other=\"true\"";
        for (series = family->first; series != NULL; series = series->next) {
            if (strcmp(series->labels, key) == 0) {
                break;
            }
        }
    }
    if (series == NULL) {
        series = mm_calloc(1, sizeof *series);
        MM_CHECK(series != NULL);
        series->labels = mm_strdup(key);
        MM_CHECK(series->labels != NULL);
        *family->tail = series;
        family->tail = &series->next;
        family->series_count++;
    }
    mm_buf_free(&text);
    return series;
}

struct mm_counter *mm_metrics_counter(struct mm_metrics *metrics, const char *name,
                                      const char *help, const char *const *labels)
{
    return &get_series(get_family(metrics, name, help, METRIC_COUNTER), labels)->as.counter;
}

struct mm_gauge *mm_metrics_gauge(struct mm_metrics *metrics, const char *name, const char *help,
                                  const char *const *labels)
{
    return &get_series(get_family(metrics, name, help, METRIC_GAUGE), labels)->as.gauge;
}

static void add_function(struct mm_metrics *metrics, const char *name, const char *help,
                         const char *const *labels, enum metric_kind kind,
                         double (*read)(void *ctx), void *ctx)
{
    struct series *series = get_series(get_family(metrics, name, help, kind), labels);
    series->read = read;
    series->read_ctx = ctx;
}

void mm_metrics_gauge_fn(struct mm_metrics *metrics, const char *name, const char *help,
                         const char *const *labels, double (*read)(void *ctx), void *ctx)
{
    add_function(metrics, name, help, labels, METRIC_GAUGE, read, ctx);
}

void mm_metrics_counter_fn(struct mm_metrics *metrics, const char *name, const char *help,
                           const char *const *labels, double (*read)(void *ctx), void *ctx)
{
    add_function(metrics, name, help, labels, METRIC_COUNTER, read, ctx);
}

struct mm_metrics_histogram *mm_metrics_histogram(struct mm_metrics *metrics, const char *name,
                                                  const char *help, const char *const *labels,
                                                  const uint64_t *bounds, size_t bound_count,
                                                  double scale)
{
    MM_CHECK(bound_count >= 1 && bound_count <= MM_METRICS_BOUNDS_MAX);
    struct series *series = get_series(get_family(metrics, name, help, METRIC_HISTOGRAM), labels);
    struct mm_metrics_histogram *histogram = &series->as.histogram;
    if (histogram->bound_count == 0) {
        memcpy(histogram->bounds, bounds, bound_count * sizeof *bounds);
        histogram->bound_count = bound_count;
        histogram->scale = scale;
    }
    return histogram;
}

struct mm_metrics_histogram *mm_metrics_latency(struct mm_metrics *metrics, const char *name,
                                                const char *help, const char *const *labels)
{
    static const uint64_t bounds_us[] = {50,     100,     250,     500,     1000,    2500,
                                         5000,   10000,   25000,   50000,   100000,  250000,
                                         500000, 1000000, 2500000, 5000000, 10000000};
    return mm_metrics_histogram(metrics, name, help, labels, bounds_us,
                                sizeof bounds_us / sizeof bounds_us[0], 1e-6);
}

static size_t bucket_of(const struct mm_metrics_histogram *histogram, uint64_t value)
{
    size_t bucket = 0;
    while (bucket < histogram->bound_count && value > histogram->bounds[bucket]) {
        bucket++;
    }
    return bucket;
}

void mm_metrics_observe(struct mm_metrics_histogram *histogram, uint64_t value)
{
    size_t bucket = bucket_of(histogram, value);
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
}

void mm_metrics_observe_alone(struct mm_metrics_histogram *histogram, uint64_t value)
{
    size_t bucket = bucket_of(histogram, value);
    uint64_t count = atomic_load_explicit(&histogram->buckets[bucket], memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    atomic_store_explicit(&histogram->buckets[bucket], count + 1, memory_order_relaxed);
    atomic_store_explicit(&histogram->sum, sum + value, memory_order_relaxed);
}

static uint64_t bucket_value(const struct mm_metrics_histogram *histogram, size_t bucket)
{
    return atomic_load_explicit(&histogram->buckets[bucket], memory_order_relaxed);
}

uint64_t mm_metrics_observed(const struct mm_metrics_histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= histogram->bound_count; i++) {
        count += bucket_value(histogram, i);
    }
    return count;
}

// --- rendering -----------------------------------------------------------------------------------

static void put_number(struct mm_buf *out, double value)
{
    if (isnan(value)) {
        MM_BUF_LIT(out, "NaN");
    } else if (isinf(value)) {
        mm_buf_str(out, value > 0 ? "+Inf" : "-Inf");
    } else {
        mm_buf_printf(out, "%.15g", value);
    }
}

static void put_name(struct mm_buf *out, const struct family *family, const char *suffix,
                     const char *labels, const char *more)
{
    mm_buf_str(out, family->name);
    mm_buf_str(out, suffix);
    if (labels[0] != '\0' || more[0] != '\0') {
        mm_buf_printf(out, "{%s%s%s}", labels, labels[0] != '\0' && more[0] != '\0' ? "," : "",
                      more);
    }
    mm_buf_byte(out, ' ');
}

static void render_histogram(struct mm_buf *out, const struct family *family,
                             const struct series *series)
{
    const struct mm_metrics_histogram *histogram = &series->as.histogram;
    uint64_t count = 0;
    for (size_t i = 0; i <= histogram->bound_count; i++) {
        count += bucket_value(histogram, i);
        char bound[48] = "le=\"+Inf\"";
        if (i < histogram->bound_count) {
            snprintf(bound, sizeof bound, "le=\"%.12g\"",
                     (double)histogram->bounds[i] * histogram->scale);
        }
        put_name(out, family, "_bucket", series->labels, bound);
        mm_buf_printf(out, "%" PRIu64 "\n", count);
    }
    put_name(out, family, "_sum", series->labels, "");
    uint64_t sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    put_number(out, (double)sum * histogram->scale);
    mm_buf_byte(out, '\n');
    put_name(out, family, "_count", series->labels, "");
    mm_buf_printf(out, "%" PRIu64 "\n", count);
}

static void render_series(struct mm_buf *out, const struct family *family, struct series *series)
{
    if (family->kind == METRIC_HISTOGRAM) {
        render_histogram(out, family, series);
        return;
    }
    put_name(out, family, "", series->labels, "");
    if (series->read != NULL) {
        put_number(out, series->read(series->read_ctx));
    } else if (family->kind == METRIC_COUNTER) {
        mm_buf_printf(out, "%" PRIu64, mm_counter_value(&series->as.counter));
    } else {
        mm_buf_printf(out, "%" PRId64, mm_gauge_value(&series->as.gauge));
    }
    mm_buf_byte(out, '\n');
}

void mm_metrics_render(struct mm_metrics *metrics, struct mm_buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    for (const struct family *family = metrics->first; family != NULL; family = family->next) {
        mm_buf_printf(out, "# HELP %s ", family->name);
        put_escaped(out, family->help, false);
        mm_buf_printf(out, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
        for (struct series *series = family->first; series != NULL; series = series->next) {
            render_series(out, family, series);
        }
    }
}
