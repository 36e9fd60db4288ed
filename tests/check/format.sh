#!/usr/bin/env bash
# Sources are in the house format (.clang-format); `make format` mends what is not.
source "$(dirname "$0")/common.sh"
files '*.c' '*.h' | xargs -r -P "$jobs" -n 20 clang-format --dry-run -Werror
