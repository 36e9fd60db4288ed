#!/usr/bin/env bash
# All checks, one line each; the output of those that fail.  tests/check/run.sh [NAME...]
cd "$(dirname "$0")/../.." || exit 1
checks=("$@")
[ $# -gt 0 ] || checks=(format banned floors scripts images headers warnings cppcheck tidy selftest)
status=0
for check in "${checks[@]}"; do
    start=$(date +%s.%N)
    if output=$(tests/check/"$check".sh 2>&1 </dev/null); then result=ok; else result=FAIL status=1; fi
    printf '%-4s %-9s %6.1f s\n' "$result" "$check" \
        "$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')"
    [ $result = ok ] || printf '%s\n' "$output" | sed 's/^/    | /'
done
exit $status
