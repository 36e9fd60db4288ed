// The same for machines without SSE2.
#undef __SSE2__
#include "tests/unit/libcommon/hex/test_lanes.c"
