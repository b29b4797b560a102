# What every script here shares: where things are, who runs what, how a result is reported.
# Sourced, never run.
# shellcheck shell=bash
set -euo pipefail
umask 022

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$TOP"

SERVER_USER=${PG_CDP_SERVER_USER:-postgres}   # the OS user of the server when we are root
DEBIAN_PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config
CARGO_PGRX_VERSION=$(sed -n 's/^pgrx = .*"=\([0-9.]*\)".*/\1/p' Cargo.toml)
RUST_VERSION=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

say() { printf '%s\n' "-- $*"; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

# --- Environment: the same whoever calls ------------------------------------------------------
# A caller's connection settings must not send a test to somebody's server.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGDATA PGTZ \
      PGDATESTYLE PGCLIENTENCODING PGSSLMODE PGAPPNAME
# cargo-pgrx and plain cargo must agree on the linker flags, or every dependency is built twice.
export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1
export LC_ALL=C.UTF-8 TZ=UTC PAGER=cat PSQLRC=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1 CARGO_TERM_COLOR=never NO_COLOR=1
if [ -z "${HOME:-}" ]; then
    HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
    export HOME
fi
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
have cargo || export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

TARGET=${CARGO_TARGET_DIR:-$TOP/target}
LOG=$TARGET/log
if is_root; then CACHE=/var/cache/pg_cdp; else CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/pg_cdp; fi
CACHE=${PG_CDP_CACHE:-$CACHE}
# shellcheck disable=SC2034  # what the other scripts use
VENV=$CACHE/venv
# shellcheck disable=SC2034
BENCH_VENV=$CACHE/bench-venv
# shellcheck disable=SC2034
IDENTITY_VENV=$CACHE/identity-venv
# shellcheck disable=SC2034
CLIENTS_VENV=$CACHE/clients-venv
CARGO_PGRX_ROOT=$CACHE/cargo-pgrx-$CARGO_PGRX_VERSION
mkdir -p "$LOG"
export PATH="$CARGO_PGRX_ROOT/bin:$PATH"

# The toolchain setup-rust.sh chose when the default one is another version than the project's.
rust_is_right() { case $(rustc --version 2>/dev/null) in "rustc $RUST_VERSION"*) ;; *) return 1 ;; esac; }
if have rustup && ! rust_is_right && rustup run "$RUST_VERSION" rustc --version >/dev/null 2>&1; then
    export RUSTUP_TOOLCHAIN=$RUST_VERSION
fi

# --- PostgreSQL -------------------------------------------------------------------------------
PG_CONFIG=${PG_CONFIG:-$DEBIAN_PG_CONFIG}
case $PG_CONFIG in */*) ;; *) PG_CONFIG=$(command -v "$PG_CONFIG") || die "no such pg_config" ;; esac
export PG_CONFIG

# The major version of the PostgreSQL that PG_CONFIG describes.
pg_major() { "$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'; }

# locked_pg_config MAJOR: the pg_config of the tree that setup-pg.sh makes of the version in postgresql.lock.
locked_pg_config() {
    local version
    version=$(awk -v major="$1" '$1 == major { print $2 }' tools/postgresql.lock)
    [ -n "$version" ] || die "PostgreSQL $1 is not in tools/postgresql.lock"
    printf '%s' "$CACHE/postgresql-$version/bin/pg_config"
}

# RUN: where private servers live. Under target/ unless the server's OS user cannot get there.
run_dir() {
    RUN=$TARGET/run
    if is_root && ! runuser -u "$SERVER_USER" -- test -x "$TARGET" 2>/dev/null; then
        RUN=${TMPDIR:-/tmp}/pg_cdp-$(printf '%s' "$TARGET" | sha256sum | cut -c1-12)
        # shellcheck disable=SC2034
        RUN_MOVED=yes
    fi
    mkdir -p "$RUN"
    if [ -L "$RUN" ] || [ ! -O "$RUN" ]; then die "$RUN belongs to somebody else"; fi
}

# The private copy of PostgreSQL MAJOR that server.sh makes, and a path inside it.
server_root() { printf '%s' "$RUN/server/$1"; }

# Runs a command as the server's OS user with a clean environment: a RUST_BACKTRACE of the caller
# would put a backtrace into the DETAIL of every error.
as_server() (
    cd /
    set -- env -i PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C.UTF-8 TZ=UTC "$@"
    if is_root; then exec runuser -u "$SERVER_USER" -- "$@"; else exec "$@"; fi
)

# Runs a command as root: directly, or through sudo (which may only ask where somebody can answer).
as_root() {
    if is_root; then "$@"
    elif have sudo && sudo -n true 2>/dev/null; then sudo -n "$@"
    elif have sudo && [ -t 0 ]; then sudo "$@"
    else die "root is needed for: $*"
    fi
}

# Connects this shell to a cluster started by cluster.sh: PGHOST, PGPORT, PGUSER, PGBIN, PATH.
use_cluster() {
    local file=$RUN/cluster/$1/env
    [ -f "$file" ] || die "the cluster $1 is not running"
    # shellcheck disable=SC1090
    . "$file"
    export PGHOST PGPORT PGUSER PGBIN PATH="$PGBIN:$PATH"
}

# A new empty database in the cluster in use.
fresh_database() {
    psql -X -q -d postgres -c 'SET client_min_messages = warning' \
        -c "DROP DATABASE IF EXISTS \"$1\" WITH (FORCE)" -c "CREATE DATABASE \"$1\""
}

# --- Reports ----------------------------------------------------------------------------------
# result ok|FAIL NAME [COUNT]: one line to read, one line for the sum that test.sh prints.
result() {
    printf '%-4s %s%s\n' "$1" "$2" "${3:+ ($3)}"
    if [ -n "${PG_CDP_RESULTS:-}" ]; then printf '%s\t%s\t%s\n' "$1" "${3:-1}" "$2" >>"$PG_CDP_RESULTS"; fi
}

# logged NAME COMMAND…: output to target/log/NAME.log; its end is shown when the command fails.
logged() {
    local name=$1 rc=0
    shift
    "$@" >"$LOG/$name.log" 2>&1 </dev/null || rc=$?
    if [ "$rc" != 0 ]; then
        printf '%s\n' "---- the end of $LOG/$name.log"
        tail -n "${TAIL:-60}" "$LOG/$name.log"
        printf '%s\n' "----"
    fi
    return "$rc"
}

# check NAME COMMAND…: the same, reported as one test.
check() {
    local name=$1
    if logged "${name//[\/ ]/-}" "${@:2}"; then result ok "$name"; else result FAIL "$name"; return 1; fi
}
