-- The type cdp_bitmap: input and output, casts, functions, operators, aggregates, rows.
-- Every result is checked against plain SQL over the same numbers where that is possible.
CREATE EXTENSION pg_cdp;

-- 1. Text. Both forms are read; cdp.bitmap_output chooses what is printed.
SELECT '{5, 1 ,9,1}'::cdp_bitmap, ' { } '::cdp_bitmap AS empty, '{9223372036854775807}'::cdp_bitmap AS largest;
SET cdp.bitmap_output = 'hex';
SELECT '{1,5,9}'::cdp_bitmap AS small, '{}'::cdp_bitmap AS empty, '{4294967296}'::cdp_bitmap AS second_bucket;
SELECT '\x0100000000000000000000003A300000010000000000020010000000010005000900'::cdp_bitmap = '{1,5,9}' AS upper_case_read;
RESET cdp.bitmap_output;
SELECT '\x0100000000000000000000003a30000001000000000002001000000001000500 0900'::cdp_bitmap; -- an inner space is refused
SELECT ' \x0100000000000000000000003a300000010000000000020010000000010005000900 '::cdp_bitmap AS from_hex;
SELECT typstorage, typlen, typtype FROM pg_type WHERE typname = 'cdp_bitmap';

-- 2. Casts.
SELECT ARRAY[3,1,2]::cdp_bitmap AS ints, ARRAY[1,4294967296]::bigint[]::cdp_bitmap AS bigints,
       '{}'::bigint[]::cdp_bitmap AS none, ARRAY[[1,2],[3,4]]::cdp_bitmap AS two_dimensions;
SELECT '{7,3,4294967296}'::cdp_bitmap::bigint[] AS array_form, '{}'::cdp_bitmap::bigint[] AS empty_array,
       array_ndims('{}'::cdp_bitmap::bigint[]) AS empty_has_no_dimension;
SELECT '{1,5,9}'::cdp_bitmap::bytea AS bytes, '{1,5,9}'::cdp_bitmap::bytea::cdp_bitmap AS back;
CREATE TEMP TABLE assigned (b cdp_bitmap);
INSERT INTO assigned VALUES (ARRAY[1,2]), (ARRAY[3]::bigint[]);
SELECT * FROM assigned ORDER BY cdp_bitmap_min(b);
SELECT cdp_bitmap_to_array('{3,2,1}'), cdp_bitmap_build(ARRAY[2,1]), cdp_bitmap_build(ARRAY[2,1]::bigint[]);

-- 3. Questions about one set.
SELECT b, cdp_bitmap_cardinality(b) AS cardinality, cdp_count(b) AS count, cdp_bitmap_is_empty(b) AS is_empty,
       cdp_bitmap_min(b) AS min, cdp_bitmap_max(b) AS max
FROM (VALUES (1, '{}'::cdp_bitmap), (2, '{0}'), (3, '{5,70000,4294967301,9223372036854775807}')) AS v(i, b) ORDER BY i;
SELECT cdp_bitmap_contains('{1,5}'::cdp_bitmap, 5::bigint) AS held, cdp_bitmap_contains('{1,5}'::cdp_bitmap, 4::bigint) AS not_held,
       cdp_bitmap_contains('{1,5}'::cdp_bitmap, (-1)::bigint) AS negative, '{1,5}'::cdp_bitmap @> 5 AS operator,
       5 <@ '{1,5}'::cdp_bitmap AS commuted, cdp_bitmap_containedby(4::bigint, '{1,5}'::cdp_bitmap) AS function;
SELECT cdp_bitmap_add('{1,5}', 4294967296), cdp_bitmap_add(0, '{1,5}'), cdp_bitmap_remove('{1,5}', 5),
       cdp_bitmap_remove('{1,5}', 4) AS absent, cdp_bitmap_remove('{1,5}', -1) AS negative, cdp_bitmap_remove('{1}', 1) AS last_one;
SELECT '{1}'::cdp_bitmap | 2 AS right_number, 2 | '{1}'::cdp_bitmap AS left_number, '{1,2}'::cdp_bitmap - 2 AS less;

-- 4. Two sets.
SELECT a & b AS "and", a | b AS "or", a # b AS "xor", a - b AS andnot, a @> b AS contains, a <@ b AS containedby,
       a && b AS "intersect", a = b AS equals, a <> b AS not_equals
FROM (VALUES (1, '{1,2,3,4294967296}'::cdp_bitmap, '{2,3,4,8589934592}'::cdp_bitmap), (2, '{1,2}', '{1,2}'), (3, '{1,2}', '{1}'),
             (4, '{1}', '{2}'), (5, '{}', '{}'), (6, '{1}', '{}'), (7, '{}', '{4294967296}')) AS v(i, a, b) ORDER BY i;
SELECT cdp_bitmap_and(a, b), cdp_bitmap_or(a, b), cdp_bitmap_xor(a, b), cdp_bitmap_andnot(a, b), cdp_bitmap_and_cardinality(a, b),
       cdp_bitmap_or_cardinality(a, b), cdp_bitmap_xor_cardinality(a, b), cdp_bitmap_andnot_cardinality(a, b)
FROM (VALUES ('{1,2,3,4294967296}'::cdp_bitmap, '{2,3,4,8589934592}'::cdp_bitmap)) AS v(a, b);
SELECT cdp_bitmap_contains('{1,2}'::cdp_bitmap, '{1}'), cdp_bitmap_containedby('{1}', '{1,2}'::cdp_bitmap), cdp_bitmap_intersect('{1}', '{1,2}'),
       cdp_bitmap_equals('{1}', '{1}'), cdp_bitmap_not_equals('{1}', '{1}');

-- 5. Strict: NULL in, NULL out.
SELECT (NULL::cdp_bitmap & '{1}') IS NULL AND ('{1}'::cdp_bitmap | NULL::bigint) IS NULL AND cdp_count(NULL::cdp_bitmap) IS NULL
       AND cdp_bitmap_build(NULL::bigint[]) IS NULL AND (SELECT count(*) FROM cdp_members(NULL)) = 0 AS all_null;

-- 6. Generated sets against plain SQL: sparse, dense, runs, both sides of 2^32, with shared and with own members.
CREATE TEMP TABLE member (s int, v bigint);
INSERT INTO member
SELECT DISTINCT s, CASE s
    WHEN 0 THEN i * 7 WHEN 1 THEN i * 3 WHEN 2 THEN 65536 * (i % 40) + i WHEN 3 THEN 4294967296 - 3000 + i
    WHEN 4 THEN (i::bigint * 2654435761) % 9000000000 WHEN 5 THEN 4294967296 * (i % 6) + i / 6
    WHEN 6 THEN 9223372036854775807 - i * 3 END
FROM generate_series(0, 6) AS s, generate_series(0, 9999) AS i WHERE s <> 6 OR i < 50;
CREATE TEMP TABLE bitmap_set AS SELECT s, cdp_bitmap_build_agg(v) AS b FROM member GROUP BY s UNION ALL SELECT 7, '{}';
CREATE INDEX ON member (s, v);
ANALYZE member;
SELECT s, cdp_count(b) = (SELECT count(*) FROM member m WHERE m.s = x.s) AS count_right,
       b::bigint[] = (SELECT coalesce(array_agg(v ORDER BY v), '{}') FROM member m WHERE m.s = x.s) AS members_right,
       cdp_bitmap_min(b) IS NOT DISTINCT FROM (SELECT min(v) FROM member m WHERE m.s = x.s) AS min_right,
       cdp_bitmap_max(b) IS NOT DISTINCT FROM (SELECT max(v) FROM member m WHERE m.s = x.s) AS max_right,
       b::text::cdp_bitmap = b AND b::bytea::cdp_bitmap = b AND cdp_bitmap_build(b::bigint[]) = b AS round_trips
FROM bitmap_set x ORDER BY s;
CREATE TEMP TABLE pair AS
SELECT x, y, (SELECT count(*) FROM member WHERE s = x) AS nx, (SELECT count(*) FROM member WHERE s = y) AS ny,
       (SELECT count(*) FROM member m JOIN member n USING (v) WHERE m.s = x AND n.s = y) AS shared
FROM generate_series(0, 7) AS x, generate_series(0, 7) AS y;
SELECT count(*) AS pairs,
       count(*) FILTER (WHERE cdp_bitmap_and_cardinality(a.b, b.b) = shared AND cdp_count(a.b & b.b) = shared) AS and_right,
       count(*) FILTER (WHERE cdp_bitmap_or_cardinality(a.b, b.b) = nx + ny - shared AND cdp_count(a.b | b.b) = nx + ny - shared) AS or_right,
       count(*) FILTER (WHERE cdp_bitmap_xor_cardinality(a.b, b.b) = nx + ny - 2 * shared AND cdp_count(a.b # b.b) = nx + ny - 2 * shared) AS xor_right,
       count(*) FILTER (WHERE cdp_bitmap_andnot_cardinality(a.b, b.b) = nx - shared AND cdp_count(a.b - b.b) = nx - shared) AS andnot_right,
       count(*) FILTER (WHERE (a.b && b.b) = (shared > 0) AND (a.b @> b.b) = (shared = ny) AND (a.b <@ b.b) = (shared = nx)
           AND (a.b = b.b) = (nx = shared AND ny = shared) AND (a.b <> b.b) <> (a.b = b.b)) AS relations_right
FROM pair JOIN bitmap_set a ON a.s = x JOIN bitmap_set b ON b.s = y;
SELECT bool_and((b @> v) = EXISTS (SELECT FROM member m WHERE m.s = x.s AND m.v = p.v)) AS membership_right, count(*) AS probes
FROM bitmap_set x, (SELECT DISTINCT v + d AS v FROM (SELECT v FROM member WHERE v % 97 = 0 ORDER BY v LIMIT 300) AS probe, (VALUES (0), (1)) AS near(d)) p;
-- The algebra says what it must of every pair.
SELECT bool_and((x.b & y.b) = (y.b & x.b) AND (x.b | y.b) = (y.b | x.b) AND (x.b # y.b) = ((x.b | y.b) - (x.b & y.b))
       AND (x.b - y.b) = (x.b & (x.b # y.b)) AND ((x.b | y.b) @> x.b) AND (x.b @> (x.b & y.b)) AND NOT ((x.b - y.b) && y.b)) AS laws
FROM bitmap_set x JOIN bitmap_set y ON x.s <= y.s;

-- 7. Rows.
SELECT * FROM cdp_members('{9,4294967296,1}'::cdp_bitmap);
SELECT cdp_bitmap_iterate('{2,1}');
SELECT count(*) FROM cdp_members('{}'::cdp_bitmap);
SELECT bool_and(ARRAY(SELECT m FROM cdp_members(b) WITH ORDINALITY AS r(m, n) ORDER BY n) = b::bigint[]) AS members_ascending FROM bitmap_set;
SELECT m FROM bitmap_set, LATERAL (SELECT m FROM cdp_members(b) AS m LIMIT 2) AS first WHERE s = 3 ORDER BY m;
-- The planner knows the size of a constant set, and asks nothing else of the function.
CREATE FUNCTION pg_temp.planned_rows(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE plan json; BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan; RETURN plan->0->'Plan'->>'Plan Rows'; END $$;
SELECT pg_temp.planned_rows($$SELECT * FROM cdp_members('{1,2,3}'::cdp_bitmap)$$) AS constant,
       pg_temp.planned_rows($$SELECT * FROM cdp_bitmap_iterate(cdp_bitmap_build(ARRAY[1,2,3,4]))$$) AS folded,
       pg_temp.planned_rows($$SELECT * FROM cdp_members((SELECT b FROM pg_temp.bitmap_set LIMIT 1))$$) AS unknown;

-- 8. Aggregates. NULLs are skipped; nothing but NULLs gives NULL.
SELECT cdp_bitmap_build_agg(v) AS build, cdp_bitmap_build_cardinality_agg(v) AS cardinality FROM (VALUES (5::bigint), (NULL), (1), (5)) AS t(v);
SELECT cdp_bitmap_or_agg(b) AS "or", cdp_bitmap_and_agg(b) AS "and", cdp_bitmap_xor_agg(b) AS "xor", cdp_bitmap_or_cardinality_agg(b) AS or_n,
       cdp_bitmap_and_cardinality_agg(b) AS and_n, cdp_bitmap_xor_cardinality_agg(b) AS xor_n
FROM (VALUES ('{1,2,3}'::cdp_bitmap), (NULL), ('{2,3,4}'), ('{3,4294967296}')) AS t(b);
SELECT cdp_bitmap_and_agg(b) AS disjoint FROM (VALUES ('{1}'::cdp_bitmap), ('{2}'), ('{1}')) AS t(b);
SELECT cdp_bitmap_build_agg(v) IS NULL AND cdp_bitmap_build_cardinality_agg(v) IS NULL AS only_nulls FROM (VALUES (NULL::bigint)) AS t(v);
SELECT cdp_bitmap_or_agg(b) IS NULL AND cdp_bitmap_and_agg(b) IS NULL AND cdp_bitmap_xor_agg(b) IS NULL
       AND cdp_bitmap_or_cardinality_agg(b) IS NULL AS no_rows FROM bitmap_set WHERE false;
SELECT side, n = (SELECT count(DISTINCT v) FROM member WHERE s % 2 = side) AS union_right
FROM (SELECT s % 2 AS side, cdp_bitmap_or_cardinality_agg(b) AS n FROM bitmap_set GROUP BY 1) AS u ORDER BY side;
SELECT cdp_bitmap_xor_cardinality_agg(b) = (SELECT count(*) FROM (SELECT v FROM member GROUP BY v HAVING count(*) % 2 = 1) AS odd) AS xor_right
FROM bitmap_set;
-- A running set: the state goes on after each result.
SELECT i, cdp_bitmap_build_agg(i) OVER (ORDER BY i) AS so_far, cdp_bitmap_build_agg(i) OVER (ORDER BY i ROWS 1 PRECEDING) AS last_two
FROM generate_series(1::bigint, 4) AS i ORDER BY i;
SELECT cdp_bitmap_build_agg(DISTINCT i % 3) FILTER (WHERE i > 1) FROM generate_series(1::bigint, 9) AS i;

-- 9. Aggregates in parallel: planned so, and with the answers of a serial run.
CREATE TABLE bitmap_parallel AS
SELECT i::bigint AS id, i % 3 AS g, cdp_bitmap_build(ARRAY[i, i * 2, 4294967296 + i % 300, 17]::bigint[]) AS b FROM generate_series(1, 6000) AS i;
ANALYZE bitmap_parallel;
CREATE VIEW bitmap_answer AS
SELECT g, cdp_bitmap_build_agg(id) AS build, cdp_bitmap_or_agg(b) AS "or", cdp_bitmap_and_agg(b) AS "and", cdp_bitmap_xor_agg(b) AS "xor",
       cdp_bitmap_build_cardinality_agg(id) AS build_n, cdp_bitmap_or_cardinality_agg(b) AS or_n,
       cdp_bitmap_and_cardinality_agg(b) AS and_n, cdp_bitmap_xor_cardinality_agg(b) AS xor_n
FROM bitmap_parallel GROUP BY g;
CREATE VIEW bitmap_total AS
SELECT NULL::int AS g, cdp_bitmap_build_agg(id) AS build, cdp_bitmap_or_agg(b) AS "or", cdp_bitmap_and_agg(b) AS "and", cdp_bitmap_xor_agg(b) AS "xor",
       cdp_bitmap_build_cardinality_agg(id) AS build_n, cdp_bitmap_or_cardinality_agg(b) AS or_n,
       cdp_bitmap_and_cardinality_agg(b) AS and_n, cdp_bitmap_xor_cardinality_agg(b) AS xor_n
FROM bitmap_parallel;
SET max_parallel_workers_per_gather = 0;
CREATE TEMP TABLE serial AS SELECT * FROM bitmap_answer UNION ALL SELECT * FROM bitmap_total;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT cdp_bitmap_build_agg(id) FROM bitmap_parallel;
EXPLAIN (COSTS OFF) SELECT cdp_bitmap_build_cardinality_agg(id) FROM bitmap_parallel;
EXPLAIN (COSTS OFF) SELECT cdp_bitmap_or_agg(b) FROM bitmap_parallel;
EXPLAIN (COSTS OFF) SELECT cdp_bitmap_or_cardinality_agg(b) FROM bitmap_parallel;
EXPLAIN (COSTS OFF) SELECT cdp_bitmap_and_agg(b) FROM bitmap_parallel;
EXPLAIN (COSTS OFF) SELECT cdp_bitmap_and_cardinality_agg(b) FROM bitmap_parallel;
EXPLAIN (COSTS OFF) SELECT cdp_bitmap_xor_agg(b) FROM bitmap_parallel;
EXPLAIN (COSTS OFF) SELECT cdp_bitmap_xor_cardinality_agg(b) FROM bitmap_parallel;
CREATE FUNCTION pg_temp.plan_nodes(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text; BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        RETURN NEXT substring(line FROM '(Gather|Partial [A-Za-z]*Aggregate|Finalize [A-Za-z]*Aggregate|Parallel Seq Scan)');
    END LOOP;
END $$;
SELECT count(*) FILTER (WHERE n LIKE 'Partial%') AS partial, count(*) FILTER (WHERE n LIKE 'Gather%') AS gather
FROM pg_temp.plan_nodes('SELECT * FROM bitmap_total') AS n;
CREATE TEMP TABLE parallel AS SELECT * FROM bitmap_total;
SET enable_hashagg = off;
INSERT INTO parallel SELECT * FROM bitmap_answer;
SELECT count(*) AS groups, bool_and(s.build = p.build AND s."or" = p."or" AND s."and" = p."and" AND s."xor" = p."xor" AND s.build_n = p.build_n
       AND s.or_n = p.or_n AND s.and_n = p.and_n AND s.xor_n = p.xor_n) AS same
FROM serial s JOIN parallel p ON s.g IS NOT DISTINCT FROM p.g;
SELECT build = cdp_bitmap_build(ARRAY(SELECT id FROM bitmap_parallel)) AS build_right,
       or_n = (SELECT count(DISTINCT m) FROM bitmap_parallel, cdp_members(b) AS m) AS or_right, "and" AS and_right,
       xor_n = (SELECT count(*) FROM (SELECT m FROM bitmap_parallel, cdp_members(b) AS m GROUP BY m HAVING count(*) % 2 = 1) AS odd) AS xor_right,
       cdp_count(build) = build_n AND cdp_count("or") = or_n AND cdp_count("and") = and_n AND cdp_count("xor") = xor_n AS twins_agree
FROM parallel WHERE g IS NULL;
RESET ALL;

-- 10. Big values: stored out of line, uncompressed, and read back right.
CREATE TABLE bitmap_toast (id int, b cdp_bitmap);
INSERT INTO bitmap_toast SELECT 1, cdp_bitmap_build_agg(i * 31) FROM generate_series(1::bigint, 200000) AS i;
INSERT INTO bitmap_toast SELECT 2, cdp_bitmap_build_agg(i * 31 + 4294967296) FROM generate_series(1::bigint, 3000) AS i;
SELECT id, pg_column_size(b) > 2048 AS big, pg_column_size(b) = octet_length(b::bytea) AS uncompressed, cdp_count(b), cdp_bitmap_min(b), cdp_bitmap_max(b),
       b @> 31 AS holds, cdp_count(b & '{31,62,63}') AS shared FROM bitmap_toast ORDER BY id;
SELECT pg_relation_size(reltoastrelid) > 0 AS out_of_line FROM pg_class WHERE oid = 'bitmap_toast'::regclass;
SELECT sum(m), count(*) FROM bitmap_toast, cdp_members(b) AS m WHERE id = 1;
SELECT (SELECT cdp_bitmap_or_agg(b) FROM bitmap_toast) = (SELECT cdp_bitmap_or(x.b, y.b) FROM bitmap_toast x, bitmap_toast y WHERE x.id = 1 AND y.id = 2) AS joined;
-- One number is looked up in pieces of a large value. The same value in memory (b | '{}') is read whole; both are what the numbers say.
CREATE TABLE bitmap_pieces (kind text, b cdp_bitmap);
CREATE TEMP TABLE bitmap_number AS
SELECT 'bitsets' AS kind, i * 3 AS v FROM generate_series(0::bigint, 999999) AS i UNION ALL
SELECT 'arrays', i * 97 FROM generate_series(0::bigint, 99999) AS i UNION ALL
SELECT 'holes', (i << 16) + 5 FROM generate_series(0::bigint, 9999) AS i WHERE i % 7 <> 3 UNION ALL
SELECT 'runs', i FROM generate_series(0::bigint, 1999999) AS i WHERE i % 50 > 9 UNION ALL
SELECT 'buckets', (i % 5 << 32) + i * 7 FROM generate_series(0::bigint, 99999) AS i UNION ALL
SELECT 'many buckets', (i % 40 << 32) + i FROM generate_series(0::bigint, 99999) AS i UNION ALL
SELECT 'small', i FROM generate_series(0::bigint, 2000) AS i WHERE i % 2 = 0;
CREATE FUNCTION pg_temp.rule(kind text, v bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT v >= 0 AND CASE kind
        WHEN 'bitsets' THEN v % 3 = 0 AND v / 3 < 1000000
        WHEN 'arrays' THEN v % 97 = 0 AND v / 97 < 100000
        WHEN 'holes' THEN v & 65535 = 5 AND v >> 16 < 10000 AND (v >> 16) % 7 <> 3
        WHEN 'runs' THEN v < 2000000 AND v % 50 > 9
        WHEN 'buckets' THEN (v & 4294967295) % 7 = 0 AND (v & 4294967295) / 7 < 100000 AND (v & 4294967295) / 7 % 5 = v >> 32
        WHEN 'many buckets' THEN v & 4294967295 < 100000 AND (v & 4294967295) % 40 = v >> 32
        ELSE v <= 2000 AND v % 2 = 0 END $$;
INSERT INTO bitmap_pieces SELECT kind, CASE kind WHEN 'runs' THEN cdp_bitmap_runoptimize(cdp_bitmap_build_agg(v)) ELSE cdp_bitmap_build_agg(v) END FROM bitmap_number GROUP BY kind;
CREATE TABLE bitmap_compressed (kind text, b cdp_bitmap);
ALTER TABLE bitmap_compressed ALTER b SET STORAGE extended;
INSERT INTO bitmap_compressed SELECT kind, b | '{}' FROM bitmap_pieces;
CREATE TEMP TABLE bitmap_probe AS
SELECT kind, v FROM bitmap_pieces p, LATERAL (
    SELECT unnest(ARRAY[-1, 0, 65535, 65536, 4294967295, 4294967296, 9223372036854775807, cdp_bitmap_min(b) - 1, cdp_bitmap_max(b), cdp_bitmap_max(b) + 1]) AS v
    UNION SELECT m + d FROM (SELECT cdp_bitmap_max(cdp_bitmap_select(b, i * 997 % cdp_count(b) + 1)) AS m FROM generate_series(1, 25) AS i) AS member, (VALUES (-1), (0), (1), (65536)) AS near(d)) AS x;
SELECT kind, pg_column_size(p.b) >= 16384 AS large, pg_column_size(c.b) < pg_column_size(p.b) AS shorter_compressed, count(*) > 60 AS probed,
       bool_and((p.b @> v) = ((p.b | '{}') @> v)) AS as_whole, bool_and((v <@ p.b) = (c.b @> v)) AS as_compressed
FROM bitmap_pieces p JOIN bitmap_compressed c USING (kind) JOIN bitmap_probe USING (kind) GROUP BY kind, p.b, c.b ORDER BY kind;
SELECT count(*) FILTER (WHERE (p.b @> b.v) <> pg_temp.rule(kind, b.v)) AS wrong, count(*) FILTER (WHERE p.b @> b.v) > 150 AS held FROM bitmap_pieces p JOIN bitmap_probe b USING (kind);
CREATE FUNCTION pg_temp.blocks(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE plan json; BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || query INTO plan;
    RETURN (plan->0->'Plan'->>'Shared Hit Blocks')::int + (plan->0->'Plan'->>'Shared Read Blocks')::int;
END $$;
SELECT kind, pg_temp.blocks(format('SELECT b @> 123457 FROM bitmap_pieces WHERE kind = %L', kind)) < 30 AS few_blocks,
       pg_temp.blocks(format('SELECT (b | ''{}'') @> 123457 FROM bitmap_pieces WHERE kind = %L', kind)) > 30 AS more_for_the_whole
FROM bitmap_pieces WHERE kind = 'bitsets';
-- Many numbers asked of one set, of two in turn, and again after the set has changed: each answer is of the row as the statement sees it.
SELECT kind, count(*) FILTER (WHERE b @> v) AS held FROM bitmap_pieces, generate_series(0::bigint, 30000000, 977) AS v WHERE kind IN ('bitsets', 'arrays') GROUP BY kind ORDER BY kind;
SELECT count(*) AS wrong FROM (SELECT v, kind, b @> v AS held FROM generate_series(0::bigint, 200000, 331) AS v, bitmap_pieces WHERE kind IN ('bitsets', 'arrays', 'runs') OFFSET 0) AS x WHERE held <> pg_temp.rule(kind, v);
CREATE FUNCTION pg_temp.held(number bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT b @> number FROM bitmap_pieces WHERE kind = 'bitsets'); END $$;
BEGIN;
SELECT pg_temp.held(3), pg_temp.held(4);
UPDATE bitmap_pieces SET b = (b - 3) | 4 WHERE kind = 'bitsets';
SELECT pg_temp.held(3), pg_temp.held(4);
ROLLBACK;
SELECT pg_temp.held(3), pg_temp.held(4);
DO $$ BEGIN
    FOR i IN 1..3 LOOP
        IF pg_temp.held(1) <> (i = 2) THEN RAISE EXCEPTION 'stale'; END IF;
        UPDATE bitmap_pieces SET b = CASE i WHEN 1 THEN b | 1 ELSE b - 1 END WHERE kind = 'bitsets';
    END LOOP;
END $$;
DROP TABLE bitmap_pieces, bitmap_compressed, bitmap_probe, bitmap_number;
-- Arrays that are stored out of line are read right as well.
CREATE TABLE bitmap_from_array (v bigint[]);
INSERT INTO bitmap_from_array SELECT array_agg(i * 3) FROM generate_series(1::bigint, 5000) AS i;
SELECT cdp_count(v::cdp_bitmap), v::cdp_bitmap::bigint[] = v AS same FROM bitmap_from_array;

-- 11. COPY, text and binary.
CREATE TABLE bitmap_copy (id int, b cdp_bitmap);
\set file `mktemp -u /tmp/pg_cdp_copy.XXXXXX`
COPY (SELECT s, b FROM bitmap_set ORDER BY s) TO :'file' (FORMAT binary);
COPY bitmap_copy FROM :'file' (FORMAT binary);
COPY (SELECT s + 100, b FROM bitmap_set ORDER BY s) TO :'file';
COPY bitmap_copy FROM :'file';
SET cdp.bitmap_output = 'hex';
COPY (SELECT s + 200, b FROM bitmap_set ORDER BY s) TO :'file';
RESET cdp.bitmap_output;
COPY bitmap_copy FROM :'file';
SELECT count(*), bool_and(c.b = x.b) AS same FROM bitmap_copy c JOIN bitmap_set x ON c.id % 100 = x.s;
SELECT cdp_bitmap_send(b) = b::bytea AS wire_is_storage FROM bitmap_set WHERE s = 0;

-- 12. Nothing is without a comment, a volatility on purpose, and a parallel label.
SELECT pg_describe_object(classid, objid, 0) AS without_comment FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_cdp') AND deptype = 'e'
  AND pg_describe_object(classid, objid, 0) LIKE '%cdp_bitmap%' AND pg_describe_object(classid, objid, 0) NOT LIKE '%[]' AND obj_description(objid, classid::regclass::name) IS NULL ORDER BY 1;
SELECT p.oid::regprocedure AS not_immutable_strict_safe, provolatile, proisstrict, proparallel FROM pg_proc p
WHERE (proname LIKE 'cdp\_bitmap%' OR proargtypes::oid[] && ARRAY['cdp_bitmap'::regtype::oid]) AND NOT (provolatile = 'i' AND proisstrict AND proparallel = 's') AND proname NOT LIKE 'cdp\_segment%'
ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT o.oid::regoperator AS operator, oprcom::regoperator AS commutator, oprnegate::regoperator AS negator, oprrest, oprjoin
FROM pg_operator o WHERE 'cdp_bitmap'::regtype IN (oprleft, oprright) ORDER BY o.oid::regoperator::text COLLATE "C";
DROP VIEW bitmap_answer, bitmap_total;
DROP TABLE bitmap_parallel, bitmap_toast, bitmap_from_array, bitmap_copy;
SET client_min_messages = warning;
DROP EXTENSION pg_cdp CASCADE;
\set removed `rm -f :'file'`
