-- What cdp_bsi refuses, and how it says so. Nothing from outside may crash the server or make an index that lies.
CREATE EXTENSION pg_cdp;
\set VERBOSITY default

-- 1. Text.
SELECT ''::cdp_bsi;
SELECT '{1}'::cdp_bsi;
SELECT '{1:}'::cdp_bsi;
SELECT '{:1}'::cdp_bsi;
SELECT '{1:2'::cdp_bsi;
SELECT '{1:2,}'::cdp_bsi;
SELECT '{1:2} x'::cdp_bsi;
SELECT '{1:1.5}'::cdp_bsi;
SELECT '{1:NULL}'::cdp_bsi;
SELECT '{-1:2}'::cdp_bsi;
SELECT '{9223372036854775808:2}'::cdp_bsi;
SELECT '{1:9223372036854775808}'::cdp_bsi;
SELECT '{1:-99999999999999999999999999999999999999999999999999999999}'::cdp_bsi;
SELECT '{1:2,1:3}'::cdp_bsi;
SELECT '\x0'::cdp_bsi;
SELECT '\xzz'::cdp_bsi;
SELECT '\x02'::cdp_bsi;

-- 2. Numbers and arrays.
SELECT cdp_bsi_build(ARRAY[1,2], ARRAY[1]);
SELECT cdp_bsi_build(ARRAY[1,NULL], ARRAY[1,2]);
SELECT cdp_bsi_build(ARRAY[-1], ARRAY[1]);
SELECT cdp_bsi_build(ARRAY[7,7], ARRAY[1,2]);
SELECT cdp_bsi_build_agg(id, v) FROM (VALUES (7, 1), (8, 1), (7, 2)) AS t(id, v);
SELECT cdp_bsi_build_agg_flat(id, v) FROM (VALUES (7, 1), (8, 1), (7, 2)) AS t(id, v);
SELECT cdp_bsi_build_agg(-3, 1);
SELECT cdp_bsi_add_value('{}', -1, 1);
SELECT cdp_bsi_add('{1:9223372036854775807,2:1}', '{1:1,2:1}');
SELECT cdp_bsi_add_agg(b) FROM (VALUES ('{5:-9223372036854775808}'::cdp_bsi), ('{5:-1}')) AS t(b);
SELECT cdp_bsi_merge('{1:1,5:2}', '{5:2}');
SELECT cdp_bsi_merge_agg(b) FROM (VALUES ('{1:1,5:2}'::cdp_bsi), ('{5:2}')) AS t(b);
SELECT cdp_bsi_topk('{1:1}', -1);
SELECT cdp_bsi_quantile('{1:1}', 1.5);
SELECT cdp_bsi_quantile('{1:1}', 'NaN');
SELECT cdp_bsi_show('{1:1}', -1);
SELECT cdp_bsi_stat('{3,1}', '{1:1}');
SELECT cdp_bsi_stat('{1,NULL}', '{1:1}');
SELECT * FROM cdp_bsi_histogram('{1,1}', '{1:1}');
SELECT cdp_bsi_compare('ABOVE', '{1:1}', 1);
SELECT cdp_bsi_compare('RANGE', '{1:1}', 1);
SELECT cdp_bsi_compare('EQ', '{1:1}', 1::bigint, 2::bigint);

-- 3. Bytes: empty; another version; a reserved byte; a depth that base and largest value deny; ids that are not there;
--    a byte too many; a largest value that nobody has (12 for 13, both need two bits).
SELECT '\x'::bytea::cdp_bsi;
SELECT '\x02000000000000000000000000000000000000000000000000000000080000000000000000000000'::bytea::cdp_bsi;
SELECT '\x01000100000000000000000000000000000000000000000000000000080000000000000000000000'::bytea::cdp_bsi;
SELECT '\x01010000000000000000000000000000000000000000000000000000080000000000000000000000'::bytea::cdp_bsi;
SELECT '\x01000000010000000000000000000000000000000000000000000000080000000000000000000000'::bytea::cdp_bsi;
SELECT ('{1:1}'::cdp_bsi::bytea || '\x00')::cdp_bsi;
SELECT set_byte('{1:10,2:13}'::cdp_bsi::bytea, 20, 12)::cdp_bsi;

-- 4. Codes: one class, 22, for whatever is wrong with what a user gave.
\set VERBOSITY sqlstate
SELECT '{'::cdp_bsi;
SELECT '{-1:1}'::cdp_bsi;
SELECT '{1:1,1:2}'::cdp_bsi;
SELECT '\x01'::bytea::cdp_bsi;
SELECT cdp_bsi_add('{1:9223372036854775807}', '{1:1}');
SELECT cdp_bsi_merge('{1:1}', '{1:1}');
SELECT cdp_bsi_quantile('{1:1}', -0.1);
\set VERBOSITY default

-- 5. Hostile bytes: each mutant is refused with an error of class 22, or it is an index whose figures agree with its pairs.
CREATE FUNCTION pg_temp.judge(mutant bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE b cdp_bsi; n bigint; total numeric; low bigint; high bigint;
BEGIN
    BEGIN
        b := mutant::cdp_bsi;
    EXCEPTION WHEN OTHERS THEN
        IF SQLSTATE !~ '^22' THEN RAISE EXCEPTION 'mutant %: % %', mutant, SQLSTATE, SQLERRM; END IF;
        RETURN 'refused';
    END;
    SELECT count(DISTINCT id), sum(value), min(value), max(value) INTO n, total, low, high FROM cdp_bsi_iterate(b);
    IF (SELECT (s.sum, s.count) FROM cdp_bsi_sum(b) AS s) IS DISTINCT FROM (total, n) OR cdp_bsi_cardinality(b) <> n OR cdp_count(cdp_bsi_ebm(b)) <> n
       OR cdp_bsi_min(b) IS DISTINCT FROM low OR cdp_bsi_max(b) IS DISTINCT FROM high OR b::text::cdp_bsi <> b
       OR cdp_bsi_quantile(b, 1) IS DISTINCT FROM high OR cdp_count(cdp_bsi_le(b, 0)) + cdp_count(cdp_bsi_gt(b, 0)) <> n THEN
        RAISE EXCEPTION 'mutant % is accepted as a wrong index', mutant;
    END IF;
    RETURN 'sound';
END $$;
CREATE TEMP TABLE victim (name text, bytes bytea);
INSERT INTO victim VALUES ('far', '{0:-3,5:900,70000:0,4294967296:9,9223372036854775807:-70}'::cdp_bsi::bytea), ('one', '{7:7}'::cdp_bsi::bytea);
INSERT INTO victim SELECT 'runs', cdp_bsi_build_agg(i, i / 100)::bytea FROM generate_series(0::bigint, 3000) AS i;
INSERT INTO victim SELECT 'bitset', cdp_bsi_build_agg(i * 3, i * i % 17 - 8)::bytea FROM generate_series(0::bigint, 9000) AS i;
-- Every truncation.
SELECT name, pg_temp.judge(substr(bytes, 1, n)) AS verdict, count(*) FROM victim, generate_series(0, length(bytes) - 1) AS n
WHERE length(bytes) < 1000 OR n < 100 OR n % 211 = 0 GROUP BY 1, 2 ORDER BY 1, 2;
-- Every bit of the head and of the first containers flipped; some of what is accepted is another, sound index.
SELECT name, count(*) AS mutants, count(*) FILTER (WHERE verdict = 'refused') > 0 AS some_refused FROM (
    SELECT name, pg_temp.judge(set_bit(bytes, n, 1 - get_bit(bytes, n))) AS verdict FROM victim, generate_series(0, least(length(bytes), 120) * 8 - 1) AS n) AS x GROUP BY 1 ORDER BY 1;
-- 6,000 random edits of one to three bytes.
SELECT count(*) AS mutants, count(*) FILTER (WHERE verdict = 'refused') > 1000 AS many_refused FROM (
    SELECT pg_temp.judge(CASE WHEN x % 3 = 0 THEN overlay(bytes PLACING substr(sha256(int4send(x)), 1, 1 + x % 3) FROM 1 + at % length(bytes) FOR x % 4)
                              ELSE set_byte(bytes, at % length(bytes), get_byte(sha256(int4send(x)), 3)) END) AS verdict
    FROM victim, generate_series(1, 2000) AS x, LATERAL (SELECT get_byte(sha256(int4send(x)), 0) * 256 + get_byte(sha256(int4send(x)), 1) AS at) AS p WHERE name <> 'bitset') AS y;
-- Binary input runs the same checks.
CREATE TEMP TABLE received (b cdp_bsi);
CREATE TEMP TABLE plain (b bytea);
DROP EXTENSION pg_cdp CASCADE;
