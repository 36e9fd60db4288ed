// Computer players that really play, through the WebSocket, as people do. One process, one loop.
// Reading order: bot (its life), brain (its decisions), game (what it knows), ws and login (how it
// talks), stats.

#include "libcommon/base/alloc.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include "tools/bots/bot.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { SESSION_NAME_MAX = 32 };
enum { BOTS_MAX = 10000, PRINT_EVERY_MS = 5000, LOOK_EVERY_MS = 20, ARRIVALS_PER_SECOND = 100 };

static const char help[] =
    "mmorts-bots: computer players\n"
    "\n"
    "usage: mmorts-bots [options]\n"
    "\n"
    "  --url URL        the game, ws://host:port/path (default ws://127.0.0.1:8080/ws)\n"
    "  --login URL      the login server, http://host:port (default http://127.0.0.1:7108)\n"
    "  --session NAME   the session to play in (default: the server's own)\n"
    "  -n, --bots N     how many (default 10)\n"
    "  --seconds S      plays so long, then leaves (default: until it is told to stop)\n"
    "  --prefix NAME    names are NAME-000, NAME-001, ... (default bot)\n"
    "  --report FILE    writes all figures to FILE at the end, as JSON\n"
    "  --help           shows this\n"
    "\n"
    "Prints what goes on every five seconds. Exit status: 0 left in good order, 1 the server "
    "broke\n"
    "the protocol (a tick went back, a change of an unknown entity, malformed messages), 2 "
    "usage.\n";

struct settings {
    const char *url, *login, *session, *prefix, *report;
    uint64_t bots, seconds;
};

struct crowd {
    struct mm_loop *loop;
    struct bot *bots;
    uint32_t count;
    struct stats stats;
    uint64_t printed_ms;
    struct mm_loop_timer print_timer, end_timer;
    bool leaving;
};

static bool number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    if (mm_str_parse_u64(text, strlen(text), min, max, out) == MM_OK)
        return true;
    fprintf(stderr, "mmorts-bots: --%s must be a number from %llu to %llu, not '%s'\n", name,
            (unsigned long long)min, (unsigned long long)max, text);
    return false;
}

// A session's name needs no escapes in a query: it has small letters, digits and - only.
static bool session_name(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (len >= 1 && len <= SESSION_NAME_MAX && text[len] == '\0')
        return true;
    fprintf(stderr, "mmorts-bots: --session is a name of 1 to %d of a-z, 0-9 and -, not '%s'\n",
            SESSION_NAME_MAX, text);
    return false;
}

// False when the program is to exit with *exit_status.
static bool parse(int argc, char **argv, struct settings *out, int *exit_status)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},
        {"login", required_argument, NULL, 'l'},
        {"bots", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'},
        {"prefix", required_argument, NULL, 'p'},
        {"report", required_argument, NULL, 'r'},
        {"session", required_argument, NULL, 'S'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *out = (struct settings){.url = "ws://127.0.0.1:8080/ws",
                             .login = "http://127.0.0.1:7108",
                             .prefix = "bot",
                             .bots = 10};
    *exit_status = 2;
    int option;
    while ((option = getopt_long(argc, argv, "n:h", options, NULL)) != -1) {
        bool good = true;
        switch (option) {
        case 'u':
            out->url = optarg;
            break;
        case 'l':
            out->login = optarg;
            break;
        case 'n':
            good = number("bots", optarg, 1, BOTS_MAX, &out->bots);
            break;
        case 's':
            good = number("seconds", optarg, 1, 1000000, &out->seconds);
            break;
        case 'S':
            out->session = optarg;
            good = session_name(optarg);
            break;
        case 'p':
            out->prefix = optarg;
            good = *optarg != '\0' && strlen(optarg) <= 32;
            break;
        case 'r':
            out->report = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            *exit_status = 0;
            return false;
        default:
            good = false;
        }
        if (!good)
            return false;
    }
    if (optind < argc)
        fprintf(stderr, "mmorts-bots: unexpected argument '%s'\n", argv[optind]);
    return optind == argc;
}

static void on_print(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct crowd *crowd = arg;
    uint64_t now_ms = mm_clock_ms();
    stats_print(&crowd->stats, now_ms - crowd->printed_ms);
    crowd->printed_ms = now_ms;
}

// First all leave; when the last one has gone it ends. What the server says until then counts.
static void on_end(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)timer;
    struct crowd *crowd = arg;
    if (!crowd->leaving) {
        crowd->leaving = true;
        on_print(loop, &crowd->print_timer, crowd);
        for (uint32_t i = 0; i < crowd->count; i++)
            bot_leave(&crowd->bots[i]);
    }
    uint32_t left = 0;
    while (left < crowd->count && bot_has_left(&crowd->bots[left]))
        left++;
    if (left == crowd->count)
        mm_loop_stop(loop);
    else
        mm_loop_timer_start(loop, &crowd->end_timer, MM_LOOP_MS(LOOK_EVERY_MS), 0);
}

// The second one does not wait for anybody.
static void on_signal(struct mm_loop *loop, int signal_number, void *arg)
{
    (void)signal_number;
    struct crowd *crowd = arg;
    if (crowd->leaving)
        mm_loop_stop(loop);
    else
        on_end(loop, NULL, crowd);
}

static int play(struct crowd *crowd, const struct bot_world *world, const struct settings *settings)
{
    for (uint32_t i = 0; i < crowd->count; i++) {
        bot_init(&crowd->bots[i], world, settings->prefix, i);
        bot_start(&crowd->bots[i], (uint64_t)i * 1000 / ARRIVALS_PER_SECOND);
    }
    mm_loop_timer_init(&crowd->print_timer, on_print, crowd);
    mm_loop_timer_init(&crowd->end_timer, on_end, crowd);
    crowd->printed_ms = mm_clock_ms();
    mm_loop_timer_start(crowd->loop, &crowd->print_timer, MM_LOOP_MS(PRINT_EVERY_MS),
                        MM_LOOP_MS(PRINT_EVERY_MS));
    if (settings->seconds > 0)
        mm_loop_timer_start(crowd->loop, &crowd->end_timer, MM_LOOP_MS(settings->seconds * 1000),
                            0);
    mm_loop_run(crowd->loop);
    mm_loop_timer_stop(crowd->loop, &crowd->print_timer);
    mm_loop_timer_stop(crowd->loop, &crowd->end_timer);
    for (uint32_t i = 0; i < crowd->count; i++)
        bot_free(&crowd->bots[i]);
    if (settings->report && !stats_write(&crowd->stats, settings->report)) {
        fprintf(stderr, "mmorts-bots: cannot write %s: %s\n", settings->report, strerror(errno));
        return 1;
    }
    const struct stats *stats = &crowd->stats;
    return stats->ticks_back || stats->unknown_changes || stats->malformed ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct settings settings;
    int exit_status;
    if (!parse(argc, argv, &settings, &exit_status)) {
        if (exit_status != 0)
            fputs("mmorts-bots: --help tells how it is used\n", stderr);
        return exit_status;
    }
    struct crowd crowd = {.count = (uint32_t)settings.bots};
    struct bot_world world = {.session = settings.session, .stats = &crowd.stats};
    if (!address_parse(settings.url, "ws", &world.game_server) ||
        !address_parse(settings.login, "http", &world.login_server))
        return 2;
    stats_init(&crowd.stats);
    crowd.stats.bots = crowd.count;
    crowd.bots = mm_calloc(crowd.count, sizeof *crowd.bots);
    if (!crowd.bots || mm_loop_create(NULL, &crowd.loop) != MM_OK ||
        mm_loop_signal(crowd.loop, SIGINT, on_signal, &crowd) != MM_OK ||
        mm_loop_signal(crowd.loop, SIGTERM, on_signal, &crowd) != MM_OK) {
        fprintf(stderr, "mmorts-bots: cannot start: %s\n", strerror(errno));
        return 1;
    }
    world.loop = crowd.loop;
    exit_status = play(&crowd, &world, &settings);
    mm_loop_destroy(crowd.loop);
    mm_free(crowd.bots);
    stats_free(&crowd.stats);
    return exit_status;
}
