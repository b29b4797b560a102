-- Governed identity: limits, hubs, decisions of operators. What is kept is a function of the edges, and everything can be taken back.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');

CREATE FUNCTION who(profile bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(i.value, ' ' ORDER BY i.value COLLATE "C") FROM cdp.identifiers i WHERE i.profile_id = $1
$$;
CREATE TABLE crm (id int PRIMARY KEY, email text, phone text, card text, city text, seen timestamptz DEFAULT '2024-01-01 00:00+00');
CREATE TABLE web (id int PRIMARY KEY, cookie text, device text, email text, page text, at timestamptz);
SELECT cdp_source_create('crm', 'crm', '{"updated_at": "seen", "identifiers": {"email": "email", "phone": "phone", "id_card": "card"}, "traits": {"city": "city"}}', 90);
SELECT cdp_source_create('web', 'web', '{"updated_at": "at", "identifiers": {"cookie": "cookie", "device_id": "device", "email": "email"}, "event": {"name": "''view''", "at": "at", "properties": {"page": "page"}}}', 30);
INSERT INTO crm VALUES (1, 'ann@example.com', '13912340001', NULL, 'Paris'), (2, 'bob@example.com', '13912340002', NULL, 'Rome');
INSERT INTO web VALUES (1, 'c1', 'd1', NULL, '/a', '2024-02-01 10:00+00'), (2, 'c2', 'd2', NULL, '/b', '2024-02-01 11:00+00');
CALL cdp_sync();
SELECT cdp_tag_create('views', 'count(view)');
SELECT name, profiles, changed FROM cdp_tag_refresh();
SELECT cdp_segment_create('viewers', 'count(view) > 0');
SELECT cdp_segment_create('parisians', $$ city = 'Paris' $$);
CREATE FUNCTION people() RETURNS TABLE (profile_id bigint, identifiers text, city text) LANGUAGE sql AS $$
    SELECT p.profile_id, who(p.profile_id), p.city FROM cdp.profiles p ORDER BY 1
$$;
-- Everything that identities carry: values, segments, bits, redirects.
CREATE FUNCTION everything() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'profiles', (SELECT jsonb_agg(to_jsonb(p) ORDER BY p.profile_id) FROM cdp.profiles p),
        'identifiers', (SELECT jsonb_agg(jsonb_build_array(i.type, i.value, i.profile_id) ORDER BY i.type, i.value) FROM cdp.identifiers i),
        'edges', (SELECT jsonb_agg(jsonb_build_array(e.from_value, e.to_value, e.source, e.state, e.reason) ORDER BY e.from_value, e.to_value, e.source) FROM cdp.edges e),
        'segments', (SELECT jsonb_agg(to_jsonb(m) ORDER BY m.segment, m.profile_id) FROM cdp.segment_members m),
        'redirects', (SELECT jsonb_agg(jsonb_build_array(p.profile_id, p.merged_into, p.contested) ORDER BY p.profile_id) FROM cdp.profile p),
        'bits', (SELECT jsonb_object_agg(e, cdp_segment(e)::text) FROM unnest(ARRAY['true', $e$ city = 'Paris' $e$, 'city IS NULL', 'count(view) > 0', 'count(view) = 2',
                    $e$ count(view) FILTER (WHERE page = '/a') > 0 $e$, $e$ count(view) FILTER (WHERE at >= '2024-02-02') > 0 $e$, 'views > 0', 'views IS NULL', $e$ in_segment('viewers') $e$]) e))
$$;
CREATE FUNCTION operation(said text) RETURNS bigint LANGUAGE sql AS $$ SELECT max(operation_id) FROM cdp.identity_operations WHERE reason = $1 $$;
CREATE FUNCTION check_segment(expression text) RETURNS boolean LANGUAGE plpgsql SET TimeZone = 'UTC' AS $$
DECLARE plain bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(expression)) INTO plain;
    RETURN plain = cdp_segment(expression)::bigint[] AND cardinality(plain) = cdp_segment_count(expression);
END $$;
CREATE FUNCTION wrong() RETURNS TABLE (what text, detail text) LANGUAGE sql AS $$
    SELECT v."check", v.detail FROM cdp_identity_verify() v WHERE NOT v.ok
    UNION ALL SELECT 'bits differ from plain SQL', e FROM unnest(ARRAY['count(view) > 0', $e$ city = 'Paris' $e$, 'views > 0', $e$ count(view) FILTER (WHERE page = '/a') > 0 $e$]) e WHERE NOT check_segment(e)
$$;

SELECT * FROM people();
SELECT "check", ok FROM cdp_identity_verify();

-- 1. A link merges, its revert leaves no trace: numbers, values, tags, segments, day columns.
CREATE TABLE kept AS SELECT everything() AS before;
SELECT cdp_link('cookie', 'c1', 'email', 'ann@example.com', 'she said so', 'carol');
SELECT * FROM people();
SELECT segment, profile_id FROM cdp.segment_members ORDER BY 1, 2;
SELECT cdp_segment('count(view) > 0'), cdp_resolve(3);
SELECT * FROM wrong();
SELECT cdp_link('cookie', 'c1', 'email', 'ann@example.com', 'again');
SELECT cdp_identity_revert(1, 'she did not');
SELECT key, before -> key AS before, value AS now FROM kept, jsonb_each(everything()) WHERE value IS DISTINCT FROM before -> key;
SELECT * FROM wrong();
SELECT cdp_identity_revert(1, 'again');
SELECT cdp_identity_revert(2, 'and back');
SELECT cdp_identity_revert(99, 'nothing');
SELECT operation_id, kind, arguments, reason, actor = session_user AS own, holds, reverted_by FROM cdp.identity_operations ORDER BY 1;

-- 2. Rows merge three, one decision splits them at the weakest place, its revert joins them again.
INSERT INTO web VALUES (3, 'c1', NULL, 'ann@example.com', '/login', '2024-02-03 10:00+00'), (4, 'c2', 'd1', NULL, '/c', '2024-02-03 11:00+00');
CALL cdp_sync();
SELECT * FROM people();
SELECT retired_id, survivor_id, least(from_value, to_value) AS one, greatest(from_value, to_value) AS other, source, operation_id FROM cdp.merges ORDER BY merges.at, retired_id;
SELECT * FROM wrong();
UPDATE kept SET before = everything();
SELECT cdp_unlink('cookie', 'c2', 'device_id', 'd1', 'a visitor');
SELECT * FROM people();
SELECT segment, profile_id FROM cdp.segment_members ORDER BY 1, 2;
SELECT * FROM wrong();
SELECT cdp_unlink('cookie', 'c1', 'email', 'ann@example.com', 'it was not her');
SELECT * FROM people();
SELECT profile_id, from_id, created, source, operation_id FROM cdp.splits ORDER BY splits.at, 1;
SELECT * FROM wrong();
-- What is seen again does not undo a decision.
INSERT INTO web VALUES (5, 'c1', NULL, 'ann@example.com', '/login', '2024-02-04 10:00+00');
CALL cdp_sync();
SELECT * FROM people();
SELECT * FROM cdp.refused_merges ORDER BY 1, 2, 4;
SELECT * FROM wrong();
SELECT cdp_identity_revert(operation('it was not her'), 'it was her') ->> 'merged', cdp_identity_revert(operation('a visitor'), 'no visitor') ->> 'merged' AS merged;
SELECT * FROM people();
SELECT * FROM wrong();

-- 3. A link lifts an unlink; taken back, the unlink holds again.
SELECT cdp_unlink('cookie', 'c1', 'email', 'ann@example.com', 'perhaps not');
SELECT cdp_link('cookie', 'c1', 'email', 'ann@example.com', 'certainly');
SELECT * FROM people();
SELECT cdp_identity_revert(operation('certainly'), 'or not');
SELECT * FROM people();
SELECT cdp_identity_revert(operation('perhaps not'), 'as it was');
SELECT * FROM wrong();

-- An unlink that was taken back while a link had lifted it does not come back with that.
SELECT cdp_unlink('cookie', 'c1', 'email', 'ann@example.com', 'once more') ->> 'moved' AS moved, cdp_link('cookie', 'c1', 'email', 'ann@example.com', 'for sure') ->> 'moved' AS moved;
SELECT cdp_identity_revert(operation('once more'), 'enough') ->> 'moved' AS moved, cdp_identity_revert(operation('for sure'), 'enough') ->> 'moved' AS moved;
SELECT * FROM people();
SELECT * FROM wrong();

-- 4. Two identifiers that may not be one: the edge that is believed least goes, whatever is seen later.
SELECT cdp_cannot_link('device_id', 'd2', 'email', 'ann@example.com', 'two people');
SELECT * FROM people();
SELECT from_value, to_value, source, state, reason FROM cdp.edges WHERE state = 'suspended' ORDER BY 1, 2, 3;
INSERT INTO web VALUES (6, 'c9', 'd2', 'ann@example.com', '/x', '2024-02-05 10:00+00');
CALL cdp_sync();
SELECT * FROM people();
SELECT from_value, to_value, source, state, reason FROM cdp.edges WHERE state = 'suspended' ORDER BY 1, 2, 3;
SELECT * FROM wrong();
SELECT cdp_identity_revert(operation('two people'), 'one after all');
SELECT * FROM people();
SELECT count(*) AS suspended FROM cdp.edges WHERE state = 'suspended';
SELECT * FROM wrong();

-- 5. Blocked: who was tied by it comes apart, what is seen meanwhile is kept for later.
UPDATE kept SET before = everything();
SELECT cdp_block('device_id', ' D1 ', 'a demo phone');
SELECT * FROM people();
SELECT type, value, reason, neighbours, persons, profile_id FROM cdp.quarantine;
INSERT INTO web VALUES (7, 'c7', 'd1', NULL, '/y', '2024-02-06 10:00+00');
CALL cdp_sync();
SELECT * FROM people();
SELECT * FROM wrong();
SELECT cdp_block('device_id', 'd1', 'again');
SELECT cdp_unblock('device_id', 'd1', 'sold');
SELECT * FROM people();
SELECT * FROM wrong();
SELECT cdp_unblock('device_id', 'd1', 'again');
SELECT cdp_block('email', 'nobody@example.com', 'a list'), cdp_profile_id('email', 'nobody@example.com') IS NOT NULL AS known;
INSERT INTO web VALUES (8, 'c8', NULL, 'nobody@example.com', '/z', '2024-02-07 10:00+00');
CALL cdp_sync();
SELECT who(cdp_profile_id('cookie', 'c8')), who(cdp_profile_id('email', 'nobody@example.com'));
SELECT cdp_identity_revert(operation('a list'), 'not on a list');
SELECT who(cdp_profile_id('cookie', 'c8'));
SELECT * FROM wrong();

-- What an operator unblocks and a list has stays blocked.
SELECT cdp_block('device_id', 'Unknown', 'a placeholder') ->> 'operation' IS NOT NULL AS blocked;
INSERT INTO web VALUES (18, 'u1', 'unknown', NULL, '/u', '2024-02-07 10:00+00'), (19, 'u2', 'unknown', NULL, '/u', '2024-02-07 11:00+00');
CALL cdp_sync('web');
SELECT value, reason FROM cdp.quarantine;
SELECT cdp_unblock('device_id', 'Unknown', 'no placeholder') ->> 'merged' AS merged;
SELECT value, reason FROM cdp.quarantine;
SELECT who(cdp_profile_id('cookie', 'u1')), who(cdp_profile_id('cookie', 'u2'));
SELECT * FROM wrong();

-- 6. A split keeps two sides apart; the side of the founding identifier keeps the number, even when that is what is split off.
UPDATE kept SET before = everything();
SELECT * FROM people();
SELECT cdp_split(1, ARRAY['email:ann@example.com', 'phone:13912340001'], 'the phone was sold');
SELECT * FROM people();
SELECT * FROM wrong();
INSERT INTO web VALUES (9, 'c1', NULL, 'ann@example.com', '/login', '2024-02-08 10:00+00');
CALL cdp_sync();
SELECT who(cdp_profile_id('email', 'ann@example.com')), who(cdp_profile_id('cookie', 'c1'));
SELECT cdp_split(1, ARRAY['email:ann@example.com', 'phone:13912340001'], 'all of it');
SELECT cdp_split(1, ARRAY['cookie:c1'], 'not hers');
SELECT cdp_split(1, ARRAY['c1'], 'no type');
SELECT cdp_split(77, ARRAY['cookie:c1'], 'nobody');
SELECT cdp_split(1, '{}', 'nothing');
DELETE FROM web WHERE id = 9;
SELECT cdp_identity_revert(operation('the phone was sold'), 'not sold');
SELECT * FROM people();
SELECT * FROM wrong();

-- 7. A limit: nobody has two identity cards. The older link gives way to the newer; neither is forgotten.
INSERT INTO crm VALUES (10, 'x@example.com', NULL, '320102198506120034', 'Nice', '2024-03-01'), (11, 'x@example.com', NULL, '110101199003074514', 'Lyon', '2024-03-02');
CALL cdp_sync();
SELECT profile_id, identifiers, city FROM people() WHERE identifiers ~ 'x@|3201|1101';
SELECT * FROM cdp.refused_merges WHERE reason ~ '^limit';
SELECT * FROM wrong();
-- Sooner or later is the same: the other order gives the same people.
SELECT cdp_init('other', time_zone => 'UTC');
SET cdp.workspace = 'other';
SELECT cdp_source_create('crm', 'crm', '{"identifiers": {"email": "email", "phone": "phone", "id_card": "card"}, "updated_at": "seen", "filter": "id = 11", "traits": {"city": "city"}}', 90);
SELECT cdp_source_create('crm2', 'crm', '{"identifiers": {"email": "email", "phone": "phone", "id_card": "card"}, "updated_at": "seen", "filter": "id = 10", "traits": {"city": "city"}}', 90);
CALL cdp_sync('crm');
CALL cdp_sync('crm2');
SELECT string_agg(i.value, ' ' ORDER BY i.value COLLATE "C") FROM other.identifiers i GROUP BY i.profile_id ORDER BY 1;
SELECT * FROM cdp_identity_verify() WHERE NOT ok;
RESET cdp.workspace;
DROP SCHEMA other CASCADE;
-- An operator may overrule a limit; nothing else joins then.
SELECT cdp_link('email', 'x@example.com', 'id_card', '320102198506120034', 'a clerical error');
SELECT profile_id, identifiers, city FROM people() WHERE identifiers ~ 'x@|3201|1101';
SELECT * FROM wrong();

-- 8. A hub: a kiosk ties nobody; whoever was tied by it before it was known to be one comes apart again.
CREATE TABLE visit (id int PRIMARY KEY, device text, cookie text, at timestamptz);
SELECT cdp_source_create('visit', 'visit', '{"updated_at": "id", "identifiers": {"cookie": "cookie", "device_id": "device"}}', 40);
INSERT INTO visit SELECT i, 'kiosk', 'k' || i, '2024-04-01' FROM generate_series(1, 100) i;
CALL cdp_sync('visit');
SELECT count(DISTINCT profile_id) AS people, count(*) AS identifiers FROM cdp.identifiers WHERE value ~ '^k';
SELECT * FROM wrong();
INSERT INTO visit VALUES (101, 'kiosk', 'k101', '2024-04-01'), (102, NULL, 'k1', '2024-04-01');
CALL cdp_sync('visit');
SELECT count(DISTINCT profile_id) AS people, count(*) AS identifiers FROM cdp.identifiers WHERE value ~ '^k';
SELECT type, value, reason, neighbours, degree_cap, persons, person_cap FROM cdp.quarantine WHERE reason ~ '^hub';
SELECT state, reason, count(*) FROM cdp.edges WHERE source = 'visit' GROUP BY 1, 2;
INSERT INTO visit VALUES (103, 'kiosk', 'k103', '2024-04-01'), (104, 'own', 'k103', '2024-04-01');
CALL cdp_sync('visit');
SELECT who(cdp_profile_id('cookie', 'k103'));
SELECT neighbours FROM cdp.quarantine WHERE reason ~ '^hub';
SELECT * FROM wrong();
-- A pair that an operator unlinks counts no longer: three of them, and the kiosk is a device again.
SELECT cdp_unlink('device_id', 'kiosk', 'cookie', 'k1', 'test') ->> 'moved' AS moved;
SELECT reason, neighbours, persons FROM cdp.quarantine WHERE reason ~ '^hub';
SELECT * FROM wrong();
SELECT cdp_unlink('device_id', 'kiosk', 'cookie', 'k2', 'test') ->> 'moved', cdp_unlink('device_id', 'kiosk', 'cookie', 'k3', 'test') ->> 'moved' AS moved;
SELECT count(DISTINCT profile_id) AS people, count(*) AS identifiers FROM cdp.identifiers WHERE value ~ '^k';
SELECT * FROM wrong();

-- 8a. A number that was retired long ago may go on to a third profile: with it goes the membership that a refresh found, and back.
INSERT INTO web VALUES (30, 'z1', 'z2', NULL, '/z', '2024-05-01 00:00+00');
CALL cdp_sync('web');
INSERT INTO crm VALUES (30, 'w@example.com', NULL, NULL, 'Oslo', '2024-05-01'), (31, 'u@example.com', NULL, NULL, NULL, '2024-05-01');
CALL cdp_sync('crm');
INSERT INTO web VALUES (31, 'z1', NULL, 'u@example.com', '/z', '2024-05-02 00:00+00');
CALL cdp_sync('web');
SELECT cdp_cannot_link('email', 'w@example.com', 'device_id', 'z2', 'two people') ->> 'split' AS split;
SELECT name, added FROM cdp_segment_refresh('viewers');
UPDATE kept SET before = everything();
SELECT who(profile_id), segment FROM cdp.profiles LEFT JOIN cdp.segment_members USING (profile_id) WHERE who(profile_id) ~ 'z2|w@' ORDER BY 1;
SELECT cdp_link('email', 'w@example.com', 'email', 'u@example.com', 'one address') ->> 'moved' AS moved;
SELECT who(profile_id), segment FROM cdp.profiles LEFT JOIN cdp.segment_members USING (profile_id) WHERE who(profile_id) ~ 'z2|w@' ORDER BY 1;
SELECT * FROM wrong();
SELECT cdp_identity_revert(operation('one address'), 'two addresses') ->> 'moved' AS moved;
SELECT key, before -> key AS before, value AS now FROM kept, jsonb_each(everything()) WHERE value IS DISTINCT FROM before -> key;
SELECT * FROM wrong();

-- 8b. A link of a blocked identifier holds for what another source shows too.
SELECT cdp_block('email', 'v@example.com', 'a list') ->> 'created' IS NOT NULL AS blocked, cdp_identify('{"phone": "13912340009"}') > 0 AS known;
SELECT cdp_link('email', 'v@example.com', 'phone', '13912340009', 'on a list, and known') ->> 'accepted' AS accepted;
SELECT cdp_identify('{"email": "v@example.com", "phone": "13912340009", "cookie": "v1"}', 'app') = cdp_profile_id('email', 'v@example.com') AS one;
SELECT from_value, to_value, source, state, reason FROM cdp.edges WHERE 'v@example.com' IN (from_value, to_value) ORDER BY 1, 2, 3;
SELECT * FROM wrong();

-- 8c. Each check of cdp_identity_verify() finds what it is for.
CREATE FUNCTION found(share double precision) RETURNS TABLE (what text) LANGUAGE sql AS $$ SELECT v."check" FROM cdp_identity_verify(share) v WHERE NOT v.ok $$;
SELECT cdp_identify('{"cookie": "k60", "ip": "10.0.0.1"}') IS NOT NULL AS weak;
BEGIN;
UPDATE cdp.node SET profile_id = cdp_profile_id('email', 'x@example.com') WHERE value = 'z1';
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
UPDATE cdp.profile SET created_at = '2000-01-01 00:00+00' WHERE profile_id = (SELECT min(retired_id) FROM cdp.merges JOIN cdp.profile p ON p.profile_id = retired_id WHERE p.merged_into IS NOT NULL);
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
UPDATE cdp.edge SET state = 'suspended', reason = 'no reason' WHERE (from_node, to_node) = (SELECT min(e.from_node), min(e.to_node) FROM cdp.edge e WHERE e.state = 'accepted' GROUP BY e.from_node, e.to_node LIMIT 1);
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
UPDATE cdp.edge SET reason = 'limit: 3 id_card, at most 1' WHERE reason LIKE 'limit: %';
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
UPDATE cdp.identifier_type SET degree_cap = 90 WHERE name = 'device_id';
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
UPDATE cdp.node SET quarantine = NULL WHERE quarantine = 'blocked: a list';
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
INSERT INTO cdp.blocked_value (value, reason) VALUES ('z1', 'a new list');
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
UPDATE cdp.profile SET contested = NOT contested WHERE profile_id = cdp_profile_id('email', 'x@example.com');
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
UPDATE cdp.node SET profile_id = NULL WHERE value = 'z1';
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
UPDATE cdp.node SET profile_id = 1 WHERE value = '10.0.0.1';
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
DELETE FROM cdp.profile_value WHERE profile_id = 1;
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
INSERT INTO cdp.profile_value (profile_id) SELECT max(profile_id) + 1 FROM cdp.profile;
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
UPDATE cdp.node SET profile_id = (SELECT cdp_profile_id('email', 'x@example.com')) WHERE profile_id = (SELECT cdp_profile_id('cookie', 'z1'));
SELECT * FROM found(1);
ROLLBACK;
BEGIN;
DELETE FROM cdp.chunk c USING cdp.store_column s WHERE s.column_id = c.column_id AND s.kind = 'universe';
DELETE FROM cdp.pending c USING cdp.store_column s WHERE s.column_id = c.column_id AND s.kind = 'universe';
SELECT * FROM found(1);
ROLLBACK;
SELECT * FROM wrong();
-- A share looks at fewer, and finds what is wrong everywhere.
SELECT count(cdp_identify(jsonb_build_object('cookie', 'single' || i))) AS singles FROM generate_series(1, 300) i;
CREATE FUNCTION looked_at(share double precision) RETURNS bigint LANGUAGE sql AS $$ SELECT split_part(v.detail, ' ', 1)::bigint FROM cdp_identity_verify(share) v WHERE v."check" LIKE 'identifiers have%' $$;
SELECT bool_and(ok) AS good, count(*) AS checks FROM cdp_identity_verify(0.5);
SELECT looked_at(0.1) < looked_at(1) AS fewer, looked_at(0.9) > 0 AS some;
BEGIN;
UPDATE cdp.node SET profile_id = NULL WHERE value ~ '^single';
UPDATE cdp.profile SET contested = NOT contested WHERE merged_into IS NULL;
DELETE FROM cdp.chunk c USING cdp.store_column s WHERE s.column_id = c.column_id AND s.kind = 'universe';
DELETE FROM cdp.pending c USING cdp.store_column s WHERE s.column_id = c.column_id AND s.kind = 'universe';
SELECT * FROM found(0.5);
ROLLBACK;
BEGIN;
DELETE FROM cdp.profile_value WHERE profile_id IN (SELECT n.profile_id FROM cdp.node n WHERE n.value ~ '^single');
SELECT * FROM found(0.5);
ROLLBACK;
DROP FUNCTION found, looked_at;

-- 9. Errors.
SELECT cdp_link('cookie', 'k60', 'cookie', 'k61', 'one') ->> 'operation' IS NOT NULL AS linked, cdp_unlink('cookie', 'k60', 'cookie', 'k61', 'two') ->> 'operation' IS NOT NULL AS unlinked;
SELECT cdp_link('cookie', 'k60', 'cookie', 'k61', 'one again');
SELECT cdp_link('cookie', 'c1', 'mail', 'ann@example.com', 'x');
SELECT cdp_link('cookie', 'nope', 'email', 'ann@example.com', 'x');
SELECT cdp_link('cookie', 'c1', 'cookie', ' c1 ', 'x');
SELECT cdp_link('cookie', 'c1', 'email', 'ann@example.com', '  ');
SELECT cdp_link('cookie', 'c1', 'email', 'ann@example.com', NULL);
SELECT cdp_link('ip', '10.0.0.1', 'email', 'ann@example.com', 'x');
SELECT cdp_unlink('cookie', 'k50', 'email', 'ann@example.com', 'x');
SELECT cdp_block('ip', '10.0.0.1', 'x');
SELECT cdp_block('email', 'no mail', 'x');
SELECT cdp_unblock('email', 'ann@example.com', 'x');
SELECT cdp_identity_verify(0), cdp_identity_verify(2);

DROP FUNCTION who, operation, people, everything, wrong, check_segment;
DROP TABLE crm, web, visit, kept;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
