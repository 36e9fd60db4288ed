#ifndef LAUNCHER_LAUNCHER_H
#define LAUNCHER_LAUNCHER_H

#include "tools/launcher/options.h"

// Runs the game until it is told to stop or something cannot be kept running. Returns the exit
// status.
int launcher_run(const struct launcher_options *options);

#endif
