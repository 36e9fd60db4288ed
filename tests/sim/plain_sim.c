#include "tests/sim/sim.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// The simulator as a program. Without arguments: CI's short run.
//
//   plain_sim --seeds 1-200 --ticks 5000 [--jobs 2]
//   plain_sim --seed 17 [--ticks 5000] [--fault NAME]     one seed, told on stderr

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { TICKS_DEFAULT = 500 };
#else
enum { TICKS_DEFAULT = 5000 };
#endif

struct arguments {
    unsigned long long from, to, ticks;
    unsigned jobs;
    enum sim_fault fault;
    int verbose;
};

static int usage(void)
{
    fprintf(stderr, "usage: plain_sim [--seeds A-B | --seed S] [--ticks N] [--jobs N] "
                    "[--fault NAME]\nfaults:");
    for (int i = 1; i < SIM_FAULT_COUNT; i++)
        fprintf(stderr, " %s", sim_fault_names[i]);
    fprintf(stderr, "\n");
    return 2;
}

static int read_fault(const char *name, enum sim_fault *out)
{
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if (strcmp(name, sim_fault_names[i]) == 0) {
            *out = (enum sim_fault)i;
            return 1;
        }
    }
    return 0;
}

static int read_arguments(int argc, char **argv, struct arguments *a)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[++i] : "";
        char *end = NULL;
        if (strcmp(name, "--seeds") == 0) {
            a->from = strtoull(value, &end, 10);
            if (*end != '-')
                return 0;
            a->to = strtoull(end + 1, &end, 10);
        } else if (strcmp(name, "--seed") == 0) {
            a->from = a->to = strtoull(value, &end, 10);
            a->verbose = 1;
        } else if (strcmp(name, "--ticks") == 0) {
            a->ticks = strtoull(value, &end, 10);
        } else if (strcmp(name, "--jobs") == 0) {
            a->jobs = (unsigned)strtoul(value, &end, 10);
        } else if (strcmp(name, "--fault") != 0 || !read_fault(value, &a->fault)) {
            return 0;
        }
        if (end && (end == value || *end != '\0'))
            return 0;
    }
    return a->from <= a->to && a->jobs >= 1 && a->jobs <= 64 && a->ticks <= 10000000;
}

static void add(struct sim_report *sum, const struct sim_report *one)
{
    uint64_t *to = &sum->ticks;
    const uint64_t *from = &one->ticks;
    for (size_t i = 0; i < offsetof(struct sim_report, failure) / sizeof *to; i++)
        to[i] += from[i];
}

static const struct {
    uint64_t least;
    const char *what;
} counts[] = {
#define SIM_COUNT(name, least, what) {least, what},
    SIM_COUNTS(SIM_COUNT)
#undef SIM_COUNT
};
enum { TICKS_MANY = 2000 };
enum { COUNTS = sizeof counts / sizeof *counts };

static void print(const struct sim_report *r)
{
    const uint64_t *have = &r->ticks;
    for (size_t i = 0; i < COUNTS; i++)
        printf("%12llu %s\n", (unsigned long long)have[i], counts[i].what);
}

// Every jobs-th seed, until one fails; the sum goes to `out`.
static int play(const struct arguments *a, unsigned job, struct sim_report *sum)
{
    memset(sum, 0, sizeof *sum);
    for (unsigned long long seed = a->from + job; seed <= a->to; seed += a->jobs) {
        struct sim_options options = {
            .seed = seed, .ticks = (uint32_t)a->ticks, .fault = a->fault, .verbose = a->verbose};
        struct sim_report report;
        if (!sim_run(&options, &report)) {
            printf("%s\nreplay: build/tests/sim/plain_sim --seed %llu --ticks %llu\n",
                   report.failure, seed, a->ticks);
            return 0;
        }
        add(sum, &report);
    }
    return 1;
}

// A process of its own for each job; its sum comes back through a pipe.
static int play_jobs(const struct arguments *a, struct sim_report *sum)
{
    int fine = 1, pipes[64];
    fflush(stdout);
    for (unsigned job = 0; job < a->jobs; job++) {
        int ends[2];
        if (pipe(ends) != 0)
            abort();
        pid_t child = fork();
        if (child < 0)
            abort();
        if (child == 0) {
            struct sim_report own;
            int done = play(a, job, &own);
            fflush(stdout);
            _exit(write(ends[1], &own, sizeof own) == (ssize_t)sizeof own && done ? 0 : 1);
        }
        close(ends[1]);
        pipes[job] = ends[0];
    }
    memset(sum, 0, sizeof *sum);
    for (unsigned job = 0; job < a->jobs; job++) {
        struct sim_report own;
        if (read(pipes[job], &own, sizeof own) == (ssize_t)sizeof own)
            add(sum, &own);
        close(pipes[job]);
    }
    for (unsigned job = 0; job < a->jobs; job++) {
        int status;
        fine &= wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return fine;
}

// Whether everything happened often enough to prove something.
static int is_eventful(const struct arguments *a, const struct sim_report *sum)
{
    const uint64_t *have = &sum->ticks;
    int enough = 1;
    for (size_t i = 0; i < COUNTS; i++) {
        uint64_t least = counts[i].least * (a->to - a->from + 1) * a->ticks / 1000000;
        // Short runs end before much has begun.
        if (a->ticks < TICKS_MANY)
            least = least > 20;
        if (have[i] >= least)
            continue;
        printf("this run proves little: only %llu, not %llu %s\n", (unsigned long long)have[i],
               (unsigned long long)least, counts[i].what);
        enough = 0;
    }
    return enough;
}

int main(int argc, char **argv)
{
    struct arguments a = {.from = 1, .to = 200, .ticks = TICKS_DEFAULT, .jobs = 2};
    struct sim_report sum;
    if (!read_arguments(argc, argv, &a))
        return usage();
    int fine = a.from == a.to ? play(&a, 0, &sum) : play_jobs(&a, &sum);
    print(&sum);
    if (fine && a.to - a.from >= 99)
        fine = is_eventful(&a, &sum);
    printf("%d passed, %d failed\n", fine, !fine);
    return fine ? 0 : 1;
}
