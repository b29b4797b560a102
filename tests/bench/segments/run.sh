#!/usr/bin/env bash
# What refreshes of segments cost: a hundred segments in one call, one of which a hundredth of the members change, and reading their history.
#
#   make bench SUITE=segments SCALE=100k      10k, 100k, 1M, 10M: any number, with k or M
#   REUSE=1 tests/bench/segments/run.sh       on the database an earlier run has left
#
# Connects as libpq's environment says (tools/bench.sh sets it), to an empty database. Times are taken inside the server, with clock_timestamp()
# before and after. Ends with PASS or FAIL. Exit: 0 also when a target is missed; 1 when members differ from the plain SQL's or anything fails.
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C.UTF-8 PAGER=cat PSQLRC=/dev/null PGOPTIONS="${PGOPTIONS:-} -c client_min_messages=warning"

die() { printf '%s\n' "error: $*" >&2; exit 1; }
say() { printf '\n%s\n' "-- $*"; }
run() { psql -X -q -v ON_ERROR_STOP=1 -P pager=off -P footer=off -P null=- "$@"; }
value() { run -A -t -P null= "$@"; }

[[ ${SCALE:=1M} =~ ^([1-9][0-9]*)([kKmM]?)$ ]] || die "SCALE=$SCALE: give a number of profiles such as 10k, 100k, 1M or 10M"
case ${BASH_REMATCH[2]} in
    k | K) profiles=$((BASH_REMATCH[1] * 1000)) ;;
    m | M) profiles=$((BASH_REMATCH[1] * 1000000)) ;;
    *) profiles=${BASH_REMATCH[1]} ;;
esac

# measured WHAT TARGET: a query on standard input that gives added and removed, timed; TARGET is milliseconds or nothing.
measured() {
    local query
    query=$(cat)
    run -o /dev/null -v what="$1" -v target="${2:-}" <<SQL || die "$1"
SELECT clock_timestamp() AS begun \gset
SELECT coalesce(sum(added), 0) AS added, coalesce(sum(removed), 0) AS removed FROM ($query) q \gset
SELECT extract(epoch FROM clock_timestamp() - :'begun') * 1000 AS ms \gset
INSERT INTO bench.result (what, ms, target, added, removed) VALUES (:'what', :ms, nullif(:'target', '')::numeric, :added, :removed);
SQL
}

if [ -z "${REUSE:-}" ]; then
    say "Generating $profiles people and as many events, and taking them in"
    run -v profiles="$profiles" -f generate.sql </dev/null
    run -c '\timing on' -c 'CALL cdp_sync()' </dev/null
    value -c 'VACUUM ANALYZE' -c 'CHECKPOINT'
fi
run -o /dev/null -c 'DROP TABLE IF EXISTS bench.result' \
    -c 'CREATE TABLE bench.result (n int GENERATED ALWAYS AS IDENTITY, what text, ms numeric, target numeric, added bigint, removed bigint)' </dev/null

if [ -z "${REUSE:-}" ]; then
    measured 'making 100 segments and filling them' <<<"SELECT NULL::int AS added, NULL::int AS removed FROM (SELECT cdp_segment_create(name, expression) FROM bench.definition ORDER BY n OFFSET 0) x"
fi
measured 'refresh of 100 segments, in a new session' 10000 <<<'SELECT added, removed FROM cdp_segment_refresh()'

say 'A hundredth of the people change'
run -o /dev/null -c "UPDATE bench.person SET points = (points + 500) % 1000, spend = 999 - spend, opted_in = NOT opted_in, changed = now() WHERE id % 100 = 7" -c "CALL cdp_sync('person')" </dev/null
value -c 'VACUUM ANALYZE cdp.chunk' -c 'CHECKPOINT'
measured 'refresh of one segment, a hundredth of the people changed' 100 <<<"SELECT added, removed FROM cdp_segment_refresh('segment 11')"
measured 'refresh of the other 99' 10000 <<<'SELECT added, removed FROM cdp_segment_refresh()'
measured 'the same again: only time has passed' 10000 <<<'SELECT added, removed FROM cdp_segment_refresh()'
measured 'cdp_segment_at() of a moment before the change' '' <<<"SELECT cdp_bitmap_cardinality(cdp_segment_at('segment 11', (SELECT min(at) FROM cdp.segment_refreshes WHERE segment = 'segment 11'))) AS added, NULL::int AS removed"
measured 'cdp_segment_delta() from there to now' '' <<<"SELECT (change = 'enter')::int AS added, (change = 'exit')::int AS removed FROM cdp_segment_delta('segment 11', (SELECT min(at) FROM cdp.segment_refreshes WHERE segment = 'segment 11'), 'infinity')"

run -c "SELECT what, round(ms, 1) AS ms, target AS \"target ms\", added, removed FROM bench.result ORDER BY n" \
    -c "SELECT count(*) AS segments, sum(profiles) AS members, (SELECT count(*) FROM cdp.segment_delta) AS \"rows of the log\", pg_size_pretty(pg_total_relation_size('cdp.segment_delta')) AS \"its size\" FROM cdp.segments" </dev/null

say 'Beside the plain SQL of each definition'
differing=$(value <<'SQL' -f -
CREATE FUNCTION pg_temp.differing() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    d record;
    plain cdp_bitmap;
    out text;
BEGIN
    -- In one transaction, so that now() is the same; refreshed in it, so that the members are of this moment.
    PERFORM FROM cdp_segment_refresh();
    FOR d IN SELECT name, cdp_segment_sql(expression) AS sql FROM bench.definition ORDER BY n LOOP
        EXECUTE format('SELECT coalesce(cdp_bitmap_build_agg(profile_id), ''{}'') FROM (%s) q', d.sql) INTO plain;
        IF plain <> cdp_segment(format('in_segment(%L)', d.name)) THEN out := concat_ws(', ', out, d.name); END IF;
    END LOOP;
    RETURN out;
END $$;
SELECT set_config('timezone', time_zone, false) FROM cdp.workspace \g /dev/null
SELECT pg_temp.differing();
SQL
)
if [ -n "$differing" ]; then
    printf '\n%s\n' "FAIL: the members differ from the plain SQL's: $differing"
    exit 1
fi
missed=$(value -c "SELECT string_agg(what, ', ' ORDER BY n) FROM bench.result WHERE ms > target")
if [ -n "$missed" ]; then
    printf '%s\n' "FAIL: slower than the target: $missed"
else
    printf '%s\n' "PASS: within the targets, and the members of every segment are those of the plain SQL"
fi
