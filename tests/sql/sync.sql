-- cdp_sync(): takes what is new, once, whole or not at all; what cannot be used is told, with the reason, and the rest lands.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');

-- What the facts come to: equal digests mean that a sync changed nothing.
CREATE FUNCTION facts() RETURNS text LANGUAGE sql AS $$
    SELECT md5(concat_ws('|',
        (SELECT string_agg(t::text, ';' ORDER BY t.node_id) FROM cdp.node t),
        (SELECT string_agg(t::text, ';' ORDER BY t.from_node, t.to_node, t.source_id) FROM cdp.edge t),
        (SELECT string_agg(t::text, ';' ORDER BY t.profile_id) FROM cdp.profile t),
        (SELECT string_agg(t::text, ';' ORDER BY t.profile_id) FROM cdp.profile_value t),
        (SELECT string_agg(t::text, ';' ORDER BY t.node_id, t.source_id, t.observed_at) FROM cdp.trait_observation t),
        (SELECT string_agg(t::text, ';' ORDER BY t.event_id) FROM cdp.event t),
        (SELECT string_agg(t::text, ';' ORDER BY t.column_id, t.key, t.shard) FROM cdp.chunk t),
        (SELECT string_agg(t::text, ';' ORDER BY t.dictionary_id, t.code) FROM cdp.dictionary t)))
$$;
-- The last run of a source; a sync leaves nothing pending.
CREATE FUNCTION last_job(source text) RETURNS TABLE (state text, done bigint, total bigint, rejected bigint, message text, pending bigint) LANGUAGE sql AS $$
    SELECT j.state, j.rows_done, j.rows_total, j.rows_rejected, j.message, (SELECT count(*) FROM cdp.pending) FROM cdp.jobs j WHERE j.source = $1 ORDER BY j.job_id DESC LIMIT 1
$$;
CREATE FUNCTION who(profile bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(i.value, ' ' ORDER BY i.value COLLATE "C") FROM cdp.identifiers i WHERE i.profile_id = $1
$$;

-- 1. By watermark: only rows at or after the highest updated_at taken so far are read again.
CREATE TABLE crm (id int PRIMARY KEY, email text, city text, changed timestamptz);
SELECT cdp_source_create('crm', 'crm', '{"updated_at": "changed", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
CALL cdp_sync('crm');
SELECT * FROM last_job('crm');
INSERT INTO crm VALUES (1, 'ann@example.com', 'Paris', '2024-01-01 10:00+00'), (2, 'bob@example.com', 'Rome', '2024-01-02 10:00+00'), (3, 'cid@example.com', NULL, '2024-01-02 10:00+00');
CALL cdp_sync('crm');
SELECT * FROM last_job('crm');
SELECT who(profile_id), city FROM cdp.profiles ORDER BY who(profile_id) COLLATE "C";
SELECT watermark FROM cdp.sources;
-- The same rows again change nothing.
SELECT facts() AS before \gset
CALL cdp_sync('crm');
SELECT * FROM last_job('crm');
SELECT facts() = :'before' AS unchanged;
-- A new row, a changed one, one that arrives late at the very moment of the watermark, and one whose time is older: that is not seen.
INSERT INTO crm VALUES (4, 'dee@example.com', 'Oslo', '2024-01-03 10:00+00'), (5, 'eva@example.com', 'Bern', '2024-01-02 10:00+00'), (6, 'old@example.com', 'Pisa', '2023-12-31 10:00+00');
UPDATE crm SET city = 'Nice', changed = '2024-01-03 11:00+00' WHERE id = 1;
CALL cdp_sync('crm');
SELECT who(profile_id), city FROM cdp.profiles ORDER BY who(profile_id) COLLATE "C";
SELECT cdp_segment_count($$ city = 'Paris' $$) AS was, cdp_segment_count($$ city = 'Nice' $$) AS is, cdp_segment_count($$ city IS NULL $$) AS none;

-- 2. A watermark may be any type that has an order; rows without one are read each time.
CREATE TABLE log (n bigint, email text, note text);
SELECT cdp_source_create('log', 'log', '{"key": "coalesce(n, -1)", "updated_at": "n", "identifiers": {"email": "email"}, "event": {"name": "''note''", "at": "timestamptz ''2024-01-01 00:00+00''", "properties": {"note": "note"}}}');
INSERT INTO log VALUES (9, 'ann@example.com', 'nine'), (10, 'ann@example.com', 'ten'), (NULL, 'ann@example.com', 'none');
CALL cdp_sync('log');
SELECT watermark FROM cdp.sources WHERE name = 'log';
INSERT INTO log VALUES (8, 'ann@example.com', 'eight'), (100, 'ann@example.com', 'hundred');
CALL cdp_sync('log');
SELECT * FROM last_job('log');
SELECT facts() AS before \gset
CALL cdp_sync('log');
SELECT facts() = :'before' AS unchanged;
SELECT event, properties FROM cdp.events ORDER BY properties ->> 'note';

-- 3. Without updated_at every row is compared with what was last taken of it.
CREATE TABLE list (a int, b text, email text, tier int, PRIMARY KEY (b, a));
SELECT cdp_source_create('list', 'list', '{"identifiers": {"email": "email"}, "traits": {"tier": "tier"}}');
INSERT INTO list VALUES (1, 'x', 'ann@example.com', 1), (1, 'y', 'bob@example.com', 2), (2, 'x,"', 'cid@example.com', 3);
CALL cdp_sync('list');
SELECT * FROM last_job('list');
SELECT facts() AS before \gset
CALL cdp_sync('list');
SELECT * FROM last_job('list');
SELECT facts() = :'before' AS unchanged;
UPDATE list SET tier = 20 WHERE b = 'y';
INSERT INTO list VALUES (2, 'y', 'dee@example.com', 4);
CALL cdp_sync('list');
SELECT * FROM last_job('list');
SELECT who(profile_id), tier FROM cdp.profiles WHERE tier IS NOT NULL ORDER BY who(profile_id) COLLATE "C";

-- 4. Without any key a row is its own key: the same row twice is one fact.
CREATE TABLE click (email text, page text, at timestamptz);
SELECT cdp_source_create('click', 'click', '{"identifiers": {"email": "email"}, "event": {"name": "''click''", "at": "at", "properties": {"page": "page"}}}');
INSERT INTO click VALUES ('ann@example.com', '/a', '2024-02-01 00:00+00'), ('ann@example.com', '/a', '2024-02-01 00:00+00'), ('ann@example.com', '/b', '2024-02-01 00:00+00');
CALL cdp_sync('click');
SELECT * FROM last_job('click');
CALL cdp_sync('click');
SELECT count(*) AS clicks FROM cdp.events WHERE event = 'click';
SELECT source, key, reason FROM cdp.rejects;

-- 5. Where the mapping names a key, two rows with one key are an error of the data: the later one by updated_at counts, the other is told.
CREATE TABLE double (k text, email text, n int, at timestamptz);
SELECT cdp_source_create('double', 'double', '{"key": "k", "updated_at": "at", "identifiers": {"email": "email"}, "event": {"name": "''double''", "at": "at", "properties": {"n": "n"}}}');
INSERT INTO double VALUES ('k1', 'ann@example.com', 1, '2024-03-01 00:00+00'), ('k1', 'ann@example.com', 2, '2024-03-02 00:00+00'), ('k2', 'ann@example.com', 3, '2024-03-03 00:00+00'), (NULL, 'ann@example.com', 4, '2024-03-01 00:00+00');
CALL cdp_sync('double');
SELECT * FROM last_job('double');
SELECT properties FROM cdp.events WHERE event = 'double' ORDER BY at;
SELECT source, key, payload ->> 'n' AS n, reason FROM cdp.rejects WHERE source = 'double' ORDER BY payload ->> 'n';

-- 6. A changed event replaces what it said: time, properties, person; the counts by day follow.
CREATE TABLE orders (id int PRIMARY KEY, email text, at timestamptz, item text, amount numeric, changed int);
SELECT cdp_source_create('orders', 'orders', '{"updated_at": "changed", "identifiers": {"email": "email"}, "event": {"name": "''order''", "at": "at", "properties": {"item": "item", "amount": "amount"}}}');
INSERT INTO orders VALUES (1, 'ann@example.com', '2024-04-01 12:00+00', 'hat', 10, 1), (2, 'ann@example.com', '2024-04-02 12:00+00', 'shoe', 20, 1), (3, 'bob@example.com', '2024-04-02 12:00+00', 'shoe', 30, 1);
CALL cdp_sync('orders');
UPDATE orders SET item = 'hat', amount = 5.5, changed = 2 WHERE id = 2;
UPDATE orders SET email = 'cid@example.com', at = '2024-05-02 12:00+00', changed = 2 WHERE id = 3;
CALL cdp_sync('orders');
SELECT * FROM last_job('orders');
SELECT who(profile_id), at, properties FROM cdp.events WHERE event = 'order' ORDER BY at;
SELECT cdp_segment_count($$ sum("order".amount) FILTER (WHERE item = 'hat') = 15.5 $$) AS ann, cdp_segment_count($$ count("order") FILTER (WHERE item = 'shoe') > 0 $$) AS cid,
       cdp_segment_count($$ count("order") FILTER (WHERE at < '2024-05-01') > 0 $$) AS before_may;

-- 7. A row whose expression fails is rejected with the reason, wherever it stands; the rest lands.
CREATE TABLE bad (id int PRIMARY KEY, email text, n text, d int);
SELECT cdp_source_create('bad', 'bad', '{"identifiers": {"email": "email"}, "traits": {"n": "n::int", "ratio": "100 / d"}}');
INSERT INTO bad VALUES (1, 'first@example.com', 'one', 1), (2, 'good@example.com', '2', 4), (3, 'zero@example.com', '3', 0), (4, 'fine@example.com', '4', 5), (5, 'huge@example.com', '99999999999', 1), (6, 'last@example.com', '', 1);
CALL cdp_sync('bad');
SELECT * FROM last_job('bad');
SELECT who(profile_id), n, ratio FROM cdp.profiles WHERE n IS NOT NULL ORDER BY who(profile_id) COLLATE "C";
SELECT key, payload, reason FROM cdp.rejects WHERE source = 'bad' ORDER BY key;
-- Once told is enough; a row that is repaired lands.
UPDATE bad SET n = '1' WHERE id = 1;
CALL cdp_sync('bad');
SELECT * FROM last_job('bad');
SELECT who(profile_id), n, ratio FROM cdp.profiles WHERE n = 1;
SELECT count(*) FROM cdp.rejects WHERE source = 'bad';
-- All of them.
CREATE TABLE worse AS SELECT i AS id, 'w' || i || '@example.com' AS email FROM generate_series(1, 5) i;
SELECT cdp_source_create('worse', 'worse', '{"key": "id", "identifiers": {"email": "email"}, "traits": {"x": "1 / (id - id)"}}');
CALL cdp_sync('worse');
SELECT * FROM last_job('worse');
SELECT reason, count(*) FROM cdp.rejects WHERE source = 'worse' GROUP BY 1;

-- 8. Events that cannot be placed: no time, a time without end, no id, no name or too long a name. A row without an event is no fault.
CREATE TABLE odd (id int PRIMARY KEY, email text, name text, at timestamptz, eid text);
SELECT cdp_source_create('odd', 'odd', '{"identifiers": {"email": "email"}, "traits": {"odd": "id"}, "event": {"name": "name", "at": "at", "id": "eid"}}');
INSERT INTO odd VALUES (1, 'o1@example.com', 'odd', '2024-01-01 00:00+00', 'e1'), (2, 'o2@example.com', 'odd', NULL, 'e2'), (3, 'o3@example.com', 'odd', 'infinity', 'e3'),
    (4, 'o4@example.com', 'odd', '-infinity', 'e4'), (5, 'o5@example.com', 'odd', '2024-01-01 00:00+00', NULL), (6, 'o6@example.com', '', '2024-01-01 00:00+00', 'e6'),
    (7, 'o7@example.com', repeat('n', 64), '2024-01-01 00:00+00', 'e7'), (8, 'o8@example.com', NULL, NULL, NULL);
CALL cdp_sync('odd');
SELECT * FROM last_job('odd');
SELECT who(profile_id), odd FROM cdp.profiles WHERE odd IS NOT NULL ORDER BY who(profile_id) COLLATE "C";
SELECT key, reason FROM cdp.rejects WHERE source = 'odd' ORDER BY key;
SELECT event, count(*) FROM cdp.events JOIN cdp.profiles USING (profile_id) WHERE odd IS NOT NULL GROUP BY 1;

-- 9. Identifiers: cleaned before they are compared; blocked, invalid and empty ones are no identifiers; a row without any usable one is rejected.
CREATE TABLE form (id int PRIMARY KEY, email text, phone text, device text, ip text, v int);
SELECT cdp_source_create('form', 'form', '{"identifiers": {"email": "email", "phone": "phone", "device_id": "device", "ip": "ip"}, "traits": {"form": "v"}}');
INSERT INTO form VALUES
    (1, '  Zoe@Example.COM ', '139 1234 0001', NULL, NULL, 1), (2, 'zoe@example.com', '+86 139-1234-0001', 'ABC-1', NULL, 2), (3, NULL, '0086 13912340001', 'abc-1', '10.0.0.1', 3),
    (4, 'no mail', '123', '0000-0000', NULL, 4), (5, 'test@test.com', NULL, NULL, NULL, 5), (6, '', '', '', '', 6), (7, NULL, NULL, NULL, '10.0.0.1', 7),
    (8, 'noreply@shop.example', NULL, 'xyz-8', '127.0.0.1', 8);
CALL cdp_sync('form');
SELECT * FROM last_job('form');
SELECT who(profile_id) FROM cdp.profiles WHERE form IS NOT NULL ORDER BY who(profile_id) COLLATE "C";
SELECT key, reason FROM cdp.rejects WHERE source = 'form' AND key IS NOT NULL ORDER BY key;
SELECT payload, reason FROM cdp.rejects WHERE source = 'form' AND key IS NULL ORDER BY payload ->> 'identifier_type', payload ->> 'value' COLLATE "C";
SELECT type, value, profile_id IS NULL AS belongs_to_nobody FROM cdp.identifiers WHERE type = 'ip';

-- 10. Names: whatever a column is called, also what the extension calls its own.
CREATE TABLE "Odd ""Table""" ("Primary" int PRIMARY KEY, "e mail" text, "客户 等级" text, rn int, k int, r int, u int, h int, s int, seen int, "select" date);
SELECT cdp_source_create('odd "names"', '"Odd ""Table"""', $${"identifiers": {"email": "\"e mail\""}, "traits": {"客户 等级": "\"客户 等级\"", "rn": "rn", "k": "k", "r": "r", "u": "u", "h": "h", "s": "s", "seen": "seen", "select": "\"select\"", "A b": "rn + k"}}$$);
INSERT INTO "Odd ""Table""" VALUES (1, 'names@example.com', '金', 1, 2, 3, 4, 5, 6, 7, '2024-01-01');
CALL cdp_sync('odd "names"');
SELECT "客户 等级", rn, k, r, u, h, s, seen, "select", "A b" FROM cdp.profiles WHERE rn IS NOT NULL;
SELECT cdp_segment_count($$ "客户 等级" = '金' AND "A b" = 3 AND "select" = '2024-01-01' AND k = 2 $$);

-- 11. Hundreds of traits and properties: more than one call of jsonb_build_object() takes.
\set ECHO none
SELECT 'CREATE TABLE wide (id int PRIMARY KEY, email text, ' || string_agg(format('c%s int', i), ', ') || ')' FROM generate_series(1, 120) i \gexec
SELECT 'INSERT INTO wide VALUES (1, ''wide@example.com'', ' || string_agg(i::text, ', ') || ')' FROM generate_series(1, 120) i \gexec
\set ECHO all
SELECT cdp_source_create('wide', 'wide', jsonb_build_object('identifiers', '{"email": "email"}'::jsonb,
    'traits', (SELECT jsonb_object_agg('t' || i, 'c' || i) FROM generate_series(1, 120) i),
    'event', jsonb_build_object('name', '''wide''', 'at', '''2024-01-01 00:00+00''::timestamptz', 'measures', '[]'::jsonb, 'properties', (SELECT jsonb_object_agg('p' || i, 'c' || i) FROM generate_series(1, 120) i))));
CALL cdp_sync('wide');
SELECT t1, t50, t51, t100, t101, t120 FROM cdp.profiles WHERE t1 IS NOT NULL;
SELECT count(*) AS properties, sum(value::int) FROM cdp.events, jsonb_each_text(properties) WHERE event = 'wide';

-- 12. Inside a transaction block nothing can be committed: the run is part of the transaction, and goes with it.
SET client_min_messages = notice;
BEGIN;
CALL cdp_sync('click');
ROLLBACK;
SET client_min_messages = warning;
BEGIN;
INSERT INTO click VALUES ('roll@example.com', '/back', '2024-02-02 00:00+00');
CALL cdp_sync('click');
SELECT count(*) FROM cdp.identifiers WHERE value = 'roll@example.com';
SELECT state, done, total FROM last_job('click');
ROLLBACK;
SELECT count(*) FROM cdp.identifiers WHERE value = 'roll@example.com';
SELECT state, done, total FROM last_job('click');

-- 13. A mistake that is not of a row fails the run, and the job says why; what was there before stays, and the next run goes on.
INSERT INTO click VALUES ('new@example.com', '/new', '2024-02-03 00:00+00');
ALTER TABLE click RENAME COLUMN page TO site;
CALL cdp_sync('click');
SELECT state, done, total, message FROM last_job('click');
ALTER TABLE click RENAME COLUMN site TO page;
CALL cdp_sync('click');
SELECT state, done, total, message FROM last_job('click');
SELECT properties FROM cdp.events WHERE event = 'click' ORDER BY properties ->> 'page';
CALL cdp_sync('clicks');

-- 14. A row that is read again is told once: with a watermark the last rows always are.
CREATE TABLE again (id int PRIMARY KEY, email text, n text, at timestamptz);
SELECT cdp_source_create('again', 'again', '{"updated_at": "at", "identifiers": {"email": "email"}, "traits": {"again": "n::int"}}');
INSERT INTO again VALUES (1, 'r1@example.com', '1', '2024-01-01 00:00+00'), (2, 'r2@example.com', 'two', '2024-01-02 00:00+00'), (3, 'unknown', '3', '2024-01-02 00:00+00'), (4, 'r4@example.com', 'four', NULL);
CALL cdp_sync('again');
CALL cdp_sync('again');
CALL cdp_sync('again');
SELECT key, reason, count(*) FROM cdp.rejects WHERE source = 'again' GROUP BY 1, 2 ORDER BY 1, 2;

-- 15. A clock that is wrong without end does not stop a source: later rows are still taken.
CREATE TABLE clock (id int PRIMARY KEY, email text, at timestamptz);
SELECT cdp_source_create('clock', 'clock', '{"updated_at": "at", "identifiers": {"email": "email"}, "traits": {"clock": "id"}}');
INSERT INTO clock VALUES (1, 'clock1@example.com', '2024-01-01 00:00+00'), (2, 'clock2@example.com', 'infinity');
CALL cdp_sync('clock');
INSERT INTO clock VALUES (3, 'clock3@example.com', '2024-01-02 00:00+00');
CALL cdp_sync('clock');
SELECT who(profile_id), clock FROM cdp.profiles WHERE clock IN (1, 3) ORDER BY clock;
-- Nor does an event at the edge of what a timestamp can say.
CREATE TABLE edge_of_time (id int PRIMARY KEY, email text, at timestamptz);
SELECT cdp_source_create('edge of time', 'edge_of_time', '{"identifiers": {"email": "email"}, "event": {"name": "''edge''", "at": "at"}}');
INSERT INTO edge_of_time VALUES (1, 'edge1@example.com', '4714-11-24 00:00:00+00 BC'), (2, 'edge2@example.com', '294276-12-31 23:59:59.999999+00'), (3, 'edge3@example.com', '2024-01-01 00:00+00');
CALL cdp_sync('edge of time');
SELECT state, done FROM last_job('edge of time');
SELECT who(profile_id) FROM cdp.events WHERE event = 'edge' AND at BETWEEN '2000-01-01' AND '2100-01-01';
SELECT cdp_segment_count('count(edge) FILTER (WHERE at >= date ''2000-01-01'') > 0');

-- 16. All sources at once, in the order they were made; nothing is new.
SELECT facts() AS before \gset
CALL cdp_sync();
SELECT facts() = :'before' AS unchanged;
SELECT state, count(*) FROM (SELECT DISTINCT ON (source) source, state FROM cdp.jobs ORDER BY source, job_id DESC) j GROUP BY 1;

-- 17. A run that is cancelled keeps what it has committed and holds nothing: the next one, from the same session or another, goes on.
CREATE TABLE slow (id int PRIMARY KEY, email text);
INSERT INTO slow VALUES (1, 'slow@example.com');
CREATE FUNCTION takes_long(int) RETURNS int LANGUAGE sql AS 'SELECT $1 FROM pg_sleep(60)';
SELECT cdp_source_create('slow', 'slow', '{"identifiers": {"email": "email"}, "traits": {"slow": "public.takes_long(id)"}}');
SET statement_timeout = '2s';
CALL cdp_sync('slow');
RESET statement_timeout;
CREATE OR REPLACE FUNCTION takes_long(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CALL cdp_sync('slow');
SELECT state, done, total FROM last_job('slow');
SELECT who(profile_id), slow FROM cdp.profiles WHERE slow IS NOT NULL;
SELECT count(*) AS running FROM cdp.jobs WHERE state = 'running';

DROP FUNCTION facts, last_job, who, takes_long;
DROP TABLE crm, log, list, click, double, orders, bad, worse, odd, form, "Odd ""Table""", wide, again, clock, edge_of_time, slow;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
