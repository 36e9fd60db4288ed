#!/usr/bin/env bash
# cppcheck over our code; Criterion's macros in the unit tests are beyond it.
source "$(dirname "$0")/common.sh"
mkdir -p "$B/check/cppcheck"
files 'libcommon/*.c' 'services/*.c' 'tools/*.c' 'tests/support/*.c' 'tests/bench/*.c' \
    >"$B/check/cppcheck-files"
[ -s "$B/check/cppcheck-files" ] || exit 0
cppcheck --quiet -j "$jobs" --std=c11 --library=posix --library=gnu --enable=warning,performance,portability \
    --inline-suppr --error-exitcode=1 --cppcheck-build-dir="$B/check/cppcheck" -I. \
    --suppressions-list=tests/check/cppcheck.suppress --template=gcc \
    --file-list="$B/check/cppcheck-files"
