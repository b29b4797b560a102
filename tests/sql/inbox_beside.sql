-- Batches of the inbox beside others: what says nothing new of who is who is written at once, the rest is left for a batch of its own. It comes to the same as batches that hold the workspace.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset null -
CREATE EXTENSION pg_cdp;

-- 1. People first, then a stream about them: most of it is known, some of it brings somebody new, joins people, tells traits or what nobody has heard of, comes again, or cannot be used.
CREATE TABLE people (nth int PRIMARY KEY, message jsonb);
INSERT INTO people SELECT i, jsonb_build_object('messageId', 'p' || i, 'type', 'identify', 'userId', 'u' || i, 'anonymousId', 'a' || i, 'timestamp', '2024-01-01T00:00:00Z', 'traits', jsonb_build_object('city', (ARRAY['Ulm', 'Bonn'])[1 + i % 2])) FROM generate_series(1, 200) i;
-- A kiosk that is a hub, and people whom a limit keeps apart: what is seen of them is judged.
INSERT INTO people SELECT 1000 + i, jsonb_build_object('messageId', 'k' || i, 'type', 'track', 'event', 'view', 'userId', 'k' || i, 'anonymousId', 'kiosk', 'timestamp', '2024-01-02T00:00:00Z', 'properties', jsonb_build_object('item', 'hat', 'price', 2.5)) FROM generate_series(1, 40) i;
INSERT INTO people SELECT 2000 + i, jsonb_build_object('messageId', 'l' || i, 'type', 'track', 'event', 'view', 'userId', 'l' || i, 'anonymousId', 'shared', 'timestamp', '2024-01-02T00:00:00Z', 'properties', jsonb_build_object('item', 'coat', 'price', 1)) FROM generate_series(1, 3) i;
CREATE TABLE stream (nth int PRIMARY KEY, source text, message jsonb);
INSERT INTO stream SELECT i, CASE WHEN h % 10 = 0 THEN 'web' ELSE 'app' END, jsonb_strip_nulls(jsonb_build_object('messageId', 'm' || i, 'type', (ARRAY['track', 'page', 'screen', 'identify', 'alias'])[CASE WHEN h % 41 = 0 THEN 4 WHEN h % 97 = 0 THEN 5 WHEN h % 11 = 0 THEN 2 WHEN h % 13 = 0 THEN 3 ELSE 1 END],
        'userId', CASE WHEN h % 3 > 0 THEN CASE WHEN h % 43 = 0 THEN 'l' || h % 3 + 1 WHEN h % 47 = 0 THEN 'k' || h % 40 + 1 ELSE 'u' || who END END,
        'anonymousId', CASE WHEN h % 3 < 2 OR h % 29 = 0 THEN CASE WHEN h % 23 = 0 THEN 'n' || h / 29 % 60 WHEN h % 47 = 0 THEN 'kiosk' WHEN h % 53 = 0 THEN 'a' || h / 31 % 200 + 1 ELSE 'a' || who END END,
        'previousId', CASE WHEN h % 97 = 0 THEN 'a' || h / 7 % 200 + 1 END,
        'event', CASE WHEN h % 201 = 0 THEN 'rare' || h % 3 ELSE (ARRAY['view', 'buy'])[1 + h / 3 % 2] END,
        'timestamp', CASE WHEN h % 301 = 0 THEN to_char('2023-02-01'::timestamp + h % 9 * interval '1 month', 'YYYY-MM-DD') ELSE to_char('2024-01-20 00:00:00'::timestamp + i * interval '7 minutes', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END,
        'properties', jsonb_build_object('item', (ARRAY['hat', 'coat', 'shoe'])[1 + h / 5 % 3], 'price', CASE WHEN h % 59 = 0 THEN '"free"'::jsonb ELSE to_jsonb(h % 1000 / 10.0) END, 'sale', h % 2 = 0, 'odd' || CASE WHEN h % 211 = 0 THEN 'ity' ELSE '' END, CASE WHEN h % 211 < 2 THEN h % 7 END),
        'traits', CASE WHEN h % 41 = 0 THEN jsonb_build_object('points', h % 50) END))
    FROM (SELECT i, h, 1 + h / 17 % 200 AS who FROM (SELECT i, ('x' || substr(md5('m' || i), 1, 7))::bit(28)::int AS h FROM generate_series(1, 3000) i) y) x;
-- Some have the key of an earlier event: whatever they say, they came before.
UPDATE stream s SET message = jsonb_set(s.message, '{messageId}', o.message -> 'messageId'), source = o.source FROM stream o WHERE s.nth % 37 = 0 AND o.nth = s.nth / 2 AND o.nth % 37 > 0 AND o.message ->> 'type' IN ('track', 'page', 'screen');
-- Batches and arrays, some of them with one message that has to be taken alone, and what is no message at all.
UPDATE stream SET message = jsonb_build_array(message, jsonb_set(message, '{messageId}', to_jsonb(message ->> 'messageId' || 'b'))) WHERE nth % 50 = 0;
UPDATE stream SET message = jsonb_build_object('batch', jsonb_build_array(message, jsonb_build_object('type', 'track', 'event', 'view', 'messageId', 'fresh' || nth, 'timestamp', '2024-02-29T00:00:00Z', 'userId', 'fresh' || nth % 7))) WHERE nth % 190 = 7;
UPDATE stream SET message = '{"type": "dance", "userId": "u1"}' WHERE nth % 400 = 3;
UPDATE stream SET message = '"text"' WHERE nth % 800 = 9;
-- The same message with another time, and its first one is taken alone.
INSERT INTO stream VALUES (5001, 'app', '{"type": "track", "messageId": "twice", "userId": "u7", "event": "view", "timestamp": "2024-02-20T00:00:00Z", "properties": {"item": "hat"}}'),
    (5002, 'app', '{"type": "track", "messageId": "twice", "userId": "u8", "event": "view", "timestamp": "2024-02-21T00:00:00Z", "properties": {"item": "shoe"}}'),
    (5003, 'app', '{"type": "track", "messageId": "once", "userId": "u9", "anonymousId": "brandnew", "event": "view", "timestamp": "2024-02-20T00:00:00Z"}'),
    (5004, 'app', '{"type": "track", "messageId": "once", "userId": "u9", "event": "buy", "timestamp": "2024-02-22T00:00:00Z"}'),
    (5005, 'app', '[{"type": "track", "messageId": "pair", "userId": "u10", "event": "view", "timestamp": "2024-02-20T00:00:00Z"}, {"type": "track", "messageId": "pair", "userId": "u11", "event": "view", "timestamp": "2024-02-20T00:00:01Z"}]');
CREATE FUNCTION make(workspace text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cdp_init(workspace, 'Europe/Berlin');
    PERFORM set_config('cdp.workspace', workspace, false);
    PERFORM cdp_identifier_type_alter('anonymous_id', '{"degree_cap": 30}');
    PERFORM cdp_identifier_type_alter('user_id', '{"max_per_profile": 2}');
    EXECUTE format('INSERT INTO %I.inbox (payload, source) SELECT message::text, ''app'' FROM people ORDER BY nth', workspace);
END $$;
CREATE FUNCTION fill(workspace text, above int, upto int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.inbox (payload, source) SELECT message::text, source FROM stream WHERE nth > $1 AND nth <= $2 ORDER BY nth', workspace) USING above, upto;
END $$;
-- One after the other, as the workspace's only writer.
CREATE FUNCTION alone(rows int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE job bigint := _cdp_inbox_begin(); n bigint := 0; took bigint;
BEGIN
    LOOP
        took := _cdp_inbox_batch(job, rows, false);
        EXIT WHEN took = 0;
        n := n + took;
    END LOOP;
    PERFORM _cdp_inbox_end(job, NULL);
    PERFORM cdp_flush();
    RETURN n;
END $$;
SELECT make('alone'), make('many'), make('several'), make('few');
SET cdp.workspace = 'alone';
SELECT alone(1000);
SELECT fill('alone', 0, 600);
SELECT alone(300);
SELECT fill('alone', 600, 6000);
SELECT alone(300);
SET cdp.workspace = 'many';
CALL cdp_process_inbox(1000);
SELECT fill('many', 0, 600);
CALL cdp_process_inbox();
SELECT fill('many', 600, 6000);
CALL cdp_process_inbox();
-- Whatever way tables are read and written.
SET cdp.workspace = 'several';
SET cdp.direct_read = off;
CALL cdp_process_inbox(1000);
SELECT fill('several', 0, 600);
CALL cdp_process_inbox(300);
SELECT fill('several', 600, 6000);
CALL cdp_process_inbox(300);
RESET cdp.direct_read;
SET cdp.workspace = 'few';
SET cdp.direct_write = off;
CALL cdp_process_inbox(1000);
SELECT fill('few', 0, 600);
CALL cdp_process_inbox(11);
SELECT fill('few', 600, 6000);
CALL cdp_process_inbox(11);
RESET cdp.direct_write;
-- Some of it was written beside others, and all of it was taken.
SELECT (SELECT count(*) > 0 FROM many.event_batch) AS many, (SELECT count(*) > 0 FROM several.event_batch) AS several, (SELECT count(*) > 0 FROM few.event_batch) AS few, (SELECT count(*) FROM alone.event_batch) AS alone,
    (SELECT count(*) FROM many.inbox) + (SELECT count(*) FROM several.inbox) + (SELECT count(*) FROM few.inbox) AS waiting;
-- What they came to. Profiles are compared by the identifiers they hold.
CREATE FUNCTION state(ws text) RETURNS TABLE (part text, content text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('cdp.workspace', ws, true);
    RETURN QUERY EXECUTE replace($q$
        WITH who AS (SELECT profile_id, min(type || ':' || value) AS name FROM §.identifiers WHERE type IN ('user_id', 'anonymous_id') GROUP BY 1)
        SELECT 'people', string_agg(x.line, ' ' ORDER BY x.line) FROM (SELECT string_agg(i.type || ':' || i.value || ' ' || i.first_seen || '-' || i.last_seen, ',' ORDER BY i.type, i.value) AS line FROM §.identifiers i GROUP BY i.profile_id) x
        UNION ALL SELECT 'edges', string_agg(e::text, ',' ORDER BY e::text) FROM
            (SELECT least(from_type || from_value, to_type || to_value), greatest(from_type || from_value, to_type || to_value), source, state, trust, first_seen, last_seen FROM §.edges) e
        UNION ALL SELECT 'traits', string_agg(w.name || ' ' || (to_jsonb(p) - 'profile_id')::text, ',' ORDER BY w.name) FROM §.profiles p JOIN who w USING (profile_id)
        UNION ALL SELECT 'events', string_agg(concat_ws(' ', e.key, w.name, e.event, e.at, e.source, e.properties, e.original_at), ',' ORDER BY e.key, e.source) FROM (SELECT v.*, x.key FROM §.events v JOIN §.event x USING (event_id)) e JOIN who w USING (profile_id)
        UNION ALL SELECT 'rejects', string_agg(concat_ws(' ', source, key, reason), ',' ORDER BY source, key, reason) FROM §.rejects
        UNION ALL SELECT 'dictionary', string_agg(concat_ws(' ', name, events, first_seen, last_seen), ',' ORDER BY name) FROM §.event_types
        UNION ALL SELECT 'properties', string_agg(concat_ws(' ', event, name, type, events, first_seen, last_seen), ',' ORDER BY event, name) FROM §.properties
        UNION ALL SELECT 'quality', string_agg(concat_ws(' ', source, rows, rejected, events, repeated, rejects, warnings, newest), ',' ORDER BY source) FROM §.data_quality
        UNION ALL SELECT 'bits', string_agg(q.e || ' ' || (SELECT string_agg(w.name, ',' ORDER BY w.name) FROM unnest(cdp_segment(q.e)::bigint[]) m JOIN who w ON w.profile_id = m), ';' ORDER BY q.e)
            FROM unnest('{count(view) > 2, sum(buy.price) > 40, count(buy) FILTER (WHERE item = ''hat'') > 0, city = ''Ulm'', points > 20, count(page) > 0, count(view) FILTER (WHERE sale) > 1}'::text[]) q(e)
    $q$, '§', ws);
END $$;
CREATE TABLE told AS SELECT ws, s.* FROM unnest('{alone,many,several,few}'::text[]) ws, state(ws) s;
SELECT part, count(DISTINCT coalesce(content, '')) AS versions, max(length(content)) > 60 AS tells FROM told GROUP BY part ORDER BY part;
-- Messages that came again are known by their key: the first one counts.
SELECT ws, (SELECT string_agg(m, ' ') FROM regexp_matches(content, '(?:^|,)((?:once|pair|twice) \S+ \S+)', 'g') r(m1), unnest(m1) m) AS events FROM told WHERE part = 'events' ORDER BY ws;
-- The columns of each are what plain SQL says.
CREATE FUNCTION wrong(ws text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE q text; n bigint := 0; plain bigint[];
BEGIN
    PERFORM set_config('cdp.workspace', ws, true);
    FOREACH q IN ARRAY '{count(view) > 2, sum(buy.price) > 40, sum(view.price) > 40, count(buy) FILTER (WHERE item = ''hat'') > 0, count(view) FILTER (WHERE sale) > 1, city = ''Ulm'', points > 20, count(screen) > 0}'::text[] LOOP
        EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(q)) INTO plain;
        n := n + (plain <> cdp_segment(q)::bigint[])::int;
    END LOOP;
    RETURN n + (SELECT count(*) FROM cdp_identity_verify() WHERE NOT ok);
END $$;
SELECT ws, wrong(ws) FROM unnest('{alone,many,several,few}'::text[]) ws;

-- 2. What a column cannot keep is not written beside others: too many values of a property, a number beyond its digits.
CREATE FUNCTION told(workspace text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('cdp.workspace', workspace, true);
    EXECUTE format($q$INSERT INTO %I.inbox (payload, source) SELECT jsonb_build_object('messageId', 'v' || i, 'type', 'track', 'event', 'buy', 'userId', 'u' || 1 + i %% 200, 'timestamp', '2024-02-02T00:00:00Z',
        'properties', jsonb_build_object('item', 'v' || i, 'price', CASE WHEN i = 5 THEN '0.000000001'::numeric ELSE i END))::text, 'app' FROM generate_series(1, 1500) i$q$, workspace);
    RETURN (SELECT count(*) FROM unnest('{sum(buy.price) > 40, count(buy) FILTER (WHERE item = ''v7'') > 0}'::text[]) q);
END $$;
SELECT told('alone'), told('many');
SET cdp.workspace = 'alone';
SELECT alone(700);
SET cdp.workspace = 'many';
CALL cdp_process_inbox(700);
SELECT ws, wrong(ws) FROM unnest('{alone,many}'::text[]) ws;
CREATE VIEW kept AS SELECT 'alone' AS ws, t.name, p.name AS property, m.name AS measure, c.scale, c.state FROM alone.store_column c JOIN alone.event_type t USING (event_type_id) LEFT JOIN alone.property p ON p.property_id = c.property_id LEFT JOIN alone.property m ON m.property_id = c.measure_id WHERE c.kind = 'day'
    UNION ALL SELECT 'many', t.name, p.name, m.name, c.scale, c.state FROM many.store_column c JOIN many.event_type t USING (event_type_id) LEFT JOIN many.property p ON p.property_id = c.property_id LEFT JOIN many.property m ON m.property_id = c.measure_id WHERE c.kind = 'day';
SELECT state, count(DISTINCT (name, property, measure)) AS columns, count(*) FILTER (WHERE ws = 'alone') = count(*) FILTER (WHERE ws = 'many') AS same FROM kept GROUP BY 1 ORDER BY 1;
SELECT count(*) AS differ FROM (SELECT name, property, measure, scale, state FROM kept GROUP BY 1, 2, 3, 4, 5 HAVING count(*) <> 2) x;
DROP VIEW kept;

-- 3. Rules of the dictionary, and retention: what they may have a say in is taken alone.
SET cdp.workspace = 'several';
SELECT cdp_property_alter('view', 'price', '{"min": 10, "validation": "reject"}') IS NOT NULL AS altered;
INSERT INTO several.inbox (payload, source) SELECT jsonb_build_object('messageId', 'r' || i, 'type', 'track', 'event', CASE WHEN i % 5 = 0 THEN 'view' ELSE 'buy' END, 'userId', 'u' || 1 + i % 200, 'timestamp', '2024-02-02T00:00:00Z', 'properties', jsonb_build_object('price', i % 20))::text, 'app' FROM generate_series(1, 400) i;
CALL cdp_process_inbox(100);
SELECT count(*) FILTER (WHERE event = 'view') AS views, count(*) FILTER (WHERE event = 'buy') AS buys, (SELECT count(*) FROM several.rejects WHERE key LIKE 'r%') AS rejects FROM several.events v JOIN several.event e USING (event_id) WHERE e.key LIKE 'r%';

-- 4. Where operators have decided about identities nothing is written beside others, nor inside a transaction block.
SET cdp.workspace = 'few';
SELECT max(xact) AS last FROM few.event_batch \gset
SELECT cdp_cannot_link('user_id', 'u1', 'user_id', 'u2', 'twins') IS NOT NULL AS decided;
INSERT INTO few.inbox (payload, source) SELECT jsonb_build_object('messageId', 'd' || i, 'type', 'track', 'event', 'buy', 'userId', 'u' || 1 + i % 200, 'timestamp', '2024-02-02T00:00:00Z')::text, 'app' FROM generate_series(1, 40) i;
CALL cdp_process_inbox(10);
SELECT max(xact) = :last AS none, (SELECT count(*) FROM few.event WHERE key LIKE 'd%') AS events FROM few.event_batch;
SET cdp.workspace = 'several';
SELECT max(xact) AS last FROM several.event_batch \gset
INSERT INTO several.inbox (payload, source) SELECT jsonb_build_object('messageId', 'd' || i, 'type', 'track', 'event', 'buy', 'userId', 'u' || 1 + i % 200, 'timestamp', '2024-02-02T00:00:00Z')::text, 'app' FROM generate_series(1, 40) i;
BEGIN;
CALL cdp_process_inbox(10);
COMMIT;
SELECT max(xact) = :last AS none, (SELECT count(*) FROM several.event WHERE key LIKE 'd%') AS events FROM several.event_batch;

-- 5. The keys of batches are kept no longer than a run may not have seen them.
INSERT INTO several.inbox (payload, source) SELECT jsonb_build_object('messageId', 'e' || i, 'type', 'track', 'event', 'buy', 'userId', 'u' || 1 + i % 200, 'timestamp', '2024-02-02T00:00:00Z')::text, 'app' FROM generate_series(1, 400) i;
CALL cdp_process_inbox(10);
SELECT count(*) <= 4 AS few, count(*) FILTER (WHERE xact > :last) > 0 AS new FROM several.event_batch;

-- 6. What has to be taken alone waits for more of its kind. No message with its key is taken before it: neither in a batch beside others nor in one that is taken alone.
CREATE FUNCTION late(keys text[], fresh int[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO several.inbox (payload, source) SELECT jsonb_build_object('messageId', CASE WHEN i IN (3, 50) THEN keys[1] WHEN i IN (5, 30) THEN keys[2] ELSE keys[1] || i END, 'type', 'track', 'event', 'buy',
        'userId', CASE WHEN i IN (3, 5) OR i = ANY (fresh) THEN keys[1] || i ELSE 'w' || i END, 'timestamp', '2024-02-02T00:00:00Z')::text, 'app' FROM (SELECT * FROM generate_series(1, 60) i ORDER BY i) i
$$;
INSERT INTO several.inbox (payload, source) SELECT jsonb_build_object('messageId', 'w' || i, 'type', 'track', 'event', 'buy', 'userId', 'w' || i)::text, 'app' FROM generate_series(1, 60) i;
CALL cdp_process_inbox();
SELECT late('{late,later}', '{25,26,27,28,29,30,31,32,33,34,35,36,37,38}');
SELECT _cdp_inbox_begin() AS job \gset
SELECT _cdp_inbox_batch(:job, 20, true) AS taken;
SELECT count(*) AS waiting, count(*) FILTER (WHERE alone) AS aside FROM several.inbox;
-- The next batch has to be taken alone, so what waits for that comes before it.
SELECT _cdp_inbox_batch(:job, 20, true) AS taken;
SELECT count(*) AS waiting, count(*) FILTER (WHERE alone) AS aside FROM several.inbox;
SELECT _cdp_inbox_end(:job, NULL) AS last;
CALL cdp_process_inbox(20);
SELECT late('{slow,slower}', '{}');
CALL cdp_process_inbox(20);
SELECT e.key, i.value FROM several.events v JOIN several.event e USING (event_id) JOIN several.identifiers i ON i.profile_id = v.profile_id AND i.type = 'user_id' WHERE e.key IN ('late', 'later', 'slow', 'slower') ORDER BY 1;
SELECT count(*) AS waiting, (SELECT count(*) FROM several.event WHERE key ~ '^(late|slow)') AS events FROM several.inbox;
DROP FUNCTION late(text[], int[]);

DROP TABLE people, stream, told;
DROP FUNCTION make(text), fill(text, int, int), alone(int), state(text), wrong(text), told(text);
RESET cdp.workspace;
DROP EXTENSION pg_cdp CASCADE;
DROP SCHEMA alone, many, several, few CASCADE;
