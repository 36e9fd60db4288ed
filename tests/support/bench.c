#include "tests/support/bench.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FIGURES_MAX = 256, NOTES_MAX = 64, NAME_MAX_BYTES = 96 };

struct figure {
    char name[NAME_MAX_BYTES], unit[32];
    double value;
};

struct note {
    char name[NAME_MAX_BYTES], unit[32];
    double values[BENCH_ROUNDS_MAX];
    size_t count;
};

struct bench {
    const char *name, *scenario;
    struct figure figures[FIGURES_MAX];
    size_t count;
    struct note notes[NOTES_MAX];
    size_t note_count;
};

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "benchmark: %s\n", what);
    exit(2);
}

struct bench *bench_open(const char *name, const char *scenario)
{
    struct bench *bench = calloc(1, sizeof *bench);
    if (!bench)
        give_up("out of memory");
    bench->name = name;
    bench->scenario = scenario;
    printf("%s: %s\n", name, scenario);
    fflush(stdout);
    return bench;
}

// Enough digits to compare by, no more.
static int decimals(double value)
{
    double size = fabs(value);
    return size >= 1000 || value == floor(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4;
}

void bench_figure(struct bench *bench, const char *name, double value, const char *unit)
{
    if (bench->count == FIGURES_MAX)
        give_up("too many figures");
    struct figure *figure = &bench->figures[bench->count++];
    snprintf(figure->name, sizeof figure->name, "%s", name);
    snprintf(figure->unit, sizeof figure->unit, "%s", unit);
    figure->value = value;
    printf("%s %.*f %s\n", figure->name, decimals(value), value, figure->unit);
    fflush(stdout);
}

static struct note *note_of(struct bench *bench, const char *name)
{
    for (size_t i = 0; i < bench->note_count; i++)
        if (strcmp(bench->notes[i].name, name) == 0)
            return &bench->notes[i];
    if (bench->note_count == NOTES_MAX)
        give_up("too many figures");
    struct note *note = &bench->notes[bench->note_count++];
    note->count = 0;
    snprintf(note->name, sizeof note->name, "%s", name);
    return note;
}

void bench_note(struct bench *bench, const char *name, double value, const char *unit)
{
    struct note *note = note_of(bench, name);
    if (note->count == BENCH_ROUNDS_MAX)
        give_up("too many rounds");
    note->values[note->count++] = value;
    snprintf(note->unit, sizeof note->unit, "%s", unit);
}

void bench_medians(struct bench *bench)
{
    for (size_t i = 0; i < bench->note_count; i++) {
        struct note *note = &bench->notes[i];
        bench_figure(bench, note->name, bench_median(note->values, note->count), note->unit);
    }
    bench->note_count = 0;
}

void bench_compare(struct bench *bench, const char *name, double value, double baseline,
                   const char *unit)
{
    char full[NAME_MAX_BYTES];
    bench_figure(bench, name, value, unit);
    snprintf(full, sizeof full, "%s.baseline", name);
    bench_figure(bench, full, baseline, unit);
    snprintf(full, sizeof full, "%s.ratio", name);
    bench_figure(bench, full, baseline != 0 ? value / baseline : 0, "x");
}

int bench_close(struct bench *bench)
{
    const char *build = getenv("B");
    char path[512];
    snprintf(path, sizeof path, "%s/bench/%s.json", build ? build : "build", bench->name);
    FILE *file = fopen(path, "w");
    if (!file)
        give_up("cannot write the JSON file");
    fprintf(file, "{\n  \"name\": \"%s\",\n  \"scenario\": \"%s\",\n  \"figures\": {\n",
            bench->name, bench->scenario);
    for (size_t i = 0; i < bench->count; i++) {
        const struct figure *figure = &bench->figures[i];
        double value = isfinite(figure->value) ? figure->value : 0;
        fprintf(file, "    \"%s\": {\"value\": %.17g, \"unit\": \"%s\"}%s\n", figure->name, value,
                figure->unit, i + 1 < bench->count ? "," : "");
    }
    fprintf(file, "  }\n}\n");
    int failed = ferror(file);
    if (fclose(file) != 0 || failed)
        give_up("cannot write the JSON file");
    free(bench);
    return 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double bench_percentile(double *values, size_t count, double percent)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, ascending);
    double rank = ceil(percent / 100 * (double)count);
    size_t index = rank < 1 ? 0 : (size_t)rank - 1;
    return values[index < count ? index : count - 1];
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t bench_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_cpu_of_pid_ns(int pid)
{
    clockid_t clock;
    return clock_getcpuclockid(pid, &clock) == 0 ? clock_ns(clock) : 0;
}
