#include "services/world/shell.h"

int main(int argc, char **argv)
{
    return mm_service_main(argc, argv, &world_service_spec);
}
