-- Profiles: the whole picture of one person as jsonb, and the view that tools read.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'Asia/Shanghai');
CREATE TABLE crm (id int PRIMARY KEY, email text, phone text, name text, tier int, since date, at timestamptz);
CREATE TABLE web (id int PRIMARY KEY, cookie text, email text, ip text, page text, at timestamptz);
SELECT cdp_source_create('crm', 'crm', '{"updated_at": "at", "identifiers": {"email": "email", "phone": "phone"}, "traits": {"name": "name", "tier": "tier", "since": "since"}}', 90);
SELECT cdp_source_create('web', 'web', '{"updated_at": "at", "identifiers": {"cookie": "cookie", "email": "email", "ip": "ip"}, "traits": {"name": "upper(email)"}, "event": {"name": "''view''", "at": "at", "properties": {"page": "page"}}}', 10);
INSERT INTO crm VALUES (1, 'ann@example.com', '13912340001', 'Ann', 3, '2020-02-29', '2024-01-01 00:00+00');
CALL cdp_sync();
INSERT INTO crm VALUES (2, 'bob@example.com', NULL, NULL, NULL, NULL, '2024-01-02 00:00+00');
INSERT INTO web VALUES (1, 'c1', NULL, '10.0.0.1', '/a', '2024-02-01 10:00+00'), (2, 'c1', NULL, NULL, '/b', '2024-02-01 11:00:00.123456+00');
CALL cdp_sync();

-- 1. Everything there is: identifiers by how telling they are, values with where they come from, tags, segments, events.
SELECT cdp_tag_create('views', 'count(view)');
SELECT cdp_tag_create('last view', 'max(view.at)');
SELECT cdp_segment_create('everybody', 'true');
SELECT cdp_segment_create('tier 3', 'tier = 3');
SELECT name, profiles, changed FROM cdp_tag_refresh();
SELECT jsonb_pretty(cdp_profile('email', ' ANN@example.com') - 'created_at' - 'tags') AS ann \gx
SELECT jsonb_pretty(cdp_profile('cookie', 'c1') - 'created_at' - 'tags') AS c1 \gx
SELECT jsonb_pretty(cdp_profile('email', 'bob@example.com') - 'created_at' - 'tags') AS bob \gx
SELECT p, t.key, t.value -> 'value' AS value, (t.value ->> 'refreshed_at')::timestamptz = (SELECT refreshed_at FROM cdp.tags WHERE name = t.key) AS refreshed FROM generate_series(1, 3) p, jsonb_each(cdp_profile(p) -> 'tags') t ORDER BY p, t.key COLLATE "C";
SELECT (cdp_profile(1) ->> 'created_at')::timestamptz = (SELECT created_at FROM cdp.profile WHERE profile_id = 1) AS created;

-- 2. By number and by any identifier it is the same; of nobody it is NULL.
SELECT cdp_profile(1) = cdp_profile('phone', '139-1234-0001') AS same, cdp_profile(99) AS never, cdp_profile(0) AS zero, cdp_profile(NULL::bigint) AS nothing, cdp_profile('email', 'nobody@example.com') AS nobody, cdp_profile('email', 'no mail') AS invalid, cdp_profile('ip', '10.0.0.1') AS weak;
SELECT cdp_profile('e-mail', 'ann@example.com');

-- 3. After a merge the retired number gives the one that lives, with all there is; the later value counts whatever the trust.
INSERT INTO web VALUES (3, 'c1', 'ann@example.com', NULL, '/login', '2024-02-02 10:00+00');
CALL cdp_sync();
SELECT cdp_resolve(3) AS resolved, cdp_profile(3) = cdp_profile(1) AS same;
SELECT jsonb_pretty(cdp_profile(3) - 'created_at' - 'tags' - 'recent_events') AS ann \gx
SELECT e ->> 'event' AS event, e ->> 'at' AS at, e ->> 'source' AS source, e -> 'properties' AS properties FROM jsonb_array_elements(cdp_profile(3) -> 'recent_events') WITH ORDINALITY AS x(e, i) ORDER BY i;

-- 4. The picture does not depend on what the session prefers.
SELECT cdp_profile(1) AS before \gset
SET TimeZone = 'America/New_York';
SET DateStyle = 'German';
SET search_path = '';
SELECT public.cdp_profile(1) = :'before'::jsonb AS same;
RESET ALL;
SET client_min_messages = warning;

-- 5. The most recent events: twenty, and how many there are in all.
INSERT INTO web SELECT 100 + i, 'c1', NULL, NULL, '/page' || i, '2024-03-01 00:00+00'::timestamptz + i * interval '1 minute' FROM generate_series(1, 30) i;
CALL cdp_sync();
SELECT cdp_profile(1) -> 'events' AS events, jsonb_array_length(cdp_profile(1) -> 'recent_events') AS recent, cdp_profile(1) #>> '{recent_events,0,properties,page}' AS last;

-- Where a value comes from: what won by which rule, all that count for a set or a sum, and what else was said; a clear is told as no value.
SELECT cdp_trait_create('plans', 'text[]', 'union');
SELECT cdp_trait_alter('name', '{"rule": "longest"}');
SELECT cdp_ingest('{"type": "identify", "traits": {"email": "ann@example.com", "plans": ["gold"], "tier": 4}, "timestamp": "2024-05-01T00:00:00Z"}', 'crm') -> 'traits' -> 'tier' AS tier;
SELECT cdp_ingest('{"type": "identify", "traits": {"email": "ann@example.com", "plans": ["silver", "very old"], "tier": null}, "timestamp": "2024-05-02T00:00:00Z"}', 'web') -> 'traits' -> 'tier' AS tier;
SELECT t.key, jsonb_pretty(t.value) AS value FROM jsonb_each(cdp_profile(1) -> 'traits') t ORDER BY t.key COLLATE "C";

-- 6. The view: the number first, then one plainly typed column an attribute, in the order they came; each with a comment.
CREATE VIEW columns AS SELECT a.attnum, a.attname, format_type(a.atttypid, a.atttypmod) AS type, col_description(a.attrelid, a.attnum) AS comment FROM pg_attribute a WHERE a.attrelid = to_regclass('cdp.profiles') AND a.attnum > 0;
SELECT * FROM columns ORDER BY attnum;
SELECT cdp_tag_create('described', 'views > 1', 'Looked more than once; it''s a "quoted" comment');
SELECT attname, type, comment FROM columns WHERE attname IN ('described', 'views') ORDER BY attnum;
SELECT obj_description('cdp.profiles'::regclass, 'pg_class');
SELECT profile_id, name, tier, since, views, described FROM cdp.profiles ORDER BY profile_id;

-- 7. New attributes are appended: a view of the user over it keeps working.
CREATE VIEW report AS SELECT tier, count(*) AS people FROM cdp.profiles GROUP BY tier;
SELECT cdp_trait_create('later', 'text');
SELECT * FROM report ORDER BY tier;
SELECT attname FROM columns ORDER BY attnum DESC LIMIT 1;
DROP VIEW report;

-- No view has a type of the extension, an enum, a domain or anything else that a tool does not know.
SELECT count(DISTINCT c.oid) > 10 AS views, count(*) > 100 AS columns, count(*) FILTER (WHERE t.typtype <> 'b' OR t.typnamespace <> 'pg_catalog'::regnamespace OR e.typtype <> 'b' OR e.typnamespace <> 'pg_catalog'::regnamespace) AS strange
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typelem <> 0
WHERE c.relkind IN ('v', 'm') AND c.relnamespace = 'cdp'::regnamespace;

-- 8. Who may read the view may read it after a tag is dropped; the other columns stay where they were.
CREATE ROLE regress_cdp_bi;
CREATE ROLE regress_cdp_lead;
GRANT USAGE ON SCHEMA cdp TO regress_cdp_bi, regress_cdp_lead;
GRANT SELECT ON cdp.profiles TO regress_cdp_bi;
GRANT SELECT ON cdp.profiles TO regress_cdp_lead WITH GRANT OPTION;
CREATE ROLE regress_cdp_narrow;
GRANT USAGE ON SCHEMA cdp TO regress_cdp_narrow;
GRANT SELECT (profile_id, tier) ON cdp.profiles TO regress_cdp_narrow;
SELECT cdp_tag_drop('described');
SELECT attname FROM columns ORDER BY attnum;
SELECT grantee, privilege_type, is_grantable FROM information_schema.role_table_grants WHERE table_schema = 'cdp' AND table_name = 'profiles' AND grantee LIKE 'regress%' ORDER BY 1, 2;
SET ROLE regress_cdp_bi;
SELECT count(*) FROM cdp.profiles;
SELECT count(*) FROM cdp.profile_value;
SET ROLE regress_cdp_narrow;
SELECT profile_id, tier FROM cdp.profiles ORDER BY 1;
SELECT name FROM cdp.profiles;
RESET ROLE;
SELECT count(*) AS without_comment FROM columns WHERE comment IS NULL;
DROP OWNED BY regress_cdp_bi, regress_cdp_lead, regress_cdp_narrow;
DROP ROLE regress_cdp_bi, regress_cdp_lead, regress_cdp_narrow;

DROP VIEW columns;
DROP TABLE crm, web;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
