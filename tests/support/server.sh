#!/usr/bin/env bash
# Runs a private MariaDB or Redis in the foreground, for the C and the JavaScript harness alike:
#
#   tests/support/server.sh mariadb DIRECTORY PORT USER PASSWORD
#   tests/support/server.sh redis DIRECTORY PORT PASSWORD durable|volatile    (PASSWORD may be '')
#
# DIRECTORY is made at the first start and used again at the next. The shell becomes the server
# (exec), so whoever started it signals and reaps the server itself.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)

kind=$1 directory=$2 port=$3
mkdir -p "$directory"
[ -z "${MM_TEST_PRELOAD:-}" ] || export LD_PRELOAD=$MM_TEST_PRELOAD # see tests/run.sh

# mariadbd refuses to run as root unless told so.
as_user=()
[ "$(id -u)" -ne 0 ] || as_user=(--user=root)

# Making the system tables takes seconds, copying them a moment: they are made once per version.
make_template() {
    local version template
    version=$(mariadbd --no-defaults --version | awk '{ print $3 }')
    template=$root/build/mariadb-template/$version
    mkdir -p "$root/build/mariadb-template"
    (
        flock 9
        if [ ! -d "$template" ]; then
            rm -rf "$template.new"
            # What mariadb-install-db says matters only when it fails. Without --skip-name-resolve
            # it refuses a machine whose own name has no address.
            mkdir -p "$root/build/mariadb-template/tmp"
            mariadb-install-db --no-defaults "${as_user[@]}" --datadir="$template.new" \
                --tmpdir="$root/build/mariadb-template/tmp" \
                --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve \
                --innodb-log-file-size=8M >"$template.log" 2>&1 || {
                cat "$template.log" >&2
                exit 1
            }
            mv "$template.new" "$template"
        fi
    ) 9>"$root/build/mariadb-template/lock"
    printf '%s\n' "$template"
}

case $kind in
mariadb)
    user=$4 password=$5
    if [ ! -d "$directory/data" ]; then
        template=$(make_template)
        rm -rf "$directory/copy"
        cp -a --reflink=auto "$template" "$directory/copy"
        mv "$directory/copy" "$directory/data"
    fi
    (
        umask 077
        printf "CREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED BY '%s';\n" "$user" "$password"
        printf "GRANT ALL ON *.* TO '%s'@'%%' WITH GRANT OPTION;\n" "$user"
    ) >"$directory/init.sql"
    # Of its own: at its start mariadbd removes what looks like its temporary tables.
    mkdir -p "$directory/tmp"
    exec mariadbd --no-defaults "${as_user[@]}" --datadir="$directory/data" --tmpdir="$directory/tmp" \
        --socket="$directory/mariadb.sock" --pid-file="$directory/mariadb.pid" \
        --init-file="$directory/init.sql" --bind-address=127.0.0.1 --port="$port" \
        --skip-name-resolve --max-connect-errors=1000000 --max-connections=300 \
        --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=32M \
        --innodb-log-file-size=8M --innodb-log-buffer-size=2M --key-buffer-size=1M \
        --aria-pagecache-buffer-size=1M --table-open-cache=200 --performance-schema=OFF \
        --character-set-server=utf8mb4 --collation-server=utf8mb4_bin
    ;;
redis)
    password=$4 durability=$5
    options=(--bind 127.0.0.1 --port "$port" --dir "$directory" --daemonize no --save ''
        --appendonly no)
    [ "$durability" != durable ] || options+=(--appendonly yes --appendfsync always)
    [ -z "$password" ] || options+=(--requirepass "$password")
    exec redis-server "${options[@]}"
    ;;
*)
    echo "usage: $0 mariadb|redis ..." >&2
    exit 2
    ;;
esac
