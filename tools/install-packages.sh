#!/usr/bin/env bash
# Installs the Debian 12 packages (and, for the tests, the npm packages) that are missing.
#
#   tools/install-packages.sh build   what compiling the services needs
#   tools/install-packages.sh play    ... and the servers that `make play` runs
#   tools/install-packages.sh test    ... and what the tests and `make check` need (the default)
#
# Does nothing, within milliseconds, when all is there. Starts no system service: the game and
# the tests run MariaDB and Redis servers of their own.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-test}

build=(build-essential pkg-config libmicrohttpd-dev libcurl4-openssl-dev libprotobuf-c-dev
    protobuf-c-compiler protobuf-compiler libnng-dev libssl-dev libhiredis-dev
    libmariadb-dev libyaml-dev libwslay-dev libjansson-dev zlib1g-dev libzstd-dev
    liburing-dev)
# The -core packages hold MariaDB's programs without the system service.
play=(mariadb-server-core mariadb-client-core redis-server)
test=(libcriterion-dev libxxhash-dev clang clang-format clang-tidy cppcheck llvm libclang-rt-14-dev git
    chromium fonts-dejavu-core openssl libeatmydata1)

case $mode in
build) wanted=("${build[@]}") ;;
play) wanted=("${build[@]}" "${play[@]}") ;;
test)
    wanted=("${build[@]}" "${play[@]}" "${test[@]}")
    # Whoever has a newer Node.js keeps it.
    command -v node >/dev/null || wanted+=(nodejs)
    command -v npm >/dev/null || wanted+=(npm)
    ;;
*)
    echo "usage: $0 [build|play|test]" >&2
    exit 2
    ;;
esac

# The names among the arguments that are not installed.
missing_packages() {
    local installed
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
        awk '$2 == "installed" { print $1 }' || true)
    comm -23 <(printf '%s\n' "$@" | sort -u) <(sort -u <<<"$installed")
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# While policy-rc.d says 101, packages do not start their services (Debian's own convention).
policy=${MMORTS_POLICY_RC:-/usr/sbin/policy-rc.d}
saved_policy=
guarded=

guard_services() {
    if [ -e "$policy" ]; then
        saved_policy=$policy.mmorts-saved
        as_root mv "$policy" "$saved_policy"
    fi
    guarded=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

unguard_services() {
    [ -n "$guarded" ] || return 0
    as_root rm -f "$policy"
    [ -z "$saved_policy" ] || as_root mv "$saved_policy" "$policy"
    guarded=
}

# Whoever serves packages may be away for a moment: seconds until it is asked again.
pauses=(5 20 60)
# What apt-get says then, among much else.
apt_is_away='Failed to fetch|Unable to fetch|Could not (resolve|connect)|Temporary failure|Hash Sum mismatch'

wait_to_try_again() { # SECONDS
    echo "install-packages: trying again in $1 s" >&2
    sleep "$1"
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"
}

renew_and_install() {
    echo "install-packages: renewing the package lists" >&3
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 update || true
    apt_install "$@"
}

install_debian() {
    local missing=("$@") pause
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "install-packages: please install, as root: ${missing[*]}" >&2
        exit 1
    fi
    echo "install-packages: installing ${missing[*]}" >&2
    local log
    log=$(mktemp)
    trap unguard_services EXIT
    trap 'exit 130' INT TERM
    guard_services
    # A package list that is absent or out of date shows as a failure; only then is it renewed.
    if ! apt_install "${missing[@]}" >"$log" 2>&1; then
        for pause in "${pauses[@]}" ''; do
            ! renew_and_install "${missing[@]}" 3>&2 >"$log" 2>&1 || break
            if [ -z "$pause" ] || ! grep -qE "$apt_is_away" "$log"; then
                cat "$log" >&2
                echo "install-packages: apt-get could not install: ${missing[*]}" >&2
                rm -f "$log"
                exit 1
            fi
            wait_to_try_again "$pause"
        done
    fi
    rm -f "$log"
    # Nor at the next boot, if it came with us. The helper obeys nobody but a package's script.
    case " ${missing[*]} " in
    *" redis-server "*) as_root env DPKG_MAINTSCRIPT_PACKAGE=redis-server deb-systemd-helper disable redis-server.service >/dev/null 2>&1 || true ;;
    esac
    unguard_services
}

install_npm() {
    local stamp=node_modules/.installed-package.json pause
    cd tests
    cmp -s package.json "$stamp" && return 0
    echo "install-packages: installing the npm packages of the tests" >&2
    for pause in "${pauses[@]}" ''; do
        ! npm install --loglevel=error --no-progress >/dev/null || break
        [ -n "$pause" ] || exit 1
        wait_to_try_again "$pause"
    done
    cp package.json "$stamp"
}

mapfile -t missing < <(missing_packages "${wanted[@]}")
[ ${#missing[@]} -eq 0 ] || install_debian "${missing[@]}"
[ "$mode" != test ] || install_npm
