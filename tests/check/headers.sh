#!/usr/bin/env bash
# Every header compiles alone, and twice.
source "$(dirname "$0")/common.sh"
flags=$(compile_flags)
export flags
alone() {
    # shellcheck disable=SC2086
    printf '#include "%s"\n' "$1" "$1" | gcc $flags -fsyntax-only -x c - 2>&1 ||
        { echo "$1: does not compile alone"; return 1; }
}
export -f alone
files '*.h' | xargs -r -P "$jobs" -I{} bash -c 'alone "$1"' alone {}
