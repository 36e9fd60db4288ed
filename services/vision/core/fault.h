#ifndef VISION_CORE_FAULT_H
#define VISION_CORE_FAULT_H

// Planted bugs: the tests build the core with this macro redefined and prove that their checker
// finds each of them. In any other build the conditions are constant and vanish.
#ifndef VISION_FAULT
#define VISION_FAULT(name) 0
#endif

#endif
