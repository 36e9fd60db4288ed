#include "tools/launcher/database.h"

#include "tools/launcher/files.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

char *database_find_program(const char *name)
{
    const char *path = getenv("PATH");
    char *places = launcher_text("%s:/usr/sbin:/usr/local/sbin:/sbin", path ? path : "/usr/bin");
    char *found = NULL, *rest = places;
    for (char *place; !found && (place = strsep(&rest, ":")) != NULL;) {
        char *candidate = launcher_text("%s/%s", place, name);
        if (access(candidate, X_OK) == 0)
            found = candidate;
        else
            free(candidate);
    }
    free(places);
    if (!found)
        launcher_die("%s is not installed; tools/install-packages.sh play installs it", name);
    return found;
}

// The option with a directory for temporary tables: mariadbd removes at its start whatever looks
// like one of its own, also those of another server that runs in the same directory.
static char *own_tmpdir(const char *data)
{
    char *directory = launcher_text("%s/mariadb-tmp", data);
    launcher_make_dirs(directory);
    char *option = launcher_text("--tmpdir=%s", directory);
    free(directory);
    return option;
}

// mariadb-install-db, into a directory that gets its name only when all went well: a start that is
// interrupted leaves nothing half made.
static void install_mariadb(const char *data, const char *directory)
{
    char *fresh = launcher_text("%s.new", directory);
    char *log_path = launcher_text("%s/log/mariadb-install.log", data);
    char *program = database_find_program("mariadb-install-db");
    char *datadir = launcher_text("--datadir=%s", fresh);
    char *tmpdir = own_tmpdir(data);
    launcher_remove_tree(fresh);
    printf("  making the database (only once) ...\n");
    fflush(stdout);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        int log_fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (getppid() != parent || log_fd < 0)
            _exit(127);
        dup2(log_fd, STDOUT_FILENO);
        dup2(log_fd, STDERR_FILENO);
        // Without --skip-name-resolve it refuses a machine whose own name has no address.
        execl(program, program, "--no-defaults", datadir, tmpdir, "--skip-test-db",
              "--skip-name-resolve", "--innodb-log-file-size=8M",
              getuid() == 0 ? "--user=root" : NULL, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0 || status != 0) {
        launcher_show_log(log_path, false); // it ends with general advice
        launcher_tell_if_full(data);
        launcher_die("making the database failed; its log is %s", log_path);
    }
    if (rename(fresh, directory) != 0)
        launcher_die("cannot rename %s: %s", fresh, strerror(errno));
    free(fresh);
    free(log_path);
    free(program);
    free(datadir);
    free(tmpdir);
}

// Run by the server at every start, before it accepts connections.
static char *write_init_file(const char *data, const char *password)
{
    char *path = launcher_text("%s/mariadb-init.sql", data);
    char *text = launcher_text("CREATE USER IF NOT EXISTS 'mmorts'@'127.0.0.1';\n"
                               "ALTER USER 'mmorts'@'127.0.0.1' IDENTIFIED BY '%s';\n"
                               "GRANT ALL ON `mmorts\\_%%`.* TO 'mmorts'@'127.0.0.1';\n",
                               password);
    if (!launcher_write_file(path, 0600, text, strlen(text)))
        launcher_die("cannot write %s: %s", path, strerror(errno));
    free(text);
    return path;
}

char **database_mariadb_args(const char *data, const char *run, uint16_t port, const char *password)
{
    char *directory = launcher_text("%s/mariadb", data);
    char *program = database_find_program("mariadbd");
    if (!launcher_exists(directory))
        install_mariadb(data, directory);
    char *init_file = write_init_file(data, password);
    char **args = calloc(24, sizeof *args);
    if (!args)
        launcher_die("out of memory");
    unsigned n = 0;
    args[n++] = program;
    args[n++] = launcher_text("--no-defaults");
    if (getuid() == 0) // it refuses to run as root unless told so
        args[n++] = launcher_text("--user=root");
    args[n++] = launcher_text("--datadir=%s", directory);
    args[n++] = own_tmpdir(data);
    args[n++] = launcher_text("--socket=%s/mariadb.sock", run);
    args[n++] = launcher_text("--pid-file=%s/mariadb.pid", run);
    args[n++] = launcher_text("--init-file=%s", init_file);
    args[n++] = launcher_text("--bind-address=127.0.0.1");
    args[n++] = launcher_text("--port=%u", port);
    args[n++] = launcher_text("--skip-name-resolve");
    args[n++] = launcher_text("--max-connections=200");
    args[n++] = launcher_text("--max-connect-errors=1000000");
    // What is acknowledged is on disk.
    args[n++] = launcher_text("--innodb-flush-log-at-trx-commit=1");
    args[n++] = launcher_text("--innodb-buffer-pool-size=64M");
    args[n++] = launcher_text("--performance-schema=OFF");
    args[n++] = launcher_text("--character-set-server=utf8mb4");
    args[n++] = launcher_text("--collation-server=utf8mb4_bin");
    args[n] = NULL;
    free(directory);
    free(init_file);
    return args;
}

char *database_redis_settings(const char *data, uint16_t port, const char *password)
{
    char *directory = launcher_text("%s/redis", data);
    launcher_make_dirs(directory);
    char *path = launcher_text("%s/redis.conf", directory);
    // In a file, not on the command line, where everybody could read the password.
    char *text = launcher_text("bind 127.0.0.1\nport %u\ndir \"%s\"\ndaemonize no\nsave \"\"\n"
                               "appendonly yes\nappendfsync everysec\nrequirepass %s\n",
                               port, directory, password);
    if (!launcher_write_file(path, 0600, text, strlen(text)))
        launcher_die("cannot write %s: %s", path, strerror(errno));
    free(text);
    free(directory);
    return path;
}
