#!/usr/bin/env bash
# The floors: a file includes only from its own floor or one below, services never include one
# another, and the cores stay pure. Proven from the #includes (and, for the cores, from the words).
source "$(dirname "$0")/common.sh"

# Extended regular expressions over the name that is included: `allowed` for those in "...",
# `forbidden` for those in <...>.
third_party='^(microhttpd\.h|curl/|protobuf-c/|nng/|openssl/|hiredis/|mysql|errmsg\.h|mariadb|yaml\.h|criterion/|wslay/|jansson\.h|zlib\.h|zstd\.h|liburing\.h|xxhash\.h)'
impure='^(pthread|threads|time|unistd|fcntl|poll|signal|math|tgmath|float|fenv|semaphore|sched|dirent)\.h$|^(sys|net|netinet|arpa)/'
base='libcommon/base/'
hex='libcommon/hex/'

# Sets allowed and forbidden; fails if the folder has no rule.
rule_for() { # PATH
    local folder rest=${1#*/}
    folder=${rest%%/*}
    case $1 in
    libcommon/base/*) allowed="^$base" forbidden=$third_party ;;
    libcommon/hex/*) allowed="^($base|$hex)" forbidden=$third_party ;;
    libcommon/io/*)
        allowed="^($base|$hex|libcommon/io/|gen/(rpc|stream)\.pb-c\.h$)" forbidden='^criterion/'
        ;;
    libcommon/service/*) allowed='^(libcommon/|gen/)' forbidden='^criterion/' ;;
    services/*/core/*) # of the libraries, only what the generated headers stand on
        allowed="^($base|$hex|gen/|services/$folder/core/)"
        forbidden="${third_party/protobuf-c\/|/}|$impure"
        ;;
    services/*) allowed="^(libcommon/|gen/|services/$folder/)" forbidden='^criterion/' ;;
    tools/replay/*) # makes states of what world has stored, as world itself does
        allowed="^(libcommon/|gen/|tools/replay/|services/world/)" forbidden='^criterion/'
        ;;
    tools/*) allowed="^(libcommon/|gen/|tools/$folder/)" forbidden='^criterion/' ;;
    tests/*) allowed='^(libcommon/|gen/|services/|tools/|tests/)' forbidden= ;;
    *) return 1 ;;
    esac
}

status=0
complain() {
    echo "$1"
    status=1
}

while read -r file; do
    if ! rule_for "$file"; then
        complain "$file: no floor is laid down for this folder"
        continue
    fi
    while IFS=: read -r line include; do
        [[ $include =~ [\<\"]([^\>\"]+) ]] || continue
        name=${BASH_REMATCH[1]}
        case $include in
        *\"*)
            [[ $name =~ $allowed ]] || complain "$file:$line: may not include \"$name\""
            # A test may include a source, to see what it does with a fault planted.
            [[ ${name##*.} = h || $file = tests/* ]] || complain "$file:$line: \"$name\" is no header"
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
