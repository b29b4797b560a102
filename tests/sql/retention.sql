-- Partitions made ahead, and retention: what goes, what is left, and that every way of asking says the same after it.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'America/New_York');
-- 1. Partitions ahead.
SELECT cdp_partition_ahead(), cdp_partition_ahead(2), cdp_partition_ahead(4);
SELECT count(*) FROM generate_series(0, 4) i WHERE to_regclass(to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + i * interval '1 month', '"cdp.event_y"YYYY"m"MM')) IS NULL;
SELECT cdp_partition_ahead(-1);
SELECT cdp_partition_ahead(121);

-- 2. Two kinds of event over half a year, on browsers, that accounts join later.
CREATE TABLE deed (id int PRIMARY KEY, kind text, cookie text, item text, note text, price numeric, at timestamptz);
INSERT INTO deed SELECT i, CASE WHEN i % 4 = 0 THEN 'buy' ELSE 'look' END, 'c' || i * 7919 % 1009 % 40, (ARRAY['hat', 'coat', 'shoe', NULL])[1 + i % 7 % 4], 'note ' || i, CASE WHEN i % 5 > 0 THEN i % 300 / 4.0 END,
    timestamptz '2024-01-01 03:00+00' + i * interval '97 minutes' FROM generate_series(1, 2600) i;
CREATE TABLE sight (id int PRIMARY KEY, account text, cookie text, at timestamptz);
SELECT cdp_source_create('deed', 'deed', '{"updated_at": "id", "identifiers": {"cookie": "cookie"},
    "event": {"name": "kind", "at": "at", "id": "id", "properties": {"item": "item", "note": "note", "price": "price"}, "tracked": ["item"]}}');
SELECT cdp_source_create('sight', 'sight', '{"updated_at": "at", "identifiers": {"user_id": "account", "cookie": "cookie"}}');
CALL cdp_sync();
SELECT cdp_tag_create('first_look', 'min(look.at)');
SELECT cdp_tag_create('spent', 'sum(buy.price)');
-- Questions that day columns can answer with whole days; every one for the whole time and for windows that begin and end at midnight in New York.
CREATE FUNCTION questions() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format(f, w) FROM (VALUES ('count(%%s) FILTER (WHERE %s) > 12'), ('sum(%%s.price) FILTER (WHERE %s) > 450'), ('sum(%%s.price) FILTER (WHERE item IN (''hat'', ''shoe'') AND %s) > 200')) q(f),
        (VALUES ('at >= ''2023-01-01 00:00-05'''), ('at >= ''2024-01-20 00:00-05'' AND at < ''2024-03-20 00:00-04'''), ('at < ''2024-02-10 00:00-05''')) b(w)
$$;
CREATE TABLE asked AS SELECT format(q, e) AS e FROM questions() q, (VALUES ('look'), ('buy')) x(e);
CREATE FUNCTION answers() RETURNS TABLE (e text, profiles bigint[]) LANGUAGE sql AS 'SELECT a.e, cdp_segment(a.e)::bigint[] FROM asked a';
-- The questions that bits, plain SQL, or the look at one profile answer differently.
CREATE FUNCTION wrong(more text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE q text; plain bigint[]; bits bigint[]; one bigint[];
BEGIN
    FOR q IN SELECT a.e FROM asked a UNION ALL SELECT unnest(more) LOOP
        bits := cdp_segment(q)::bigint[];
        EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(q)) INTO plain;
        SELECT array_agg(profile_id) INTO one FROM cdp.profiles WHERE profile_id % 9 = 2 AND cdp_segment_contains(q, profile_id) <> (profile_id = ANY (bits));
        IF bits IS DISTINCT FROM plain OR one IS NOT NULL THEN RETURN NEXT q; END IF;
    END LOOP;
END $$;
-- Windows that begin and end within days.
CREATE FUNCTION edges() RETURNS text[] LANGUAGE sql AS $$
    SELECT array_agg(format(f, e, w)) FROM (VALUES ('count(%s) FILTER (WHERE %s) > 2'), ('sum(%s.price) FILTER (WHERE %s) > 50')) q(f), (VALUES ('look'), ('buy')) x(e),
        (VALUES ('at >= ''2024-01-20 09:30-05'' AND at <= ''2024-01-25 17:00-05'''), ('at >= ''2024-02-10 20:00-05'' AND at < ''2024-02-14 03:00-05'''), ('at >= ''2024-01-05 13:00-05''')) b(w)
$$;
CREATE TABLE before AS SELECT * FROM answers();
SELECT count(*) AS questions, count(DISTINCT profiles) AS answers FROM before;
SELECT * FROM wrong(edges());
SELECT count(*) FROM cdp_tag_refresh();
CREATE TABLE tags_before AS SELECT profile_id, first_look, spent FROM cdp.profiles;

-- 3. What is refused; without a retention nothing goes.
SELECT cdp_event_retention('lok', '1 day');
SELECT cdp_event_retention('look', '-1 day');
SELECT cdp_event_retention('look', '2000 years');
SELECT * FROM cdp_retain(now() + interval '1 day');
SELECT * FROM cdp_retain(NULL);
SELECT * FROM cdp_retain();
SELECT count(*) FROM cdp.event;

-- 4. One type only: its rows go from the partitions, others stay.
SELECT cdp_event_retention('look', '60 days');
SELECT name, retention, keep_days, kept_from FROM cdp.event_types ORDER BY name;
SELECT * FROM cdp_retain('2024-04-10 15:00-04');
-- Whole days, in the time zone of the workspace: this is midnight sixty days before.
SELECT kept_from, kept_from AT TIME ZONE 'America/New_York' AS there FROM cdp.event_types WHERE name = 'look';
SELECT count(*) FILTER (WHERE e.at < t.kept_from) AS old, count(*) = (SELECT count(*) FROM deed d WHERE d.kind = 'look' AND d.at >= max(t.kept_from)) AS others FROM cdp.event e JOIN cdp.event_type t USING (event_type_id) WHERE t.name = 'look';
SELECT count(*) = (SELECT count(*) FROM deed) AS all_there, count(*) FILTER (WHERE event = 'look' AND properties ? 'note') = (SELECT count(*) FROM cdp.event JOIN cdp.event_type USING (event_type_id) WHERE name = 'look') AS reduced FROM cdp.events;
SELECT at, properties FROM cdp.events WHERE event = 'look' ORDER BY at, event_id LIMIT 2;
SELECT count(*) FROM (SELECT * FROM answers() EXCEPT SELECT * FROM before) x;
SELECT * FROM wrong(edges());
-- Tags keep what their last refresh gave.
SELECT count(*) FROM (SELECT profile_id, first_look, spent FROM cdp.profiles EXCEPT SELECT * FROM tags_before) x;
SELECT events = (SELECT count(*) FROM cdp.events e WHERE e.event = t.name) AS counted FROM cdp.event_types t ORDER BY name;
SELECT p.event, p.name, p.events = (SELECT count(*) FROM cdp.events e WHERE e.event = p.event AND e.properties ? p.name) AS counted FROM cdp.properties p ORDER BY 1, 2;
-- Again: nothing is left to do.
SELECT * FROM cdp_retain('2024-04-10 15:00-04');

-- 5. A column that is built anew, a merge and a split find the days.
UPDATE cdp.store_column SET state = 'stale' WHERE kind = 'day';
SELECT cdp_flush() > 0 AS built;
SELECT count(*) FROM (SELECT * FROM answers() EXCEPT SELECT * FROM before) x;
INSERT INTO sight SELECT i, 'a' || i % 10, 'c' || i, '2024-07-01 00:00+00' FROM generate_series(0, 19) i;
CALL cdp_sync();
SELECT count(*) AS profiles FROM cdp.profiles;
SELECT * FROM wrong(edges());
SELECT cdp_unlink('user_id', 'a3', 'cookie', 'c13', 'a shared device') IS NOT NULL AS unlinked;
SELECT count(*) AS profiles FROM cdp.profiles;
SELECT * FROM wrong(edges());

-- 6. Both types: whole partitions go.
SELECT cdp_event_retention('buy', '60 days', keep_days => false);
SELECT * FROM cdp_retain('2024-04-15 15:00-04');
SELECT to_regclass('cdp.event_y2024m01') IS NULL AS gone, to_regclass('cdp.event_y2024m02') IS NOT NULL AS holds_others;
SELECT count(*) FROM cdp.events WHERE event = 'buy' AND at < (SELECT kept_from FROM cdp.event_types WHERE name = 'buy');
SELECT * FROM wrong(edges());
SELECT name, events = (SELECT count(*) FROM cdp.events e WHERE e.event = t.name) AS counted FROM cdp.event_types t ORDER BY name;
SELECT kind, state, rows_done, message FROM cdp.jobs WHERE kind = 'retain' ORDER BY job_id;

-- 7. What is older is taken no more: it would count twice. It is told.
UPDATE cdp.source SET watermark = NULL WHERE name = 'deed';
CALL cdp_sync('deed');
SELECT count(*) = (SELECT count(*) FROM deed d JOIN cdp.event_types t ON t.name = d.kind WHERE d.at < t.kept_from) AS told, min(code), max(code) FROM cdp.rejects;
SELECT * FROM wrong(edges());
-- An event of the month whose partition was dropped makes it anew, when its type is kept.
INSERT INTO deed VALUES (9001, 'swap', 'c1', 'hat', 'n', 1, '2024-01-10 00:00+00');
CALL cdp_sync('deed');
SELECT to_regclass('cdp.event_y2024m01') IS NOT NULL AS there, (SELECT count(*) FROM cdp.events WHERE event = 'swap') AS swaps;

-- 8. Refreshed tags: of the first look the day is known, and of purchases that are gone nothing.
SELECT count(*) FROM cdp_tag_refresh();
SELECT count(*) AS alone, count(*) FILTER (WHERE (p.first_look AT TIME ZONE 'America/New_York')::date = (t.first_look AT TIME ZONE 'America/New_York')::date) AS same_day,
       count(*) FILTER (WHERE p.first_look = t.first_look) AS same_time, count(*) FILTER (WHERE p.spent < t.spent) AS less
    FROM cdp.profiles p JOIN tags_before t USING (profile_id) JOIN cdp.identifiers i ON i.profile_id = p.profile_id AND i.value ~ '^c[23].$';
SELECT count(*) FROM cdp.profiles p, LATERAL (SELECT sum((properties ->> 'price')::numeric) AS spent FROM cdp.events e WHERE e.profile_id = p.profile_id AND event = 'buy') x WHERE p.spent IS DISTINCT FROM x.spent;
-- Kept for ever again: nothing more goes, and nothing comes back.
SELECT cdp_event_retention('look', NULL), cdp_event_retention('buy', NULL);
SELECT * FROM cdp_retain();

DROP FUNCTION wrong(text[]), edges(), answers(), questions();
DROP TABLE deed, sight, asked, before, tags_before;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
