// Far ways: tests/support/ways_bench.h. The longer ones are in bench_world's figures too.
#include "tests/support/ways_bench.h"

int main(void)
{
    struct bench *bench = bench_open("ways", "far ways over 500 x 500 generated hexes, all steps "
                                             "written; baseline: A* hex by hex");
    ways_bench_all(bench);
    return bench_close(bench);
}
