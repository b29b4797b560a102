-- The type cdp_bsi: input and output, casts, comparison, figures, arithmetic, aggregates, rows.
-- Every result is checked against plain SQL over the same pairs where that is possible.
CREATE EXTENSION pg_cdp;

-- 1. Text. Both forms are read; cdp.bitmap_output chooses what is printed.
SELECT '{5:1, 1 : -2 ,9:+0}'::cdp_bsi, ' { } '::cdp_bsi AS empty, '{3:7,3:7}'::cdp_bsi AS same_twice,
       '{0:-9223372036854775808,9223372036854775807:9223372036854775807}'::cdp_bsi AS extremes;
SET cdp.bitmap_output = 'hex';
SELECT '{1:10,2:-5}'::cdp_bsi AS small;
SELECT '{}'::cdp_bsi AS empty;
RESET cdp.bitmap_output;
SELECT ' \x010000000000000000000000000000000000000000000000000000000800000000000000000000000000 '::cdp_bsi AS trailing;
SELECT '\x0100000000000000000000000000000000000000000000000000000008000000 0000000000000000'::cdp_bsi AS inner_space;
SELECT '\x01000000000000000000000000000000000000000000000000000000080000000000000000000000'::cdp_bsi AS from_hex;
SELECT typstorage, typlen, typtype FROM pg_type WHERE typname = 'cdp_bsi';

-- 2. Building and casts. NULL is absence.
SELECT cdp_bsi_build(ARRAY[3,1,2], ARRAY[30,-10,NULL]) AS built, cdp_bsi_build('{}', '{}') AS none,
       cdp_bsi_build(ARRAY[[1,2],[3,4]], ARRAY[[5,6],[7,8]]) AS two_dimensions, cdp_bsi_build(NULL, ARRAY[1]) IS NULL AS strict;
SELECT '{1:10,2:-5}'::cdp_bsi::bytea AS bytes, '{1:10,2:-5}'::cdp_bsi::bytea::cdp_bsi AS back;
SELECT cdp_bsi_build_agg(id, v) AS built, cdp_bsi_build_agg_flat(id, v) AS flat
FROM (VALUES (7, 70), (NULL, 1), (8, NULL), (2, -20), (7, 70)) AS t(id, v);
SELECT cdp_bsi_build_agg(NULL, 1) IS NULL AS nothing_in, cdp_bsi_build_agg_flat(1, NULL) IS NULL AS nothing_in_flat;

-- 3. Zero, negative values, constants beyond the values. Others cut 101 to the three bits of 5, or forget the end.
CREATE TEMP TABLE few AS SELECT '{1:5,2:3,3:0,4:-7,5:5}'::cdp_bsi AS b;
SELECT c, cdp_bsi_eq(b, c) AS eq, cdp_bsi_neq(b, c) AS neq, cdp_bsi_lt(b, c) AS lt, cdp_bsi_le(b, c) AS le, cdp_bsi_gt(b, c) AS gt, cdp_bsi_ge(b, c) AS ge
FROM few, unnest('{-9223372036854775808,-8,-7,0,4,5,6,101,9223372036854775807}'::bigint[]) AS c ORDER BY c;
SELECT low, high, cdp_bsi_range(b, low, high) AS range
FROM few, (VALUES (-7, 0), (-100, -8), (-100, -1), (0, 3), (4, 101), (6, 101), (5, 3), (-9223372036854775808, 9223372036854775807)) AS r(low, high);
SELECT op, cdp_bsi_compare(op, b, 3) AS one, cdp_bsi_compare(op, b, '{1,2,3}'::cdp_bitmap, 3) AS of_a_set
FROM few, unnest('{EQ,neq,Lt,LE,GT,GE}'::text[]) AS op;
SELECT cdp_bsi_compare('RANGE', b, 0, 4) AS "range", cdp_bsi_compare('range', b, '{1,3}'::cdp_bitmap, 0, 4) AS of_a_set FROM few;
SELECT cdp_bsi_eq(b, 5, '{5,6}') AS eq, cdp_bsi_neq(b, 5, '{3,5,6}') AS neq, cdp_bsi_lt(b, 5, '{3,5,6}') AS lt, cdp_bsi_le(b, 101, '{3,5,6}') AS le,
       cdp_bsi_gt(b, -1000, '{3,5,6}') AS gt, cdp_bsi_ge(b, 1, '{3,5,6}') AS ge, cdp_bsi_range(b, -7, 0, '{4,5}') AS range, cdp_bsi_neq(b, 101, '{}') AS none FROM few;

-- 4. Figures.
SELECT cdp_bsi_get(b, 4) AS negative, cdp_bsi_get(b, 3) AS zero, cdp_bsi_get(b, 6) AS absent, cdp_bsi_get(b, -1) AS no_id FROM few;
SELECT cdp_bsi_cardinality(b) AS n, cdp_bsi_min(b) AS min, cdp_bsi_max(b) AS max, cdp_bsi_avg(b) AS avg, (cdp_bsi_sum(b)).*, cdp_bsi_ebm(b) AS ebm FROM few;
SELECT cdp_bsi_cardinality(b, f) AS n, cdp_bsi_min(b, f) AS min, cdp_bsi_max(b, f) AS max, cdp_bsi_avg(b, f) AS avg, s.*, cdp_bsi_filter(b, f) AS filtered
FROM few, (VALUES ('{2,3,9}'::cdp_bitmap), ('{9}'), ('{}')) AS filter(f), LATERAL cdp_bsi_sum(b, f) AS s;
SELECT cdp_bsi_cardinality('{}') AS n, cdp_bsi_min('{}') AS min, cdp_bsi_max('{}') AS max, cdp_bsi_avg('{}') AS avg, s.*, cdp_bsi_quantile('{}', 0.5) AS median FROM cdp_bsi_sum('{}') AS s;
SELECT f, cdp_bsi_quantile(b, f) AS quantile, cdp_bsi_quantile(b, f, '{1,2}') AS of_a_set FROM few, unnest('{0,0.2,0.200001,0.5,0.8,1}'::float8[]) AS f;
-- Ties go to the lowest id, and there are never fewer than k when k exist.
SELECT k, cdp_bsi_topk(b, k) AS topk, cdp_bsi_topk(b, '{2,4,5}', k) AS of_a_set FROM few, unnest('{0,1,2,3,4,5,6,9223372036854775807}'::bigint[]) AS k ORDER BY k;
-- The sum of values at the ends of 64 bits.
SELECT s.*, cdp_bsi_avg(b) AS avg FROM (SELECT '{1:9223372036854775807,2:9223372036854775807,3:9223372036854775807}'::cdp_bsi AS b) x, LATERAL cdp_bsi_sum(b) AS s;
SELECT cdp_bsi_range(b, -1, 9223372036854775807), cdp_bsi_gt(b, -9223372036854775808), cdp_bsi_topk(b, 1), cdp_bsi_quantile(b, 0), cdp_bsi_avg(b)
FROM (SELECT '{1:-9223372036854775808,2:9223372036854775807,3:0}'::cdp_bsi AS b) x;

-- 5. Rows.
SELECT * FROM few, cdp_bsi_iterate(b);
SELECT cdp_bsi_transpose(b) AS transpose, cdp_bsi_transpose(b, '{1,2,5}') AS of_a_set, cdp_bsi_transpose('{}') AS of_nothing FROM few;
SELECT t.* FROM few, cdp_bsi_transpose_with_count(b) AS t;
SELECT t.* FROM few, cdp_bsi_transpose_with_count(b, '{1,2,5}') AS t;
SELECT cdp_bsi_show('{1:1,2:2,3:3,4:4,5:5,6:6}') AS five, cdp_bsi_show('{1:1,2:2}', 1) AS one, cdp_bsi_show('{1:1,2:2}') AS all, cdp_bsi_show('{1:1}', 0) AS none;
-- The worked example of Hologres, then what it has not: values that are not positive, bounds beyond the values.
SELECT cdp_bsi_stat('{1,3,5}', '{1:2,2:4,3:6,4:8}') AS stat, cdp_bsi_stat('{1,3,5}', '{1:2,2:4,3:6,4:8}', '{1,4}') AS of_a_set,
       cdp_bsi_stat('{0}', '{1:-3,2:0,3:4}') AS negative, cdp_bsi_stat('{5,100}', '{1:2}') AS beyond, cdp_bsi_stat('{}', '{1:2}') AS no_bound, cdp_bsi_stat('{1}', '{}') AS of_nothing;
SELECT * FROM cdp_bsi_histogram('{1,3,5}', '{1:2,2:4,3:6,4:8}');
SELECT * FROM cdp_bsi_histogram('{-1,9223372036854775807}', '{1:2,2:9223372036854775807,3:-9223372036854775808}', '{2,3}');

-- 6. Arithmetic. Smallest and largest value follow every change.
SELECT cdp_bsi_add(a, b) AS sum, cdp_bsi_add(b, a) = cdp_bsi_add(a, b) AS commutes, cdp_bsi_min(cdp_bsi_add(a, b)) AS min, cdp_bsi_max(cdp_bsi_add(a, b)) AS max
FROM (VALUES ('{1:10,2:-5}'::cdp_bsi, '{2:5,3:-100}'::cdp_bsi), ('{}', '{1:1}'), ('{1:9223372036854775807}', '{1:-9223372036854775808}')) AS v(a, b);
SELECT cdp_bsi_merge('{1:10}', '{2:-5}') AS merged, cdp_bsi_merge('{}', '{}') AS empty;
SELECT step, b, cdp_bsi_min(b) AS min, cdp_bsi_max(b) AS max FROM (
    VALUES (1, cdp_bsi_add_value('{}', 1, 5)), (2, cdp_bsi_add_value('{1:5}', 2, -1000000)), (3, cdp_bsi_add_value('{1:5,2:-1000000}', 2, 4)), (4, cdp_bsi_add_value('{1:5,2:4}', 0, 0))
) AS v(step, b) ORDER BY step;

-- 7. Equality, order, hashing: one string of bytes for one index, however it was made.
SELECT '{1:1,2:2}'::cdp_bsi = '{2:2,1:1}' AS same, '{1:1}'::cdp_bsi <> '{1:2}' AS other, '{1:1}'::cdp_bsi < '{1:1}' AS before, '{1:1}'::cdp_bsi <= '{1:1}' AS not_after,
       '{}'::cdp_bsi < '{1:1}' AS empty_first, '{1:1}'::cdp_bsi > '{}' AS after, '{1:1}'::cdp_bsi >= '{}' AS not_before;
SELECT b, count(*) FROM (VALUES ('{1:1}'::cdp_bsi), ('{2:2}'), (cdp_bsi_merge('{1:1}', '{}')), (cdp_bsi_add_value('{1:9}', 1, 1))) AS v(b) GROUP BY b ORDER BY b;
CREATE TEMP TABLE keyed (b cdp_bsi PRIMARY KEY);
INSERT INTO keyed VALUES ('{1:1}'), ('{1:2}');
INSERT INTO keyed VALUES (cdp_bsi_add_value('{}', 1, 2));
SET enable_mergejoin = off; SET enable_nestloop = off;
SELECT count(*) AS hash_joined FROM keyed a JOIN keyed b USING (b);
RESET enable_mergejoin; RESET enable_nestloop;

-- 8. Strict: NULL in, NULL out.
SELECT cdp_bsi_eq(NULL, 1) IS NULL AND cdp_bsi_eq('{1:1}', NULL) IS NULL AND cdp_bsi_eq('{1:1}', 1, NULL) IS NULL AND cdp_bsi_get(NULL, 1) IS NULL
       AND cdp_bsi_topk('{1:1}', NULL, 1) IS NULL AND cdp_bsi_add('{}', NULL) IS NULL AND cdp_bsi_avg('{1:1}', NULL) IS NULL AS all_null,
       (SELECT count(*) FROM cdp_bsi_iterate(NULL)) AS no_rows;

-- 9. Generated indexes against plain SQL: dense and sparse ids, several blocks and buckets; values small, signed, like
--    times, over all 64 bits, and with many ties. Five seeds of each.
CREATE TEMP TABLE pair AS
SELECT s, seed, id, max(v) AS v FROM (
    SELECT s, seed, CASE s WHEN 1 THEN i WHEN 2 THEN i * 7 WHEN 3 THEN (h % 200000) WHEN 4 THEN i + (i % 3) * 4294967296 ELSE h % 9000000 END AS id,
           CASE s WHEN 1 THEN h % 100 WHEN 2 THEN h % 2001 - 1000 WHEN 3 THEN 1700000000000000 + h % 1000000000 WHEN 4 THEN g ELSE h % 3 - 1 END AS v
    FROM generate_series(1, 5) AS s, generate_series(1, 5) AS seed, generate_series(0, 2999) AS i,
         LATERAL (SELECT abs(hashint8extended(i, seed * 100 + s) / 4) AS h, hashint8extended(i, seed) AS g) AS x
    WHERE h % 10 > 1
) AS raw GROUP BY s, seed, id;
CREATE INDEX ON pair (s, seed);
ANALYZE pair;
CREATE TEMP TABLE whole AS
SELECT s, seed, cdp_bsi_build_agg(id, v) AS b, cdp_bitmap_build_agg(id) FILTER (WHERE id % 3 <> 0) | '{4,5000000000}'::cdp_bitmap AS f FROM pair GROUP BY s, seed;
SELECT s, count(*) AS indexes, bool_and((SELECT array_agg((id, value) ORDER BY id) FROM cdp_bsi_iterate(b)) = (SELECT array_agg((id, v) ORDER BY id) FROM pair p WHERE (p.s, p.seed) = (w.s, w.seed))) AS pairs_right,
       bool_and(cdp_bsi_build((SELECT array_agg(id ORDER BY v, id) FROM pair p WHERE (p.s, p.seed) = (w.s, w.seed)), (SELECT array_agg(v ORDER BY v, id) FROM pair p WHERE (p.s, p.seed) = (w.s, w.seed))) = b) AS order_does_not_matter,
       bool_and(b::text::cdp_bsi = b AND b::bytea::cdp_bsi = b) AS round_trips
FROM whole w GROUP BY s ORDER BY s;
CREATE TEMP TABLE constant AS
SELECT s, seed, c FROM whole, LATERAL (SELECT unnest(ARRAY[-9223372036854775808, -1, 0, 1, 50, 9223372036854775807, cdp_bsi_min(b), cdp_bsi_max(b), cdp_bsi_quantile(b, 0.4)]) AS c UNION SELECT -7 UNION SELECT 101) AS x;
SELECT s, count(*) AS asked,
       count(*) FILTER (WHERE cdp_bsi_eq(b, c) = eq AND cdp_bsi_neq(b, c) = neq AND cdp_bsi_lt(b, c) = lt AND cdp_bsi_le(b, c) = le AND cdp_bsi_gt(b, c) = gt AND cdp_bsi_ge(b, c) = ge AND cdp_bsi_range(b, -20, c) = rng) AS "right",
       count(*) FILTER (WHERE cdp_bsi_eq(b, c, f) = (eq & f) AND cdp_bsi_neq(b, c, f) = (neq & f) AND cdp_bsi_lt(b, c, f) = (lt & f) AND cdp_bsi_le(b, c, f) = (le & f) AND cdp_bsi_gt(b, c, f) = (gt & f) AND cdp_bsi_ge(b, c, f) = (ge & f) AND cdp_bsi_range(b, -20, c, f) = (rng & f)) AS filtered_right
FROM whole JOIN constant USING (s, seed), LATERAL (
    SELECT coalesce(cdp_bitmap_build_agg(id) FILTER (WHERE v = c), '{}') AS eq, coalesce(cdp_bitmap_build_agg(id) FILTER (WHERE v <> c), '{}') AS neq,
           coalesce(cdp_bitmap_build_agg(id) FILTER (WHERE v < c), '{}') AS lt, coalesce(cdp_bitmap_build_agg(id) FILTER (WHERE v <= c), '{}') AS le,
           coalesce(cdp_bitmap_build_agg(id) FILTER (WHERE v > c), '{}') AS gt, coalesce(cdp_bitmap_build_agg(id) FILTER (WHERE v >= c), '{}') AS ge,
           coalesce(cdp_bitmap_build_agg(id) FILTER (WHERE v BETWEEN -20 AND c), '{}') AS rng
    FROM pair p WHERE (p.s, p.seed) = (whole.s, whole.seed)) AS o GROUP BY s ORDER BY s;
SELECT s, bool_and((SELECT (x.sum, x.count) FROM cdp_bsi_sum(b) AS x) = (sum, count) AND (SELECT (x.sum, x.count) FROM cdp_bsi_sum(b, f) AS x) = (fsum, fcount)) AS sum_right,
       bool_and((cdp_bsi_min(b), cdp_bsi_max(b), cdp_bsi_min(b, f), cdp_bsi_max(b, f), cdp_bsi_cardinality(b, f)) = (min, max, fmin, fmax, fcount)) AS ends_right,
       bool_and(cdp_bsi_avg(b) = avg AND cdp_bsi_avg(b, f) = favg) AS avg_right,
       bool_and((cdp_bsi_quantile(b, 0), cdp_bsi_quantile(b, 0.1), cdp_bsi_quantile(b, 0.5), cdp_bsi_quantile(b, 0.99), cdp_bsi_quantile(b, 1)) = (q[1], q[2], q[3], q[4], q[5])
            AND (cdp_bsi_quantile(b, 0, f), cdp_bsi_quantile(b, 0.1, f), cdp_bsi_quantile(b, 0.5, f), cdp_bsi_quantile(b, 0.99, f), cdp_bsi_quantile(b, 1, f)) = (fq[1], fq[2], fq[3], fq[4], fq[5])) AS quantiles_right,
       bool_and(cdp_bsi_ebm(b) = ids AND cdp_bsi_transpose(b) = vals AND cdp_bsi_transpose(b, f) = fvals) AS values_right
FROM whole w, LATERAL (
    SELECT sum(v), count(*), min(v), max(v), avg(v), percentile_disc(ARRAY[0, 0.1, 0.5, 0.99, 1]) WITHIN GROUP (ORDER BY v) AS q,
           cdp_bitmap_build_agg(id) AS ids, array_agg(DISTINCT v ORDER BY v) AS vals,
           sum(v) FILTER (WHERE f @> id) AS fsum, count(*) FILTER (WHERE f @> id) AS fcount, min(v) FILTER (WHERE f @> id) AS fmin, max(v) FILTER (WHERE f @> id) AS fmax,
           avg(v) FILTER (WHERE f @> id) AS favg, percentile_disc(ARRAY[0, 0.1, 0.5, 0.99, 1]) WITHIN GROUP (ORDER BY v) FILTER (WHERE f @> id) AS fq,
           array_agg(DISTINCT v ORDER BY v) FILTER (WHERE f @> id) AS fvals
    FROM pair p WHERE (p.s, p.seed) = (w.s, w.seed)) AS o GROUP BY s ORDER BY s;
SELECT s, count(*) AS asked, bool_and(cdp_bsi_topk(b, k) = coalesce((SELECT cdp_bitmap_build_agg(id) FROM (SELECT id FROM pair p WHERE (p.s, p.seed) = (w.s, w.seed) ORDER BY v DESC, id LIMIT k) AS t), '{}')
       AND cdp_bsi_topk(b, f, k) = coalesce((SELECT cdp_bitmap_build_agg(id) FROM (SELECT id FROM pair p WHERE (p.s, p.seed) = (w.s, w.seed) AND f @> id ORDER BY v DESC, id LIMIT k) AS t), '{}')) AS topk_right
FROM whole w, unnest('{0,1,10,777,100000}'::bigint[]) AS k GROUP BY s ORDER BY s;
SELECT s, bool_and((SELECT array_agg((value, count) ORDER BY value) FROM cdp_bsi_transpose_with_count(b)) = (SELECT array_agg((v, n) ORDER BY v) FROM (SELECT v, count(*) AS n FROM pair p WHERE (p.s, p.seed) = (w.s, w.seed) GROUP BY v) AS x)) AS counts_right,
       bool_and((SELECT array_agg(count ORDER BY above NULLS FIRST) FROM cdp_bsi_histogram('{-5,0,1,40}', b, f)) =
                (SELECT array_agg(n ORDER BY i) FROM (SELECT i, (SELECT count(*) FROM pair p WHERE (p.s, p.seed) = (w.s, w.seed) AND f @> id AND width_bucket(v - 1, '{-5,0,1,40}'::bigint[]) = i) AS n FROM generate_series(0, 4) AS i) AS x)) AS histogram_right,
       bool_and(cdp_bsi_filter(b, f) = (SELECT cdp_bsi_build_agg(id, v) FROM pair p WHERE (p.s, p.seed) = (w.s, w.seed) AND f @> id)) AS filter_right,
       bool_and((SELECT bool_and(cdp_bsi_get(b, id) = v) FROM pair p WHERE (p.s, p.seed) = (w.s, w.seed) AND id % 47 = 0)) AS get_right
FROM whole w GROUP BY s ORDER BY s;

-- 10. Aggregates of indexes, twins and the way through workers.
SELECT cdp_bsi_add_agg(b) = (SELECT cdp_bsi_build_agg(id, v) FROM (SELECT id, sum(v)::bigint AS v FROM pair WHERE s <> 4 GROUP BY id) AS x) AS add_right,
       cdp_bsi_add_agg(b) = cdp_bsi_add_agg_flat(b) AS twin_right FROM whole WHERE s <> 4;
SELECT cdp_bsi_merge_agg(part) = b AS merge_right, cdp_bsi_merge_agg_flat(part) = b AS twin_right
FROM (SELECT id % 7 AS part_no, cdp_bsi_build_agg(id, v) AS part FROM pair WHERE s = 2 AND seed = 1 GROUP BY 1) AS x, whole WHERE s = 2 AND seed = 1 GROUP BY b;
SELECT cdp_bsi_add_agg(NULL) IS NULL AND cdp_bsi_merge_agg(NULL) IS NULL AND cdp_bsi_add_agg_flat(NULL) IS NULL AS none FROM generate_series(1, 3);
-- A partial state as text, as Citus sends it, is the same as aggregating directly.
SELECT cdp_bsi_add_agg_flat(part::text::cdp_bsi) = (SELECT cdp_bsi_add_agg(b) FROM whole WHERE s = 2) AS by_text
FROM (SELECT seed % 2 AS worker, cdp_bsi_add_agg_flat(b) AS part FROM whole WHERE s = 2 GROUP BY 1) AS x;
SELECT a.aggfnoid::regproc AS flat, t.typtype <> 'p' AS state_is_a_type, aggcombinefn <> 0 AS combines FROM pg_aggregate a JOIN pg_type t ON t.oid = a.aggtranstype
WHERE a.aggfnoid::regproc::text LIKE 'cdp_bsi%flat' ORDER BY 1;
CREATE TABLE scattered AS SELECT (i * 7919) % 100003 AS id, i % 1000 - 500 AS v FROM generate_series(0::bigint, 99999) AS i;
CREATE TABLE parts AS SELECT id % 50 AS part, cdp_bsi_build_agg(id, v) AS b FROM scattered GROUP BY 1;
ALTER TABLE parts SET (parallel_workers = 2);
ANALYZE scattered; ANALYZE parts;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT cdp_bsi_build_agg(id, v) FROM scattered;
EXPLAIN (COSTS OFF) SELECT cdp_bsi_merge_agg(b), cdp_bsi_add_agg(b) FROM parts;
CREATE TEMP TABLE parallel_result AS SELECT cdp_bsi_build_agg(id, v) AS built, 1 AS k FROM scattered;
SELECT s.sum, s.count, cdp_bsi_min(built), cdp_bsi_max(built), cdp_bsi_quantile(built, 0.5) AS median FROM parallel_result, cdp_bsi_sum(built) AS s;
SELECT merged = built AS merge_right, added = built AS add_right FROM parallel_result, (SELECT cdp_bsi_merge_agg(b) AS merged, cdp_bsi_add_agg(b) AS added FROM parts) AS x;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size; RESET max_parallel_workers_per_gather; RESET parallel_leader_participation;
SELECT count(*) = 100000 AS window_frames_right FROM (SELECT id, cdp_bsi_cardinality(cdp_bsi_build_agg(id, v) OVER (PARTITION BY id / 100 ORDER BY id)) AS n,
    row_number() OVER (PARTITION BY id / 100 ORDER BY id) AS expected FROM scattered) AS x WHERE n = expected;
EXPLAIN SELECT * FROM cdp_bsi_iterate('{1:1,2:2,3:3}');
DROP TABLE scattered, parts;

-- 11. Stored plain or compressed, sent as stored.
CREATE TABLE stored (s int, b cdp_bsi);
INSERT INTO stored SELECT s, cdp_bsi_merge_agg(b) FROM (SELECT s, seed, cdp_bsi_build_agg(id * 8 + seed, v) AS b FROM pair GROUP BY 1, 2) AS x GROUP BY s;
ALTER TABLE stored ALTER b SET STORAGE extended;
INSERT INTO stored SELECT s + 10, cdp_bsi_add(b, '{}') FROM stored;
SELECT a.s, a.b = z.b AS same, cdp_bsi_sum(a.b) = cdp_bsi_sum(z.b) AS same_sum FROM stored a JOIN stored z ON z.s = a.s + 10 ORDER BY 1;
SELECT bool_and(encode(cdp_bsi_send(b), 'hex') = encode(b::bytea, 'hex')) AS sent_as_stored FROM stored;
-- One value is looked up in pieces of a large index; the same index in memory is read whole, the compressed one too.
SELECT count(DISTINCT s) AS large, bool_and(cdp_bsi_get(b, id) IS NOT DISTINCT FROM cdp_bsi_get(whole, id)) AS same, count(cdp_bsi_get(b, id)) AS found, count(*) - count(cdp_bsi_get(b, id)) AS absent
FROM (SELECT s, b, cdp_bsi_add(b, '{}') AS whole FROM stored WHERE pg_column_size(b) > 16384 AND s < 10 OFFSET 0) AS x,
    LATERAL (SELECT id + d AS id FROM (SELECT cdp_bitmap_max(cdp_bitmap_select(cdp_bsi_ebm(whole), i * 397 % cdp_bsi_cardinality(whole) + 1)) AS id FROM generate_series(1, 40) AS i) AS member, (VALUES (0), (1), (-9), (65536)) AS near(d)) AS probe;
CREATE TABLE long (b cdp_bsi);
INSERT INTO long SELECT cdp_bsi_build_agg(i * 2, i * 7919 % 65536) FROM generate_series(0::bigint, 1499999) AS i;
SELECT bool_and(cdp_bsi_get(b, i) IS NOT DISTINCT FROM CASE WHEN i % 2 = 0 AND i BETWEEN 0 AND 2999998 THEN i / 2 * 7919 % 65536 END) AS right FROM long, generate_series(-1::bigint, 3000010, 29973) AS i;
CREATE FUNCTION pg_temp.blocks(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE plan json; BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || query INTO plan;
    RETURN (plan->0->'Plan'->>'Shared Hit Blocks')::int + (plan->0->'Plan'->>'Shared Read Blocks')::int;
END $$;
SELECT pg_temp.blocks('SELECT cdp_bsi_get(b, 700000) FROM long') < 300 AS few_blocks, pg_temp.blocks('SELECT cdp_bsi_get(cdp_bsi_add(b, ''{}''), 700000) FROM long') > 600 AS more_for_the_whole;
DROP TABLE long;
-- The state of a twin is not written at each row, goes on after a result, and is not shared between groups.
SET statement_timeout = '60s';
SELECT cdp_bsi_build_agg_flat(i * 7919 % 100003, i % 1000) = cdp_bsi_build_agg(i * 7919 % 100003, i % 1000) AS build FROM generate_series(1::bigint, 100000) AS i;
SELECT cdp_bsi_add_agg_flat(b) = cdp_bsi_add_agg(b) AS add FROM (SELECT cdp_bsi_build(ARRAY[i % 5000, 5000 + i], ARRAY[i, 1]) AS b FROM generate_series(1::bigint, 20000) AS i) AS x;
RESET statement_timeout;
SELECT i, cdp_bsi_build_agg_flat(i, i * i) OVER (ORDER BY i) AS so_far, cdp_bsi_add_agg_flat(b) OVER (ORDER BY i) AS added, cdp_bsi_merge_agg_flat(b) OVER (ORDER BY i) AS merged
FROM (SELECT i, cdp_bsi_build(ARRAY[i], ARRAY[1]) AS b FROM generate_series(1::bigint, 3) AS i) AS x ORDER BY i;
SELECT count(*) AS groups, bool_and(flat = other) AS same FROM (SELECT cdp_bsi_build_agg_flat(i, i) AS flat, cdp_bsi_build_agg(i, i) AS other FROM generate_series(1::bigint, 30000) AS i GROUP BY i % 1000) AS x;
DROP TABLE stored, few, keyed, whole, parallel_result;
DROP EXTENSION pg_cdp;
