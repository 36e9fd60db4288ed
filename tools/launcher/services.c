#include "tools/launcher/services.h"

const struct launcher_service launcher_services[LAUNCHER_SERVICES] = {
    {"auth", "AUTH", 1, false, false},           {"world", "WORLD", 2, true, true},
    {"vision", "VISION", 3, true, true},         {"sync", "SYNC", 4, false, false},
    {"production", "PRODUCTION", 2, true, true}, {"social", "SOCIAL", 1, false, true},
};
