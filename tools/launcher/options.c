#include "tools/launcher/options.h"

#include "libcommon/base/str.h"
#include "tools/launcher/plan.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum {
    BASE_PORT_DEFAULT = 7100,
    PLAYERS_PORT_DEFAULT = 8080,
    PORT_MIN = 1024,
    // Below the range from which the kernel hands out ports of outgoing connections.
    PORT_MAX = 32767,
    PORTS_USED = 60,
    BOTS_MAX = 10000,
    START_WITHIN_S_DEFAULT = 120,
    START_WITHIN_S_MAX = 86400,
    SYNCS_MAX = PLAN_SYNCS_MAX,
};

static const char help[] =
    "mmorts-launcher: runs the whole game on this machine\n"
    "\n"
    "usage: mmorts-launcher [options]\n"
    "\n"
    "  --data DIR           where all state is kept (default .play)\n"
    "  --bots N             adds N computer players\n"
    "  --sync N             runs N sync processes, which share the players (default 1)\n"
    "  --base-port PORT     first port of the private servers (default 7100)\n"
    "  --players-port PORT  where players connect (default 8080)\n"
    "  --services DIR       the services' settings, DIR/X/X.yaml (default: found next to the\n"
    "                       program, in the source tree)\n"
    "  --operators A,B      players who may use operators' calls (default admin)\n"
    "  --start-within S     gives up what does not become ready within S seconds (default 120)\n"
    "  --test               the login server also gives odd tokens, for tests\n"
    "  --status-file FILE   keeps FILE up to date: JSON, pids and ports of everything\n"
    "  --help               shows this\n"
    "\n"
    "It starts a MariaDB and a Redis server of its own, the stand-in login server and the six\n"
    "services, and restarts what dies. Ctrl-C stops all in good order and keeps the state; a\n"
    "second Ctrl-C kills. What each program says is in DIR/log.\n"
    "Exit status: 0 stopped, 1 failed, 2 bad usage.\n";

// Reads a number or says what is wrong with it.
static bool number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    if (mm_str_parse_u64(text, strlen(text), min, max, out) == MM_OK)
        return true;
    fprintf(stderr, "mmorts-launcher: --%s must be a number from %llu to %llu, not '%s'\n", option,
            (unsigned long long)min, (unsigned long long)max, text);
    return false;
}

bool launcher_options_parse(int argc, char **argv, struct launcher_options *out, int *exit_status)
{
    static const struct option options[] = {
        {"data", required_argument, NULL, 'd'},
        {"bots", required_argument, NULL, 'b'},
        {"sync", required_argument, NULL, 'y'},
        {"base-port", required_argument, NULL, 'p'},
        {"players-port", required_argument, NULL, 'P'},
        {"services", required_argument, NULL, 's'},
        {"status-file", required_argument, NULL, 'S'},
        {"operators", required_argument, NULL, 'o'},
        {"start-within", required_argument, NULL, 'w'},
        {"test", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    uint64_t base_port = BASE_PORT_DEFAULT, players_port = PLAYERS_PORT_DEFAULT, bots = 0,
             syncs = 1, start_within_s = START_WITHIN_S_DEFAULT;
    *out = (struct launcher_options){.data = ".play", .operators = "admin"};
    *exit_status = 2;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        bool good = true;
        switch (option) {
        case 'd':
            out->data = optarg;
            break;
        case 'b':
            good = number("bots", optarg, 0, BOTS_MAX, &bots);
            break;
        case 'y':
            good = number("sync", optarg, 1, SYNCS_MAX, &syncs);
            break;
        case 'p':
            good = number("base-port", optarg, PORT_MIN, PORT_MAX - PORTS_USED, &base_port);
            break;
        case 'P':
            good = number("players-port", optarg, PORT_MIN, PORT_MAX, &players_port);
            break;
        case 's':
            out->services = optarg;
            break;
        case 'S':
            out->status_file = optarg;
            break;
        case 'o':
            out->operators = optarg;
            break;
        case 'w':
            good = number("start-within", optarg, 1, START_WITHIN_S_MAX, &start_within_s);
            break;
        case 't':
            out->test = true;
            break;
        case 'h':
            fputs(help, stdout);
            *exit_status = 0;
            return false;
        default:
            good = false;
        }
        if (!good) {
            fputs("mmorts-launcher: --help tells how it is used\n", stderr);
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "mmorts-launcher: unexpected argument '%s' (--help tells more)\n",
                argv[optind]);
        return false;
    }
    if (players_port >= base_port && players_port < base_port + PORTS_USED) {
        fprintf(stderr,
                "mmorts-launcher: --players-port lies among the %d ports from --base-port\n",
                PORTS_USED);
        return false;
    }
    out->base_port = (uint16_t)base_port;
    out->players_port = (uint16_t)players_port;
    out->bots = (uint32_t)bots;
    out->start_within_s = (uint32_t)start_within_s;
    out->syncs = (uint32_t)syncs;
    return true;
}
