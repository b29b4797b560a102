-- cdp_identify(): one sight at a time comes to the same people as rows of a source in batches.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
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

DROP FUNCTION who, wrong;
DROP TABLE visit, sight;
DROP SCHEMA cdp, single, rows CASCADE;
DROP EXTENSION pg_cdp;
