#ifndef TESTS_DETERMINISM_FAULTS_H
#define TESTS_DETERMINISM_FAULTS_H

#include <stdbool.h>

// Chooses the fault that the simulation is to have from now on; NULL: none. False if there is no
// such fault in this program.
bool fault_choose(const char *name);

#endif
