-- The events of the part of a day that a window ends in are kept by the session. Whatever happens to events and to whose they are, an answer is that of
-- the same question with nothing kept, read by a query, and of plain SQL.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'Europe/Berlin');
SELECT cdp_identifier_type_alter('user_id', '{"max_per_profile": 1, "priority": 1}') ->> 'moved' AS moved;
-- Sixty people on both sides of the border of a shard, each with a browser; their purchases of a week.
SELECT setval('cdp.profile_id_seq', 1048576 - 30) IS NOT NULL AS moved;
CREATE TABLE sight (id int PRIMARY KEY, account text, cookie text, at timestamptz);
INSERT INTO sight SELECT i, 'a' || i, 'c' || i, '2024-01-01 00:00+00'::timestamptz + i * interval '1 second' FROM generate_series(1, 60) i;
CREATE TABLE deed (id int PRIMARY KEY, cookie text, item text, price numeric, at timestamptz, changed int);
INSERT INTO deed SELECT i, 'c' || 1 + get_byte(decode(md5('deed' || i), 'hex'), 0) % 60, (ARRAY['hat', 'coat', 'shoe', NULL])[1 + i % 4], CASE WHEN i % 5 > 0 THEN (i * 37 % 500) / 10.0 END, '2024-02-01 00:00+01'::timestamptz + i * interval '197 seconds', 1
    FROM generate_series(1, 3000) i;
SELECT cdp_source_create('sight', 'sight', '{"updated_at": "at", "identifiers": {"user_id": "account", "cookie": "cookie"}}');
SELECT cdp_source_create('deed', 'deed', '{"updated_at": "changed", "identifiers": {"cookie": "cookie"},
    "event": {"name": "''buy''", "at": "at", "id": "id", "properties": {"item": "item", "price": "price"}, "measures": ["price"]}}');
CALL cdp_sync('sight');
CALL cdp_sync('deed');
SELECT count(DISTINCT shard) AS shards FROM cdp.chunk c JOIN cdp.store_column USING (column_id) WHERE kind = 'day';

-- Windows that end in a day: in its first half, in its second, in one and the same; all moved by some time.
CREATE FUNCTION questions(moved interval) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format(f, format('at >= %L AND at < %L', lo::timestamptz + moved, hi::timestamptz + moved))
    FROM (VALUES ('2024-02-03 03:10+01', '2024-02-05 20:00+01'), ('2024-02-03 19:40+01', '2024-02-05 08:00+01'), ('2024-02-04 06:00+01', '2024-02-04 09:30+01')) b(lo, hi),
         (VALUES ('count(buy) FILTER (WHERE %s) BETWEEN 1 AND 16'), ('sum(buy.price) FILTER (WHERE %s) > 320'), ('count(buy) FILTER (WHERE item = ''hat'' AND %s) > 3'),
                 ('sum(buy.price) FILTER (WHERE item IN (''hat'', ''shoe'', ''boot'', ''@ws@'') AND %s) > 100')) q(f)
$$;
CREATE FUNCTION cold(e text) RETURNS bigint[] LANGUAGE sql STABLE SET cdp.cache_size = 0 AS 'SELECT cdp_segment(e)::bigint[]';
CREATE FUNCTION by_query(e text) RETURNS bigint[] LANGUAGE sql STABLE SET cdp.direct_read = off AS 'SELECT cdp_segment(e)::bigint[]';
CREATE FUNCTION by_query_at(e text, at timestamptz) RETURNS bigint[] LANGUAGE sql STABLE SET cdp.cache_size = 0 SET cdp.direct_read = off AS 'SELECT cdp_segment(e, at)::bigint[]';
-- The questions that have two answers.
CREATE FUNCTION wrong(moved interval DEFAULT '0', plainly boolean DEFAULT true) RETURNS TABLE (e text, warm bigint[], other bigint[]) LANGUAGE plpgsql AS $$
BEGIN
    FOR e IN SELECT * FROM questions(moved) LOOP
        warm := cdp_segment(e)::bigint[];
        FOR other IN SELECT cdp_segment(e)::bigint[] UNION ALL SELECT cold(e) UNION ALL SELECT by_query(e) LOOP
            IF warm <> other THEN RETURN NEXT; END IF;
        END LOOP;
        IF plainly THEN
            EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(e)) INTO other;
            IF warm <> other THEN RETURN NEXT; END IF;
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION answers(moved interval DEFAULT '0') RETURNS text LANGUAGE sql STABLE AS $$ SELECT md5(string_agg(cdp_segment(e)::text, ' ')) FROM questions(moved) e $$;
CREATE FUNCTION plainly(moved interval DEFAULT '0') RETURNS text LANGUAGE sql STABLE SET cdp.cache_size = 0 SET cdp.direct_read = off AS 'SELECT answers(moved)';
SELECT count(*) AS questions, count(DISTINCT cdp_segment(e)::text) AS answers, count(*) FILTER (WHERE cdp_segment_count(e) BETWEEN 1 AND 59) AS that_tell FROM questions('0') e;
SELECT * FROM wrong();

-- 1. A question asked again looks no event up, nor does one that begins some seconds later; a quarter of an hour later it looks up what it lacks.
CREATE FUNCTION scans() RETURNS bigint LANGUAGE sql AS $$ SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::bigint FROM pg_stat_xact_user_tables WHERE schemaname = 'cdp' AND relname LIKE 'event\_y%' $$;
CREATE FUNCTION looks_up(moved interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE before bigint := scans();
BEGIN
    PERFORM answers(moved);
    RETURN scans() > before;
END $$;
\c
SET client_min_messages = warning;
SELECT looks_up('1 minute') AS first, looks_up('1 minute') AS again, looks_up('70 seconds') AS later, looks_up('20 minutes') AS much_later, looks_up('20 minutes') AS again, looks_up('3 minutes') AS between,
    looks_up('-1 hour') AS before, looks_up('-59 minutes') AS again;
SET cdp.direct_read = off;
SELECT looks_up('1 minute') AS by_query;
RESET cdp.direct_read;
SELECT looks_up('1 minute') AS not_kept;
SET cdp.cache_size = 0;
SELECT looks_up('1 minute') AS nothing_is_kept;
RESET cdp.cache_size;
SELECT m AS moved, w.* FROM unnest('{20 minutes, -1 hour, 3 hours}'::interval[]) m, wrong(m) w;
-- A day without events of the kind asked for needs no look-up, kept or not.
CREATE FUNCTION looks_for(e text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE before bigint := scans();
BEGIN
    PERFORM cdp_segment_count(e);
    RETURN scans() > before;
END $$;
SELECT looks_for('count(buy) FILTER (WHERE at >= ''2024-02-20 19:00+01'' AND at < ''2024-02-22 03:00+01'') > 0') AS none, looks_for('count(buy) FILTER (WHERE at >= ''2024-02-06 19:00+01'' AND at < ''2024-02-22 03:00+01'') > 0') AS some;

-- 2. What happens to events: seen at once, folded or not.
CREATE FUNCTION batch(source text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE job bigint := _cdp_sync_begin((SELECT source_id FROM cdp.source s WHERE s.name = source));
BEGIN
    PERFORM _cdp_sync_batch(job, 0);
    PERFORM _cdp_sync_end(job, NULL);
END $$;
CREATE FUNCTION now_and_before() RETURNS TABLE (changed boolean, exact boolean) LANGUAGE plpgsql AS $$
DECLARE before text := current_setting('test.before', true);
BEGIN
    PERFORM set_config('test.before', answers(), false);
    RETURN QUERY SELECT before <> answers(), answers() = plainly() AND NOT EXISTS (SELECT FROM wrong());
END $$;
SELECT exact FROM now_and_before();
-- Late events, in days that windows end in.
INSERT INTO deed SELECT 10000 + i, 'c' || i % 9 + 1, 'hat', 20, '2024-02-03 01:00+01'::timestamptz + i * interval '400 seconds', 2 FROM generate_series(1, 200) i;
SELECT batch('deed');
SELECT * FROM now_and_before();
SELECT cdp_flush() > 0 AS flushed, b.* FROM now_and_before() b;
-- Events that move within their day: from before the bound to after it. The cells of the day stay as they are, and a row that changes nothing says so.
UPDATE deed SET at = at + interval '10 hours', changed = 3 WHERE at BETWEEN '2024-02-03 00:00+01' AND '2024-02-03 03:00+01';
UPDATE deed SET at = at - interval '4 hours', changed = 3 WHERE at BETWEEN '2024-02-05 20:00+01' AND '2024-02-05 22:00+01';
SELECT batch('deed');
SELECT count(*) > 0 AS rows_that_change_nothing FROM cdp.pending WHERE cells = '\x01';
SELECT * FROM now_and_before();
CREATE TABLE chunk_before AS SELECT column_id, key, shard, bits FROM cdp.chunk;
SELECT cdp_flush() > 0 AS flushed, b.* FROM now_and_before() b;
SELECT count(*) AS pending FROM cdp.pending;
SELECT count(*) AS chunks_that_differ FROM (SELECT column_id, key, shard, bits FROM cdp.chunk EXCEPT SELECT * FROM chunk_before) x;
-- The whole of it in one sync, which folds what it did.
UPDATE deed SET at = at - interval '10 hours', changed = 4 WHERE at BETWEEN '2024-02-03 10:00+01' AND '2024-02-03 13:00+01' AND id < 10000;
CALL cdp_sync('deed');
SELECT * FROM now_and_before();
-- Another measure, another value, none.
UPDATE deed SET price = coalesce(price, 0) + 11, changed = 5 WHERE at BETWEEN '2024-02-03 00:00+01' AND '2024-02-03 06:00+01';
SELECT batch('deed');
SELECT * FROM now_and_before();
UPDATE deed SET item = CASE WHEN id % 3 = 0 THEN 'boot' WHEN id % 3 = 1 THEN 'hat' END, changed = 6 WHERE at BETWEEN '2024-02-05 18:00+01' AND '2024-02-05 23:00+01';
SELECT batch('deed');
SELECT * FROM now_and_before();
UPDATE deed SET price = NULL, changed = 7 WHERE at BETWEEN '2024-02-05 05:00+01' AND '2024-02-05 09:00+01';
CALL cdp_sync('deed');
SELECT * FROM now_and_before();

-- 3. Whose events they are. A browser counts for whom it was seen with last: all are swapped in one batch.
SELECT profile_id AS one INTO was FROM cdp.identifiers WHERE type = 'cookie' AND value = 'c1';
INSERT INTO sight SELECT 100 + i, 'a' || i, 'c' || 61 - i, '2024-03-01' FROM generate_series(1, 60) i;
SELECT batch('sight');
SELECT (SELECT one FROM was) <> profile_id AS swapped FROM cdp.identifiers WHERE type = 'cookie' AND value = 'c1';
SELECT * FROM now_and_before();
SELECT cdp_flush() > 0 AS flushed, b.* FROM now_and_before() b;
SELECT cdp_link('user_id', 'a3', 'user_id', 'a40', 'one') ->> 'merged' IS NOT NULL AS merged;
SELECT * FROM now_and_before();
SELECT cdp_identity_revert(max(operation_id), 'two') ->> 'split' IS NOT NULL AS split FROM cdp.identity_operations;
SELECT * FROM now_and_before();
SELECT cdp_split(profile_id, ARRAY['cookie:c5'], 'not theirs') IS NOT NULL AS split FROM cdp.identifiers WHERE type = 'user_id' AND value = 'a5';
SELECT * FROM now_and_before();

-- 4. What is rolled back has not been.
BEGIN;
SAVEPOINT a;
UPDATE deed SET at = at + interval '7 hours', changed = 8 WHERE at BETWEEN '2024-02-03 00:00+01' AND '2024-02-03 03:00+01';
SELECT batch('deed');
SELECT * FROM now_and_before();
ROLLBACK TO a;
SELECT * FROM now_and_before();
UPDATE deed SET at = at + interval '6 hours', cookie = 'c9', changed = 8 WHERE at BETWEEN '2024-02-03 00:00+01' AND '2024-02-03 09:00+01';
SELECT batch('deed');
SELECT * FROM now_and_before();
ROLLBACK;
SELECT * FROM now_and_before();
-- What one transaction has folded twice, in a table whose rows VACUUM FULL then moves together.
VACUUM FULL cdp.chunk;
VACUUM FULL cdp.pending;
BEGIN;
UPDATE deed SET at = at + interval '7 hours', changed = 8 WHERE at BETWEEN '2024-02-03 00:00+01' AND '2024-02-03 03:00+01';
SELECT batch('deed');
SELECT cdp_flush() > 0 AS flushed;
SELECT * FROM now_and_before();
UPDATE deed SET at = at - interval '7 hours', price = 1, changed = 9 WHERE at BETWEEN '2024-02-03 07:00+01' AND '2024-02-03 10:00+01';
SELECT batch('deed');
SELECT cdp_flush() > 0 AS flushed;
COMMIT;
VACUUM FULL cdp.chunk;
SELECT * FROM now_and_before();

-- 5. As of a moment, the window ends with it.
SELECT a AS as_of, count(*) AS questions, count(*) FILTER (WHERE cdp_segment(e, a) <> (SELECT coalesce(cdp_bitmap_build_agg(m), '{}') FROM unnest(slow.members) m)) AS wrong
FROM unnest('{2024-02-04 07:00+01, 2024-02-05 02:00+01, 2024-02-05 15:30+01}'::timestamptz[]) a, unnest('{count(buy) > 30, "sum(buy.price) > 400", "count(buy) FILTER (WHERE item = ''hat'') > 5"}'::text[]) e,
     LATERAL (SELECT by_query_at(e, a) AS members) slow GROUP BY 1 ORDER BY 1;

-- 6. Random histories, with what is kept and what is rolled back.
CREATE FUNCTION one_step(step int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE one text := 'c' || 1 + (random() * 59)::int; other text := 'c' || 1 + (random() * 59)::int; day timestamptz := '2024-02-03 00:00+01'::timestamptz + (random() * 2)::int * interval '1 day';
BEGIN
    CASE (random() * 7)::int
        WHEN 0 THEN INSERT INTO deed SELECT 20000 + step * 10 + i, one, 'shoe', step, day + random() * interval '24 hours', 100 + step FROM generate_series(1, 3) i;
        WHEN 1 THEN UPDATE deed SET at = day + random() * interval '24 hours', changed = 100 + step WHERE at >= day AND at < day + interval '1 day' AND cookie = one;
        WHEN 2 THEN UPDATE deed SET price = step / 4.0, changed = 100 + step WHERE at >= day AND at < day + interval '1 day' AND cookie = one;
        WHEN 3 THEN UPDATE deed SET item = (ARRAY['hat', 'shoe', 'v' || step, NULL])[1 + (random() * 3)::int], changed = 100 + step WHERE at >= day AND cookie = one;
        WHEN 4 THEN PERFORM cdp_flush();
        WHEN 5 THEN INSERT INTO sight SELECT 1000 + step * 2 + i, 'a' || substr(CASE i WHEN 0 THEN one ELSE other END, 2), CASE i WHEN 0 THEN other ELSE one END, '2024-04-01'::timestamptz + step * interval '1 hour' FROM generate_series(0, 1) i;
        WHEN 6 THEN UPDATE cdp.chunk SET bits = bits;
        ELSE UPDATE deed SET cookie = one, changed = 100 + step WHERE at >= day AND at < day + interval '1 day' AND cookie = other;
    END CASE;
    PERFORM batch('deed'), batch('sight');
END $$;
CREATE FUNCTION steps(first int, last int, OUT compared int, OUT wrong int, OUT rolled_back int, OUT different int) LANGUAGE plpgsql AS $$
DECLARE before text; seen text[] := '{}';
BEGIN
    compared := 0; wrong := 0; rolled_back := 0;
    FOR step IN first..last LOOP
        before := answers();
        seen := seen || before;
        BEGIN
            PERFORM one_step(step);
            compared := compared + 1;
            IF answers() <> plainly() THEN wrong := wrong + 1; RAISE WARNING 'step %', step; END IF;
            IF random() < 0.4 THEN RAISE EXCEPTION SQLSTATE 'ZZ001'; END IF;
        EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
            rolled_back := rolled_back + 1;
            IF answers() <> before OR answers() <> plainly() THEN wrong := wrong + 1; RAISE WARNING 'after step %', step; END IF;
        END;
    END LOOP;
    different := (SELECT count(DISTINCT x) FROM unnest(seen) x);
END $$;
SELECT setseed(0.42) IS NULL AS seeded;
SELECT compared, wrong, rolled_back > 2 AS many_rolled_back, different > 1 AS many_answers FROM steps(1, 30);
SET cdp.cache_size = '64kB';
SELECT wrong FROM steps(31, 34);
RESET cdp.cache_size;
SELECT wrong FROM steps(35, 38);
SELECT * FROM wrong();

-- 7. What is kept is given to nobody who may not read events.
CREATE ROLE edge_reader;
GRANT USAGE ON SCHEMA cdp TO edge_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA cdp TO edge_reader;
SELECT e AS question FROM questions('0') e LIMIT 1 \gset
SET ROLE edge_reader;
SELECT cdp_segment_count(:'question') > 0 AS allowed;
RESET ROLE;
REVOKE SELECT ON cdp.event FROM edge_reader;
SET ROLE edge_reader;
SELECT cdp_segment_count(:'question');
RESET ROLE;
GRANT SELECT ON cdp.event TO edge_reader;
SELECT cdp_segment_count(:'question') AS of_all \gset
ALTER TABLE cdp.event ENABLE ROW LEVEL SECURITY;
SET ROLE edge_reader;
-- What is taken out of the day is not seen any more.
SELECT cdp_segment_count(:'question') > :of_all AS no_event_is_visible;
RESET ROLE;
SELECT cdp_segment_count(:'question') = :of_all AS the_owner_sees_them;
DROP OWNED BY edge_reader;
DROP ROLE edge_reader;
DROP SCHEMA cdp CASCADE;
DROP FUNCTION steps, one_step, now_and_before, batch, looks_for, looks_up, scans, plainly, answers, wrong, by_query_at, by_query, cold, questions;
DROP TABLE deed, sight, was, chunk_before;
DROP EXTENSION pg_cdp;
