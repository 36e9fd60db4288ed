#!/usr/bin/env bash
# Every check can fail: in a small tree of its own each passes, and after one violation is planted
# that check (alone) reports it.
source "$(dirname "$0")/common.sh"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/tests"
cp -r Makefile .clang-format .clang-tidy "$tree"
cp -r tests/check "$tree/tests"
cd "$tree"
unset B
git init -q .
echo '/build/' >.gitignore
mkdir -p libcommon/{base,hex,io} services/{world,vision}/core proto tools/login tests/unit/base

write() { # PATH, text from stdin
    mkdir -p "$(dirname "$1")"
    cat >"$1"
}

header() { # PATH GUARD LINE...
    local path=$1 guard=$2
    shift 2
    { printf '#ifndef %s\n#define %s\n\n' "$guard" "$guard"; printf '%s\n' "$@"; printf '\n#endif\n'; } | write "$path"
}

plant_clean_tree() {
    header libcommon/base/add.h MM_BASE_ADD_H 'int mm_add(int a, int b);'
    printf '%s\n' '#include "libcommon/base/add.h"' '' 'int mm_add(int a, int b)' '{' \
        '    return a + b;' '}' | write libcommon/base/add.c
    header services/world/core/rule.h WORLD_CORE_RULE_H '#include "libcommon/base/add.h"' '' \
        '// A float( is fine in a comment.' 'int world_rule(int a);'
    printf '%s\n' '#include "services/world/core/rule.h"' '' '#include "gen/tick.pb-c.h"' '' \
        'int world_rule(int a)' '{' '    return mm_add(a, (int)sizeof(Tick));' '}' |
        write services/world/core/rule.c
    printf '%s\n' '#include "services/world/core/rule.h"' '' 'int main(void)' '{' \
        '    return world_rule(1);' '}' | write services/world/main.c
    printf '%s\n' 'syntax = "proto3";' 'message Tick {' '    uint64 number = 1;' '}' |
        write proto/tick.proto
    printf '%s\n' '#!/bin/sh' 'echo hello' | write tools/login/run.sh
    printf '%s\n' 'FROM debian' 'ENV MMORTS_WORLD_HTTP=:7112 \' '    MMORTS_WORLD_STREAM=:7111' |
        write services/world/Dockerfile
    printf '%s\n' 'export const one = 1;' | write services/world/web.js
}

status=0
complain() {
    echo "selftest: $1"
    status=1
}

# catches CHECK PATTERN PATH: with the planted file at PATH (text from stdin) the check fails and
# says PATTERN. The file is taken away, or put back as it was.
catches() {
    local check=$1 pattern=$2 path=$3 output
    [ ! -e "$path" ] || cp "$path" "$path.before"
    write "$path"
    if output=$(tests/check/"$check".sh 2>&1 </dev/null); then
        complain "$check did not see the violation in $path ($pattern)"
    elif ! grep -qE "$pattern" <<<"$output"; then
        complain "$check failed on $path, but not with '$pattern': $output"
    fi
    rm "$path"
    [ ! -e "$path.before" ] || mv "$path.before" "$path"
}

plant_clean_tree
for check in format banned floors scripts images headers warnings cppcheck tidy; do
    output=$(tests/check/"$check".sh 2>&1 </dev/null) || complain "$check fails on a clean tree: $output"
done

catches format 'clang-format' libcommon/base/bad.c <<<'int  bad ;'
catches banned 'banned function' libcommon/base/bad.c <<<'void f(char *a) { strcpy(a, "b"); }'
catches banned 'banned function' libcommon/base/bad.h <<<'int f(void) { return atoi ("1"); }'
catches banned 'outside libcommon/base/prefetch.h' libcommon/base/bad.c \
    <<<'void f(char *a) { __builtin_prefetch(a); }'
catches banned 'nng_fini aborts' libcommon/base/bad.c <<<'void f(void) { nng_fini(); }'
catches banned 'unfinished' tools/login/bad.sh <<<"# $(printf 'TO%s' DO): later"
catches banned 'path of one machine' docs/bad.md <<<"see $(printf '/hom%s' e)/me/file"
catches scripts 'bad.sh' tools/login/bad.sh <<<'if true; then'
catches scripts 'bad.mjs' tests/bad.mjs <<<'const = 1;'
catches images 'differs' services/vision/Dockerfile <<<$'FROM debian\nENV MMORTS_VISION_HTTP=:7112'
catches headers 'bad.h: does not compile alone' libcommon/base/bad.h <<<'size_t bad(void);'
catches headers 'bad.h: does not compile alone' libcommon/base/bad.h <<<'enum bad { BAD };'
catches warnings 'Wconversion|Wimplicit-int-conversion' libcommon/base/bad.c \
    <<<'short bad(int a); short bad(int a) { return a; }'
catches warnings 'Wvla' libcommon/base/bad.c <<<'int bad(int n); int bad(int n) { int a[n]; a[0] = n; return a[0]; }'
catches cppcheck 'arrayIndexOutOfBounds' libcommon/base/bad.c \
    <<<'int bad(void); int bad(void) { int a[2]; a[1] = 0; a[2] = 1; return a[1]; }'
catches tidy 'bugprone|clang-analyzer' libcommon/base/bad.c \
    <<<'int bad(int *p); int bad(int *p) { if (p) return 1; return *p; }'

floor() { catches floors "$@"; } # PATTERN PATH
floor 'may not include "libcommon/hex/' libcommon/base/bad.c <<<'#include "libcommon/hex/hex.h"'
floor 'may not include "libcommon/io/' libcommon/hex/bad.c <<<'#include "libcommon/io/loop.h"'
floor 'may not include <hiredis' libcommon/base/bad.h <<<'  #  include <hiredis/hiredis.h>'
floor 'may not include "libcommon/service/' libcommon/io/bad.c <<<'#include "libcommon/service/config.h"'
floor 'may not include "gen/world' libcommon/io/bad.c <<<'#include "gen/world.pb-c.h"'
floor 'may not include "services/' libcommon/service/bad.c <<<'#include "services/world/core/rule.h"'
floor 'may not include "services/vision' services/world/bad.c <<<'#include "services/vision/feed.h"'
floor 'may not include "services/world' services/vision/core/bad.c <<<'#include "services/world/core/rule.h"'
floor 'may not include "services/world/feed' services/world/core/bad.c <<<'#include "services/world/feed.h"'
floor 'may not include "libcommon/io/' services/world/core/bad.c <<<'#include "libcommon/io/loop.h"'
floor 'a core may not include' services/world/core/bad.c <<<'#include "libcommon/base/clock.h"'
floor 'may not include <pthread' services/world/core/bad.c <<<'#include <pthread.h>'
floor 'may not include <sys/socket' services/world/core/bad.c <<<'#include <sys/socket.h>'
floor 'may not include <nng' services/world/core/bad.c <<<'#include <nng/nng.h>'
floor 'not in a core: line 1' services/world/core/bad.c <<<'static double x;'
floor 'not in a core: line 1' services/world/core/bad.c <<<'int f(void) { return rand (); }'
floor 'may not include "services/' tools/login/bad.c <<<'#include "services/world/core/rule.h"'
floor 'may not include "tests/' services/world/bad.c <<<'#include "tests/support/process.h"'
floor 'may not include "rule.h"' services/world/core/bad.c <<<'#include "rule.h"'
floor 'is no header' services/world/bad.c <<<'#include "services/world/core/rule.c"'
floor 'are included as "' services/world/bad.c <<<'#include <libcommon/base/add.h>'
floor 'no floor is laid down' elsewhere/bad.c <<<'int x;'
exit $status
