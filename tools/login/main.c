// The command line of the stand-in login server.

#include "tools/login/login.h"

#include "libcommon/base/log.h"
#include "libcommon/io/address.h"
#include "libcommon/io/http.h"
#include "libcommon/io/loop.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
    "mmorts-login: a stand-in login server for local games and tests\n\n"
    "usage: mmorts-login --listen HOST:PORT --data DIR [options]\n\n"
    "  --listen HOST:PORT   where to listen\n"
    "  --data DIR           where the key and the names are kept; made when missing\n"
    "  --issuer NAME        the tokens' issuer (default login-server)\n"
    "  --operators A,B      names whose tokens carry the MODERATE and OPERATE permissions\n"
    "  --test               also take expires_in, activated, permissions and issuer at login, and\n"
    "                       POST /api/rotate-key\n"
    "  --help               show this, and exit\n\n"
    "POST /api/login {\"username\": \"ann\"} gives {\"token\", \"user_id\", \"username\", "
    "\"expires_in\"};\n"
    "the same name is the same player. GET /api/public-key gives the key that verifies the "
    "token.\n";

struct arguments {
    const char *listen, *data, *issuer, *operators;
    bool test, help;
};

static bool read_arguments(int argc, char **argv, struct arguments *out)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"data", required_argument, NULL, 'd'},
        {"issuer", required_argument, NULL, 'i'},
        {"operators", required_argument, NULL, 'o'},
        {"test", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *out = (struct arguments){.issuer = "login-server", .operators = ""};
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            out->listen = optarg;
            break;
        case 'd':
            out->data = optarg;
            break;
        case 'i':
            out->issuer = optarg;
            break;
        case 'o':
            out->operators = optarg;
            break;
        case 't':
            out->test = true;
            break;
        case 'h':
            out->help = true;
            return true;
        default:
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "mmorts-login: unexpected argument '%s'\n", argv[optind]);
        return false;
    }
    const char *problem = out->listen == NULL                    ? "--listen is missing"
                          : mm_address_listen_error(out->listen) ? "--listen must be HOST:PORT"
                          : out->data == NULL                    ? "--data is missing"
                                                                 : NULL;
    if (problem != NULL) {
        fprintf(stderr, "mmorts-login: %s\n", problem);
    }
    return problem == NULL;
}

static void on_signal(struct mm_loop *loop, int signal_number, void *arg)
{
    (void)signal_number;
    (void)arg;
    mm_loop_stop(loop);
}

static int serve(struct mm_loop *loop, struct login_server *server, const char *listen)
{
    struct mm_http_server *http;
    struct mm_http_options options = {.listen = listen, .body_bytes_max = LOGIN_BODY_BYTES_MAX};
    if (mm_loop_signal(loop, SIGTERM, on_signal, NULL) != MM_OK ||
        mm_loop_signal(loop, SIGINT, on_signal, NULL) != MM_OK) {
        return 1;
    }
    enum mm_err err = mm_http_server_open(loop, &options, &http);
    if (err != MM_OK) {
        MM_LOG_ERROR("cannot listen", "listen=%s err=%s", listen, mm_err_name(err));
        return 1;
    }
    login_server_add_routes(server, http);
    MM_LOG_INFO("ready", "port=%u test=%d", mm_http_server_port(http), server->test);
    mm_loop_run(loop);
    mm_http_server_close(http);
    return 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    if (!read_arguments(argc, argv, &arguments)) {
        fputs("mmorts-login: --help tells how it is used\n", stderr);
        return 2;
    }
    if (arguments.help) {
        fputs(usage, stdout);
        return 0;
    }
    mm_log_init("login", MM_LOG_LEVEL_INFO);
    signal(SIGPIPE, SIG_IGN);
    if (mkdir(arguments.data, 0700) != 0 && errno != EEXIST) {
        MM_LOG_ERROR("cannot make the data directory", "path=%s problem=%s", arguments.data,
                     strerror(errno));
        return 1;
    }
    struct login_server server = {
        .issuer = arguments.issuer, .operators = arguments.operators, .test = arguments.test};
    struct mm_loop *loop = NULL;
    int status = 1;
    if (login_users_open(arguments.data, &server.users) == MM_OK &&
        login_signer_open(arguments.data, &server.signer) == MM_OK &&
        mm_loop_create(NULL, &loop) == MM_OK) {
        status = serve(loop, &server, arguments.listen);
    }
    mm_loop_destroy(loop);
    login_signer_close(server.signer);
    login_users_close(server.users);
    return status;
}
