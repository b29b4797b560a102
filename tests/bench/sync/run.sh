#!/usr/bin/env bash
# The benchmark: generates people and events, takes them in with cdp_sync(), asks the questions of expressions.sql and asks the plain SQL
# of cdp_segment_sql() the same in the same run.
#
#   make bench SUITE=sync SCALE=250k    a quarter of a million profiles, five events a profile (1M takes more than ten minutes)
#   make bench SUITE=sync SCALE=100k    10k, 100k, 1M, 10M: any number, with k or M
#   REUSE=1 tests/bench/sync/run.sh     the questions only, on the database an earlier run has left
#
# Connects as libpq's environment says (tools/bench.sh sets it), to an empty database. Also read from the environment: RUNS, warm runs of
# cdp_segment_count() and cdp_segment() (9); PLAIN_RUNS, warm runs of the plain SQL (3).
#
# Every time is taken inside the server, with clock_timestamp() before and after. Warm runs are EXECUTEd in a plpgsql loop, planned anew
# each time; the times of generating, cdp_sync() and first calls are taken by statements of their own around them, so that they contain one
# round trip over the socket.
#
# Ends with PASS or FAIL. Exit: 0 also when the target is missed; 1 when an answer differs from the plain SQL's or anything fails.
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C.UTF-8 PAGER=cat PSQLRC=/dev/null

RUNS=${RUNS:-9}
PLAIN_RUNS=${PLAIN_RUNS:-3}
AS_OF='2017-12-01 00:00:00+00'
TARGET=20

die() { printf '%s\n' "error: $*" >&2; exit 1; }
say() { printf '\n%s\n' "-- $*"; }

[[ ${SCALE:=1M} =~ ^([1-9][0-9]*)([kKmM]?)$ ]] || die "SCALE=$SCALE: give a number of profiles such as 10k, 100k, 1M or 10M"
case ${BASH_REMATCH[2]} in
    k | K) profiles=$((BASH_REMATCH[1] * 1000)) ;;
    m | M) profiles=$((BASH_REMATCH[1] * 1000000)) ;;
    *) profiles=${BASH_REMATCH[1]} ;;
esac
[[ $RUNS =~ ^[1-9][0-9]*$ && $PLAIN_RUNS =~ ^[1-9][0-9]*$ ]] || die "RUNS and PLAIN_RUNS are numbers from 1 up"

# Progress of a long cdp_sync() is for somebody who watches.
messages=warning
[ ! -t 2 ] || messages=notice
export PGOPTIONS="${PGOPTIONS:-} -c client_min_messages=$messages"

run() { psql -X -q -v ON_ERROR_STOP=1 -P pager=off -P footer=off -P null=- "$@" </dev/null; }
value() { run -A -t -P null= "$@"; }

used=$(value -c "SELECT to_regclass('cdp.workspace') IS NOT NULL")
if [ -n "${REUSE:-}" ]; then
    [ "$used" = t ] || die "REUSE is set, but an earlier run has left nothing in this database"
else
    [ "$used" = f ] || die "this database has a workspace already: give an empty one, or set REUSE=1"
fi

say "Where"
run -t -c "SELECT version()"
printf ' %s processors, %s MB of memory\n\n' "$(nproc)" "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)"
run -c "SELECT name AS setting, current_setting(name) AS value FROM unnest(ARRAY['shared_buffers', 'work_mem', 'max_parallel_workers_per_gather',
        'max_parallel_workers', 'jit', 'fsync', 'synchronous_commit']) WITH ORDINALITY AS s(name, i) ORDER BY i"

if [ -z "${REUSE:-}" ]; then
    say "Generating $profiles people and $((5 * profiles)) events"
    run -v profiles="$profiles" -v events=$((5 * profiles)) -f generate.sql
    run -c 'CREATE EXTENSION pg_cdp'
    run -o /dev/null -f sources.sql
    run -f measure.sql

    say "CALL cdp_sync(), beside the floor: INSERT INTO ... SELECT of the same rows into a table without indexes"
    for source in person event; do
        run -v source="$source" -f sync.sql
    done
    run -c "SELECT source, rows, round(call_s, 2) AS \"sync s\", job_rate AS \"rows/s (jobs)\", round(rows / call_s) AS \"rows/s (whole call)\",
                   round(floor_s, 2) AS \"floor s\", round(rows / floor_s) AS \"floor rows/s\", round(call_s / floor_s, 1) AS \"times the floor\"
              FROM bench.sync_result ORDER BY n"
    rejected=$(value -c 'SELECT count(*) FROM cdp.rejects')
    [ "$rejected" = 0 ] || die "$rejected rows of generated data were rejected: see cdp.rejects"
fi

# Questions are asked of a database at rest.
value -c 'VACUUM ANALYZE' -c 'CHECKPOINT'

say "Sizes"
run -c "SELECT * FROM bench.sizes()"

# The questions, kept where every session sees them.
run -c "DROP TABLE IF EXISTS bench.question, bench.result" -f expressions.sql \
    -c "CREATE TABLE bench.question AS SELECT q.*, timestamptz '$AS_OF' AS as_of FROM bench_expression q" \
    -c "CREATE TABLE bench.result (n int PRIMARY KEY, differing bigint, matches bigint, first_ms float8, count_ms float8[], segment_ms float8[], plain_ms float8[], workers int)"

say "Questions, as of $AS_OF"
questions=$(value -c 'SELECT n FROM bench.question ORDER BY n')
for n in $questions; do
    # The comparison is a session of its own: what it reads is in memory when the next session, fresh, asks for the first time.
    run -v n="$n" -f compare.sql
    run -v n="$n" -v runs="$RUNS" -v plain_runs="$PLAIN_RUNS" -f ask.sql
done
run -v target="$TARGET" -f report.sql

differing=$(value -c "SELECT string_agg(format('\"%s\"', name), ', ' ORDER BY n) FROM bench.result JOIN bench.question USING (n) WHERE differing <> 0")
missed=$(value -v target="$TARGET" -f missed.sql)
if [ -n "$differing" ]; then
    printf '\n%s\n' "FAIL: the answer differs from the plain SQL's: $differing"
    exit 1
fi
if [ -n "$missed" ]; then
    printf '\n%s\n' "FAIL: not $TARGET times faster than the plain SQL: $missed"
else
    printf '\n%s\n' "PASS: every question is at least $TARGET times faster than the plain SQL, with the same answer"
fi
