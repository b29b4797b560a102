#!/usr/bin/env bash
# Every test there is. The last line is `N passed, N failed`; fails when one failed. Most suites keep one processor busy: once the
# checks of the sources are through, the stages of the other majors run beside those of 15, and what they print is shown at the end.
#   test.sh              all stages
#   test.sh STAGE…       only these: fmt clippy core pg15 pgspot demo docs pg14 pg16 pg17 pg18
. "$(dirname "$0")/lib.sh"

PG_CONFIG=$DEBIAN_PG_CONFIG
PG_CDP_RESULTS=$LOG/results
export PG_CDP_RESULTS
: >"$PG_CDP_RESULTS"
majors() { sed -n 's/^\([0-9][0-9]*\) .*/\1/p' tools/postgresql.lock; }
sum() { awk -F '\t' -v verdict="$1" '$1 == verdict { n += $2 } END { print n + 0 }' "$PG_CDP_RESULTS"; }

finish() {
    local status=$?
    trap - EXIT
    # A stream that goes on would start servers after they have been stopped.
    if [ -n "${beside:-}" ]; then kill -TERM -- "-$beside" 2>/dev/null || true; wait "$beside" 2>/dev/null || true; fi
    tools/cluster.sh stop "${clusters[@]}" || true
    # An end before the end is a failure, whatever passed until then.
    if [ "${complete:-}" != yes ]; then result FAIL "the test run itself, exit status $status"; fi
    if [ "$(sum FAIL)" != 0 ]; then
        say "failed:"
        sed -n 's/^FAIL\t[0-9]*\t/   /p' "$PG_CDP_RESULTS"
    fi
    say "$((SECONDS / 60)) min $((SECONDS % 60)) s in all"
    printf '%s passed, %s failed\n' "$(sum ok)" "$(sum FAIL)"
    [ "$(sum FAIL)" = 0 ]
}
clusters=(test15)
for major in $(majors); do clusters+=("test$major"); done
trap finish EXIT
trap 'exit 130' INT TERM

# whole NAME COMMAND…: a command that reports its tests itself. A failure of it without a failed test counts as one.
whole() {
    local name=$1 failed rc
    shift
    failed=$(sum FAIL)
    # Not in a condition: that would switch off `set -e` inside.
    set +e
    (set -e; trap - EXIT; "$@")
    rc=$?
    set -e
    if [ $rc != 0 ] && [ "$(sum FAIL)" = "$failed" ]; then result FAIL "$name did not run to its end"; fi
}

stage() {
    local begin=$SECONDS
    printf '\n%s\n' "== $1"
    whole "$@"
    say "$1: $((SECONDS - begin)) s"
}

core_tests() {
    local rc=0 passed
    logged core cargo test --locked -p pg_cdp_core --no-fail-fast || rc=$?
    passed=$(awk '/^test result:/ { n += $4 } END { print n + 0 }' "$LOG/core.log")
    if [ "$passed" != 0 ]; then result ok core "$passed"; fi
    while read -r name; do result FAIL "core $name"; done < <(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$LOG/core.log")
    return $rc
}

# sql_tests MAJOR PROFILE SCRIPT…: on a new cluster the SQL suites, the isolation specs, the script tests.
sql_tests() {
    local major=$1 profile=$2 cluster=test$1
    shift 2
    check "pg$major build" tools/server.sh "$profile"
    tools/cluster.sh drop "$cluster"
    tools/cluster.sh start "$cluster" test
    whole "pg$major sql" tools/regress.sh sql "$cluster"
    whole "pg$major isolation" tools/regress.sh isolation "$cluster"
    whole "pg$major scripts" tools/script-tests.sh "$cluster" "$@"
    check "pg$major server log" tools/check-server-log.sh "$cluster"
}

pg15() { sql_tests 15 release tests/{oracle,tap,faults,clients}/*; }

other_major() {
    local major=$1
    tools/setup-pg.sh "$major"
    PG_CONFIG=$(locked_pg_config "$major")
    sql_tests "$major" suites tests/oracle/*
    tools/cluster.sh drop "test$major"
}

pgspot() {
    tools/build.sh release
    # A procedure that commits cannot pin its search_path; every name in it is qualified.
    check pgspot "$VENV/bin/pgspot" --proc-without-search-path 'cdp_sync(source text)' --proc-without-search-path 'cdp_process_inbox(batch integer)' "$TARGET"/package/pg15-release"$("$PG_CONFIG" --sharedir)"/extension/pg_cdp--*.sql
}

demo() { check demo tools/demo.sh test15; }

docs() {
    local files
    tools/server.sh release
    tools/cluster.sh start test15 test
    use_cluster test15
    mapfile -t files < <(find README.md docs -name '*.md' 2>/dev/null | sort)
    if [ ${#files[@]} != 0 ]; then "$VENV/bin/python" tools/docs-sql.py "${files[@]}"; fi
}

mapfile -t others < <(majors | sed 's/^/pg/')
stages=("$@")
[ $# -gt 0 ] || stages=(fmt clippy core pg15 pgspot demo docs "${others[@]}")

printf '%s\n' "== setup"
tools/setup-debian.sh test
tools/setup-rust.sh
tools/setup-python.sh
tools/setup-python.sh clients
run_dir
run_stage() {
    case $1 in
        fmt) stage fmt check fmt cargo fmt --all --check -- --color never ;;
        clippy) stage clippy check clippy env PGRX_PG_CONFIG_PATH="$PG_CONFIG" cargo clippy --locked --workspace --all-targets -- -D warnings ;;
        core) stage core core_tests ;;
        pg15 | pgspot | demo | docs) stage "$1" "$1" ;;
        *) stage "$1" other_major "${1#pg}" ;;
    esac
}

sources=() fifteen=() other=()
for name in "${stages[@]}"; do
    case $name in
        fmt | clippy | core) sources+=("$name") ;;
        pg15 | pgspot | demo | docs) fifteen+=("$name") ;;
        *) if majors | grep -qx "${name#pg}"; then other+=("$name"); else die "no such stage: $name"; fi ;;
    esac
done
for name in "${sources[@]}"; do run_stage "$name"; done
if [ ${#fifteen[@]} != 0 ] && [ ${#other[@]} != 0 ]; then
    say "${other[*]}: beside the stages of 15, see $LOG/beside.log"
    set -m
    (trap - EXIT INT TERM; for name in "${other[@]}"; do run_stage "$name"; done) >"$LOG/beside.log" 2>&1 </dev/null &
    beside=$!
    set +m
    for name in "${fifteen[@]}"; do run_stage "$name"; done
    wait "$beside" || result FAIL "the stages ${other[*]}, exit status $?"
    beside=
    cat "$LOG/beside.log"
else
    for name in "${fifteen[@]}" "${other[@]}"; do run_stage "$name"; done
fi
complete=yes
