-- Forward columns: a text attribute kept as sets gets one from 32 values on and loses it over 512. Distributions are the same with it, without it, and
-- as plain SQL counts them.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE person (id int PRIMARY KEY, other int, city text, level text, vip boolean, changed int);
SELECT cdp_source_create('person', 'person', '{"updated_at": "changed", "identifiers": {"user_id": "id::text", "cookie": "other::text"}, "traits": {"city": "city", "level": "level", "vip": "vip"}}');
-- Everybody has one of `cities` cities, or none.
CREATE FUNCTION more(from_id int, to_id int, cities int, round int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO person SELECT i, i, CASE WHEN i % 9 > 0 THEN 'c' || (i * 7919) % cities END, 'l' || i % 3, i % 4 = 0, round FROM generate_series(from_id, to_id) i
$$;
CREATE FUNCTION batch_only() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE job bigint := _cdp_sync_begin((SELECT source_id FROM cdp.source)); some boolean := _cdp_sync_batch(job, 0) IS NOT NULL;
BEGIN
    PERFORM _cdp_sync_end(job, NULL);
    RETURN some;
END $$;
CREATE VIEW columns AS SELECT a.name, c.kind, c.encoding, c.state, (SELECT count(*) FROM cdp.chunk x WHERE x.column_id = c.column_id) AS chunks,
    (SELECT count(*) FROM cdp.pending x WHERE x.column_id = c.column_id) AS pending FROM cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE c.kind = 'forward' OR a.name = 'city' ORDER BY a.name, c.kind;
-- The questions whose distribution over cities is not what plain SQL counts, in whatever way it is read.
CREATE FUNCTION wrong() RETURNS TABLE (question text, way text) LANGUAGE plpgsql AS $$
DECLARE same boolean;
BEGIN
    FOREACH question IN ARRAY ARRAY['true', 'false', 'vip', 'NOT vip', 'city = ''c3'' OR level = ''l1''', 'city IS NULL', 'city IS NOT NULL AND vip', 'city > ''c2'''] LOOP
        FOREACH way IN ARRAY ARRAY['direct', 'query', 'uncached'] LOOP
            PERFORM set_config('cdp.direct_read', CASE way WHEN 'query' THEN 'off' ELSE 'on' END, true), set_config('cdp.cache_size', CASE way WHEN 'uncached' THEN '0' ELSE '64MB' END, true);
            EXECUTE format($q$
                WITH plain AS MATERIALIZED (SELECT p.city AS value, count(s.profile_id) AS profiles, count(*) AS total FROM cdp.profiles p LEFT JOIN (%s) s USING (profile_id) GROUP BY 1),
                    bits AS MATERIALIZED (SELECT * FROM cdp_segment_distribution($1, 'city'))
                SELECT NOT EXISTS ((TABLE plain EXCEPT ALL TABLE bits) UNION ALL (TABLE bits EXCEPT ALL TABLE plain))$q$, cdp_segment_sql(question)) INTO same USING question;
            IF same IS NOT TRUE THEN RETURN NEXT; END IF;
        END LOOP;
    END LOOP;
END $$;
-- The cells of the forward column that are not what the wide table says, pending changes included.
CREATE VIEW untrue AS
WITH cell AS (
    SELECT f.profile_id, f.code FROM (SELECT x.shard, _cdp_fold('codes', (array_agg(x.bits) FILTER (WHERE x.base))[1], array_agg(x.bits) FILTER (WHERE NOT x.base)) AS bits
        FROM (SELECT column_id, shard, bits, true AS base FROM cdp.chunk UNION ALL SELECT column_id, shard, cells, false FROM cdp.pending) x JOIN cdp.store_column s USING (column_id)
        WHERE s.kind = 'forward' AND s.state = 'ready' GROUP BY 1) b, LATERAL _cdp_codes_cells(b.bits, b.shard) f),
    fact AS (SELECT v.profile_id, d.code FROM cdp.profile_value v JOIN cdp.attribute a ON a.name = 'city' JOIN cdp.dictionary d ON d.dictionary_id = a.dictionary_id AND d.value = v.city
        WHERE EXISTS (SELECT FROM cdp.store_column s WHERE s.kind = 'forward' AND s.state = 'ready'))
(TABLE cell EXCEPT ALL TABLE fact) UNION ALL (TABLE fact EXCEPT ALL TABLE cell);

-- 1. Up to 31 values there is none; the 32nd enters it, and the flush builds it.
SELECT more(1, 400, 31, 1);
CALL cdp_sync();
SELECT * FROM columns;
SELECT * FROM wrong();
UPDATE person SET city = 'Oslo', changed = 2 WHERE id IN (5, 6);
SELECT batch_only();
SELECT * FROM columns;
SELECT value AS to_rebuild FROM cdp_status() WHERE metric = 'columns to rebuild';
SELECT * FROM wrong();
SELECT cdp_flush() > 0 AS built;
SELECT * FROM columns;
SELECT value AS to_rebuild FROM cdp_status() WHERE metric = 'columns to rebuild';
SELECT * FROM untrue;
SELECT * FROM wrong();
SELECT cdp_flush() AS nothing_left;

-- 2. Changes: one delta in either column. New values, values that go, values lost and found, people new and merged.
SELECT more(401, 500, 40, 3);
UPDATE person SET city = NULL, changed = 3 WHERE city = 'Oslo';
UPDATE person SET city = 'c' || id % 50, changed = 3 WHERE id % 10 = 0;
UPDATE person SET city = NULL, changed = 3 WHERE id % 10 = 1;
INSERT INTO person SELECT 10000 + i, i, NULL, NULL, NULL, 3 FROM generate_series(1, 60) i;
UPDATE person SET other = id + 1, changed = 3 WHERE id BETWEEN 100 AND 140;
SELECT batch_only();
SELECT kind, state, pending > 0 AS pending FROM columns;
SELECT count(*) AS gone_profiles FROM cdp.profile WHERE merged_into IS NOT NULL;
SELECT * FROM untrue;
SELECT * FROM wrong();
UPDATE person SET city = 'c' || id % 45, changed = 4 WHERE id % 3 = 0;
SELECT batch_only();
SELECT * FROM untrue;
SELECT * FROM wrong();
CREATE TABLE before AS SELECT * FROM cdp_segment_distribution('vip', 'city');
SELECT cdp_flush() > 0 AS folded;
SELECT kind, state, chunks > 0 AS chunks, pending FROM columns;
SELECT count(*) AS changed_by_the_flush FROM (TABLE before EXCEPT ALL SELECT * FROM cdp_segment_distribution('vip', 'city')) x;
SELECT * FROM untrue;
SELECT * FROM wrong();
-- What was folded are the cells that are built anew; the order of the codes in it may differ.
CREATE VIEW cells AS SELECT x.* FROM cdp.chunk c JOIN cdp.store_column s USING (column_id), LATERAL _cdp_codes_cells(c.bits, c.shard) x WHERE s.kind = 'forward';
CREATE TABLE folded AS TABLE cells;
UPDATE cdp.store_column SET state = 'stale' WHERE kind = 'forward';
SELECT cdp_flush() > 0 AS built;
SELECT count(*) AS differ, (SELECT count(*) > 100 FROM folded) AS many FROM ((TABLE folded EXCEPT ALL TABLE cells) UNION ALL (TABLE cells EXCEPT ALL TABLE folded)) x;
-- Rolled back, nothing of it is seen.
BEGIN;
UPDATE person SET city = 'Rome', changed = 5 WHERE id < 50;
SELECT batch_only();
SELECT profiles FROM cdp_segment_distribution('true', 'city') WHERE value = 'Rome';
ROLLBACK;
SELECT profiles FROM cdp_segment_distribution('true', 'city') WHERE value = 'Rome';
SELECT * FROM wrong();

-- 3. States by hand: without it, without the sets, both built anew together.
UPDATE cdp.store_column SET state = 'off' WHERE kind = 'forward';
SELECT * FROM wrong();
UPDATE person SET city = 'c7', changed = 6 WHERE id % 13 = 0;
CALL cdp_sync();
SELECT * FROM wrong();
UPDATE cdp.store_column SET state = 'stale' WHERE kind = 'forward';
SELECT cdp_flush() > 0 AS built;
SELECT * FROM untrue;
SELECT * FROM wrong();
UPDATE cdp.store_column SET state = 'off' WHERE kind = 'attribute';
UPDATE person SET city = 'c8', changed = 7 WHERE id % 17 = 0;
CALL cdp_sync();
SELECT kind, encoding, state FROM columns;
SELECT * FROM untrue;
SELECT * FROM wrong();
UPDATE cdp.store_column SET state = 'stale' WHERE kind IN ('attribute', 'forward');
SELECT * FROM wrong();
SELECT cdp_flush() > 0 AS built;
SELECT * FROM columns;
SELECT * FROM untrue;
SELECT * FROM wrong();

-- 4. A tag has one too; it goes with the tag.
SELECT cdp_tag_create('house', $$ CASE WHEN vip THEN city ELSE level END $$);
SELECT name FROM cdp_tag_refresh('house');
SELECT * FROM columns WHERE name = 'house';
SELECT count(*) FILTER (WHERE profiles > 0) > 32 AS "values", sum(profiles) = cdp_segment_count('vip') AS all FROM cdp_segment_distribution('vip', 'house');
SELECT cdp_tag_drop('house');
SELECT count(*) AS left_over FROM cdp.store_column s FULL JOIN (SELECT column_id FROM cdp.chunk UNION SELECT column_id FROM cdp.pending) x USING (column_id) WHERE s.column_id IS NULL;
SELECT name, kind FROM columns;

-- 5. A damaged chunk is told, not believed; nor are changes that leave more than one value or none that there is.
CREATE VIEW forward AS SELECT c.ctid AS place, c.shard, c.bits, c.column_id FROM cdp.chunk c JOIN cdp.store_column s USING (column_id) WHERE s.kind = 'forward';
BEGIN;
UPDATE cdp.chunk c SET bits = set_byte(f.bits, 0, 9) FROM forward f WHERE c.ctid = f.place;
SELECT * FROM cdp_segment_distribution('vip', 'city');
ROLLBACK;
BEGIN;
UPDATE cdp.chunk c SET bits = substr(f.bits, 1, length(f.bits) - 1) FROM forward f WHERE c.ctid = f.place;
SELECT * FROM cdp_segment_distribution('vip', 'city');
ROLLBACK;
BEGIN;
INSERT INTO cdp.pending SELECT f.column_id, 0, f.shard, _cdp_cells_agg((p.profile_id & 1048575)::int, 1, 3) FROM forward f, (SELECT min(profile_id) AS profile_id FROM cdp.profiles WHERE city IS NOT NULL) p GROUP BY 1, 3;
SELECT * FROM cdp_segment_distribution('vip', 'city');
ROLLBACK;
BEGIN;
INSERT INTO cdp.pending SELECT f.column_id, 0, f.shard, _cdp_cells_agg(1048575, 1, 70000) FROM forward f GROUP BY 1, 3;
SELECT cdp_flush();
ROLLBACK;
-- What the hint says helps: also against changes that cannot be folded.
INSERT INTO cdp.pending SELECT f.column_id, 0, f.shard, _cdp_cells_agg(1048575, 2, 7) FROM forward f GROUP BY 1, 3;
SELECT cdp_flush();
UPDATE cdp.store_column SET state = 'stale' WHERE kind = 'forward';
SELECT cdp_flush() > 0 AS built;
SELECT * FROM untrue;
-- Sets that share somebody make no forward column.
BEGIN;
INSERT INTO cdp.pending SELECT s.column_id, d.code, 0, _cdp_cells_agg(1048575, 1, 0) FROM cdp.store_column s JOIN cdp.attribute a USING (attribute_id) JOIN cdp.dictionary d USING (dictionary_id) WHERE a.name = 'city' AND s.kind = 'attribute' AND d.value IN ('c1', 'c2') GROUP BY 1, 2;
UPDATE cdp.store_column SET state = 'stale' WHERE kind = 'forward';
SELECT cdp_flush();
ROLLBACK;
SELECT * FROM wrong();

-- 6. With 512 values it stays, with the 513th the attribute becomes a number and needs none.
SELECT 512 - count(*) AS missing FROM cdp.dictionary d JOIN cdp.attribute a USING (dictionary_id) WHERE a.name = 'city' \gset
INSERT INTO person SELECT 20000 + i, 20000 + i, 'n' || i, 'l1', true, 8 FROM generate_series(1, :missing) i;
CALL cdp_sync();
SELECT count(*) AS "values" FROM cdp.dictionary d JOIN cdp.attribute a USING (dictionary_id) WHERE a.name = 'city';
SELECT kind, encoding, state, chunks > 1 AS several, pending FROM columns;
SELECT * FROM untrue;
SELECT * FROM wrong();
INSERT INTO person VALUES (30000, 30000, 'one more', 'l2', false, 9);
SELECT batch_only();
SELECT * FROM columns;
SELECT * FROM wrong();
SELECT cdp_flush() > 0 AS built;
SELECT * FROM columns;
SELECT * FROM wrong();
SELECT count(*) AS left_over FROM cdp.store_column s FULL JOIN (SELECT column_id FROM cdp.chunk UNION SELECT column_id FROM cdp.pending) x USING (column_id) WHERE s.column_id IS NULL;
-- A rebuild that finds too many values at once does the same.
UPDATE cdp.store_column SET encoding = 'set', state = 'stale' WHERE kind = 'attribute' AND attribute_id = (SELECT attribute_id FROM cdp.attribute WHERE name = 'city');
SELECT cdp_flush() > 0 AS built;
SELECT * FROM columns;
SELECT * FROM wrong();

-- 7. An attribute that had values before it had a column is built with both.
UPDATE person SET city = 'c' || id % 33, changed = 10;
DELETE FROM cdp.dictionary d USING cdp.attribute a WHERE d.dictionary_id = a.dictionary_id AND a.name = 'city';
UPDATE cdp.profile_value SET city = NULL;
UPDATE cdp.store_column SET encoding = 'set', state = 'stale' WHERE kind = 'attribute' AND attribute_id = (SELECT attribute_id FROM cdp.attribute WHERE name = 'city');
CALL cdp_sync();
SELECT name, kind, encoding, state, chunks > 0 AS chunks FROM columns;
SELECT * FROM untrue;
SELECT * FROM wrong();

DROP VIEW columns, untrue, forward, cells;
DROP FUNCTION more, batch_only, wrong;
DROP TABLE person, before, folded;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
