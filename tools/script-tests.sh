#!/usr/bin/env bash
# script-tests.sh CLUSTER FILE…: every executable file is one test: exit status 0 passes, 77 is "not here".
# A test finds an empty database of its own (PGDATABASE) and in its environment PGHOST, PGPORT, PGUSER,
# PGBIN (also first in PATH), PGMAJOR, PGDATA_DIR, PG_REGRESS, PERL5LIB (PostgreSQL::Test), PG_CONFIG
# (of the private server), TEST_TMP (a directory of its own that the server can write to) and AS_SERVER
# (words before a command that must run as the server's OS user; empty when that is the caller).
. "$(dirname "$0")/lib.sh"
run_dir
use_cluster "$1"
shift
PGMAJOR=$("$PGBIN/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
PG_CONFIG=$PGBIN/pg_config
PG_REGRESS=$(dirname "$("$PG_CONFIG" --pgxs)")/../test/regress/pg_regress
PERL5LIB=$(dirname "$("$DEBIAN_PG_CONFIG" --pgxs)")/../test/perl
AS_SERVER=
if is_root; then AS_SERVER="runuser -u $SERVER_USER --"; fi
export PGMAJOR PG_CONFIG PG_REGRESS PERL5LIB AS_SERVER PGDATA_DIR
unset RUST_BACKTRACE RUST_LIB_BACKTRACE

failed=0
for file in "$@"; do
    if [ ! -f "$file" ] || [ ! -x "$file" ]; then continue; fi
    name=${file#tests/}
    PGDATABASE=test_$(basename "$file" | tr -c 'a-zA-Z0-9\n' _)
    TEST_TMP=$RUN/tmp/$PGDATABASE-$PGMAJOR
    rm -rf "$TEST_TMP"
    mkdir -p "$TEST_TMP"
    ! is_root || chown "$SERVER_USER": "$TEST_TMP"
    export PGDATABASE TEST_TMP
    fresh_database "$PGDATABASE"
    rc=0
    log=$LOG/pg$PGMAJOR-${name//\//-}.log
    timeout --kill-after=30 "${TEST_TIMEOUT:-900}" "$file" >"$log" 2>&1 </dev/null || rc=$?
    case $rc in
        0)
            # A test that tries many cases tells what it did, and at its very end how many they were.
            sed -n 's/^count: /-- /p' "$log"
            cases=$(sed -n '$s/^cases: \([0-9][0-9]*\)$/\1/p' "$log")
            result ok "pg$PGMAJOR $name" ${cases:+"$cases"}
            ;;
        77) say "pg$PGMAJOR $name: not here: $(tail -n 1 "$log")" ;;
        *)
            printf '%s\n' "---- the end of $log"
            tail -n 60 "$log"
            result FAIL "pg$PGMAJOR $name, exit status $rc"
            failed=1
            ;;
    esac
    psql -X -q -d postgres -c "DROP DATABASE IF EXISTS \"$PGDATABASE\" WITH (FORCE)" || true
    rm -rf "$TEST_TMP"
done
exit $failed
