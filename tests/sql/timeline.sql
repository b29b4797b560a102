-- The timeline of one person: newest first, since a moment, at most so many; over merges and by retired numbers; read through the index.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'Asia/Shanghai');
CREATE TABLE web (id int PRIMARY KEY, cookie text, email text, what text, page text, at timestamptz);
CREATE TABLE shop (id int PRIMARY KEY, email text, amount numeric, at timestamptz);
SELECT cdp_source_create('web', 'web', '{"identifiers": {"cookie": "cookie", "email": "email"}, "event": {"name": "what", "at": "at", "properties": {"page": "page"}}}');
SELECT cdp_source_create('shop', 'shop', '{"identifiers": {"email": "email"}, "event": {"name": "''purchase''", "at": "at", "properties": {"amount": "amount"}}}');
INSERT INTO web VALUES (1, 'c1', NULL, 'view', '/a', '2024-02-01 10:00+00'), (2, 'c1', NULL, 'view', '/b', '2024-02-01 10:00+00'), (3, 'c2', NULL, 'click', NULL, '2023-12-31 23:59:59.999999+00'), (4, 'c3', NULL, 'view', '/other', '2024-02-02 00:00+00');
INSERT INTO shop VALUES (1, 'ann@example.com', 12.50, '2024-01-15 00:00+08'), (2, 'ann@example.com', 7, '2024-03-01 00:00+08');
CALL cdp_sync();

-- 1. Each by itself, then one person: the retired number gives the same.
SELECT cdp_profile_id('cookie', 'c1') AS c1, cdp_profile_id('cookie', 'c2') AS c2, cdp_profile_id('email', 'ann@example.com') AS ann \gset
SELECT * FROM cdp_timeline(:c1);
SELECT * FROM cdp_timeline(:ann);
INSERT INTO web VALUES (5, 'c1', 'ann@example.com', 'login', NULL, '2024-02-01 11:00+00'), (6, 'c2', 'ann@example.com', 'login', NULL, '2024-02-05 11:00+00');
CALL cdp_sync();
SELECT * FROM cdp_timeline(:ann);
SELECT DISTINCT cdp_resolve(x) = cdp_resolve(:ann) AS one, (SELECT array_agg(t::text) FROM cdp_timeline(x) t) = (SELECT array_agg(t::text) FROM cdp_timeline(:ann) t) AS same FROM unnest(ARRAY[:c1, :c2]) x;

-- 2. Since a moment, which counts; so many and no more.
SELECT at, event FROM cdp_timeline(:ann, '2024-02-01 11:00+00');
SELECT at, event, properties FROM cdp_timeline(:ann, max_rows => 3);
SELECT at, event FROM cdp_timeline(:ann, '2024-02-01', 1);
SELECT count(*) FROM cdp_timeline(:ann, max_rows => 0);
SELECT count(*) FROM cdp_timeline(:ann, 'infinity');
SELECT count(*) FROM cdp_timeline(99);
SELECT * FROM cdp_timeline(NULL);
SELECT * FROM cdp_timeline(:ann, max_rows => -1);
SELECT * FROM cdp_timeline(:ann, max_rows => NULL);
SELECT cdp_split(cdp_resolve(:ann), ARRAY['cookie:c2'], 'test') ->> 'split' IS NOT NULL AS split;
SELECT x, (SELECT string_agg(event, ' ' ORDER BY at) FROM cdp_timeline(cdp_profile_id('cookie', x))) AS events FROM unnest(ARRAY['c1', 'c2']) x;

-- 3. It is what the view of events says, for everybody and any number of rows.
INSERT INTO web SELECT 100 + i, 'k' || i % 5, CASE WHEN i % 50 = 7 THEN 'k' || i % 3 || '@example.com' END, (ARRAY['view', 'click'])[1 + i % 2], '/p' || i % 7, '2024-01-01 00:00+00'::timestamptz + (i * 7919 % 40000) * interval '11 minutes' FROM generate_series(1, 2000) i;
CALL cdp_sync();
CREATE VIEW asked AS SELECT count(*) AS asked, count(*) FILTER (WHERE timeline IS DISTINCT FROM plain) AS wrong FROM (
    SELECT (SELECT array_agg(t::text) FROM cdp_timeline(p.profile_id, s.since, s.rows) t) AS timeline,
        (SELECT array_agg(ROW(x.at, x.event, x.source, x.properties)::text ORDER BY x.at DESC, x.event_id DESC) FROM (SELECT * FROM cdp.events e WHERE e.profile_id = p.profile_id AND (s.since IS NULL OR e.at >= s.since) ORDER BY e.at DESC, e.event_id DESC LIMIT s.rows) x) AS plain
    FROM cdp.profiles p CROSS JOIN (VALUES (NULL::timestamptz, 100), ('2024-05-01', 7), (NULL, 100000), ('2024-02-02 00:11+00', 1)) s(since, rows)) x;
TABLE asked;
-- What is left of events past their retention is among them.
SELECT cdp_event_retention('click', '1 day');
SELECT count(*) > 0 AS removed FROM cdp_retain();
SELECT count(*) > 0 AS left_of_clicks FROM cdp.event_day;
TABLE asked;
DROP VIEW asked;

-- 4. What the session prefers does not matter; only who may read may.
SELECT md5(string_agg(t.event || t.source || t.properties || extract(epoch FROM t.at), '|')) AS before FROM cdp_timeline(:ann) t \gset
SET TimeZone = 'America/New_York'; SET DateStyle = 'German'; SET search_path = '';
SELECT pg_catalog.md5(pg_catalog.string_agg(t.event || t.source || t.properties || extract(epoch FROM t.at), '|')) = :'before' AS same FROM public.cdp_timeline(:ann) t;
RESET ALL;
SET client_min_messages = warning;
CREATE ROLE regress_cdp_nobody;
SET ROLE regress_cdp_nobody;
SELECT * FROM cdp_timeline(1);
RESET ROLE;
DROP ROLE regress_cdp_nobody;

DROP TABLE web, shop;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
