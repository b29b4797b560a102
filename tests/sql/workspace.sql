-- The workspace: what cdp_init() makes, which one a session works on, and that it outlives the extension.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;

-- 1. Before cdp_init() every function says what to do.
SELECT cdp_status();
SELECT cdp_segment('true');
CALL cdp_sync();

-- 2. What cdp_init() refuses, and that it leaves nothing behind.
SELECT cdp_init('');
SELECT cdp_init('pg_brand');
SELECT cdp_init(repeat('w', 64));
SELECT cdp_init('public');
SELECT cdp_init(time_zone => 'Nowhere/Land');
SELECT cdp_init(phone_region => 'Europe');
SELECT nspname FROM pg_namespace WHERE nspname ~ 'cdp|brand|^w+$';

-- 3. The default workspace, and a second one under a name that needs quoting.
SELECT cdp_init(time_zone => 'Asia/Shanghai');
SELECT cdp_init();
SELECT cdp_init('Brand "B" of 品牌''s', 'America/New_York', 'us');
SELECT version = cdp_version() AS same_version, time_zone, phone_region FROM cdp.workspace;
SELECT version = cdp_version() AS same_version, time_zone, phone_region FROM "Brand ""B"" of 品牌's".workspace;
SELECT metric, value FROM cdp_status() WHERE metric <> 'version';
-- Without a time zone it is the session's.
SET TimeZone = 'Europe/Paris';
SELECT cdp_init('paris');
SELECT time_zone FROM paris.workspace;
RESET TimeZone;
DROP SCHEMA paris CASCADE;

-- 4. The setting cdp.workspace chooses.
SHOW cdp.workspace;
SET cdp.workspace = 'brand_c';
SELECT cdp_status();
SET cdp.workspace = '';
SELECT cdp_status();
SET cdp.workspace = 'Brand "B" of 品牌''s';
SELECT value FROM cdp_status() WHERE metric IN ('workspace', 'time zone');
RESET cdp.workspace;
SELECT value FROM cdp_status() WHERE metric = 'workspace';

-- 5. Both workspaces hold the same kinds of object under the same names.
CREATE FUNCTION objects(workspace text) RETURNS TABLE (kind "char", name name) LANGUAGE sql AS
    'SELECT c.relkind, c.relname FROM pg_class c WHERE c.relnamespace = quote_ident($1)::regnamespace';
SELECT count(*) FROM (SELECT * FROM objects('cdp') EXCEPT SELECT * FROM objects('Brand "B" of 品牌''s')) x;
SELECT count(*) FROM (SELECT * FROM objects('Brand "B" of 品牌''s') EXCEPT SELECT * FROM objects('cdp')) x;
SELECT name FROM objects('cdp') WHERE kind = 'v' ORDER BY name COLLATE "C";
SELECT name FROM objects('cdp') WHERE kind IN ('r', 'p') ORDER BY name COLLATE "C";
DROP FUNCTION objects;

-- 6. One source, some facts, so that there are columns, partitions and views over them.
CREATE TABLE shop (id int PRIMARY KEY, email text, phone text, city text, tier int, at timestamptz, item text, price numeric(8,2));
SELECT cdp_source_create('shop', 'shop', '{"identifiers": {"email": "email", "phone": "phone"}, "updated_at": "at",
    "traits": {"city": "city", "tier": "tier"}, "event": {"name": "''buy''", "at": "at", "properties": {"item": "item", "price": "price"}}}');
INSERT INTO shop VALUES
    (1, 'ann@example.com', '13912340001', 'Paris', 1, '2024-05-01 10:00+00', 'shoe', 20.50),
    (2, 'ann@example.com', NULL,          'Paris', 2, '2024-05-02 10:00+00', 'hat',   9.00);
CALL cdp_sync();
INSERT INTO shop VALUES
    (3, 'bob@example.com', '13912340002', 'Rome',  1, '2024-06-01 10:00+00', 'shoe', 30.00),
    (4, 'cid@example.com', '13912340002', NULL,    3, '2024-06-05 10:00+00', 'hat',   7.25);
CALL cdp_sync();
SELECT cdp_tag_create('spent', 'sum(buy.price)');
SELECT name, profiles, changed FROM cdp_tag_refresh();
SELECT cdp_segment_create('shoes', $$ count(buy) FILTER (WHERE item = 'shoe') > 0 $$);

-- 7. Everything in a workspace says what it is for: none of these is without a comment.
SELECT c.relkind, c.relname FROM pg_class c
WHERE c.relnamespace = 'cdp'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND obj_description(c.oid, 'pg_class') IS NULL ORDER BY c.relname COLLATE "C";
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'cdp'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
  AND col_description(c.oid, a.attnum) IS NULL ORDER BY c.relname COLLATE "C", a.attnum;
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'cdp'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT obj_description('cdp'::regnamespace, 'pg_namespace') IS NOT NULL AS schema_has_comment;

-- 8. Views show plain types only, so that any tool reads them.
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'cdp'::regnamespace AND c.relkind = 'v' AND a.attnum > 0
  AND a.atttypid <> ALL ('{boolean,integer,bigint,real,numeric,text,date,timestamptz,jsonb}'::regtype[]) ORDER BY 1, 2;

-- 9. Nothing in a workspace belongs to the extension or depends on it.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend d
WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_cdp')
  AND pg_describe_object(d.classid, d.objid, d.objsubid) ~ '\ycdp\.';

-- 10. The data and the answers outlive the extension.
CREATE TABLE before_drop AS
    SELECT cdp_segment($$ tier >= 1 AND spent > 10 $$)::bigint[] AS members, cdp_segment_count($$ city = 'Rome' OR count(buy) > 1 $$) AS n,
           cdp_profile('email', 'cid@example.com') AS profile, (SELECT array_agg(m ORDER BY m) FROM cdp_members('shoes') m) AS kept;
SELECT members, n, profile ->> 'profile_id' AS profile_id, kept FROM before_drop;
DROP EXTENSION pg_cdp;
SELECT profile_id, city, tier, spent FROM cdp.profiles ORDER BY profile_id;
SELECT count(*) AS events FROM cdp.events;
SELECT type, value, profile_id FROM cdp.identifiers ORDER BY type, value;
SELECT name, profiles FROM cdp.segments;
SELECT * FROM cdp.segment_members;
CREATE EXTENSION pg_cdp;
SELECT cdp_segment($$ tier >= 1 AND spent > 10 $$)::bigint[] = members AS same_members, cdp_segment_count($$ city = 'Rome' OR count(buy) > 1 $$) = n AS same_count,
       cdp_profile('email', 'cid@example.com') = profile AS same_profile, (SELECT array_agg(m ORDER BY m) FROM cdp_members('shoes') m) = kept AS same_segment
FROM before_drop;
SELECT segment, array_agg(profile_id ORDER BY profile_id) AS members FROM cdp.segment_members GROUP BY segment;

-- 11. It works the same from a schema of its own.
DROP EXTENSION pg_cdp;
CREATE SCHEMA "Ext Schema";
CREATE EXTENSION pg_cdp SCHEMA "Ext Schema";
SELECT "Ext Schema".cdp_segment($$ tier >= 1 AND spent > 10 $$)::bigint[] = members AS same_members,
       "Ext Schema".cdp_segment_count($$ city = 'Rome' OR count(buy) > 1 $$) = n AS same_count FROM before_drop;
SELECT segment, array_agg(profile_id ORDER BY profile_id) AS members FROM cdp.segment_members GROUP BY segment;
INSERT INTO shop VALUES (5, 'dee@example.com', NULL, 'Oslo', 1, '2024-06-06 10:00+00', 'shoe', 11);
CALL "Ext Schema".cdp_sync();
SELECT name, added, removed, total FROM "Ext Schema".cdp_segment_refresh();

DROP EXTENSION pg_cdp;
DROP SCHEMA "Ext Schema";
DROP SCHEMA cdp, "Brand ""B"" of 品牌's" CASCADE;
DROP TABLE shop, before_drop;
