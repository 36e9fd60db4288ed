#include "tests/determinism/faults.h"

#include <stddef.h>

bool fault_choose(const char *name)
{
    return name == NULL;
}
