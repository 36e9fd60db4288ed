#!/usr/bin/env bash
# Shell and JavaScript files parse.
source "$(dirname "$0")/common.sh"
status=0
while read -r file; do
    bash -n "$file" || status=1
done < <(files '*.sh' .ci/run)
while read -r file; do
    node --input-type=module --check <"$file" 2>&1 | sed "s|\[stdin\]|$file|" || status=1
done < <(files '*.js' '*.mjs')
exit $status
