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

-- 4. Payloads that are JSON and no jsonb, beside others of one batch: only they are rejected, and nothing stays.
SELECT make('hostile');
SET cdp.workspace = 'hostile';
CREATE TABLE sent (nth int, payload text, source text);
INSERT INTO sent VALUES
    (1, '{"type": "track", "messageId": "n1", "userId": "u1", "event": "number", "timestamp": "2024-03-01T00:00:00Z", "properties": {"n": 1e200000}}', 'app'),
    (2, '{"type": "track", "messageId": "n2", "userId": "u1", "event": "number", "timestamp": "2024-03-01T00:00:00Z", "properties": {"n": 1e-16384}}', 'app'),
    (3, '{"type": "track", "messageId": "n3", "userId": "u1", "event": "number", "timestamp": "2024-03-01T00:00:00Z", "properties": {"n": 1.50e3, "m": -0, "l": [1E2], "t": "1e3"}}', 'app'),
    (4, '{"type": "identify", "messageId": "n4", "userId": "u1", "timestamp": "2024-03-01T00:00:00Z", "traits": {"score": 1e3, "tiny": 12e-4, "none": -0.00, "list": [1e2, 5]}}', 'app'),
    (5, '[{"type": "page", "messageId": "n5", "userId": "u1", "timestamp": "2024-03-01T00:00:00Z", "name": "good"}, {"type": "page", "messageId": "n6", "userId": "u1", "properties": {"n": 1e200000}}]', 'app'),
    (6, '{"batch": [{"type": "page", "messageId": "n7", "userId": "u1"}], "context": {"n": 9e999999}}', 'app'),
    (7, '1e200000', 'app'), (8, '[1e200000]', 'app'), (9, '{"type": "page", "userId": 1e2, "messageId": "n8", "timestamp": "2024-03-01T00:00:00Z", "name": "C:\\u0000"}', 'app'),
    (10, '{"type": "page", "userId": "u1", "messageId": "n9", "name": "two", "properties": {"n": ' || repeat('9', 131073) || '}}', 'app'),
    (11, '{"type": "page", "userId": "u1", "messageId": "n10", "timestamp": "2024-03-01T00:00:00Z", "properties": {"n": 1e131071}}', 'app'),
    (12, '[' || repeat('1e131071,', 8) || '{"type": "page", "messageId": "n11", "userId": "u1", "timestamp": "2024-03-01T00:00:00Z"}]', 'app'),
    (13, '{"type": "identify", "messageId": "n12", "userId": "u1", "timestamp": "2024-03-01T00:00:00Z", "traits": {"at": 1, "xmin": 2, "profileId": 3, "ok": 4}}', 'app'),
    (14, '{"type": "page", "messageId": "n13", "userId": "u1", "timestamp": "2024-03-01T00:00:00Z"}', ''),
    (15, '{"type": "page", "messageId": "n14", "userId": "u1", "timestamp": "2024-03-01T00:00:00Z"}', repeat('s', 64)),
    (16, '{"type": "page", "messageId": "n15", "userId": "u1", "timestamp": "2024-03-01T00:00:00Z", "name": "the last"}', 'app');
INSERT INTO hostile.inbox (payload, source) SELECT payload, source FROM sent ORDER BY nth;
CALL cdp_process_inbox();
SELECT state, rows_done, rows_rejected, (SELECT count(*) FROM hostile.inbox) AS left_over FROM hostile.jobs;
SELECT source, kind, left(payload::text, 60) AS payload, key, reason FROM hostile.rejects ORDER BY reject_id;
SELECT event, source, left(properties::text, 60) AS properties FROM hostile.events ORDER BY event_id;
SELECT cdp_profile_id('user_id', '100') IS NOT NULL AS the_number;
-- By the other door jsonb has written the numbers: both say the same.
SELECT score, tiny, none, list, ok FROM hostile.profiles WHERE score IS NOT NULL;
SELECT make('single');
SET cdp.workspace = 'single';
SELECT count(cdp_ingest(payload::jsonb, source)) AS taken FROM sent WHERE nth IN (3, 4, 13);
SELECT score, tiny, none, list, ok FROM single.profiles;
SELECT count(*) AS differences FROM (SELECT properties FROM single.events) s FULL JOIN (SELECT properties FROM hostile.events WHERE event = 'number') h USING (properties) WHERE s.properties IS NULL OR h.properties IS NULL;
SET cdp.workspace = 'hostile';
-- Messages of one batch that bring the same trait with values of other types: the first says which it is, the others conform or are told.
INSERT INTO hostile.inbox (payload) VALUES ('{"type": "identify", "messageId": "t1", "userId": "u1", "timestamp": "2024-03-01T00:00:00Z", "traits": {"fresh": true, "fresh2": 5}}'),
    ('{"type": "identify", "messageId": "t2", "userId": "u2", "timestamp": "2024-03-01T00:00:00Z", "traits": {"fresh": "yes", "fresh2": "6"}}'),
    ('{"type": "identify", "messageId": "t3", "userId": "u3", "timestamp": "2024-03-01T00:00:00Z", "traits": {"fresh": ["a", "b"], "fresh2": null}}'),
    ('{"type": "identify", "messageId": "t4", "userId": "u4", "timestamp": "2024-03-01T00:00:00Z", "traits": {"fresh": "false"}}');
CALL cdp_process_inbox();
SELECT i.value, p.fresh, p.fresh2 FROM hostile.profiles p JOIN hostile.identifiers i USING (profile_id) WHERE i.type = 'user_id' AND i.value IN ('u1', 'u2', 'u3', 'u4') ORDER BY 1;
SELECT key, reason FROM hostile.rejects WHERE key LIKE 't_' ORDER BY 1;
-- What is right by itself and no time of PostgreSQL's is found by halving the batch.
SELECT cdp_source_policy('long ago', '{"past": "20000 years"}') ->> 'past' AS past;
INSERT INTO hostile.inbox (payload, source) SELECT jsonb_build_object('type', 'page', 'messageId', 'h' || i, 'userId', 'h' || i, 'name', 'halved', 'timestamp', CASE WHEN i IN (7, 30) THEN '-009000-01-01T00:00:00Z' ELSE '2024-03-01T00:00:00Z' END)::text, 'long ago' FROM generate_series(1, 50) i;
INSERT INTO hostile.inbox (payload, source) VALUES ('{"type": "page", "messageId": "h51", "userId": "h51", "name": "halved", "timestamp": "2024-03-01T00:00:00Z"}', 'app');
CALL cdp_process_inbox(40);
SELECT state, rows_done, rows_rejected, message, (SELECT count(*) FROM hostile.inbox) AS left_over FROM hostile.jobs ORDER BY job_id DESC LIMIT 1;
SELECT payload ->> 'messageId' AS message, kind, code, reason FROM hostile.rejects WHERE source = 'long ago' ORDER BY reject_id;
SELECT count(*) AS events, count(DISTINCT profile_id) AS people FROM hostile.events WHERE properties ->> 'name' = 'halved';
SELECT source, rows, rejected, events FROM hostile.data_quality ORDER BY source;
SELECT count(*) FILTER (WHERE NOT ok) AS wrong FROM cdp_identity_verify();

-- 5. Late: some days ago, out of order, through both doors. After every step the columns say what the facts say, a part of a day included.
CREATE TABLE late AS SELECT i, jsonb_build_object('type', 'track', 'messageId', 'l' || i, 'userId', 'l' || i % 7, 'event', 'look', 'timestamp', to_char(timestamp '2024-05-10 09:00' - (i * 7919 % 300) * interval '53 minutes', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'properties', jsonb_build_object('item', (ARRAY['hat', 'coat'])[1 + i % 2], 'price', i)) AS message FROM generate_series(1, 240) i;
CREATE FUNCTION windows() RETURNS text LANGUAGE plpgsql AS $$
DECLARE q text; plain bigint[]; told text := '';
BEGIN
    FOREACH q IN ARRAY '{count(look) FILTER (WHERE at >= now() - interval ''3 days 5 hours'') > 4, count(look) FILTER (WHERE item = ''hat'' AND at >= now() - interval ''6 days'' AND at < now() - interval ''30 hours'') >= 3, sum(look.price) FILTER (WHERE at >= current_date - 2) > 300}'::text[] LOOP
        EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(q, '2024-05-10 08:30+00')) INTO plain;
        told := told || CASE WHEN plain = cdp_segment(q, '2024-05-10 08:30+00')::bigint[] THEN 'right ' || cardinality(plain) ELSE 'WRONG' END || '; ';
    END LOOP;
    RETURN told;
END $$;
SELECT make('late');
SET cdp.workspace = 'late';
INSERT INTO late.inbox (payload) SELECT message::text FROM late WHERE i <= 80 ORDER BY i;
CALL cdp_process_inbox(7);
SELECT windows();
SELECT count(cdp_ingest(message, 'inbox')) AS taken FROM late WHERE i BETWEEN 60 AND 120;
SELECT windows();
SELECT cdp_flush() > 0 AS folded;
INSERT INTO late.inbox (payload) SELECT message::text FROM late ORDER BY i DESC;
CALL cdp_process_inbox();
SELECT windows();
SELECT count(*) AS events, count(DISTINCT at) AS times FROM late.events;

-- 6. Only what changed is computed anew: rows of others stay as they are.
CREATE TABLE versions AS SELECT profile_id, xmin::text AS version FROM late.profile_value;
INSERT INTO late.inbox (payload) VALUES ('{"type": "identify", "messageId": "v1", "userId": "l3", "timestamp": "2024-05-10T00:00:00Z", "traits": {"city": "Ulm"}}');
CALL cdp_process_inbox();
CREATE TABLE versions_2 AS SELECT profile_id, xmin::text AS version FROM late.profile_value;
SELECT i.value AS changed FROM versions v JOIN versions_2 w USING (profile_id) JOIN late.identifiers i USING (profile_id) WHERE v.version <> w.version;
-- Said again, nothing is.
INSERT INTO late.inbox (payload) VALUES ('{"type": "identify", "messageId": "v2", "userId": "l3", "timestamp": "2024-05-11T00:00:00Z", "traits": {"city": "Ulm"}}');
CALL cdp_process_inbox();
SELECT count(*) AS changed FROM versions_2 v JOIN late.profile_value w USING (profile_id) WHERE v.version <> w.xmin::text;

-- 7. Figures of what came: null rates are those of the messages.
INSERT INTO late.inbox (payload, source) SELECT jsonb_strip_nulls(jsonb_build_object('type', CASE WHEN i % 3 = 0 THEN 'identify' ELSE 'track' END, 'messageId', 'f' || i, 'userId', 'f' || i % 10, 'anonymousId', CASE WHEN i % 4 = 0 THEN 'fa' || i % 10 END,
    'event', 'measured', 'timestamp', '2024-05-01T00:00:00Z', 'properties', jsonb_build_object('a', CASE WHEN i % 5 = 0 THEN i END, 'b', 1), 'traits', jsonb_build_object('tall', CASE WHEN i % 2 = 0 THEN true END, 'wide', 5)))::text, 'figures' FROM generate_series(1, 60) i;
CALL cdp_process_inbox();
SELECT jsonb_pretty(null_rates), null_rates = (SELECT jsonb_build_object('identifier user_id', 0.0000, 'identifier anonymous_id', round(1 - count(*) FILTER (WHERE i % 4 = 0)::numeric / count(*), 4), 'trait wide', 0.0000,
    'trait tall', round(1 - count(*) FILTER (WHERE i % 6 = 0)::numeric / count(*) FILTER (WHERE i % 3 = 0), 4), 'property measured.b', 0.0000,
    'property measured.a', round(1 - count(*) FILTER (WHERE i % 3 > 0 AND i % 5 = 0)::numeric / count(*) FILTER (WHERE i % 3 > 0), 4)) FROM generate_series(1, 60) i) AS right
FROM late.data_quality WHERE source = 'figures';
SELECT name, origin, observations, first_seen, last_seen FROM late.attributes ORDER BY name;
SELECT name, origin, events FROM late.event_types ORDER BY name;

DROP TABLE stream, told, before, sent, late, versions, versions_2;
DROP FUNCTION make(text), fill(text), state(text), wrong(text), counts(), windows();
RESET cdp.workspace;
DROP EXTENSION pg_cdp CASCADE;
DROP SCHEMA one, seven, fifty, whole, hostile, single, late CASCADE;
