-- Chunks are read page by page as far as a question needs them, and what was read stays in the cache. Whatever happens to the pages in
-- between, the answers are those of plain SQL: values scattered over free space, pages that moved, buffers that hold other pages by now.
SET client_min_messages = warning;
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
SELECT cdp_trait_create('points', 'bigint');
SELECT cdp_trait_create('tag', 'text');
CREATE TABLE truth AS SELECT i AS id, (hashint4(i) & 1048575)::bigint AS points, 'v' || (hashint4(i + 1) & 7) AS tag FROM generate_series(1, 300000) i;
INSERT INTO cdp.profile (profile_id, founding_node, created_at) SELECT id, id, '2024-01-01' FROM truth;
INSERT INTO cdp.profile_value (profile_id, points, tag) SELECT id, points, tag FROM truth;
INSERT INTO cdp.pending SELECT c.column_id, 0, 0, _cdp_cells_agg(id, 1, 0) FROM truth, cdp.store_column c WHERE c.kind = 'universe' GROUP BY 1;
UPDATE cdp.store_column SET state = 'stale' WHERE kind = 'attribute';
SELECT cdp_flush() > 0 AS flushed;
SELECT a.name, count(*) AS chunks, max(length(bits)) > 100000 AS many_pages FROM cdp.chunk JOIN cdp.store_column USING (column_id) JOIN cdp.attribute a USING (attribute_id) GROUP BY 1 ORDER BY 1;

CREATE TABLE question (n int, cdp text, plain text);
INSERT INTO question VALUES
    (1, 'points >= 524288', 'points >= 524288'),
    (2, 'tag = ''v1'' AND points >= 900000', 'tag = ''v1'' AND points >= 900000'),
    (3, 'points BETWEEN 77777 AND 777777', 'points BETWEEN 77777 AND 777777'),
    (4, 'points = 4711 OR points < 3', 'points = 4711 OR points < 3'),
    (5, 'NOT (tag IN (''v2'', ''v3'') AND points <> 12345)', 'NOT (tag IN (''v2'', ''v3'') AND points <> 12345)'),
    (6, 'points >= 900000 AND (tag = ''v1'' OR tag = ''v2'')', 'points >= 900000 AND (tag = ''v1'' OR tag = ''v2'')');
CREATE FUNCTION plain(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'SELECT concat_ws('' '', count(*), sum(points), min(points), max(points)) FROM truth WHERE ' || condition INTO answer;
    RETURN answer;
END $$;
CREATE TABLE expected AS SELECT n, plain(plain) AS answer FROM question;
-- The questions in a random order, so that each finds what others have read; which are wrong.
CREATE FUNCTION wrong(cache text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('cdp.cache_size', cache, false);
    RETURN (SELECT count(*) FROM (SELECT * FROM question ORDER BY random()) q JOIN expected e USING (n), LATERAL cdp_segment_statistics(q.cdp, 'points') s
            WHERE concat_ws(' ', s.profiles, s.sum, s.min, s.max) <> e.answer OR cdp_segment_count(q.cdp) <> s.profiles);
END $$;
CREATE FUNCTION pieces() RETURNS TABLE (value oid, piece int, page int) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT chunk_id, chunk_seq, (ctid::text::point)[0]::int FROM %s', (SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'cdp.chunk'::regclass));
END $$;
SELECT setseed(0.7) IS NULL AS seeded;

-- A question that needs little, then those that need all.
SET cdp.cache_size = '64MB';
SELECT cdp_segment_count('points >= 524288') = (SELECT count(*) FROM truth WHERE points >= 524288) AS right;
SELECT wrong('64MB'), wrong('0'), wrong('64MB');

-- The pages move while a part of a chunk is in the cache.
UPDATE cdp.chunk SET bits = bits;
SELECT cdp_segment_count('points >= 524288') = (SELECT count(*) FROM truth WHERE points >= 524288) AS right;
VACUUM FULL cdp.chunk;
SELECT wrong('64MB'), wrong('0');

-- Values in free space of all sizes: their pieces no longer follow each other.
CREATE TABLE scrap AS SELECT k, (random() * 90000)::int + 3000 AS size FROM generate_series(1, 60) k;
INSERT INTO cdp.chunk SELECT 0, k, 0, convert_to(repeat(md5(k::text), size / 32), 'UTF8') FROM scrap;
DELETE FROM cdp.chunk WHERE column_id = 0 AND key % 2 = 0;
VACUUM cdp.chunk;
UPDATE cdp.chunk SET bits = bits || ''::bytea WHERE column_id <> 0;
DELETE FROM cdp.chunk WHERE column_id = 0 AND key % 3 = 0;
VACUUM cdp.chunk;
UPDATE cdp.chunk SET bits = set_byte(set_byte(bits, 0, 9), 0, get_byte(bits, 0)) WHERE column_id <> 0;
SELECT count(*) > 0 AS scattered FROM (SELECT page - lag(page) OVER (PARTITION BY value ORDER BY piece) AS step FROM pieces()) t WHERE step NOT BETWEEN 0 AND 1;
SELECT wrong('64MB'), wrong('0'), wrong('64MB');

-- Changes of one column that are kept out of line too, in another table, while chunks of other columns are read page by page.
INSERT INTO cdp.pending SELECT c.column_id, d.code, 0, _cdp_cells_agg(t.id, CASE d.value WHEN 'v2' THEN -1 ELSE 1 END, 0)
    FROM truth t, cdp.attribute a JOIN cdp.store_column c USING (attribute_id) JOIN cdp.dictionary d USING (dictionary_id)
    WHERE a.name = 'tag' AND t.tag = 'v2' AND d.value IN ('v1', 'v2') GROUP BY 1, 2;
SELECT count(*) AS changes, min(length(cells)) > 10000 AS out_of_line FROM cdp.pending;
UPDATE truth SET tag = 'v1' WHERE tag = 'v2';
UPDATE expected e SET answer = plain(q.plain) FROM question q WHERE q.n = e.n;
SELECT wrong('64MB'), wrong('0'), wrong('64MB');
SELECT cdp_flush() > 0 AS folded;
SELECT wrong('64MB'), wrong('0');

-- Changes that are not folded yet read all of a chunk.
INSERT INTO cdp.pending SELECT c.column_id, 0, 0, _cdp_cells_agg(id, 0, 1000) FROM truth, cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'points' AND id % 1000 = 0 GROUP BY 1;
UPDATE truth SET points = points + 1000 WHERE id % 1000 = 0;
UPDATE expected e SET answer = plain(q.plain) FROM question q WHERE q.n = e.n;
SELECT wrong('64MB'), wrong('0');
SELECT cdp_flush() > 0 AS folded;
SELECT wrong('64MB'), wrong('0');

DROP SCHEMA cdp CASCADE;
DROP FUNCTION plain, wrong, pieces;
DROP TABLE truth, question, expected, scrap;
DROP EXTENSION pg_cdp;
