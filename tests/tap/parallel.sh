#!/usr/bin/env bash
# A question over many shards is shared among PostgreSQL's parallel workers: the plan shows it, they start, the answer is the same, and a
# worker sees what the leader's transaction has written and nobody else has.
set -euo pipefail
run() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }

run <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
SELECT cdp_trait_create('city', 'text');
SELECT cdp_trait_create('points', 'bigint');
-- Twelve shards, every fifth number of the first hundred thousand of each.
CREATE TABLE person AS SELECT (s::bigint << 20) + o AS id, o % 10 = 0 AS roman, (o * 7919) % 1000 AS points FROM generate_series(0, 11) s, generate_series(1, 100000, 5) o;
INSERT INTO cdp.dictionary SELECT dictionary_id, c, v FROM cdp.attribute, (VALUES (0, 'Rome'), (1, 'Bern')) x(c, v) WHERE name = 'city';
INSERT INTO cdp.pending SELECT c.column_id, 0, (id >> 20)::int, _cdp_cells_agg((id & 1048575)::int, 1, 0) FROM person, cdp.store_column c WHERE c.kind = 'universe' GROUP BY 1, 3;
INSERT INTO cdp.pending SELECT c.column_id, o % 2, s, _cdp_cells_agg(o, 1, 0) FROM generate_series(0, 11) s, generate_series(1, 100000, 5) o, cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'city' GROUP BY 1, 2, 3;
INSERT INTO cdp.pending SELECT c.column_id, 0, (id >> 20)::int, _cdp_cells_agg((id & 1048575)::int, 1, points) FROM person, cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'points' GROUP BY 1, 3;
SELECT cdp_flush() > 0;
SQL

question="city = 'Rome' AND points BETWEEN 200 AND 700 OR points = 3"
ask="SELECT cdp_segment_count(\$q\$$question\$q\$), md5(cdp_segment(\$q\$$question\$q\$)::bytea::text)"
expected=$(run -c "SET cdp.parallel_size = -1" -c "$ask")
plain=$(run -c "SET cdp.direct_read = off" -c "SET cdp.parallel_size = -1" -c "$ask")
[ "$expected" = "$plain" ] || die "serial: $expected, by a query: $plain"

explained=$(PGOPTIONS='-c cdp.parallel_size=0' run -c "LOAD 'auto_explain'" -c "SET auto_explain.log_min_duration = 0" -c "SET auto_explain.log_nested_statements = on" \
    -c "SET auto_explain.log_analyze = on" -c "SET client_min_messages = log" -c "$ask" 2>&1)
grep -q 'Parallel Append' <<<"$explained" || die "no Parallel Append in: $explained"
grep -q 'Workers Launched: 2' <<<"$explained" || die "two workers did not start: $explained"
grep -qF "$expected" <<<"$explained" || die "parallel answer differs from $expected: $explained"

# Inside a transaction that has written: the same, and different from before.
inside=$(PGOPTIONS='-c cdp.parallel_size=0' run <<SQL
BEGIN;
INSERT INTO cdp.pending SELECT c.column_id, 0, s, _cdp_cells_agg(900000, 1, 0) FROM generate_series(0, 11) s, cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'points' GROUP BY 1, 3;
$(sed 's/points = 3/points = 0/' <<<"$ask");
SET cdp.parallel_size = -1;
$(sed 's/points = 3/points = 0/' <<<"$ask");
ROLLBACK;
$(sed 's/points = 3/points = 0/' <<<"$ask");
SQL
)
mapfile -t lines <<<"$inside"
[ "${lines[0]}" = "${lines[1]}" ] || die "in a transaction: parallel ${lines[0]}, serial ${lines[1]}"
[ "$((${lines[0]%%|*} - 12))" = "${lines[2]%%|*}" ] || die "twelve of one's own were not seen: $inside"

# Without workers to be had it is answered all the same.
none=$(PGOPTIONS='-c cdp.parallel_size=0 -c max_parallel_workers_per_gather=0' run -c "$ask")
[ "$none" = "$expected" ] || die "without workers: $none"

# A worker's error is the statement's, with its SQLSTATE.
run -c "UPDATE cdp.chunk SET bits = substr(bits, 1, 20) WHERE shard = 7 AND column_id = (SELECT column_id FROM cdp.store_column JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'points')"
broken=$(PGOPTIONS='-c cdp.parallel_size=0' psql -X -q -A -t -v VERBOSITY=sqlstate -c "$ask" 2>&1 || true)
[[ $broken == *XX001* ]] || die "a damaged chunk gave: $broken"
