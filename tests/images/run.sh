#!/usr/bin/env bash
# The images as compose/ runs them, with computer players in the game: every service in turn is
# stopped, replaced and killed, and the players must be able to go on. `make test-images` builds what
# is needed and calls this. Needs a Docker daemon (DOCKER_HOST) and docker-compose; takes about two
# minutes. Everything it starts has a project name of its own and is removed again.
set -euo pipefail
cd "$(dirname "$0")/../.."
B=${B:-build}
services=(auth world vision production social sync)
bots=10
ready_seconds=120

if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
directory=$(mktemp -d)
project=mmorts-test-$$
bots_pid=
made_network=

random_hex() { od -An -N12 -tx1 /dev/urandom | tr -d ' \n'; }
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

export MMORTS_PLAYERS_PORT MMORTS_LOGIN_PORT MMORTS_LOGIN_PROGRAM MMORTS_LOGIN_URL MMORTS_LOGIN_PUBLIC_URL
export MMORTS_DB_PASSWORD MARIADB_ROOT_PASSWORD MMORTS_REDIS_PASSWORD
MMORTS_PLAYERS_PORT=$(free_port)
MMORTS_LOGIN_PORT=$(free_port)
MMORTS_LOGIN_PROGRAM=$(realpath "$B/bin/mmorts-login")
MMORTS_LOGIN_URL=http://login:7108
MMORTS_LOGIN_PUBLIC_URL=http://127.0.0.1:$MMORTS_LOGIN_PORT
MMORTS_DB_PASSWORD=$(random_hex)
MARIADB_ROOT_PASSWORD=$(random_hex)
MMORTS_REDIS_PASSWORD=$(random_hex)

stack() {
    "${compose[@]}" -p "$project" -f compose/docker-compose.yml -f tests/images/compose.yml "$@"
}

clean_up() {
    local status=$?
    trap - EXIT
    [ -z "$bots_pid" ] || kill "$bots_pid" 2>/dev/null || true
    if [ $status -ne 0 ]; then
        stack ps || true
        stack logs --no-color --tail 40 2>&1 | grep -v ' level=info ' || true
        cat "$directory"/* 2>/dev/null || true
    fi
    stack down --volumes --timeout 20 >"$directory/down" 2>&1 || cat "$directory/down"
    [ -z "$made_network" ] || docker network rm shared_services >/dev/null
    rm -rf "$directory"
    exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

container() { stack ps -q "$1"; }
state() { docker inspect --format "$2" "$(container "$1")"; }

# Waits until the containers say healthy, which is what /readyz says.
wait_healthy() {
    local deadline=$((SECONDS + ready_seconds)) name
    for name in "$@"; do
        until [ "$(state "$name" '{{.State.Health.Status}}')" = healthy ]; do
            [ $SECONDS -lt $deadline ] || fail "$name is not ready after $ready_seconds s"
            sleep 0.2
        done
    done
}

check_bots() { kill -0 "$bots_pid" 2>/dev/null || fail "the players gave up"; }

docker network inspect shared_services >/dev/null 2>&1 || {
    docker network create shared_services >/dev/null
    made_network=yes
}
stack up -d >"$directory/up" 2>&1 || { cat "$directory/up"; fail "the stack does not start"; }
wait_healthy "${services[@]}"
echo "ok: all services are ready after $SECONDS s"

"$B/bin/mmorts-bots" -n $bots --url "ws://127.0.0.1:$MMORTS_PLAYERS_PORT/ws" \
    --login "$MMORTS_LOGIN_PUBLIC_URL" --report "$directory/report" >"$directory/bots" 2>&1 &
bots_pid=$!

for name in "${services[@]}"; do
    [ "$(state "$name" '{{.Config.User}}')" = mmorts ] || fail "$name runs as another user"
    start=$SECONDS
    stack stop "$name" >/dev/null 2>&1
    took=$((SECONDS - start))
    status=$(state "$name" '{{.State.ExitCode}}')
    [ "$status" = 0 ] || fail "$name ended with status $status at SIGTERM, after $took s"
    stack up -d --no-deps --force-recreate "$name" >/dev/null 2>&1
    wait_healthy "${services[@]}"
    check_bots
    echo "ok: $name stopped within $took s and was replaced; all are ready after $((SECONDS - start)) s"
done

# A process that dies is started again by Docker. `docker kill` would count as a wish, and the first
# process of a container cannot be killed from inside: so it is done from the daemon's side.
for name in "${services[@]}"; do
    start=$SECONDS
    before=$(state "$name" '{{.RestartCount}}')
    docker run --rm --pid=host --network=none --user 0 --entrypoint bash mmorts-auth \
        -c "kill -9 $(state "$name" '{{.State.Pid}}')"
    until [ "$(state "$name" '{{.RestartCount}}')" -gt "$before" ]; do
        [ $((SECONDS - start)) -lt $ready_seconds ] || fail "$name was not started again"
        sleep 0.2
    done
    wait_healthy "${services[@]}"
    check_bots
    echo "ok: $name died and was started again; all are ready after $((SECONDS - start)) s"
done

# The players leave; they exit with 1 if the server ever broke the protocol.
kill "$bots_pid"
wait "$bots_pid" || fail "the players saw the protocol broken"
bots_pid=
echo "ok: $bots players played on all the time"
