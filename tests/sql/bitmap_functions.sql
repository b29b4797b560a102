-- Ranges, positions, shifts, order, hash, operator classes, row estimates and the aggregates with a flat state of cdp_bitmap.
CREATE EXTENSION pg_cdp;

-- 1. Ranges: from range_start up to, not including, range_end; 0 is no end.
SELECT cdp_bitmap_range(b, 2, 70000) AS range, cdp_bitmap_range(b, 70000, 0) AS no_end, cdp_bitmap_range(b, 5, 5) AS none, cdp_bitmap_range(b, 9, 2) AS reversed,
       cdp_bitmap_range(b, 9223372036854775807, 0) AS last
FROM (VALUES ('{1,2,3,69999,70000,4294967296,9223372036854775807}'::cdp_bitmap)) AS v(b);
SELECT cdp_bitmap_range_cardinality('{1,2,3}', 2, 3) AS one, cdp_bitmap_range_cardinality('{1,2,3,9223372036854775807}', 2, 0) AS no_end,
       cdp_bitmap_range_cardinality('{}', 0, 0) AS empty, cdp_bitmap_range_cardinality('{1,2,3}', 3, 2) AS reversed;
SELECT cdp_bitmap_fill('{1,2,3}', 5, 7) AS fill, cdp_bitmap_fill('{1}', 3, 3) AS fill_none, cdp_bitmap_clear('{1,2,3}', 2, 3) AS clear,
       cdp_bitmap_clear('{1,2,3,4294967296}', 2, 0) AS clear_to_end, cdp_bitmap_flip('{1,2,3}', 2, 10) AS flip, cdp_bitmap_flip('{}', 0, 2) AS flip_empty,
       cdp_bitmap_fill('{}', 9223372036854775806, 0) AS fill_the_last;
SELECT cdp_count(cdp_bitmap_fill('{}', 0, 10000000000)) AS many, length(cdp_bitmap_fill('{}', 0, 10000000000)::bytea) < 3000000 AS in_runs,
       cdp_bitmap_flip(cdp_bitmap_fill('{}', 0, 10000000000), 1, 0 + 10000000000) AS flipped;

-- 2. Positions.
SELECT v, cdp_bitmap_rank(b, v) AS rank, cdp_bitmap_index(b, v) AS index
FROM (VALUES ('{1,5,70000,4294967296}'::cdp_bitmap)) AS s(b), (VALUES (-1::bigint), (0), (1), (5), (6), (70000), (4294967296), (9223372036854775807)) AS t(v) ORDER BY v;
SELECT cdp_bitmap_select(b, 5, 2) AS five_after_two, cdp_bitmap_select(b, 3) AS three, cdp_bitmap_select(b, 2, 1, true) AS from_above,
       cdp_bitmap_select(b, 2, 0, false, 4) AS from_four, cdp_bitmap_select(b, 2, 0, true, 2, 6) AS reverse_in_range, cdp_bitmap_select(b, 0) AS no_limit,
       cdp_bitmap_select(b, -1) AS negative_limit, cdp_bitmap_select(b, 2, -5) AS negative_offset, cdp_bitmap_select(b, 2, 100) AS past_the_end,
       cdp_bitmap_select(b, 9223372036854775807, 7, true) AS huge_limit, cdp_bitmap_select(b, reverse => true, bitset_limit => 1) AS named
FROM (VALUES ('{1,2,3,4,5,6,7,8,9}'::cdp_bitmap)) AS v(b);

-- 3. Shifts.
SELECT '{1,2,3}'::cdp_bitmap << 2 AS left, '{1,2,3}'::cdp_bitmap >> 3 AS right, '{1,2,3}'::cdp_bitmap >> -2 AS right_back, '{1,2,3}'::cdp_bitmap << -3 AS left_back,
       '{1,65535}'::cdp_bitmap >> 65536 AS a_container, '{4294967295}'::cdp_bitmap >> 1 AS into_the_next_bucket, '{1,2}'::cdp_bitmap >> 0 AS nowhere,
       '{0,9223372036854775807}'::cdp_bitmap >> 1 AS off_the_end, '{0,9223372036854775807}'::cdp_bitmap << 9223372036854775807 AS far,
       '{0,1}'::cdp_bitmap << -9223372036854775808 AS gone, '{9223372036854775807}'::cdp_bitmap >> -9223372036854775808 AS gone_too;
SELECT cdp_bitmap_shiftleft('{7}', 2), cdp_bitmap_shiftright('{7}', 2);

-- 4. Similarity and size.
SELECT cdp_bitmap_jaccard_dist('{1,2,3}', '{3,4}') AS quarter, cdp_bitmap_jaccard_dist('{1}', '{1}') AS same, cdp_bitmap_jaccard_dist('{1}', '{}') AS none,
       cdp_bitmap_jaccard_dist('{}', '{}') AS both_empty;
SELECT cdp_bitmap_runoptimize(b) = b AS same, length(cdp_bitmap_runoptimize(b)::bytea) AS small, length(b::bytea) AS plain
FROM (SELECT cdp_bitmap_build_agg(i) AS b FROM generate_series(10::bigint, 9999) AS i) AS v;
SELECT cdp_bitmap_runoptimize('{}'), cdp_bitmap_runoptimize('{1,5}');

-- 5. NULL in, NULL out; what is refused.
SELECT cdp_bitmap_range(NULL, 0, 1) IS NULL AND cdp_bitmap_fill('{}', NULL, 1) IS NULL AND cdp_bitmap_select('{1}', NULL) IS NULL AND cdp_bitmap_rank('{1}', NULL) IS NULL
       AND ('{1}'::cdp_bitmap << NULL) IS NULL AND cdp_bitmap_jaccard_dist('{1}', NULL) IS NULL AND cdp_bitmap_runoptimize(NULL) IS NULL
       AND (NULL::cdp_bitmap < '{1}') IS NULL AS all_null;
\set VERBOSITY default
SELECT cdp_bitmap_range('{1}', -1, 5);
SELECT cdp_bitmap_fill('{1}', 1, -5);
SELECT cdp_bitmap_select('{1}', 1, 0, false, 0, -1);
SELECT cdp_bitmap_fill('{}', 0, 0);
SELECT cdp_bitmap_flip('{}', 5, 9223372036854775807);
\set VERBOSITY sqlstate
SELECT cdp_bitmap_range_cardinality('{1}', -1, 0);
SELECT cdp_bitmap_fill('{}', 1, 0);
\set VERBOSITY terse

-- 6. The oracle: generated sets as arrays, and plain SQL over the arrays. Sets are sparse, dense and in runs, across containers and buckets.
CREATE FUNCTION pg_temp.sorted(bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(array_agg(v ORDER BY v), '{}') FROM (SELECT DISTINCT unnest($1) AS v) AS d $$;
CREATE TABLE oracle AS
SELECT i, pg_temp.sorted(array_agg(v)) AS a FROM (
    SELECT i, CASE i % 6
        WHEN 0 THEN abs(hashint8extended(j, i)) % 200 WHEN 1 THEN 65500 + (hashint8extended(j, i) & 127) WHEN 2 THEN i + j
        WHEN 3 THEN 4294967296 - 20 + j * (1 + i % 3) WHEN 4 THEN 9223372036854775807 - (hashint8extended(j, i) & 255) ELSE (hashint8extended(j, i) & 9223372036854775807) >> (i % 60)::int END AS v
    FROM generate_series(1::bigint, 3000) AS i, LATERAL generate_series(1::bigint, i % 41) AS j) AS s GROUP BY i;
INSERT INTO oracle SELECT 3001 + i, '{}' FROM generate_series(0, 2) AS i;
ALTER TABLE oracle ADD b cdp_bitmap;
UPDATE oracle SET b = CASE WHEN i % 2 = 0 THEN cdp_bitmap_runoptimize(a::cdp_bitmap) ELSE a::cdp_bitmap END;
SELECT count(*) AS sets, bool_and(b::bigint[] = a) AS members, bool_and(cdp_count(b) = cardinality(a)) AS counts, bool_and(cdp_bitmap_is_empty(b) = (a = '{}')) AS empties,
       bool_and(cdp_bitmap_min(b) IS NOT DISTINCT FROM a[1]) AS mins, bool_and(cdp_bitmap_max(b) IS NOT DISTINCT FROM a[cardinality(a)]) AS maxs FROM oracle;
-- One set and two numbers, some of them members.
CREATE TABLE probe AS SELECT i, a, b, coalesce(a[1 + i % greatest(cardinality(a), 1)], 7) AS lo, coalesce(a[1 + i % greatest(cardinality(a), 1)], 7) / 2 AS half, 1 + i % 100 AS len FROM oracle;
ALTER TABLE probe ADD hi bigint;
UPDATE probe SET hi = CASE WHEN lo > 9223372036854775000 THEN 9223372036854775807 ELSE lo + len END;
SELECT count(*) AS probes,
       bool_and(cdp_bitmap_range(b, lo, hi)::bigint[] = ARRAY(SELECT v FROM unnest(a) AS v WHERE v >= lo AND v < hi ORDER BY v)) AS range,
       bool_and(cdp_bitmap_range_cardinality(b, lo, hi) = (SELECT count(*) FROM unnest(a) AS v WHERE v >= lo AND v < hi)) AS range_n,
       bool_and(cdp_bitmap_range(b, half, 0)::bigint[] = ARRAY(SELECT v FROM unnest(a) AS v WHERE v >= half ORDER BY v)) AS no_end,
       bool_and(cdp_bitmap_clear(b, lo, hi)::bigint[] = ARRAY(SELECT v FROM unnest(a) AS v WHERE NOT (v >= lo AND v < hi) ORDER BY v)) AS clear,
       bool_and(cdp_bitmap_fill(b, lo, lo + least(len, hi - lo))::bigint[] = pg_temp.sorted(a || ARRAY(SELECT generate_series(lo, lo + least(len, hi - lo) - 1)))) AS fill,
       bool_and(cdp_bitmap_flip(b, lo, lo + least(len, hi - lo))::bigint[] = pg_temp.sorted(
           ARRAY(SELECT unnest(a) EXCEPT SELECT generate_series(lo, lo + least(len, hi - lo) - 1))
           || ARRAY(SELECT generate_series(lo, lo + least(len, hi - lo) - 1) EXCEPT SELECT unnest(a)))) AS flip
FROM probe;
SELECT bool_and(cdp_bitmap_rank(b, half) = (SELECT count(*) FROM unnest(a) AS v WHERE v <= half)) AS rank,
       bool_and(cdp_bitmap_index(b, lo) = coalesce(array_position(a, lo), 0) - 1 AND cdp_bitmap_index(b, half) = coalesce(array_position(a, half), 0) - 1) AS index,
       bool_and((b @> half) = (half = ANY (a)) AND (b @> lo) = (lo = ANY (a))) AS contains,
       bool_and((b | half)::bigint[] = pg_temp.sorted(a || half) AND (b - lo)::bigint[] = array_remove(a, lo) AND b - half = array_remove(a, half)::cdp_bitmap) AS one_more_or_less,
       bool_and(cdp_bitmap_select(b, len, i % 7)::bigint[] = ARRAY(SELECT v FROM unnest(a) AS v ORDER BY v OFFSET i % 7 LIMIT len)) AS selects,
       bool_and(cdp_bitmap_select(b, len % 9, i % 7, true, half, hi)::bigint[] = pg_temp.sorted(
           ARRAY(SELECT v FROM unnest(a) AS v WHERE v >= half AND v < hi ORDER BY v DESC OFFSET i % 7 LIMIT len % 9))) AS reverse,
       bool_and((b << half)::bigint[] = ARRAY(SELECT v - half FROM unnest(a) AS v WHERE v >= half ORDER BY v)) AS shift_left,
       bool_and((b >> len)::bigint[] = ARRAY(SELECT v + len FROM unnest(a) AS v WHERE v <= 9223372036854775807 - len ORDER BY v)) AS shift_right,
       bool_and(cdp_bitmap_runoptimize(b) = b AND cdp_bitmap_runoptimize(b)::bigint[] = a AND length(cdp_bitmap_runoptimize(b)::bytea) <= length(b::bytea)) AS runs
FROM probe;
-- Two sets: each with one of the same kind and with one of another.
SELECT count(*) AS pairs,
       bool_and((x.b & y.b)::bigint[] = ARRAY(SELECT unnest(x.a) INTERSECT SELECT unnest(y.a) ORDER BY 1)) AS "and",
       bool_and((x.b | y.b)::bigint[] = ARRAY(SELECT unnest(x.a) UNION SELECT unnest(y.a) ORDER BY 1)) AS "or",
       bool_and((x.b - y.b)::bigint[] = ARRAY(SELECT unnest(x.a) EXCEPT SELECT unnest(y.a) ORDER BY 1)) AS andnot,
       bool_and((x.b # y.b)::bigint[] = ARRAY((SELECT unnest(x.a) EXCEPT SELECT unnest(y.a)) UNION (SELECT unnest(y.a) EXCEPT SELECT unnest(x.a)) ORDER BY 1)) AS "xor",
       bool_and(cdp_bitmap_and_cardinality(x.b, y.b) = cdp_count(x.b & y.b) AND cdp_bitmap_or_cardinality(x.b, y.b) = cdp_count(x.b | y.b)
            AND cdp_bitmap_xor_cardinality(x.b, y.b) = cdp_count(x.b # y.b) AND cdp_bitmap_andnot_cardinality(x.b, y.b) = cdp_count(x.b - y.b)) AS counts,
       bool_and((x.b @> y.b) = (x.a @> y.a) AND (x.b <@ y.b) = (x.a <@ y.a) AND (x.b && y.b) = (x.a && y.a)) AS relations,
       bool_and((x.b = y.b) = (x.a = y.a) AND (x.b <> y.b) = (x.a <> y.a) AND (x.b < y.b) = (x.a < y.a) AND (x.b <= y.b) = (x.a <= y.a)
            AND (x.b > y.b) = (x.a > y.a) AND (x.b >= y.b) = (x.a >= y.a) AND cdp_bitmap_cmp(x.b, y.b) = btarraycmp(x.a, y.a)) AS orders,
       bool_and((cdp_bitmap_hash_extended(x.b, 9) = cdp_bitmap_hash_extended(y.b, 9)) = (x.a = y.a)) AS hashes,
       bool_and(cdp_bitmap_hash(x.b) = (cdp_bitmap_hash_extended(x.b, 0) & 4294967295)::bit(32)::int) AS low_half
FROM oracle x CROSS JOIN LATERAL (VALUES (1), (6), (12), (3001 - x.i)) AS d(d) JOIN oracle y ON y.i = 1 + (x.i + d.d) % 3003;

-- 7. Order, equality and what needs them.
SELECT array_agg(b ORDER BY b)::text AS ordered, array_agg(DISTINCT b)::text AS different
FROM (VALUES ('{2}'::cdp_bitmap), ('{1,2}'), ('{}'), ('{1}'), ('{1,2}'), ('{4294967296}'), ('{1,9223372036854775807}')) AS v(b);
-- The runs that another writer chose are the same set.
SELECT count(*) AS rows, count(DISTINCT b) AS sets FROM (SELECT b FROM oracle UNION ALL SELECT cdp_bitmap_runoptimize(b) FROM oracle UNION ALL SELECT a::cdp_bitmap FROM oracle) AS u;
SELECT (SELECT count(DISTINCT a) FROM oracle) AS arrays;
SELECT opcname, amname, amvalidate(o.oid) AS valid FROM pg_opclass o JOIN pg_am m ON m.oid = opcmethod WHERE opcintype = 'cdp_bitmap'::regtype ORDER BY 2;
CREATE TABLE ordered (i bigint, b cdp_bitmap UNIQUE);
INSERT INTO ordered SELECT min(i), b FROM oracle WHERE i <= 300 GROUP BY b;
INSERT INTO ordered SELECT i, cdp_bitmap_runoptimize(b) FROM oracle WHERE i = 30;
CREATE TABLE hashed (i bigint, b cdp_bitmap);
INSERT INTO hashed SELECT i, b FROM oracle;
INSERT INTO hashed SELECT 0, cdp_bitmap_build_agg(i * 5) FROM generate_series(1::bigint, 50000) AS i;
CREATE INDEX ON hashed USING hash (b);
ANALYZE hashed;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT i FROM ordered WHERE b = '{1}';
EXPLAIN (COSTS OFF) SELECT i FROM ordered ORDER BY b LIMIT 3;
EXPLAIN (COSTS OFF) SELECT i FROM hashed WHERE b = '{1}';
SELECT count(*) AS found FROM oracle o WHERE o.i <= 300 AND EXISTS (SELECT FROM ordered s WHERE s.b = cdp_bitmap_runoptimize(o.b));
SELECT i FROM hashed WHERE b = (SELECT cdp_bitmap_build_agg(i * 5) FROM generate_series(1::bigint, 50000) AS i);
RESET enable_seqscan;
-- Three ways to join, one answer.
SET enable_nestloop = off; SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM oracle x JOIN oracle y USING (b);
SELECT count(*) FROM oracle x JOIN oracle y USING (b);
SET enable_hashjoin = off; SET enable_mergejoin = on;
EXPLAIN (COSTS OFF) SELECT count(*) FROM oracle x JOIN oracle y USING (b);
SELECT count(*) FROM oracle x JOIN oracle y USING (b);
RESET enable_nestloop; RESET enable_mergejoin; RESET enable_hashjoin;
SELECT count(*) FROM oracle x JOIN oracle y USING (a);
\set VERBOSITY sqlstate
INSERT INTO ordered SELECT -1, cdp_bitmap_build_agg(i * 5) FROM generate_series(1::bigint, 50000) AS i;
\set VERBOSITY terse
CREATE TABLE parted (b cdp_bitmap) PARTITION BY HASH (b);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT b FROM oracle;
SELECT (SELECT count(*) FROM parted_0) > 900 AND (SELECT count(*) FROM parted_1) > 900 AS spread;

-- 8. Estimates: near what is there, both for a rare and for a common member.
CREATE TABLE guess AS SELECT i::bigint AS id, cdp_bitmap_build(CASE WHEN i % 100 = 0 THEN ARRAY[1, 2, i + 10] ELSE ARRAY[1, i + 10] END) AS b FROM generate_series(1, 20000) AS i;
ANALYZE guess;
CREATE FUNCTION pg_temp.near(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE plan json; planned float; actual float;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) SELECT FROM guess WHERE ' || condition INTO plan;
    planned := plan->0->'Plan'->>'Plan Rows';
    EXECUTE 'SELECT count(*) FROM guess WHERE ' || condition INTO actual;
    RETURN CASE WHEN greatest(planned, 1) / greatest(actual, 1) BETWEEN 0.25 AND 4 THEN 'within a factor of 4' ELSE format('%s planned, %s there', planned, actual) END;
END $$;
SELECT c AS condition, pg_temp.near(c) FROM (VALUES ('b @> 1'), ('b && ''{1,7}'''), ('NOT b @> 1'), ('''{1}'' <@ b'), ('b && (SELECT ''{1}''::cdp_bitmap) OR true'),
    ('b = ''{1,11}'''), ('b <> ''{1,11}'''), ('id <@ ''{5,6,7}''::cdp_bitmap'), ('id <@ cdp_bitmap_fill(''{}'', 1, 10001)'), ('b < ''{1,2}''')) AS v(c);
-- Rare members cannot be told from absent ones by a sample of a hundred: few rows, not none.
DO $$ DECLARE plan json; BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) SELECT FROM guess WHERE b @> 99999999' INTO plan;
    IF (plan->0->'Plan'->>'Plan Rows')::float > 200 THEN RAISE EXCEPTION 'a member that nobody has: % rows', plan->0->'Plan'->>'Plan Rows'; END IF;
END $$;
-- Joins: sets with numbers, sets with sets, each with common and with rare members; semijoins and antijoins.
CREATE TABLE guess_set AS SELECT i AS n, cdp_bitmap_build_agg((i * 37 + k * k * 13) % 2000) AS b FROM generate_series(1::bigint, 300) AS i, generate_series(0, 19) AS k GROUP BY i;
CREATE TABLE guess_small AS SELECT i AS n, cdp_bitmap_build(ARRAY[i % 10]) AS b FROM generate_series(1::bigint, 200) AS i;
CREATE TABLE guess_number AS SELECT i % 2000 AS v, i % 3 AS skewed FROM generate_series(1::bigint, 4000) AS i;
CREATE TABLE guess_same AS SELECT cdp_bitmap_build(ARRAY[i % 25, 7]) AS b FROM generate_series(1::bigint, 1000) AS i;
CREATE TABLE guess_none (b cdp_bitmap);
ANALYZE guess_set, guess_small, guess_number, guess_same;
CREATE FUNCTION pg_temp.near_join(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE plan json; planned float; actual float;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) SELECT ' || query INTO plan;
    planned := plan->0->'Plan'->>'Plan Rows';
    EXECUTE 'SELECT count(*) FROM (SELECT ' || query || ') AS x' INTO actual;
    RETURN CASE WHEN greatest(planned, 1) / greatest(actual, 1) BETWEEN 0.33 AND 3 THEN 'within a factor of 3' ELSE format('%s planned, %s there', planned, actual) END;
END $$;
SET max_parallel_workers_per_gather = 0;
SELECT q AS query, pg_temp.near_join(q) FROM (VALUES
    ('FROM guess_number JOIN guess_set ON b @> v'), ('FROM guess_number JOIN guess_set ON v <@ b'), ('FROM guess_set JOIN guess_number ON b @> skewed'),
    ('FROM guess_number JOIN guess_small ON b @> v'), ('FROM guess_number JOIN guess_small ON skewed <@ b'),
    ('FROM guess_set x JOIN guess_set y ON x.b && y.b'), ('FROM guess_small x JOIN guess_small y ON x.b && y.b'), ('FROM guess_set x JOIN guess_small y ON x.b @> y.b'),
    ('FROM guess_small x JOIN guess_set y ON x.b <@ y.b'), ('FROM guess_small x JOIN guess_same y ON x.b && y.b'), ('FROM guess_same x JOIN guess_same y ON x.b = y.b'),
    ('FROM guess_set x JOIN guess_set y ON x.b = y.b'), ('FROM guess_small x JOIN guess_small y ON x.b <> y.b'),
    ('FROM guess_number WHERE EXISTS (SELECT FROM guess_small WHERE b @> v)'), ('FROM guess_number WHERE EXISTS (SELECT FROM guess_set WHERE v <@ b)'),
    ('FROM guess_number WHERE NOT EXISTS (SELECT FROM guess_small WHERE b @> v)'), ('FROM guess_small x WHERE EXISTS (SELECT FROM guess_same y WHERE x.b <@ y.b)'),
    ('FROM guess_small x WHERE NOT EXISTS (SELECT FROM guess_same y WHERE x.b && y.b AND y.b @> 7)')) AS v(q);
-- Without statistics the constant is what it was.
EXPLAIN SELECT FROM guess_none x JOIN guess_none y ON x.b && y.b;
-- Values that a user may not see do not show in estimates.
CREATE ROLE cdp_bitmap_guest;
GRANT SELECT ON guess_small TO cdp_bitmap_guest;
ALTER TABLE guess_small ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON guess_small USING (n < 150);
CREATE FUNCTION pg_temp.planned(query text) RETURNS float LANGUAGE plpgsql AS $$
DECLARE plan json; BEGIN EXECUTE 'EXPLAIN (FORMAT json) SELECT ' || query INTO plan; RETURN plan->0->'Plan'->>'Plan Rows'; END $$;
SET ROLE cdp_bitmap_guest;
SELECT pg_temp.planned('FROM guess_small x JOIN guess_small y ON x.b && y.b') < 100 AS constant_for_a_guest;
RESET ROLE;
SELECT pg_temp.planned('FROM guess_small x JOIN guess_small y ON x.b && y.b') > 1000 AS statistics_for_the_owner;
DROP POLICY few ON guess_small; REVOKE ALL ON guess_small FROM cdp_bitmap_guest;
RESET max_parallel_workers_per_gather;
DROP TABLE guess_set, guess_small, guess_number, guess_same, guess_none;
DROP ROLE cdp_bitmap_guest;

-- 9. The aggregates whose state is a value give the answers of the others, in parallel too.
CREATE VIEW twins AS
SELECT cdp_bitmap_build_agg(i) = cdp_bitmap_build_flat_agg(i) AS build, cdp_bitmap_build_cardinality_agg(i) = cdp_bitmap_build_cardinality_flat_agg(i) AS build_n,
       cdp_bitmap_or_agg(b) = cdp_bitmap_or_flat_agg(b) AS "or", cdp_bitmap_or_cardinality_agg(b) = cdp_bitmap_or_cardinality_flat_agg(b) AS or_n,
       cdp_bitmap_and_agg(b) = cdp_bitmap_and_flat_agg(b) AS "and", cdp_bitmap_and_cardinality_agg(b) = cdp_bitmap_and_cardinality_flat_agg(b) AS and_n,
       cdp_bitmap_xor_agg(b) = cdp_bitmap_xor_flat_agg(b) AS "xor", cdp_bitmap_xor_cardinality_agg(b) = cdp_bitmap_xor_cardinality_flat_agg(b) AS xor_n
FROM oracle WHERE i % 6 = 0;
SELECT * FROM twins;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT cdp_bitmap_or_flat_agg(b), cdp_bitmap_build_flat_agg(i) FROM oracle;
SELECT * FROM twins;
RESET ALL;
SELECT cdp_bitmap_build_flat_agg(v) AS build, cdp_bitmap_build_flat_agg(v) FILTER (WHERE false) IS NULL AS no_rows FROM (VALUES (NULL::bigint), (5), (NULL), (1)) AS t(v);
SELECT cdp_bitmap_or_flat_agg(b) AS "or", cdp_bitmap_and_flat_agg(b) AS "and" FROM (VALUES (NULL::cdp_bitmap), ('{1,2}'), (NULL), ('{2,3}')) AS t(b);
SELECT cdp_bitmap_build_flat_agg(v) IS NULL AS only_nulls FROM (VALUES (NULL::bigint)) AS t(v);
-- Their cost is that of the others: were the state written at each row, this would take hours.
SET statement_timeout = '60s';
SELECT cdp_count(built) AS built, built = other AS same, built_n = cdp_count(built) AS counted
FROM (SELECT cdp_bitmap_build_flat_agg(i * 7919 % 1000003) AS built, cdp_bitmap_build_agg(i * 7919 % 1000003) AS other, cdp_bitmap_build_cardinality_flat_agg(i * 7919 % 1000003) AS built_n
      FROM generate_series(1::bigint, 400000) AS i) AS x;
SELECT cdp_bitmap_or_flat_agg(big | i) = cdp_bitmap_fill('{}', 0, 300001) AS "or", cdp_count(cdp_bitmap_xor_flat_agg(big | i)) AS "xor" FROM generate_series(300000::bigint, 300000) AS i, cdp_bitmap_fill('{}', 0, 300000) AS big, generate_series(1, 3001);
RESET statement_timeout;
-- The state goes on after a result, as a window asks for one; it is written where it leaves the aggregate; groups do not mix.
SELECT i, cdp_bitmap_build_flat_agg(i) OVER (ORDER BY i) AS so_far, cdp_bitmap_or_flat_agg(b) OVER (ORDER BY i) AS joined, cdp_bitmap_xor_flat_agg(b) OVER (ORDER BY i ROWS 1 PRECEDING) AS last_two
FROM (SELECT i, cdp_bitmap_build(ARRAY[i, i / 2]) AS b FROM generate_series(1::bigint, 4) AS i) AS x ORDER BY i;
SELECT count(*) AS groups, bool_and(flat = other AND joined = other) AS same
FROM (SELECT cdp_bitmap_build_flat_agg(i) AS flat, cdp_bitmap_build_agg(i) AS other, cdp_bitmap_or_flat_agg(cdp_bitmap_build(ARRAY[i])) AS joined FROM generate_series(1::bigint, 30000) AS i GROUP BY i % 1000) AS x;
SELECT cdp_bitmap_or_flat_agg(part::text::cdp_bitmap) = cdp_bitmap_fill('{}', 1, 1001) AS by_text FROM (SELECT cdp_bitmap_build_flat_agg(i) AS part FROM generate_series(1::bigint, 1000) AS i GROUP BY i % 8) AS x;
SELECT cdp_bitmap_or_flat_agg(part) AS nested, count(DISTINCT part) AS parts FROM (SELECT cdp_bitmap_build_flat_agg(i) AS part FROM generate_series(1::bigint, 4) AS i GROUP BY i % 2) AS x;
DO $$ DECLARE a cdp_bitmap; b cdp_bitmap; BEGIN
    a := cdp_bitmap_build_flat_trans('{1}', 2);
    b := cdp_bitmap_build_flat_trans(a, 3);
    FOR i IN 4..6 LOOP b := cdp_bitmap_build_flat_trans(b, i); END LOOP;
    IF a <> '{1,2}' OR b <> '{1,2,3,4,5,6}' THEN RAISE EXCEPTION 'a %, b %', a, b; END IF;
END $$;
-- Every public aggregate has a twin, and the twin's state is a type.
SELECT p.proname FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
WHERE p.proname LIKE 'cdp\_bitmap\_%' AND a.aggtranstype = 'internal'::regtype
  AND NOT EXISTS (SELECT FROM pg_aggregate f JOIN pg_proc q ON q.oid = f.aggfnoid
      WHERE q.proname = replace(p.proname, '_agg', '_flat_agg') AND f.aggtranstype = 'cdp_bitmap'::regtype AND f.aggcombinefn <> 0 AND q.proparallel = 's');

-- 10. Hostile bytes by text, by cast and by binary COPY: an error of class 22, or a set whose counts agree with its members.
CREATE TABLE seed AS SELECT n, b::bytea AS bytes FROM (SELECT 1 AS n, cdp_bitmap_runoptimize('{1,2,3,4,5,6,7,70000,4294967296,9223372036854775807}') AS b
    UNION ALL SELECT 2, cdp_bitmap_fill('{1,65536,131072,200000,262144}', 300000, 400000) UNION ALL SELECT 3, cdp_bitmap_build_agg(i * 2) FROM generate_series(0::bigint, 5000) AS i) AS v;
CREATE FUNCTION pg_temp.sound(b cdp_bitmap) RETURNS boolean LANGUAGE sql AS $$
    SELECT cdp_count(b) = (SELECT count(*) FROM cdp_members(b)) AND cdp_bitmap_rank(b, 9223372036854775807) = cdp_count(b)
       AND b = cdp_bitmap_build(ARRAY(SELECT cdp_members(b))) AND cdp_count(b # b) = 0 AND (b | b) = b AND cdp_bitmap_runoptimize(b) = b
       AND cdp_bitmap_hash(b) = cdp_bitmap_hash(cdp_bitmap_runoptimize(b)) AND ((b >> 7) << 7) = cdp_bitmap_range(b, 0, 9223372036854775801) $$;
CREATE FUNCTION pg_temp.judge(mutant bytea, by_text boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE b cdp_bitmap;
BEGIN
    BEGIN
        IF by_text THEN b := mutant::text::cdp_bitmap; ELSE b := mutant::cdp_bitmap; END IF;
    EXCEPTION WHEN OTHERS THEN
        IF SQLSTATE !~ '^22' THEN RAISE EXCEPTION 'mutant %: % %', mutant, SQLSTATE, SQLERRM; END IF;
        RETURN 'refused';
    END;
    IF NOT pg_temp.sound(b) THEN RAISE EXCEPTION 'mutant % is accepted as a wrong set', mutant; END IF;
    RETURN 'sound';
END $$;
SELECT n, judged.verdict IN ('refused', 'sound') AS judged, count(*) FROM seed, generate_series(1::bigint, 400) AS i,
    LATERAL (SELECT pg_temp.judge(set_byte(set_byte(bytes, (hashint8extended(i, n) & 2147483647)::int % length(bytes), (i * 37 % 256)::int),
        (hashint8extended(i, n + 9) & 2147483647)::int % least(length(bytes), 60), (i * 11 % 7)::int), i % 2 = 0) AS verdict) AS judged GROUP BY 1, 2 ORDER BY 1, 2;
CREATE TABLE received (b cdp_bitmap);
DO $$
DECLARE file text := '/tmp/pg_cdp_hostile.' || pg_backend_pid(); refused int := 0; taken int := 0; m bytea;
BEGIN
    FOR m IN SELECT set_byte(bytes, (i * 13 % length(bytes))::int, (i * 29 % 256)::int) FROM seed, generate_series(1, 120) AS i WHERE n = 1 LOOP
        EXECUTE format('COPY (SELECT %L::bytea) TO %L (FORMAT binary)', m, file);
        BEGIN
            EXECUTE format('COPY received FROM %L (FORMAT binary)', file);
            taken := taken + 1;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE !~ '^22' THEN RAISE; END IF;
            refused := refused + 1;
        END;
    END LOOP;
    IF taken = 0 OR refused < 50 OR taken + refused <> 120 THEN RAISE EXCEPTION '% taken, % refused', taken, refused; END IF;
    EXECUTE format('COPY (SELECT 1 WHERE false) TO PROGRAM %L', 'cat >/dev/null; rm -f ' || file);
END $$;
SELECT count(*) FILTER (WHERE NOT pg_temp.sound(b)) AS wrong FROM received;
DROP VIEW twins;
DROP TABLE oracle, probe, ordered, hashed, parted, guess, seed, received;
SET client_min_messages = warning;
DROP EXTENSION pg_cdp CASCADE;
