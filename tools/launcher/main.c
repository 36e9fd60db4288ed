// Runs the whole game on one machine: what `make play` does. Reading order: options, plan (what is
// run), launcher (in which order), child (one program), probe (is it ready?), database, files,
// status.

#include "tools/launcher/launcher.h"

int main(int argc, char **argv)
{
    struct launcher_options options;
    int exit_status;
    if (!launcher_options_parse(argc, argv, &options, &exit_status))
        return exit_status;
    return launcher_run(&options);
}
