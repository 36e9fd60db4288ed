#ifndef TESTS_SUPPORT_BENCH_H
#define TESTS_SUPPORT_BENCH_H

#include <stddef.h>
#include <stdint.h>

// What every benchmark prints: a line for the scenario, then `name value unit` lines, the same
// figures again in $B/bench/NAME.json (B is the build directory, default "build").
//
//     struct bench *bench = bench_open("rpc", "one server, one client, 95-byte messages");
//     double runs[5]; ... bench_figure(bench, "calls", bench_median(runs, 5), "1/s");
//     bench_compare(bench, "calls", calls, raw_calls, "1/s"); // calls, calls.baseline, calls.ratio
//     return bench_close(bench);

struct bench;

// name: the benchmark's (file name); scenario: one line. Never NULL.
struct bench *bench_open(const char *name, const char *scenario);

void bench_figure(struct bench *bench, const char *name, double value, const char *unit);

// The same for a figure that is measured in several rounds: noted in each (at most
// BENCH_ROUNDS_MAX), and its median given by bench_medians(), in the order of the first notes.
#define BENCH_ROUNDS_MAX 9
void bench_note(struct bench *bench, const char *name, double value, const char *unit);
void bench_medians(struct bench *bench);

// The figure, what it is compared with, and value / baseline.
void bench_compare(struct bench *bench, const char *name, double value, double baseline,
                   const char *unit);

// Writes the JSON file and frees; returns what main should.
int bench_close(struct bench *bench);

// Sorts the values in place. Median, and the value below which `percent` of them lie (nearest
// rank).
double bench_median(double *values, size_t count);
double bench_percentile(double *values, size_t count, double percent);

// Monotonic time, and the CPU time of this process (all threads) or of another (0 if unknown).
uint64_t bench_now_ns(void);
uint64_t bench_cpu_ns(void);
uint64_t bench_cpu_of_pid_ns(int pid);

#endif
