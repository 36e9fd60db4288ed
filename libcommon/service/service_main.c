// The command line of a service.

#include "libcommon/service/service_internal.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define MMORTS_VERSION "0.1.0"

enum { EXIT_STATUS_USAGE = 2 };

struct arguments {
    const char *config_path;
    bool check_config, print_config, help, version;
};

static void print_usage(const struct mm_service *service, FILE *out)
{
    const struct mm_service_spec *spec = service->spec;
    fprintf(out,
            "mmorts-%s: %s\n\n"
            "usage: mmorts-%s --config FILE.yaml [--check-config | --print-config]\n\n"
            "  --config FILE    the settings\n"
            "  --check-config   read them, say OK or what is wrong, and exit (0 or 2)\n"
            "  --print-config   show the effective settings without secrets, and exit\n"
            "  --version        show the version, and exit\n"
            "  --help           show this, and exit\n\n"
            "Scalars in the file may hold ${NAME} or ${NAME:-default} from the environment.\n"
            "SIGTERM and SIGINT finish work under way, then stop; a second one exits at once.\n"
            "Exit status: 0 stopped, 1 failed, 2 bad settings or usage%s%s.\n\nSettings:\n",
            spec->name, spec->summary, spec->name, spec->exits ? ",\n" : "",
            spec->exits ? spec->exits : "");
    mm_config_print_help(service->config, out);
}

// False after a message on stderr.
static bool read_arguments(int argc, char **argv, struct arguments *out)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"check-config", no_argument, NULL, 'k'},
        {"print-config", no_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},      {NULL, 0, NULL, 0},
    };
    *out = (struct arguments){.config_path = NULL};
    optind = 1;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            out->config_path = optarg;
            break;
        case 'k':
            out->check_config = true;
            break;
        case 'p':
            out->print_config = true;
            break;
        case 'h':
            out->help = true;
            break;
        case 'v':
            out->version = true;
            break;
        default:
            fprintf(stderr, "%s: --help tells how it is used\n", argv[0]);
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument '%s' (--help tells more)\n", argv[0],
                argv[optind]);
        return false;
    }
    if (out->config_path == NULL && !out->help && !out->version) {
        fprintf(stderr, "%s: --config FILE is missing (--help tells more)\n", argv[0]);
        return false;
    }
    return true;
}

static bool configure(struct mm_service *service, const char *path)
{
    if (mm_config_load(service->config, path) == MM_OK) {
        mm_service_check_settings(service);
        if (service->spec->check != NULL) {
            service->spec->check(service->config, service->state);
        }
    }
    size_t errors = mm_config_error_count(service->config);
    for (size_t i = 0; i < errors; i++) {
        const char *text = mm_config_error(service->config, i);
        if (text == NULL) {
            fprintf(stderr, "... and %zu more\n", errors - i);
            break;
        }
        fprintf(stderr, "%s\n", text);
    }
    return errors == 0;
}

static int act(struct mm_service *service, const struct arguments *arguments)
{
    if (arguments->help) {
        print_usage(service, stdout);
        return 0;
    }
    if (arguments->version) {
        printf("mmorts-%s %s\n", service->spec->name, MMORTS_VERSION);
        return 0;
    }
    if (!configure(service, arguments->config_path)) {
        return EXIT_STATUS_USAGE;
    }
    if (arguments->print_config) {
        mm_config_print(service->config, stdout);
        return 0;
    }
    if (arguments->check_config) {
        puts("OK");
        return 0;
    }
    mm_service_ask_short_slices();
    return mm_service_run(service);
}

int mm_service_main(int argc, char **argv, const struct mm_service_spec *spec)
{
    struct arguments arguments;
    if (!read_arguments(argc, argv, &arguments)) {
        return EXIT_STATUS_USAGE;
    }
    struct mm_service *service = mm_calloc(1, sizeof *service);
    MM_CHECK(service != NULL);
    service->spec = spec;
    service->state = mm_calloc(1, spec->state_bytes + 1);
    MM_CHECK(service->state != NULL);
    service->config = mm_config_new();
    mm_service_declare_settings(service);
    int status = act(service, &arguments);
    if (spec->release != NULL) {
        spec->release(service->state);
    }
    mm_config_free(service->config);
    mm_free(service->state);
    mm_free(service);
    return status;
}
