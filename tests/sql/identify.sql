-- cdp_identify(): one sight at a time comes to the same people as rows of a source in batches.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
-- What one event needs is read without a query.
SELECT name FROM _cdp_direct_tables() WHERE NOT direct;
SELECT string_agg(name, ' ' ORDER BY name) FROM _cdp_direct_tables();
CREATE FUNCTION who(profile bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(i.value, ' ' ORDER BY i.value COLLATE "C") FROM cdp.identifiers i WHERE i.profile_id = $1
$$;
CREATE FUNCTION wrong() RETURNS TABLE (what text, detail text) LANGUAGE sql AS $$ SELECT v."check", v.detail FROM cdp_identity_verify() v WHERE NOT v.ok $$;

-- 1. New, known, joined.
SELECT cdp_identify('{"email": " Ann@Example.com ", "cookie": ["c1", "c2", "c1"], "ip": "10.0.0.1"}');
SELECT cdp_identify('{"phone": 13912340001}'), cdp_identify('{"cookie": "c3", "phone": "139 1234 0001"}', at => '2024-01-02');
SELECT who(1), who(2);
SELECT cdp_identify('{"cookie": "c3", "email": "ann@example.com"}', 'web', '2024-01-03') AS joined, cdp_resolve(2) AS resolved;
SELECT who(1);
SELECT name, relation, trust FROM cdp.source ORDER BY 1;
SELECT from_value, to_value, source, state, reason FROM cdp.edges ORDER BY 1, 2, 3;
SELECT value, first_seen < '2025-01-01' AS timed FROM cdp.identifiers ORDER BY 1;
SELECT * FROM wrong();
SELECT retired_id, survivor_id, source FROM cdp.merges;

-- 2. Values of traits and events of a source follow.
CREATE TABLE visit (id int PRIMARY KEY, cookie text, city text, at timestamptz);
INSERT INTO visit VALUES (1, 'v1', 'Rome', '2024-02-01'), (2, 'v2', 'Oslo', '2024-02-02');
SELECT cdp_source_create('visit', 'visit', '{"updated_at": "at", "identifiers": {"cookie": "cookie"}, "traits": {"city": "city"}, "event": {"name": "''visit''", "at": "at"}}');
CALL cdp_sync();
SELECT cdp_segment('count(visit) = 1'), cdp_segment($$ city = 'Rome' $$);
SELECT cdp_identify('{"cookie": ["v1", "v2"]}') AS joined;
SELECT cdp_segment('count(visit) = 2'), cdp_segment($$ city = 'Oslo' $$), cdp_segment($$ city = 'Rome' $$);
SELECT * FROM wrong();

-- 3. Rules: limits, hubs, decisions, also when everything is known.
SELECT cdp_identify('{"email": "x@example.com", "id_card": "320102198506120034"}', at => '2024-01-01') = cdp_identify('{"email": "x@example.com", "id_card": "110101199003074514"}', at => '2024-01-02') AS same;
SELECT from_value, to_value, reason FROM cdp.edges WHERE state = 'suspended';
SELECT cdp_identify('{"email": "x@example.com", "id_card": "320102198506120034"}', at => '2024-01-05') = cdp_profile_id('email', 'x@example.com') AS seen_last;
SELECT who(cdp_profile_id('email', 'x@example.com'));
SELECT count(cdp_identify(jsonb_build_object('device_id', 'kiosk', 'cookie', 'k' || i))) FROM generate_series(1, 101) i;
SELECT count(DISTINCT profile_id) AS people FROM cdp.identifiers WHERE value ~ '^k';
SELECT type, value, reason, neighbours FROM cdp.quarantine;
SELECT who(cdp_identify('{"device_id": "kiosk", "cookie": "k102"}')), who(cdp_identify('{"device_id": "kiosk"}'));
SELECT cdp_unlink('cookie', 'c1', 'cookie', 'c2', 'x') ->> 'moved' AS moved, cdp_unlink('cookie', 'c2', 'email', 'ann@example.com', 'x') ->> 'split' IS NOT NULL AS split;
SELECT who(cdp_identify('{"cookie": ["c1", "c2"]}')), who(cdp_profile_id('cookie', 'c2'));
SELECT who(cdp_identify('{"cookie": ["c1", "c2", "c4"]}'));
SELECT * FROM wrong();

-- 4. Errors leave nothing.
SELECT cdp_identify('{"email": "no mail", "cookie": "e1"}');
SELECT cdp_identify('{"mail": "a@example.com"}');
SELECT cdp_identify('{"email": "test@test.com"}');
SELECT cdp_identify('{"cookie": "null", "user_id": "e1"}');
SELECT cdp_identify('{"ip": "10.0.0.1"}');
SELECT cdp_identify('{}');
SELECT cdp_identify('[]');
SELECT cdp_identify(NULL);
SELECT cdp_identify('{"cookie": {"a": 1}}');
SELECT cdp_identify(jsonb_build_object('cookie', repeat('x', 2000)));
SELECT cdp_identify('{"cookie": "e1"}', '');
SELECT cdp_profile_id('cookie', 'e1') IS NULL AND cdp_profile_id('user_id', 'e1') IS NULL AS nothing_left;

-- 5. A few hundred sights at random, one by one and as rows of one source: the same people, the same edges.
CREATE TABLE sight (id int PRIMARY KEY, a text, b text, c text, d text, at timestamptz);
INSERT INTO sight SELECT i, CASE WHEN h[1] < 120 THEN 'ru' || h[2] END, CASE WHEN h[3] < 120 THEN 'r' || h[4] || '@example.com' END, CASE WHEN h[5] < 120 THEN 'rc' || h[6] END, CASE WHEN h[7] < 60 THEN 'rd' || h[8] / 64 END,
        '2024-01-01 00:00+00'::timestamptz + h[10] * interval '1 hour'
    FROM generate_series(1, 400) i CROSS JOIN LATERAL (SELECT array_agg(get_byte(decode(md5('sight' || i), 'hex'), b) ORDER BY b) AS h FROM generate_series(0, 9) b) x;
DELETE FROM sight WHERE num_nonnulls(a, b, c, d) = 0;
SELECT cdp_init('single', time_zone => 'UTC');
SELECT cdp_init('rows', time_zone => 'UTC');
UPDATE single.identifier_type SET max_per_profile = 2 WHERE name IN ('user_id', 'email');
UPDATE rows.identifier_type SET max_per_profile = 2 WHERE name IN ('user_id', 'email');
SET cdp.workspace = 'single';
SELECT count(cdp_identify(jsonb_strip_nulls(jsonb_build_object('user_id', a, 'email', b, 'cookie', c, 'device_id', d)), 'sight', at)) = count(*) AS all_seen FROM (SELECT * FROM sight ORDER BY md5(id::text)) s;
SELECT * FROM cdp_identity_verify() WHERE NOT ok;
SET cdp.workspace = 'rows';
SELECT cdp_source_create('sight', 'sight', '{"updated_at": "at", "identifiers": {"user_id": "a", "email": "b", "cookie": "c", "device_id": "d"}}');
CALL cdp_sync();
SELECT * FROM cdp_identity_verify() WHERE NOT ok;
RESET cdp.workspace;
SELECT count(*) AS people, count(*) FILTER (WHERE n > 1) AS joined FROM (SELECT count(*) AS n FROM rows.identifiers WHERE profile_id IS NOT NULL GROUP BY profile_id) x;
SELECT count(*) AS different_people FROM (
    (SELECT array_agg(value ORDER BY value) FROM single.identifiers GROUP BY profile_id EXCEPT SELECT array_agg(value ORDER BY value) FROM rows.identifiers GROUP BY profile_id)
    UNION ALL (SELECT array_agg(value ORDER BY value) FROM rows.identifiers GROUP BY profile_id EXCEPT SELECT array_agg(value ORDER BY value) FROM single.identifiers GROUP BY profile_id)) x;
SELECT count(*) AS different_edges FROM (
    SELECT least(from_value, to_value) AS a, greatest(from_value, to_value) AS b, state, reason, first_seen, last_seen FROM single.edges
    EXCEPT SELECT least(from_value, to_value), greatest(from_value, to_value), state, reason, first_seen, last_seen FROM rows.edges) x;
SELECT state, reason IS NULL AS no_reason, count(*) FROM single.edges GROUP BY 1, 2 ORDER BY 1, 2;

-- 6. What is read straight from the tables is what queries read: the same events one by one in two workspaces, in the other of which nothing is.
CREATE FUNCTION live(workspace text, direct text) RETURNS TABLE (answers text, people text, edges text, merges text, wrong text) LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE i int; said bigint[] := '{}'; message jsonb;
BEGIN
    PERFORM cdp_init(workspace, 'UTC');
    PERFORM set_config('cdp.workspace', workspace, true), set_config('cdp.direct_read', direct, true);
    FOR i IN 1..400 LOOP
        message := jsonb_build_object('cookie', ARRAY['c' || i * 7919 % 61, 'c' || i * i % 53], CASE i % 4 WHEN 0 THEN 'email' WHEN 1 THEN 'phone' WHEN 2 THEN 'ip' ELSE 'id_card' END,
            CASE i % 4 WHEN 0 THEN 'p' || i * 31 % 19 || '@example.com' WHEN 1 THEN '1391234' || 1000 + i * 37 % 23 WHEN 2 THEN '10.0.0.' || i % 7 ELSE '11010119900307451' || '4' END);
        -- A message in three is an earlier one again, some with a time.
        CONTINUE WHEN i % 3 = 0 AND i % 4 = 3;
        said := said || cdp_identify(message, 's' || i % 2, CASE WHEN i % 5 > 1 THEN '2024-01-01 00:00+00'::timestamptz + i * 7 % 50 * interval '1 day' END);
        IF i % 3 = 1 THEN said := said || cdp_identify(message, 's' || i % 2); END IF;
        IF i % 100 = 50 THEN PERFORM cdp_unlink('cookie', 'c' || i * 7919 % 61, 'cookie', 'c' || i * i % 53, 'x') FROM (SELECT 1 WHERE i * 7919 % 61 <> i * i % 53) x; END IF;
        IF i = 250 THEN PERFORM cdp_block('cookie', 'c1', 'x'); END IF;
        IF i = 300 THEN PERFORM cdp_split(cdp_profile_id('cookie', 'c2'), ARRAY['cookie:c2'], 'x'); END IF;
    END LOOP;
    RETURN QUERY EXECUTE format($q$ SELECT md5($1::text), (SELECT count(DISTINCT profile_id) || ' ' || md5(string_agg(profile_id || type || value || first_seen || last_seen, ' ' ORDER BY type COLLATE "C", value COLLATE "C") FILTER (WHERE last_seen < '2025-01-01')) FROM %1$I.identifiers),
        (SELECT count(*) || ' ' || md5(string_agg(from_value || to_value || source || state || coalesce(reason, '') || CASE WHEN last_seen < '2025-01-01' THEN first_seen::text || last_seen ELSE '' END, ' ' ORDER BY from_value COLLATE "C", to_value COLLATE "C", source COLLATE "C")) FROM %1$I.edges),
        (SELECT count(*) || ' ' || md5(string_agg(retired_id || ' ' || survivor_id || ' ' || from_node || ' ' || to_node, ' ' ORDER BY merge_id)) FROM %1$I.profile_merge),
        (SELECT string_agg(w.what || w.detail, ' ') FROM wrong() w) $q$, workspace) USING said;
END $$;
CREATE TEMP TABLE lived AS SELECT 'direct' AS reads, * FROM live('direct', 'on');
INSERT INTO lived SELECT 'queried', * FROM live('queried', 'off');
SELECT count(*), count(DISTINCT (answers, people, edges, merges)) AS different, string_agg(wrong, ' ') AS wrong, min(split_part(people, ' ', 1)) AS people, min(split_part(edges, ' ', 1)) AS edges, min(split_part(merges, ' ', 1)) > '0' AS merges FROM lived;

-- 7. In a transaction that has the workspace already a call pins its settings when it needs a query: whatever a session puts before pg_catalog is not asked.
CREATE SCHEMA mine;
CREATE FUNCTION mine.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'not asked'; END $$;
CREATE FUNCTION mine.coalesced(a bigint, b bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'nor this'; END $$;
CREATE OPERATOR mine.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = mine.coalesced);
SET cdp.workspace = 'direct';
BEGIN;
SET LOCAL search_path = mine, pg_catalog, public;
SET LOCAL DateStyle = 'German';
SELECT public.cdp_identify('{"cookie": "mine1", "email": "mine1@example.com"}') > 0 AS seen;
SELECT public.cdp_identify('{"cookie": ["mine2", "mine1"], "email": "mine2@example.com"}') > 0 AS seen;
SET LOCAL cdp.direct_write = off;
SELECT public.cdp_identify('{"cookie": ["mine3", "mine1"], "email": "mine3@example.com"}') > 0 AS seen;
SET LOCAL cdp.direct_read = off;
SELECT public.cdp_identify('{"cookie": ["mine4", "mine3"], "email": "mine4@example.com"}') > 0 AS seen;
SHOW search_path;
SHOW DateStyle;
COMMIT;
RESET cdp.workspace;
DROP SCHEMA mine CASCADE;

DROP FUNCTION who, wrong, live;
DROP TABLE visit, sight;
DROP SCHEMA cdp, single, rows, direct, queried CASCADE;
DROP EXTENSION pg_cdp;
