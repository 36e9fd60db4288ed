#!/usr/bin/env bash
# Runs the tests that are built, one line each, and ends with the sum: "N passed, N failed".
#
#   tests/run.sh                     everything (with CI=true also `make check`, as one test)
#   tests/run.sh unit plain          these kinds: check unit plain fuzz sim integration e2e chaos
#   tests/run.sh base/test_log       what has this in its path
#
# B is the build directory; SANITIZE, what it was built with; TEST_JOBS, how many unit tests at once.
# FUZZ_SEED is the seed of the fuzzers' moment (1).
# A test fails by its own count, by dying, by its time limit, or by a sanitizer's report. The
# output of one that failed is shown, with the ends of the logs of programs that it started; what
# went wrong is said again at the end. Tests that skip are named with their reason.
set -euo pipefail
cd "$(dirname "$0")/.."

export B=${B:-build} SANITIZE=${SANITIZE:-}
jobs=${TEST_JOBS:-2}

# Criterion reports a test that leaks as passed, and its runner leaks 48 bytes of its own: leaks
# do not change the exit code here, judge() looks for them in the output.
export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:exitcode=0:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/support/tsan.suppress

# --- which tests ---------------------------------------------------------------------------------

all_kinds=(check unit plain fuzz sim integration e2e chaos)

kind_of() {
    case $1 in
    tests/check/run.sh) echo check ;;
    tests/sim/*) echo sim ;;
    */plain_*) echo plain ;;
    *) cut -d/ -f2 <<<"$1" ;;
    esac
}

list_tests() {
    if [[ $SANITIZE == *thread* ]]; then # Criterion does not work under ThreadSanitizer
        find tests -path tests/node_modules -prune -o -name 'plain_*.c' -print | sort
        return
    fi
    [ -z "${CI:-}" ] || echo tests/check/run.sh
    find tests -path tests/node_modules -prune -o \
        \( -name 'test_*.c' -o -name 'plain_*.c' -o -name '*.test.mjs' \) -print | sort
    # The fuzzers are built in a way of their own, with sanitizers.
    [ -n "$SANITIZE" ] || find tests/fuzz -name 'fuzz_*.c' -print | sort
}

is_chosen() { # PATH KIND ARGUMENT...
    local path=$1 kind=$2 argument
    shift 2
    [ $# -gt 0 ] || return 0
    for argument in "$@"; do
        case " ${all_kinds[*]} " in
        *" $argument "*) [ "$kind" != "$argument" ] || return 0 ;;
        *) [[ $path != *"$argument"* ]] || return 0 ;;
        esac
    done
    return 1
}

# Seconds, generous: a limit is there to end a test that hangs, not to measure.
time_limit() {
    local seconds
    case $1 in
    unit | plain | fuzz) seconds=900 ;;
    check) seconds=7200 ;; # with what the other tests leave of the cores
    *) seconds=1800 ;;
    esac
    [ -z "$SANITIZE" ] || seconds=$((seconds * 3))
    echo "$seconds"
}

# --- one test ------------------------------------------------------------------------------------

# Prints "passed failed" as the program itself counted, or nothing if it did not get that far.
own_count() { # PATH LOG
    case $1 in
    *.test.mjs)
        awk '/^# pass /      { pass = $3; seen = 1 }
             /^# fail /      { fail += $3 }
             /^# cancelled / { fail += $3 }
             END             { if (seen) print pass + 0, fail + 0 }' "$2"
        ;;
    */plain_*) # counts its checks, of which a loop makes thousands: the program is one test
        sed -nE 's/^[0-9]+ passed, 0 failed$/1 0/p; s/^[0-9]+ passed, [1-9][0-9]* failed$/0 1/p' "$2" |
            tail -n 1
        ;;
    *.c)
        # A test that crashed is counted among the failing ones too.
        sed -nE 's/.*Synthesis: .*Passing: ([0-9]+) .*Failing: ([0-9]+) .*/\1 \2/p' "$2" | tail -n 1
        ;;
    esac
}

# True if a sanitizer reported something. Criterion's runner leaks, by itself and in the nng sockets
# it uses: in a Criterion program a leak counts if its stack shows a function of ours, or nothing
# of those two libraries.
has_sanitizer_report() { # PATH LOG
    local reports='ERROR: AddressSanitizer|WARNING: ThreadSanitizer|: runtime error: '
    grep -qE "$reports|^(# )?test harness: a sanitizer" "$2" && return 0
    grep -q 'ERROR: LeakSanitizer' "$2" || return 1
    case $1 in */test_*.c) ;; *) return 0 ;; esac
    awk '/^(Direct|Indirect) leak of / { inside = 1; ours = 0; theirs = 0 }
         inside && /^ +#[1-9]/ {
             if (/lib(criterion|nng)\.so/) theirs = 1
             else if (!/\.so|<unknown module>|nptl\//) ours = 1
         }
         inside && (/^$/ || /^SUMMARY/)  { if (ours || !theirs) found = 1; inside = 0 }
         END                            { exit !found }' "$2"
}

# What was skipped, and why, as one line.
skips() { # LOG
    sed -nE 's/^\[SKIP\] //p; s/^ *ok [0-9]+ - (.*) # SKIP ?(.*)/\1: \2/p' "$1" | paste -sd ';'
}

# The few lines of an output that say what went wrong.
gist() { # LOG
    {
        grep -aE -A 14 '^ *not ok ' "$1" | grep -avE 'duration_ms|failureType|^ *---$' || true
        grep -aE '^\[(FAIL|----|ERR )|FAILED|test harness|Sanitizer|runtime error|panic|ended by SIG' "$1" || true
    } | head -n 40
    tail -n 5 "$1"
}

# Sets passed, failed and why from the exit status and the log.
judge() { # PATH STATUS LOG
    local path=$1 status=$2 log=$3 count
    passed=0 failed=0 why=
    if [[ $path = tests/check/run.sh || $path = tests/fuzz/* ]]; then
        if [ "$status" -eq 0 ]; then passed=1; else failed=1; fi
        return
    fi
    count=$(own_count "$path" "$log")
    [ -z "$count" ] || read -r passed failed <<<"$count"
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        why='time limit reached'
    elif [ -z "$count" ]; then
        why="ended with status $status before it had counted"
    elif [ $((passed + failed)) -eq 0 ] && [ -z "$(skips "$log")" ]; then
        why='ran no test'
    elif has_sanitizer_report "$path" "$log"; then
        why='sanitizer report'
    elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
        why="ended with status $status"
    fi
    if [ -n "$why" ] && [ "$failed" -eq 0 ]; then failed=1; fi
}

run_one() { # PATH
    local path=$1 kind log status=0 start seconds program skipped
    kind=$(kind_of "$path")
    log=$TMPDIR/log/${path//\//+}
    case $path in
    *.test.mjs) program=(node --test --test-reporter=tap "$path") ;;
    # A moment each, from one seed: that they still build, run and find nothing at once. What is
    # new is found by long runs (docs/testing.md), not by the luck of a short one.
    tests/fuzz/*) program=("$B/fuzz/$(basename "$path" .c)" -seed="${FUZZ_SEED:-1}"
        -max_total_time=3 -rss_limit_mb=4096 -artifact_prefix="$TMPDIR/log/") ;;
    */test_*.c) program=("$B/${path%.c}" --verbose) ;; # which tells what is skipped
    *.c) program=("$B/${path%.c}") ;;
    *) program=("$path") ;;
    esac
    start=$(date +%s.%N)
    # timeout(1) has a process group of its own, which Ctrl-C does not reach: clean_up() ends this
    # shell instead, whose death is told to timeout, which ends the program and its children.
    : >"$TMPDIR/running.$$"
    export MM_TEST_LOGS=$log.programs
    setpriv --pdeathsig TERM timeout -k 10 "$(time_limit "$kind")" "${program[@]}" \
        >"$log" 2>&1 </dev/null || status=$?
    seconds=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
    local passed failed why counted=0
    judge "$path" "$status" "$log"
    skipped=$(skips "$log")
    (
        flock 9
        echo "$passed $failed" >>"$TMPDIR/counts" || exit 1
        line=$(printf '%-4s %-11s %-60s %4d passed %3d failed %7s s%s' \
            "$([ "$failed" -eq 0 ] && echo ok || echo FAIL)" "$kind" "${path#tests/}" \
            "$passed" "$failed" "$seconds" "${why:+  ($why)}${skipped:+  (skipped: $skipped)}")
        printf '%s\n' "$line"
        [ "$failed" -gt 0 ] || return 0
        {
            printf '%s\n' "$line"
            gist "$log" | cut -c1-300 | sed 's/^/    | /'
        } >>"$TMPDIR/failures"
        # The mark keeps a program's own sum from being taken for ours.
        # A fuzzer says what it found in its last lines, after many of how it got there.
        {
            tail -n "$([ "$kind" = fuzz ] && echo 40 || echo +1)" "$log"
            [ ! -e "$MM_TEST_LOGS" ] || tail -n 400 "$MM_TEST_LOGS"
        } | sed 's/^/    | /'
    ) 9>"$TMPDIR/lock" || counted=1
    rm -f "$log" "$MM_TEST_LOGS" "$TMPDIR/running.$$"
    return "$counted"
}

# Killed (there was no memory left, for example), or with no room to write its count down.
lose_count() { # KIND
    local line="FAIL $1: what runs these tests did not end well, so not all of them are counted"
    echo "$line" | tee -a "$TMPDIR/failures"
    echo "0 1" >>"$TMPDIR/counts"
}

# --- the servers that the tests share ------------------------------------------------------------

shared_pids=()

# Starts a server on a free port; sets the variable named by the first argument to the port.
start_shared() { # VARIABLE READY-LINE server.sh-ARGUMENT-BEFORE DIRECTORY ARGUMENT-AFTER-PORT...
    local variable=$1 ready=$2 kind=$3 directory=$4 port pid log attempt
    shift 4
    log=$directory.log
    for attempt in 1 2 3 4 5; do
        port=$((32300 + RANDOM % 460)) # none that a test may have taken and not opened yet
        : >"$log"
        setpriv --pdeathsig KILL tests/support/server.sh "$kind" "$directory" "$port" "$@" \
            >"$log" 2>&1 </dev/null &
        pid=$!
        while kill -0 "$pid" 2>/dev/null; do
            if grep -q "$ready" "$log"; then
                shared_pids+=("$pid")
                printf -v "$variable" %s "$port"
                return 0
            fi
            sleep 0.02
        done
    done
    cat "$log" >&2
    echo "tests/run.sh: $kind did not start" >&2
    return 1
}

# Tests kill processes, not machines: what a process has written is there for the next one whether
# it is on the disk or not. So databases do not wait for the disk, of which nobody knows how slow it
# is. Not beside a sanitizer, which has to be loaded first.
spare_the_disk() {
    [ -z "$SANITIZE" ] && [ -z "$(LD_PRELOAD=libeatmydata.so env true 2>&1)" ] || return 0
    export MM_TEST_PRELOAD=libeatmydata.so
}

start_shared_servers() {
    local db_port redis_port password=shared-by-the-tests
    start_shared db_port 'ready for connections' mariadb "$TMPDIR/mariadb" mmorts "$password" ||
        return 1
    start_shared redis_port 'Ready to accept connections' redis "$TMPDIR/redis" '' volatile ||
        return 1
    export MM_TEST_DB_HOST=127.0.0.1 MM_TEST_DB_PORT=$db_port MM_TEST_DB_USER=mmorts
    export MM_TEST_DB_PASSWORD=$password
    export MM_TEST_REDIS_HOST=127.0.0.1 MM_TEST_REDIS_PORT=$redis_port MM_TEST_REDIS_PASSWORD=
}

# --- all -----------------------------------------------------------------------------------------

clean_up() {
    local pid file
    for file in "$TMPDIR"/running.*; do
        [ ! -e "$file" ] || kill -TERM "${file##*.}" 2>/dev/null || true
    done
    for pid in "${shared_pids[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    # Who was killed a moment ago may still write there; what is left is no failure of the tests.
    for _ in {1..50}; do
        ! rm -rf "$TMPDIR" 2>/dev/null || return 0
        sleep 0.1
    done
    echo "tests/run.sh: $TMPDIR is left" >&2
}

# Short, because nng's ipc:// sockets are made below it; every test's temporary files too.
TMPDIR=$(mktemp -d /tmp/mmr-XXXXXX)
export TMPDIR
trap clean_up EXIT
trap 'exit 130' INT TERM
mkdir "$TMPDIR/log"
: >"$TMPDIR/counts"
spare_the_disk

# LeakSanitizer traces its own process, which a container may forbid: without it the rest of
# AddressSanitizer works (the fuzzers, core-replay-sanitize).
if echo 'int main(void) { return 0; }' | gcc -fsanitize=leak -x c - -o "$TMPDIR/leak-probe" &&
    ! "$TMPDIR/leak-probe" >/dev/null 2>&1; then
    echo 'leaks are not looked for: processes may not be traced here'
    export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
fi

declare -A of_kind
while read -r path; do
    kind=$(kind_of "$path")
    if is_chosen "$path" "$kind" "$@"; then of_kind[$kind]+="$path"$'\n'; fi
done < <(list_tests)

export -f run_one judge own_count skips gist has_sanitizer_report time_limit kind_of
check_pid=
for kind in "${all_kinds[@]}"; do
    [ -n "${of_kind[$kind]:-}" ] || continue
    case $kind in
    check) # on the cores while the others wait, as they do most of their time
        nice -n 19 bash -c 'run_one "$1"' run_one "${of_kind[$kind]%$'\n'}" &
        check_pid=$!
        continue
        ;;
    integration | e2e | chaos)
        if [ -z "${MM_TEST_DB_HOST:-}" ] && ! start_shared_servers; then
            echo "FAIL the servers that the $kind tests share do not start"
            echo "0 1" >>"$TMPDIR/counts"
            continue
        fi
        ;;
    esac
    at_once=1
    [[ $kind != unit && $kind != fuzz ]] || at_once=$jobs
    printf '%s' "${of_kind[$kind]}" |
        xargs -d '\n' -n 1 -P "$at_once" bash -c 'run_one "$1"' run_one || lose_count "$kind"
done
[ -z "$check_pid" ] || wait "$check_pid" || lose_count check

if [ -s "$TMPDIR/failures" ]; then
    echo '--- what failed:'
    cat "$TMPDIR/failures"
fi
read -r passed failed < <(awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' "$TMPDIR/counts")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
