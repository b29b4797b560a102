-- What cdp_bitmap refuses, and how it says so. Nothing from outside may crash the server or make a set that lies.
CREATE EXTENSION pg_cdp;
\set VERBOSITY default

-- 1. Text.
SELECT ''::cdp_bitmap;
SELECT '1,2'::cdp_bitmap;
SELECT '{1,2'::cdp_bitmap;
SELECT '{1,,2}'::cdp_bitmap;
SELECT '{1} x'::cdp_bitmap;
SELECT '{1.5}'::cdp_bitmap;
SELECT '{NULL}'::cdp_bitmap;
SELECT '{1,-7}'::cdp_bitmap;
SELECT '{9223372036854775808}'::cdp_bitmap;
SELECT '{99999999999999999999999999999999999999999999999999999999}'::cdp_bitmap;
SELECT '\x0'::cdp_bitmap;
SELECT '\xzz'::cdp_bitmap;
SELECT '\x00'::cdp_bitmap;
SELECT '\x0100000000000000000000003a3000000100000000000200100000000900050001'::cdp_bitmap;
SELECT '\x0100000000000000000000803a3000000100000000000000100000000000'::cdp_bitmap;
SELECT ('{1' || repeat(',x', 100) || '}')::cdp_bitmap;

-- 2. Numbers and arrays.
SELECT cdp_bitmap_build(ARRAY[1,-2]);
SELECT cdp_bitmap_build(ARRAY[1,NULL,2]);
SELECT ARRAY[NULL]::bigint[]::cdp_bitmap;
SELECT cdp_bitmap_add('{1}', -1);
SELECT '{1}'::cdp_bitmap | -9223372036854775808;
SELECT cdp_bitmap_build_agg(v) FROM (VALUES (1::bigint), (-3)) AS t(v);

-- 3. Bytes.
SELECT '\x'::bytea::cdp_bitmap;
SELECT '\x000000000000000001'::bytea::cdp_bitmap;
SELECT '\x010000000000000000000000ffffffff'::bytea::cdp_bitmap;
SELECT '\x0100000000000000000000003a30000000000100'::bytea::cdp_bitmap;
SELECT '\x0100000000000000ffffffff3a3000000100000000000000100000000000'::bytea::cdp_bitmap;
SELECT '\xffffffffffffffff'::bytea::cdp_bitmap;

-- 4. Settings.
SET cdp.bitmap_output = 'base64';
-- A name that does not exist is refused, from PostgreSQL 15 on.
DO $$ BEGIN
    EXECUTE 'SET cdp.bitmap_outptu = hex';
    IF current_setting('server_version_num')::int >= 150000 THEN RAISE EXCEPTION 'an unknown setting was taken'; END IF;
EXCEPTION WHEN invalid_name THEN NULL;
END $$;

-- 5. Codes: one class, 22, for whatever is wrong with what a user gave.
\set VERBOSITY sqlstate
SELECT '{'::cdp_bitmap;
SELECT '\x01'::cdp_bitmap;
SELECT '{-1}'::cdp_bitmap;
SELECT '\x01'::bytea::cdp_bitmap;
SELECT ARRAY[NULL]::bigint[]::cdp_bitmap;
SELECT cdp_bitmap_build_agg(-1);
\set VERBOSITY default

-- 6. Hostile bytes: each mutant is refused with an error of class 22, or it is a set whose counts agree with its members.
CREATE FUNCTION pg_temp.judge(mutant bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE b cdp_bitmap; n bigint; members bigint[];
BEGIN
    BEGIN
        b := mutant::cdp_bitmap;
    EXCEPTION WHEN OTHERS THEN
        IF SQLSTATE !~ '^22' THEN RAISE EXCEPTION 'mutant %: % %', mutant, SQLSTATE, SQLERRM; END IF;
        RETURN 'refused';
    END;
    members := ARRAY(SELECT m FROM cdp_members(b) AS m);
    n := (SELECT count(DISTINCT m) FROM unnest(members) AS m);
    IF n <> cdp_count(b) OR members <> ARRAY(SELECT m FROM unnest(members) AS m ORDER BY m) OR b <> cdp_bitmap_build(members)
       OR cdp_bitmap_min(b) IS DISTINCT FROM members[1] OR cdp_bitmap_max(b) IS DISTINCT FROM members[n]
       OR cdp_bitmap_and_cardinality(b, b) <> n OR b::text::cdp_bitmap <> b THEN
        RAISE EXCEPTION 'mutant % is accepted as a wrong set: % members, cardinality %', mutant, n, cdp_count(b);
    END IF;
    RETURN 'sound';
END $$;
-- Arrays in two buckets, a bitset, and the runs that another writer chose: {10..19, 65530..65535} in the second bucket.
CREATE TEMP TABLE victim (name text, bytes bytea);
INSERT INTO victim VALUES ('arrays', '{1,5,9,70000,4294967296,9223372036854775807}'::cdp_bitmap::bytea),
    ('runs', '\x0100000000000000010000003b3000000100000f0002000a000900faff0500');
INSERT INTO victim SELECT 'bitset', cdp_bitmap_build_agg(i * 3)::bytea FROM generate_series(0::bigint, 9000) AS i;
SELECT bytes::cdp_bitmap FROM victim WHERE name = 'runs';
-- Every truncation.
SELECT name, pg_temp.judge(substr(bytes, 1, n)) AS verdict, count(*) FROM victim, generate_series(0, length(bytes) - 1) AS n
WHERE length(bytes) < 1000 OR n < 100 OR n % 211 = 0 GROUP BY 1, 2 ORDER BY 1, 2;
-- Every bit of the headers, and of all of the small ones.
SELECT name, pg_temp.judge(set_bit(bytes, n, 1 - get_bit(bytes, n))) AS verdict, count(*)
FROM victim, generate_series(0, 8 * least(length(bytes), 150) - 1) AS n WHERE n < 320 OR name <> 'bitset' GROUP BY 1, 2 ORDER BY 1, 2;
-- Every byte of the headers set to 0 and 255, and one byte too many.
SELECT name, pg_temp.judge(set_byte(bytes, n, v)) AS verdict, count(*)
FROM victim, generate_series(0, least(length(bytes), 40) - 1) AS n, (VALUES (0), (255)) AS w(v) WHERE get_byte(bytes, n) <> v
GROUP BY 1, 2 ORDER BY 1, 2;
SELECT name, pg_temp.judge(bytes || '\x00'::bytea) AS one_more FROM victim ORDER BY 1;
-- Two edits at once, anywhere.
SELECT name, pg_temp.judge(set_byte(set_byte(bytes, (i * 7919 % length(bytes))::int, (i * 31 % 256)::int),
                                    (i * 104729 % least(length(bytes), 64))::int, (i * 17 % 5)::int)) AS verdict, count(*)
FROM victim, generate_series(1::bigint, 1500) AS i WHERE name <> 'bitset' OR i <= 100 GROUP BY 1, 2 ORDER BY 1, 2;
-- The same bytes through binary COPY: the receive function is the same door.
CREATE TABLE bitmap_hostile (b cdp_bitmap);
\set file `mktemp -u /tmp/pg_cdp_copy.XXXXXX`
COPY (SELECT '\x0100000000000000000000003a3000000100000000000200100000000100050001'::bytea) TO :'file' (FORMAT binary);
COPY bitmap_hostile FROM :'file' (FORMAT binary);
COPY (SELECT '\x0100000000000000'::bytea) TO :'file' (FORMAT binary);
COPY bitmap_hostile FROM :'file' (FORMAT binary);
COPY (SELECT '\x0100000000000000000000003a300000010000000000020010000000010005000900'::bytea) TO :'file' (FORMAT binary);
COPY bitmap_hostile FROM :'file' (FORMAT binary);
-- An empty bucket, which some writers leave behind, is dropped at the door.
COPY (SELECT '\x0200000000000000000000003a30000000000000010000003a3000000100000000000000100000000500'::bytea) TO :'file' (FORMAT binary);
COPY bitmap_hostile FROM :'file' (FORMAT binary);
SELECT b, length(b::bytea) FROM bitmap_hostile ORDER BY cdp_bitmap_min(b);
DROP TABLE bitmap_hostile;
SET client_min_messages = warning;
DROP EXTENSION pg_cdp CASCADE;
\set removed `rm -f :'file'`
