#!/usr/bin/env bash
# The floors: a file includes only from its own floor or one below, services never include one
# another, and the cores stay pure. Proven from the #includes (and, for the cores, from the words).
source "$(dirname "$0")/common.sh"

# What each folder may include, as extended regular expressions over the name in "..." (first)
# and, if there is a third column, what it may not include in <...>.
third_party='^(microhttpd\.h|curl/|protobuf-c/|nng/|jwt\.h|openssl/|hiredis/|mysql|errmsg\.h|mariadb|yaml\.h|criterion/|wslay/|jansson\.h|zlib\.h|zstd\.h|xxhash\.h)'
impure='^(pthread|threads|time|unistd|fcntl|poll|signal|math|tgmath|float|fenv|semaphore|sched|dirent)\.h$|^(sys|net|netinet|arpa)/'
base='libcommon/base/'
hex='libcommon/hex/'

rule_for() { # PATH: prints "ALLOWED<TAB>FORBIDDEN", or nothing if the folder has no rule
    local service tool
    case $1 in
    libcommon/base/*) printf '%s\t%s' "^$base" "$third_party" ;;
    libcommon/hex/*) printf '%s\t%s' "^($base|$hex)" "$third_party" ;;
    libcommon/io/*) printf '%s\t%s' "^($base|$hex|libcommon/io/|gen/(rpc|stream)\.pb-c\.h$)" '^criterion/' ;;
    libcommon/service/*) printf '%s\t%s' '^(libcommon/|gen/)' '^criterion/' ;;
    libcommon/*) echo ;;
    services/*/core/*)
        service=$(cut -d/ -f2 <<<"$1")
        # Nor a clock, nor the log: time comes in as an argument, events go out.
        printf '%s\t%s' "^($base|$hex|gen/|services/$service/core/)" "${third_party/protobuf-c\/|/}|$impure"
        ;;
    services/*)
        service=$(cut -d/ -f2 <<<"$1")
        printf '%s\t%s' "^(libcommon/|gen/|services/$service/)" '^criterion/'
        ;;
    tools/*)
        tool=$(cut -d/ -f2 <<<"$1")
        printf '%s\t%s' "^(libcommon/|gen/|tools/$tool/)" '^criterion/'
        ;;
    tests/*) printf '%s\t%s' '^(libcommon/|gen/|services/|tools/|tests/)' '' ;;
    esac
}

status=0
complain() {
    echo "$1"
    status=1
}

while read -r file; do
    rule=$(rule_for "$file")
    if [ -z "$rule" ]; then
        complain "$file: no floor is laid down for this folder"
        continue
    fi
    allowed=${rule%%$'\t'*} forbidden=${rule#*$'\t'}
    while IFS=: read -r line include; do
        name=$(sed -E 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]([^>"]*)[>"].*/\1/' <<<"$include")
        case $include in
        *\"*)
            [[ $name =~ $allowed ]] || complain "$file:$line: may not include \"$name\""
            [ "${name##*.}" = h ] || complain "$file:$line: \"$name\" is no header"
            case $file:$name in
            services/*/core/*:libcommon/base/clock.h | services/*/core/*:libcommon/base/log.h)
                complain "$file:$line: a core may not include \"$name\""
                ;;
            esac
            ;;
        *\<*)
            if [ -n "$forbidden" ] && [[ $name =~ $forbidden ]]; then
                complain "$file:$line: may not include <$name>"
            fi
            case $name in
            libcommon/* | services/* | gen/* | tools/* | tests/*)
                complain "$file:$line: our own headers are included as \"$name\""
                ;;
            esac
            ;;
        esac
    done < <(grep -nE '^[[:space:]]*#[[:space:]]*include' "$file" || true)
done < <(files '*.c' '*.h')

# The cores know neither floating point, nor the clock, nor chance of their own.
words='\b(float|double)\b|\b(time|clock|clock_gettime|gettimeofday|rand|random|srand|getrandom|printf|fprintf|fopen|getenv)[[:space:]]*\('
while read -r file; do
    found=$(sed -E 's|//.*||; s|"([^"\\]\|\\.)*"|""|g' "$file" | grep -nE "$words" || true)
    [ -z "$found" ] || complain "$file: not in a core: line $found"
done < <(files 'services/*/core/*.c' 'services/*/core/*.h')
exit $status
