#include "services/auth/auth.h"

int main(int argc, char **argv)
{
    return mm_service_main(argc, argv, &auth_service_spec);
}
