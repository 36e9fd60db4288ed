// Replays what a session has stored, and says where it leads. Reading order: source.h (where the
// record comes from), replay.h (what is done with it), then this.

#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include "tools/replay/replay.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_SAME = 0, EXIT_DIVERGED = 1, EXIT_USAGE = 2, EXIT_NO_RECORD = 3, EXIT_DAMAGED = 4 };

static const char help[] =
    "mmorts-replay: replays the journal of a game session and checks every recorded hash\n"
    "\n"
    "usage: mmorts-replay (--config FILE | --from DIR) [options]\n"
    "\n"
    "where the record is:\n"
    "  --config FILE      settings of the world service: `session` and `mariadb` are used. Only\n"
    "                     reads, as of one moment; a process that runs the session is not touched\n"
    "  --session NAME     another session than that of the file\n"
    "  --from DIR         a directory made with --export\n"
    "\n"
    "what to do:\n"
    "  --list             tell snapshots and journal rows, and replay nothing\n"
    "  --inputs           with --list: also the inputs of every row, as JSON\n"
    "  --export DIR       copy the whole record into a new directory, and replay nothing\n"
    "  (neither)          replay\n"
    "\n"
    "replaying:\n"
    "  --snapshot TICK    begin with the snapshot of that tick, or `newest` (default: the oldest\n"
    "                     that is sound, so that all later ones are checked against the replay)\n"
    "  --to TICK          the last tick (default: as far as the record goes)\n"
    "  --hashes N         print TICK HASH for every N-th tick; 1: all\n"
    "  --audit N          at every N-th tick check all invariants of the state and compute its\n"
    "                     hash from nothing\n"
    "\n"
    "  --help             shows this\n"
    "\n"
    "Exit status: 0 everything is as it was recorded; 1 the replay came to another state: the "
    "first\n"
    "tick, both hashes, that tick's inputs and what differs at the next snapshot are printed; 2\n"
    "usage or settings; 3 no server, no such session, or no export there; 4 the record is damaged "
    "(a\n"
    "snapshot or row cannot be read), though what could be replayed was as recorded.\n";

struct options {
    const char *config, *session, *from, *export_to, *snapshot;
    bool list, inputs;
    struct replay_wish wish;
};

static bool number(const char *name, const char *text, uint64_t min, uint64_t *out)
{
    if (mm_str_parse_u64(text, strlen(text), min, INT64_MAX, out) == MM_OK)
        return true;
    fprintf(stderr, "mmorts-replay: --%s must be a number, at least %" PRIu64 ", not '%s'\n", name,
            min, text);
    return false;
}

static bool take_option(int option, struct options *out)
{
    switch (option) {
    case 'c':
        out->config = optarg;
        return true;
    case 'S':
        out->session = optarg;
        if (strlen(optarg) < REPLAY_SESSION_BYTES)
            return true;
        fprintf(stderr, "mmorts-replay: --session may have at most %d characters\n",
                REPLAY_SESSION_BYTES - 1);
        return false;
    case 'f':
        out->from = optarg;
        return true;
    case 'e':
        out->export_to = optarg;
        return true;
    case 's':
        out->snapshot = optarg;
        return true;
    case 'l':
        return out->list = true;
    case 'i':
        return out->inputs = true;
    case 't':
        return number("to", optarg, 0, &out->wish.to);
    case 'h':
        return number("hashes", optarg, 1, &out->wish.hashes_every);
    case 'a':
        return number("audit", optarg, 1, &out->wish.audit_every);
    default:
        return false;
    }
}

static bool fits_together(const struct options *options)
{
    const char *problem = NULL;
    if ((options->config != NULL) == (options->from != NULL))
        problem = "give either --config or --from";
    else if (options->session && options->from)
        problem = "--session goes with --config";
    else if (options->list && options->export_to)
        problem = "give either --list or --export";
    else if (options->inputs && !options->list)
        problem = "--inputs goes with --list";
    if (problem)
        fprintf(stderr, "mmorts-replay: %s (--help tells more)\n", problem);
    return !problem;
}

// False when the program is to exit with *exit_status.
static bool parse(int argc, char **argv, struct options *out, int *exit_status)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'}, {"session", required_argument, NULL, 'S'},
        {"from", required_argument, NULL, 'f'},   {"export", required_argument, NULL, 'e'},
        {"list", no_argument, NULL, 'l'},         {"inputs", no_argument, NULL, 'i'},
        {"to", required_argument, NULL, 't'},     {"snapshot", required_argument, NULL, 's'},
        {"hashes", required_argument, NULL, 'h'}, {"audit", required_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'H'},         {NULL, 0, NULL, 0},
    };
    *out = (struct options){.wish = {.snapshot = SIZE_MAX, .to = UINT64_MAX}};
    *exit_status = EXIT_USAGE;
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'H') {
            fputs(help, stdout);
            *exit_status = 0;
            return false;
        }
        if (!take_option(option, out)) {
            fputs("mmorts-replay: --help tells how it is used\n", stderr);
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "mmorts-replay: unexpected argument '%s' (--help tells more)\n",
                argv[optind]);
        return false;
    }
    return fits_together(out);
}

static int complain(enum mm_err err, const char *problem)
{
    fprintf(stderr, "mmorts-replay: %s: %s\n", mm_err_name(err), problem);
    return err == MM_DATA_LOSS || err == MM_UNIMPLEMENTED ? EXIT_DAMAGED
           : err == MM_ALREADY_EXISTS                     ? EXIT_USAGE
                                                          : EXIT_NO_RECORD;
}

// False if there is no such snapshot.
static bool choose_snapshot(const struct replay_source *source, struct options *options)
{
    uint64_t tick;
    if (!options->snapshot)
        return true;
    if (strcmp(options->snapshot, "newest") == 0) {
        options->wish.snapshot = source->snapshot_count - 1;
        return source->snapshot_count > 0;
    }
    if (!number("snapshot", options->snapshot, 0, &tick))
        return false;
    for (size_t i = 0; i < source->snapshot_count; i++)
        if (source->snapshots[i].tick == tick)
            options->wish.snapshot = i; // the last of that tick: of the process that went on
    return options->wish.snapshot != SIZE_MAX;
}

static int replay(struct replay_source *source, struct options *options)
{
    if (!choose_snapshot(source, options)) {
        fprintf(stderr, "mmorts-replay: there is no snapshot of tick %s (see --list)\n",
                options->snapshot);
        return EXIT_USAGE;
    }
    uint64_t began_ns = mm_clock_ns();
    struct replay_outcome outcome;
    enum mm_err err = replay_run(source, &options->wish, stdout, &outcome);
    uint64_t took_ms = (mm_clock_ns() - began_ns) / 1000000;
    if (outcome.began && !outcome.diverged)
        printf("%s session %s from tick %" PRIu64 " to %" PRIu64 ": state hash %016" PRIx64
               "; %" PRIu64 " rows, %" PRIu64 " inputs, %" PRIu64 " snapshots as recorded, %" PRIu64
               " snapshots not sound; %" PRIu64 " ms\n",
               err == MM_OK ? "REPLAYED" : "STOPPED", source->session, outcome.from_tick,
               outcome.tick, outcome.state_hash, outcome.rows, outcome.inputs,
               outcome.snapshots_met, outcome.snapshots_unsound, took_ms);
    if (outcome.diverged)
        return EXIT_DIVERGED;
    if (err != MM_OK)
        return complain(err, source->problem);
    return outcome.snapshots_unsound > 0 ? EXIT_DAMAGED : EXIT_SAME;
}

int main(int argc, char **argv)
{
    struct options options;
    int status;
    if (!parse(argc, argv, &options, &status))
        return status;
    char problem[REPLAY_PROBLEM_BYTES] = "";
    struct replay_source *source;
    enum mm_err err;
    if (options.from) {
        err = replay_source_dir(options.from, &source, problem);
    } else {
        struct replay_settings settings;
        if (replay_settings_load(options.config, &settings) != MM_OK)
            return EXIT_USAGE;
        if (options.session)
            snprintf(settings.session, sizeof settings.session, "%s", options.session);
        err = replay_source_db(&settings, &source, problem);
    }
    if (err != MM_OK)
        return complain(err, problem);
    if (options.list) {
        err = replay_list(source, options.inputs, stdout);
        status = err == MM_OK ? EXIT_SAME : complain(err, source->problem);
    } else if (options.export_to) {
        err = replay_export(source, options.export_to, problem);
        status = err == MM_OK ? EXIT_SAME
                              : complain(err, problem[0] != '\0' ? problem : source->problem);
        if (err == MM_OK)
            printf("exported session %s: %zu snapshots, %" PRIu64 " journal rows\n",
                   source->session, source->snapshot_count, source->row_count);
    } else {
        status = replay(source, &options);
    }
    replay_source_close(source);
    return status;
}
