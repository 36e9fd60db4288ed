#!/usr/bin/env bash
# Every source compiles without a warning on both compilers, also those no target builds.
source "$(dirname "$0")/common.sh"
flags=$(compile_flags)
status=0
for compiler in gcc clang; do
    # shellcheck disable=SC2086
    files '*.c' | xargs -r -P "$jobs" -n 8 $compiler $flags -fsyntax-only || status=1
done
exit $status
