#!/usr/bin/env bash
# clang-tidy (.clang-tidy says which checks) over the sources that ship. What passed is remembered
# by the hash of its preprocessed text, so a second run looks only at what changed.
source "$(dirname "$0")/common.sh"
flags=$(compile_flags)
mkdir -p "$B/check/tidy"
export flags B
tidy_version=$(clang-tidy --version | sha256sum - .clang-tidy | sha256sum)
export tidy_version

tidy() {
    local key
    # shellcheck disable=SC2086
    key=$({ echo "$tidy_version"; clang $flags -E "$1"; } | sha256sum | cut -d' ' -f1)
    [ ! -e "$B/check/tidy/$key" ] || return 0
    # shellcheck disable=SC2086
    if clang-tidy --quiet "$1" -- $flags 2>"$B/check/tidy/$key.err"; then
        mv "$B/check/tidy/$key.err" "$B/check/tidy/$key"
    else
        grep -v 'warnings generated' "$B/check/tidy/$key.err"
        rm -f "$B/check/tidy/$key.err"
        return 1
    fi
}
export -f tidy
files 'libcommon/*.c' 'services/*.c' 'tools/*.c' |
    xargs -r -P "$jobs" -I{} bash -c 'tidy "$1"' tidy {}
