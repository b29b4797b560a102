-- Changes are appended and folded in later: whatever is pending, stale or out of bits, the answer is the same, and it is exact.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'Europe/Berlin');
CREATE TABLE deed (id int PRIMARY KEY, name text, other text, city text, score numeric, flag boolean, at timestamptz, item text, price numeric, pieces int, changed int);
SELECT cdp_source_create('deed', 'deed', '{"updated_at": "changed", "identifiers": {"user_id": "name", "cookie": "other"}, "traits": {"name": "name", "city": "city", "score": "score", "flag": "flag"},
    "event": {"name": "''buy''", "at": "at", "properties": {"item": "item", "price": "price", "pieces": "pieces"}}}');
CREATE FUNCTION more(from_id int, to_id int, round int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO deed SELECT i, 'p' || h[1] % 40, CASE WHEN h[2] < 6 THEN 'c' || h[3] % 5 END, (ARRAY['Rome', 'Bern', 'Oslo', NULL])[1 + h[4] % 4], h[5] / 4.0, h[6] % 3 = 0, '2024-01-01 00:00+01'::timestamptz + h[7] * interval '7 hours', (ARRAY['hat', 'shoe', 'coat', NULL])[1 + h[8] % 4], h[9] / 10.0, h[10], round
    FROM generate_series(from_id, to_id) i CROSS JOIN LATERAL (SELECT array_agg(get_byte(decode(md5('pending' || i), 'hex'), b) ORDER BY b) AS h FROM generate_series(0, 10) b) x
$$;
CREATE TABLE question (e text PRIMARY KEY);
INSERT INTO question VALUES ('true'), ('city = ''Rome'''), ('city <> ''Rome'''), ('city IS NULL'), ('city > ''C'''), ('score > 30'), ('score BETWEEN 10 AND 20.25'), ('NOT score > 30'), ('flag'), ('NOT flag'), ('flag IS NULL'),
    ('count(buy) > 4'), ('count(buy) = 0'), ('sum(buy.price) > 50'), ('sum(buy.price) IS NULL'), ('sum(buy.pieces) < 300'), ('count(buy) FILTER (WHERE item = ''hat'') > 1'), ('sum(buy.price) FILTER (WHERE item IN (''hat'', ''coat'')) > 20'), ('NOT sum(buy.price) FILTER (WHERE item = ''shoe'') > 20'),
    ('count(buy) FILTER (WHERE at >= ''2024-02-01'' AND at < ''2024-03-01'') >= 2'), ('count(buy) FILTER (WHERE at >= ''2024-02-01 05:30'' AND at < ''2024-02-20 17:45'') >= 1'), ('sum(buy.price) FILTER (WHERE item = ''hat'' AND at >= ''2024-01-15 12:00'') > 15'), ('count(buy) FILTER (WHERE price > 5 AND item = ''hat'') > 0'), ('in_segment(''romans'')'), ('rich'), ('NOT in_segment(''romans'') AND rich');
-- The questions that are not answered as plain SQL does.
CREATE FUNCTION wrong() RETURNS TABLE (e text, got bigint[], plain bigint[]) LANGUAGE plpgsql SET TimeZone = 'Europe/Berlin' AS $$
BEGIN
    FOR e IN SELECT q.e FROM question q ORDER BY q.e COLLATE "C" LOOP
        got := cdp_segment(e)::bigint[];
        EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(e)) INTO plain;
        IF got <> plain OR cardinality(got) <> cdp_segment_count(e) THEN RETURN NEXT; END IF;
    END LOOP;
END $$;

-- 1. Two rounds: new rows and changed ones, with merges among them. A sync folds what it did.
SELECT more(1, 150, 1);
CALL cdp_sync();
SELECT cdp_segment_create('romans', 'city = ''Rome''');
SELECT cdp_tag_create('rich', 'sum(buy.price) > 40');
SELECT name FROM cdp_tag_refresh();
SELECT * FROM wrong();
SELECT more(151, 220, 2);
UPDATE deed SET city = 'Bern', score = score + 1, item = 'coat', price = 1, changed = 2 WHERE id % 7 = 0;
CALL cdp_sync();
SELECT * FROM wrong();
SELECT count(*) AS pending FROM cdp.pending;

-- 2. Unfolded: what a run has written before it folds is pending; it counts all the same.
SELECT cdp_segment(e)::bigint[] AS members, e INTO before_flush FROM question;
CREATE TABLE folded AS SELECT * FROM cdp.chunk;
CREATE FUNCTION batch_only() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE job bigint := _cdp_sync_begin((SELECT source_id FROM cdp.source)); some boolean := _cdp_sync_batch(job, 0) IS NOT NULL;
BEGIN
    PERFORM _cdp_sync_end(job, NULL);
    RETURN some;
END $$;
SELECT more(221, 260, 3);
UPDATE deed SET city = 'Oslo', score = NULL, at = at + interval '40 days', changed = 3 WHERE id % 11 = 0;
SELECT batch_only();
SELECT count(*) > 0 AS some_pending, (SELECT count(*) FROM (SELECT * FROM cdp.chunk EXCEPT SELECT * FROM folded) x) AS chunks_written FROM cdp.pending;
SELECT * FROM wrong();
SELECT count(*) > 0 AS answers_changed FROM before_flush b WHERE b.members <> cdp_segment(b.e)::bigint[];
CREATE TABLE unfolded AS SELECT e, cdp_segment(e)::bigint[] AS members FROM question;
SELECT cdp_flush() > 0 AS flushed;
SELECT count(*) AS pending FROM cdp.pending;
SELECT count(*) AS answers_changed_by_the_flush FROM unfolded u WHERE u.members <> cdp_segment(u.e)::bigint[];
SELECT * FROM wrong();
-- With nothing to fold it writes nothing.
SELECT cdp_flush();

-- 3. A column that is stale is not read: the answer comes from the facts until the flush has built it anew, byte by byte the same each time.
UPDATE cdp.store_column SET state = 'stale' WHERE kind IN ('attribute', 'day');
DELETE FROM cdp.chunk c USING cdp.store_column s WHERE s.column_id = c.column_id AND s.kind IN ('attribute', 'day');
SELECT value AS columns_to_rebuild FROM cdp_status() WHERE metric = 'columns to rebuild' AND value::int = (SELECT count(*) FROM cdp.store_column WHERE kind IN ('attribute', 'day'));
SELECT * FROM wrong();
SELECT more(261, 263, 4);
SELECT batch_only();
SELECT * FROM wrong();
SELECT cdp_flush() > 0 AS flushed;
SELECT value AS columns_to_rebuild FROM cdp_status() WHERE metric = 'columns to rebuild';
SELECT * FROM wrong();
CREATE TABLE rebuilt AS SELECT c.column_id, c.key, c.shard, c.bits FROM cdp.chunk c JOIN cdp.store_column USING (column_id) WHERE kind IN ('attribute', 'day');
UPDATE cdp.store_column SET state = 'stale' WHERE kind IN ('attribute', 'day');
SELECT cdp_flush() > 0 AS flushed;
SELECT count(*) AS differ FROM (SELECT * FROM rebuilt EXCEPT SELECT c.column_id, c.key, c.shard, c.bits FROM cdp.chunk c) x;

-- 4. A column out of bits is read from the tables.
UPDATE cdp.store_column SET state = 'off' WHERE kind IN ('attribute', 'day');
DELETE FROM cdp.chunk c USING cdp.store_column s WHERE s.column_id = c.column_id AND s.kind IN ('attribute', 'day');
SELECT * FROM wrong();
SELECT value AS kept_out FROM cdp_status() WHERE metric = 'columns kept out of bits' AND value::int = (SELECT count(*) FROM cdp.store_column WHERE state = 'off');

-- 5. A damaged chunk is told, not believed.
UPDATE cdp.store_column SET state = 'stale' WHERE kind IN ('attribute', 'day');
SELECT cdp_flush() > 0 AS flushed;
UPDATE cdp.chunk SET bits = '\x00ff' WHERE column_id = (SELECT column_id FROM cdp.store_column JOIN cdp.attribute USING (attribute_id) WHERE name = 'score');
SELECT cdp_segment('score > 30');
UPDATE cdp.store_column SET state = 'stale' FROM cdp.attribute a WHERE a.attribute_id = store_column.attribute_id AND a.name = 'score';
SELECT cdp_flush() > 0 AS flushed;
SELECT * FROM wrong();

DROP FUNCTION more, wrong, batch_only;
DROP TABLE deed, question, before_flush, folded, unfolded, rebuilt;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
