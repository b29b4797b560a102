-- The chunk cache, the plans and the texts of codes that are kept can never change an answer: after each of 400 random steps (cells added and taken away,
-- folded, rolled back, dictionaries and columns changed) the backend that keeps everything is compared with itself reading by a query
-- and keeping nothing.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE person (id int PRIMARY KEY, city text, points int, changed timestamptz);
INSERT INTO person SELECT i, 'city' || i % 4, (i * 7919) % 100003, '2024-01-01 00:00+00' FROM generate_series(1, 5000) i;
SELECT cdp_source_create('person', 'person', '{"updated_at": "changed", "identifiers": {"user_id": "id::text"}, "traits": {"city": "city", "points": "points"}}');
CALL cdp_sync();
SHOW cdp.cache_size;
SHOW cdp.direct_read;
SHOW cdp.parallel_size;
CREATE FUNCTION answers() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', cdp_segment_count('city = ''city1'''), cdp_segment_count('city = ''new'''), cdp_segment_count('city LIKE ''%2'' AND points > 50000'), cdp_segment_count('NOT city IN (''city0'', ''city3'')'),
        hashtext(cdp_segment('points BETWEEN 1000 AND 90000')::text), (SELECT sum FROM cdp_segment_statistics('city <> ''city0''', 'points')), (SELECT array_agg(d ORDER BY d.value) FROM cdp_segment_distribution('points > 70000', 'city') d))
$$;
CREATE FUNCTION plainly() RETURNS text LANGUAGE sql SET cdp.cache_size = 0 SET cdp.direct_read = off AS 'SELECT answers()';
CREATE FUNCTION one_step(step int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    number int := (SELECT column_id FROM cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'points');
    coded int := (SELECT column_id FROM cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'city');
    dict int := (SELECT dictionary_id FROM cdp.attribute WHERE name = 'city');
    who int := 100000 + step * 17;
BEGIN
    CASE (random() * 6)::int
        WHEN 0 THEN INSERT INTO cdp.pending SELECT number, 0, 0, _cdp_cells_agg(o, 1, o) FROM generate_series(who, who + 9) o;
        WHEN 1 THEN INSERT INTO cdp.pending SELECT coded, (random() * 3)::int, 0, _cdp_cells_agg(o, 1, 0) FROM generate_series(who, who + 9) o;
        WHEN 2 THEN PERFORM cdp_flush();
        WHEN 3 THEN INSERT INTO cdp.pending SELECT coded, 1, 0, _cdp_cells_agg(x::int, -1, 0) FROM (SELECT x FROM cdp_members(cdp_segment('city = ''city1''')) x LIMIT 3) y HAVING count(*) > 0;
        WHEN 4 THEN
            -- After a rollback the same code is given to another value.
            INSERT INTO cdp.dictionary SELECT dict, max(code) + 1, CASE WHEN bool_or(value = 'new') THEN 'value ' || step ELSE 'new' END FROM cdp.dictionary WHERE dictionary_id = dict;
            INSERT INTO cdp.pending SELECT coded, max(code), 0, _cdp_cells_agg(who, 1, 0) FROM cdp.dictionary WHERE dictionary_id = dict;
        WHEN 5 THEN UPDATE cdp.store_column SET state = CASE WHEN random() < 0.2 THEN 'off' ELSE 'ready' END WHERE column_id = CASE WHEN random() < 0.5 THEN number ELSE coded END;
        ELSE UPDATE cdp.chunk SET bits = bits WHERE column_id IN (number, coded);
    END CASE;
END $$;
CREATE FUNCTION steps(n int, OUT compared int, OUT wrong int, OUT rolled_back int, OUT different int) LANGUAGE plpgsql AS $$
DECLARE before text; seen text[] := '{}';
BEGIN
    compared := 0; wrong := 0; rolled_back := 0;
    FOR step IN 1..n LOOP
        before := answers();
        seen := seen || before;
        BEGIN
            PERFORM one_step(step);
            compared := compared + 1;
            IF answers() <> plainly() THEN wrong := wrong + 1; RAISE WARNING 'step %: % but %', step, answers(), plainly(); END IF;
            IF random() < 0.4 THEN RAISE EXCEPTION SQLSTATE 'ZZ001'; END IF;
        EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
            rolled_back := rolled_back + 1;
            IF answers() <> before OR answers() <> plainly() THEN wrong := wrong + 1; RAISE WARNING 'after step %: % but %', step, answers(), plainly(); END IF;
        END;
    END LOOP;
    different := (SELECT count(DISTINCT x) FROM unnest(seen) x);
END $$;
SELECT setseed(0.42) IS NULL AS seeded;
SELECT compared, wrong, rolled_back > 100 AS many_rolled_back, different > 50 AS many_answers FROM steps(400);
SELECT count(*) > 20 AS many_values_learned FROM cdp.dictionary WHERE value LIKE 'value %';
-- A cache that is too small for what is asked, and one that is emptied.
SET cdp.cache_size = '64kB';
SELECT wrong FROM steps(20);
SET cdp.cache_size = 0;
SELECT wrong FROM steps(20);
RESET cdp.cache_size;
SELECT wrong FROM steps(20);
-- The same places, other rows.
DELETE FROM cdp.pending;
TRUNCATE cdp.chunk;
SELECT answers() = plainly() AS empty;
UPDATE cdp.store_column SET state = 'stale' WHERE kind = 'attribute';
SELECT cdp_flush() > 0 AS rebuilt;
SELECT answers() = plainly() AS rebuilt;
-- Whom the tables are not open to, a query answers, or refuses.
CREATE ROLE cache_reader;
GRANT USAGE ON SCHEMA cdp TO cache_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA cdp TO cache_reader;
SET ROLE cache_reader;
SELECT cdp_segment_count('city = ''city1''') > 0 AS allowed;
RESET ROLE;
REVOKE SELECT ON cdp.chunk FROM cache_reader;
SET ROLE cache_reader;
SELECT cdp_segment_count('city = ''city1''');
RESET ROLE;
GRANT SELECT ON cdp.chunk TO cache_reader;
ALTER TABLE cdp.chunk ENABLE ROW LEVEL SECURITY;
SET ROLE cache_reader;
SELECT cdp_segment_count('city = ''city1''') AS no_row_is_visible;
RESET ROLE;
SELECT cdp_segment_count('city = ''city1''') > 0 AS the_owner_sees_them;
DROP OWNED BY cache_reader;
DROP ROLE cache_reader;
DROP SCHEMA cdp CASCADE;
DROP FUNCTION steps, one_step, plainly, answers;
DROP TABLE person;
DROP EXTENSION pg_cdp;
