// The process's own metrics, by the names every Prometheus client uses
// (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics).

#include "libcommon/base/clock.h"
#include "libcommon/service/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double cpu_seconds(void *ctx)
{
    (void)ctx;
    return (double)mm_clock_cpu_ns() * 1e-9;
}

static double resident_bytes(void *ctx)
{
    (void)ctx;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return 0;
    }
    unsigned long total = 0;
    unsigned long resident = 0;
    int got = fscanf(file, "%lu %lu", &total, &resident);
    fclose(file);
    return got == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double count_entries(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return 0;
    }
    double count = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += entry->d_name[0] == '.' ? 0 : 1;
    }
    closedir(dir);
    return count;
}

static double open_fds(void *ctx)
{
    (void)ctx;
    return count_entries("/proc/self/fd") - 1; // without the one that reads the directory
}

static double max_fds(void *ctx)
{
    (void)ctx;
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : 0;
}

static double threads(void *ctx)
{
    (void)ctx;
    return count_entries("/proc/self/task");
}

void mm_metrics_add_process(struct mm_metrics *metrics)
{
    mm_metrics_counter_fn(metrics, "process_cpu_seconds_total",
                          "User and system CPU time spent in seconds.", NULL, cpu_seconds, NULL);
    mm_metrics_gauge_fn(metrics, "process_resident_memory_bytes", "Resident memory size in bytes.",
                        NULL, resident_bytes, NULL);
    mm_metrics_gauge_fn(metrics, "process_open_fds", "Number of open file descriptors.", NULL,
                        open_fds, NULL);
    mm_metrics_gauge_fn(metrics, "process_max_fds", "Maximum number of open file descriptors.",
                        NULL, max_fds, NULL);
    mm_metrics_gauge_fn(metrics, "process_threads", "Number of threads.", NULL, threads, NULL);
    struct mm_gauge *start =
        mm_metrics_gauge(metrics, "process_start_time_seconds",
                         "Start time of the process since unix epoch in seconds.", NULL);
    mm_gauge_set(start, mm_clock_wall_ms() / 1000);
}
