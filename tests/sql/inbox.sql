-- The inbox: what COPY brings is taken in bulk, and comes to the same as the same messages one by one.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset null -
CREATE EXTENSION pg_cdp;

-- 1. Twins: a stream of messages by cdp_ingest(), and by the inbox in batches of 7, of 50, and in one.
CREATE TABLE stream (nth int PRIMARY KEY, message jsonb);
INSERT INTO stream SELECT nth, jsonb_strip_nulls(jsonb_build_object('messageId', 'm' || i, 'type', (ARRAY['track', 'track', 'track', 'identify', 'page', 'group', 'alias'])[1 + h % 7],
        'userId', CASE WHEN h % 5 < 3 THEN 'u' || h / 7 % 40 END, 'anonymousId', CASE WHEN h % 5 > 0 THEN 'a' || h / 11 % 90 END, 'previousId', 'a' || h / 13 % 90, 'groupId', h % 3,
        'event', (ARRAY['view', 'buy'])[1 + h / 3 % 2], 'timestamp', to_char('2024-01-20 00:00:00'::timestamp + i * interval '97 minutes', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'properties', CASE WHEN h % 4 > 0 THEN jsonb_build_object('item', (ARRAY['hat', 'coat', 'shoe'])[1 + h / 5 % 3], 'price', CASE WHEN h % 9 = 0 THEN '"free"'::jsonb ELSE to_jsonb(h % 1000 / 10.0) END, 'sale', h % 2 = 0) END,
        'traits', CASE WHEN h % 3 > 0 THEN jsonb_build_object('city', (ARRAY['"Ulm"', '"Bonn"', 'null', '""'])[1 + h / 17 % 4]::jsonb, 'points', h % 50, 'seen', to_char('2024-01-01'::timestamp + i * interval '1 hour', 'YYYY-MM-DD"T"HH24:MI:SS"+08:00"'), 'likes', to_jsonb(ARRAY['x' || h % 3, 'y'])) END,
        'context', jsonb_build_object('traits', jsonb_build_object('email', CASE WHEN h % 17 = 0 THEN 'p' || h % 30 || '@example.org' END))))
    FROM (SELECT nth, i, ('x' || substr(md5('m' || i), 1, 7))::bit(28)::int AS h FROM (SELECT nth, nth % 380 AS i FROM generate_series(1, 400) nth) y) x;
-- Some that cannot be used.
INSERT INTO stream VALUES (1001, '{"type": "track", "messageId": "x1", "event": "view"}'), (1002, '{"type": "dance", "userId": "u1"}'), (1003, '{"type": "identify", "messageId": "x3", "userId": "unknown", "anonymousId": "a1", "timestamp": "2024-02-01"}'),
    (1004, '[{"type": "page", "messageId": "x4", "userId": "u1", "name": "One", "timestamp": "2024-02-02T00:00:00Z"}, {"type": "page", "messageId": "x5", "userId": "u1", "name": "Two", "timestamp": "2024-02-02T00:00:01Z"}]');
CREATE FUNCTION make(workspace text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cdp_init(workspace, 'Europe/Berlin');
    PERFORM set_config('cdp.workspace', workspace, false);
    PERFORM cdp_identifier_type_alter('user_id', '{"max_per_profile": 2}');
END $$;
CREATE FUNCTION fill(workspace text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.inbox (payload, source) SELECT message::text, ''app'' FROM stream ORDER BY nth', workspace);
END $$;
SELECT make('one'), make('seven'), make('fifty'), make('whole');
SET cdp.workspace = 'one';
SELECT count(cdp_ingest(message, 'app')) AS taken FROM (SELECT message FROM stream ORDER BY nth) s;
SELECT fill('seven'), fill('fifty'), fill('whole');
SET cdp.workspace = 'seven';
CALL cdp_process_inbox(7);
SET cdp.workspace = 'fifty';
CALL cdp_process_inbox(50);
SET cdp.workspace = 'whole';
CALL cdp_process_inbox();
SELECT kind, source, state, rows_done, rows_rejected FROM whole.jobs;
-- What they came to. Profiles are compared by the identifiers they hold.
CREATE FUNCTION state(ws text) RETURNS TABLE (part text, content text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('cdp.workspace', ws, true);
    RETURN QUERY EXECUTE replace($q$
        WITH who AS (SELECT profile_id, min(type || ':' || value) AS name FROM §.identifiers WHERE type IN ('user_id', 'anonymous_id', 'email') GROUP BY 1)
        SELECT 'people', string_agg(x.line, ' ' ORDER BY x.line) FROM (SELECT string_agg(i.type || ':' || i.value || ' ' || i.first_seen || '-' || i.last_seen, ',' ORDER BY i.type, i.value) AS line FROM §.identifiers i GROUP BY i.profile_id) x
        UNION ALL SELECT 'edges', string_agg(concat_ws(' ', from_type, from_value, to_type, to_value, source, state, first_seen, last_seen), ',' ORDER BY from_type, from_value, to_type, to_value, from_type || to_type) FROM
            (SELECT least(from_type || from_value, to_type || to_value) AS from_type, greatest(from_type || from_value, to_type || to_value) AS from_value, '' AS to_type, '' AS to_value, source, state, first_seen, last_seen FROM §.edges) e
        UNION ALL SELECT 'traits', string_agg(w.name || ' ' || (to_jsonb(p) - 'profile_id')::text, ',' ORDER BY w.name) FROM §.profiles p JOIN who w USING (profile_id)
        UNION ALL SELECT 'events', string_agg(concat_ws(' ', w.name, e.event, e.at, e.source, e.properties, e.original_at), ',' ORDER BY e.at, e.event, w.name, e.properties::text) FROM §.events e JOIN who w USING (profile_id)
        UNION ALL SELECT 'rejects', string_agg(concat_ws(' ', key, reason), ',' ORDER BY key, reason) FROM §.rejects WHERE reason NOT LIKE 'identifier %' AND reason NOT LIKE 'user_id: blocked%'
        UNION ALL SELECT 'bits', string_agg(q.e || ' ' || (SELECT string_agg(w.name, ',' ORDER BY w.name) FROM unnest(cdp_segment(q.e)::bigint[]) m JOIN who w ON w.profile_id = m), ';' ORDER BY q.e)
            FROM unnest('{count(view) > 2, sum(buy.price) > 40, count(buy) FILTER (WHERE item = ''hat'') > 0, city = ''Ulm'', points > 20, count(page) > 0}'::text[]) q(e)
    $q$, '§', ws);
END $$;
CREATE TABLE told AS SELECT ws, s.* FROM unnest('{one,seven,fifty,whole}'::text[]) ws, state(ws) s;
SELECT part, count(DISTINCT coalesce(content, '')) AS versions, max(length(content)) > 300 AS tells FROM told GROUP BY part ORDER BY part;
-- The columns of each are what plain SQL says.
CREATE FUNCTION wrong(ws text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE q text; n bigint := 0; plain bigint[];
BEGIN
    PERFORM set_config('cdp.workspace', ws, true);
    FOREACH q IN ARRAY '{count(view) > 2, sum(buy.price) > 40, sum(view.price) > 40, count(buy) FILTER (WHERE item = ''hat'') > 0, count(view) FILTER (WHERE sale) > 1, city = ''Ulm'', city IS NULL, points > 20, seen > ''2024-01-05''}'::text[] LOOP
        EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(q)) INTO plain;
        n := n + (plain <> cdp_segment(q)::bigint[])::int;
    END LOOP;
    RETURN n + (SELECT count(*) FROM cdp_identity_verify() WHERE NOT ok);
END $$;
SELECT ws, wrong(ws) FROM unnest('{one,seven,fifty,whole}'::text[]) ws;

-- 2. The same messages again, by either door, change nothing.
CREATE FUNCTION counts() RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', (SELECT count(*) FROM whole.event), (SELECT count(*) FROM whole.node), (SELECT count(*) FROM whole.edge), (SELECT md5(string_agg(p::text, ' ' ORDER BY profile_id)) FROM whole.profiles p)) $$;
CREATE TABLE before AS SELECT counts() AS counts;
SET cdp.workspace = 'whole';
SELECT fill('whole');
CALL cdp_process_inbox(100);
SELECT counts() = counts AS same FROM before;
SELECT count(cdp_ingest(message, 'app')) AS taken FROM stream;
SELECT counts() = counts AS same FROM before;
SELECT cdp_ingest('{"type": "track", "messageId": "m1", "userId": "u1", "event": "view"}', 'app') ->> 'repeated' IS NULL AS answered_before;

-- 3. What is no message at all waits among the rejects with its text.
INSERT INTO whole.inbox (payload) VALUES ('{"type": "page", "userId": "u1"'), ('5'), ('{"type": "page", "userId": "u\u00001"}'), ('');
CALL cdp_process_inbox();
SELECT payload, reason FROM whole.rejects WHERE source = 'inbox' ORDER BY reason;
SELECT count(*) AS left_over FROM whole.inbox;
CALL cdp_process_inbox(0);
CALL cdp_process_inbox(NULL);
-- In a transaction block it is all or nothing.
BEGIN;
INSERT INTO whole.inbox (payload) VALUES ('{"type": "page", "userId": "rolled back"}');
SET LOCAL client_min_messages = notice;
CALL cdp_process_inbox();
ROLLBACK;
SELECT cdp_profile_id('user_id', 'rolled back') AS nobody, (SELECT count(*) FROM whole.inbox) AS waiting;

DROP TABLE stream, told, before;
DROP FUNCTION make(text), fill(text), state(text), wrong(text), counts();
RESET cdp.workspace;
DROP EXTENSION pg_cdp CASCADE;
DROP SCHEMA one, seven, fifty, whole CASCADE;
