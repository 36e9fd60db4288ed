#!/usr/bin/env bash
# The services' Dockerfiles differ in the service's name and port digit and nothing else, but for the
# addresses that only some listen at: so they share their first layers, and are mended together.
source "$(dirname "$0")/common.sh"
digit=0
first=
status=0
for service in auth world vision sync production social; do
    file=services/$service/Dockerfile
    if [ -e "$file" ]; then
        text=$(sed -E "s/\b71$digit([012])\b/71S\1/g; s/\b$service\b/SERVICE/g; s|MMORTS_${service^^}_|MMORTS_SERVICE_|g" "$file" |
            sed -E '/^ +MMORTS_SERVICE_(STREAM|LISTEN)=/d; s/ \\$//')
        if [ -z "$first" ]; then
            first=$text first_file=$file
        elif [ "$text" != "$first" ]; then
            echo "$file differs from $first_file in more than the service:"
            diff <(echo "$first") <(echo "$text") || status=1
        fi
    fi
    digit=$((digit + 1))
done
exit $status
