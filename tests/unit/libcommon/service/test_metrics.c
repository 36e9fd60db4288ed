// The Prometheus text, byte for byte.

#include "libcommon/base/buf.h"
#include "libcommon/service/metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static double read_half(void *ctx)
{
    return *(int *)ctx + 0.5;
}

static void expect_text(struct mm_metrics *metrics, const char *expected)
{
    struct mm_buf out;
    mm_buf_init(&out, 1 << 20);
    mm_metrics_render(metrics, &out);
    cr_expect_str_eq(mm_buf_cstr(&out), expected);
    mm_buf_free(&out);
}

Test(metrics, renders_every_kind)
{
    struct mm_metrics *metrics = mm_metrics_new();
    struct mm_counter *ok = mm_metrics_counter(metrics, "mmorts_x_total", "Things, by result.",
                                               MM_LABELS("result", "ok"));
    struct mm_counter *odd =
        mm_metrics_counter(metrics, "mmorts_x_total", "ignored", MM_LABELS("result", "a\"b\\c\nd"));
    struct mm_gauge *gauge =
        mm_metrics_gauge(metrics, "mmorts_depth", "Line one\nback\\slash.", NULL);
    int base = 2;
    mm_metrics_gauge_fn(metrics, "mmorts_fn", "Computed.", MM_LABELS("a", "1", "b", "2"), read_half,
                        &base);
    static const uint64_t bounds[] = {100, 1000};
    struct mm_metrics_histogram *histogram = mm_metrics_histogram(
        metrics, "mmorts_t_seconds", "Time.", MM_LABELS("m", "Join"), bounds, 2, 1e-6);
    mm_counter_add(ok, 3);
    mm_counter_add(odd, 1);
    mm_gauge_set(gauge, -4);
    mm_gauge_add(gauge, 1);
    mm_metrics_observe(histogram, 100); // bounds are inclusive
    mm_metrics_observe(histogram, 101);
    mm_metrics_observe_alone(histogram, 5000);
    cr_expect(mm_metrics_observed(histogram) == 3);
    expect_text(metrics, "# HELP mmorts_x_total Things, by result.\n"
                         "# TYPE mmorts_x_total counter\n"
                         "mmorts_x_total{result=\"ok\"} 3\n"
                         "mmorts_x_total{result=\"a\\\"b\\\\c\\nd\"} 1\n"
                         "# HELP mmorts_depth Line one\\nback\\\\slash.\n"
                         "# TYPE mmorts_depth gauge\n"
                         "mmorts_depth -3\n"
                         "# HELP mmorts_fn Computed.\n"
                         "# TYPE mmorts_fn gauge\n"
                         "mmorts_fn{a=\"1\",b=\"2\"} 2.5\n"
                         "# HELP mmorts_t_seconds Time.\n"
                         "# TYPE mmorts_t_seconds histogram\n"
                         "mmorts_t_seconds_bucket{m=\"Join\",le=\"0.0001\"} 1\n"
                         "mmorts_t_seconds_bucket{m=\"Join\",le=\"0.001\"} 2\n"
                         "mmorts_t_seconds_bucket{m=\"Join\",le=\"+Inf\"} 3\n"
                         "mmorts_t_seconds_sum{m=\"Join\"} 0.005201\n"
                         "mmorts_t_seconds_count{m=\"Join\"} 3\n");
    mm_metrics_free(metrics);
}

Test(metrics, same_name_and_labels_are_the_same_series)
{
    struct mm_metrics *metrics = mm_metrics_new();
    struct mm_counter *a = mm_metrics_counter(metrics, "n_total", "h", MM_LABELS("l", "1"));
    struct mm_counter *b = mm_metrics_counter(metrics, "n_total", "h", MM_LABELS("l", "2"));
    cr_expect(a != b);
    cr_expect(mm_metrics_counter(metrics, "n_total", "h", MM_LABELS("l", "1")) == a);
    mm_metrics_free(metrics);
}

Test(metrics, series_are_bounded)
{
    struct mm_metrics *metrics = mm_metrics_new();
    struct mm_counter *last = NULL;
    for (int i = 0; i < 3 * MM_METRICS_SERIES_MAX; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        last = mm_metrics_counter(metrics, "n_total", "h", MM_LABELS("l", value));
        mm_counter_add(last, 1);
    }
    cr_expect(mm_counter_value(last) == 2 * MM_METRICS_SERIES_MAX + 1);
    struct mm_buf out;
    mm_buf_init(&out, 1 << 20);
    mm_metrics_render(metrics, &out);
    int lines = 0;
    for (size_t i = 0; i < out.len; i++) {
        lines += out.data[i] == '\n';
    }
    cr_expect(lines == MM_METRICS_SERIES_MAX + 2);
    cr_expect(strstr(mm_buf_cstr(&out), "n_total{other=\"true\"} 513\n") != NULL);
    mm_buf_free(&out);
    mm_metrics_free(metrics);
}

Test(metrics, process_metrics_are_plausible)
{
    struct mm_metrics *metrics = mm_metrics_new();
    mm_metrics_add_process(metrics);
    struct mm_buf out;
    mm_buf_init(&out, 1 << 20);
    mm_metrics_render(metrics, &out);
    const char *text = mm_buf_cstr(&out);
    const char *line = strstr(text, "\nprocess_resident_memory_bytes ");
    double bytes = 0;
    cr_assert(line != NULL);
    cr_expect(sscanf(line, " process_resident_memory_bytes %lf", &bytes) == 1);
    cr_expect(bytes > 100000);
    double fds = 0;
    line = strstr(text, "\nprocess_open_fds ");
    cr_expect(sscanf(line, " process_open_fds %lf", &fds) == 1);
    cr_expect(fds >= 2);
    mm_buf_free(&out);
    mm_metrics_free(metrics);
}
