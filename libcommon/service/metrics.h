#ifndef MM_SERVICE_METRICS_H
#define MM_SERVICE_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct mm_buf;

// Counters, gauges and histograms, shown at /metrics in the Prometheus text format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
//
// A metric is registered once, at start-up, and written through its pointer: one relaxed atomic
// add, from any thread. Registering the same name and labels again gives the same pointer.
// Registering and rendering belong to the loop thread. Names:
// mmorts_<service>_<what>_<unit>[_total].

struct mm_metrics;
struct mm_counter {
    atomic_uint_fast64_t value;
};
struct mm_gauge {
    atomic_int_fast64_t value;
};
struct mm_metrics_histogram; // not base/histogram.h: few buckets, chosen by the caller

enum {
    MM_METRICS_SERIES_MAX = 256, // label sets of one name; the rest share one series other="true"
    MM_METRICS_LABELS_MAX = 4,
    MM_METRICS_BOUNDS_MAX = 24,
};

// Label pairs: MM_LABELS("result", "ok", "method", name). NULL for none. Copied.
#define MM_LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

struct mm_metrics *mm_metrics_new(void);
void mm_metrics_free(struct mm_metrics *metrics);

struct mm_counter *mm_metrics_counter(struct mm_metrics *metrics, const char *name,
                                      const char *help, const char *const *labels);
struct mm_gauge *mm_metrics_gauge(struct mm_metrics *metrics, const char *name, const char *help,
                                  const char *const *labels);

// A gauge or counter that is computed when asked, on the loop thread.
void mm_metrics_gauge_fn(struct mm_metrics *metrics, const char *name, const char *help,
                         const char *const *labels, double (*read)(void *ctx), void *ctx);
void mm_metrics_counter_fn(struct mm_metrics *metrics, const char *name, const char *help,
                           const char *const *labels, double (*read)(void *ctx), void *ctx);

// Values are observed as integers (µs, bytes) and shown times `scale` (1e-6 shows µs as seconds).
// `bounds` are inclusive upper bounds in observed units, ascending, without +Inf; copied.
struct mm_metrics_histogram *mm_metrics_histogram(struct mm_metrics *metrics, const char *name,
                                                  const char *help, const char *const *labels,
                                                  const uint64_t *bounds, size_t bound_count,
                                                  double scale);

// A latency histogram: observed in µs, shown in seconds, bounds 50 µs to 10 s.
struct mm_metrics_histogram *mm_metrics_latency(struct mm_metrics *metrics, const char *name,
                                                const char *help, const char *const *labels);

void mm_metrics_observe(struct mm_metrics_histogram *histogram, uint64_t value);
// The same for a histogram that only one thread writes, and often: plain adds, not locked ones.
void mm_metrics_observe_alone(struct mm_metrics_histogram *histogram, uint64_t value);
uint64_t mm_metrics_observed(const struct mm_metrics_histogram *histogram); // how many

static inline void mm_counter_add(struct mm_counter *counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

static inline uint64_t mm_counter_value(struct mm_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

static inline void mm_gauge_set(struct mm_gauge *gauge, int64_t value)
{
    atomic_store_explicit(&gauge->value, value, memory_order_relaxed);
}

static inline void mm_gauge_add(struct mm_gauge *gauge, int64_t n)
{
    atomic_fetch_add_explicit(&gauge->value, n, memory_order_relaxed);
}

static inline int64_t mm_gauge_value(struct mm_gauge *gauge)
{
    return atomic_load_explicit(&gauge->value, memory_order_relaxed);
}

// Appends every metric as text, names in order of registration.
void mm_metrics_render(struct mm_metrics *metrics, struct mm_buf *out);

// Registers process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds,
// process_max_fds, process_start_time_seconds and process_threads (read from /proc when asked).
void mm_metrics_add_process(struct mm_metrics *metrics);

#endif
