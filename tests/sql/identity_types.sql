-- The rules of identifier types: what each does, its change judged on what it touches, previewed and taken back; values kept as keyed hashes.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE seen (id int PRIMARY KEY, account text, mail text, tel text, device text, app text, at timestamptz);
SELECT cdp_identifier_type_create('account', '{"priority": 5, "level": "person", "description": "an account", "pii": true}');
SELECT cdp_identifier_type_create('app_user', '{"scope_separator": ":", "max_per_profile": 1}');
SELECT name, normaliser, strength, priority, level, max_per_profile, scope_separator, shared, degree_cap, person_cap, pii, storage, description FROM cdp.identifier_type WHERE name IN ('account', 'app_user') ORDER BY 1;
SELECT cdp_source_create('seen', 'seen', '{"updated_at": "id", "identifiers": {"account": "account", "email": "mail", "phone": "tel", "device_id": "device", "app_user": "app"}, "event": {"name": "''visit''", "at": "at"}}');
CREATE FUNCTION people() RETURNS TABLE (identifiers text) LANGUAGE sql AS $$
    SELECT string_agg(i.value, ' ' ORDER BY i.value COLLATE "C") FROM cdp.identifiers i WHERE i.profile_id IS NOT NULL GROUP BY i.profile_id ORDER BY 1
$$;
CREATE FUNCTION wrong() RETURNS TABLE (what text, detail text) LANGUAGE sql AS $$ SELECT v."check", v.detail FROM cdp_identity_verify() v WHERE NOT v.ok $$;

-- What people did, by the identifiers they have.
CREATE FUNCTION visits() RETURNS TABLE (identifiers text, days text) LANGUAGE sql AS $$
    SELECT i.identifiers, string_agg(extract(day FROM e.at AT TIME ZONE 'UTC')::text, ' ' ORDER BY e.at)
    FROM (SELECT profile_id, string_agg(value, ' ' ORDER BY value COLLATE "C") AS identifiers FROM cdp.identifiers WHERE profile_id IS NOT NULL GROUP BY 1) i JOIN cdp.events e USING (profile_id)
    WHERE identifiers ~ '^a|pad' GROUP BY 1 ORDER BY 1
$$;

-- 1. Two accounts share a device: one person, until there is a limit.
INSERT INTO seen VALUES (1, 'a1', 'a@example.com', NULL, NULL, NULL, '2024-01-01'), (2, 'a1', NULL, NULL, 'pad', NULL, '2024-01-02'), (3, 'a2', NULL, NULL, 'pad', NULL, '2024-01-03'),
    (4, 'a2', 'b@example.com', NULL, NULL, NULL, '2024-01-01'), (5, NULL, NULL, NULL, 'pad', NULL, '2024-01-04');
CALL cdp_sync();
SELECT cdp_segment_create('visitors', 'count(visit) >= 3'), cdp_segment_create('drafted', 'count(visit) = 2', state => 'draft'), cdp_segment_create('over', 'count(visit) = 1');
-- A static and a retired segment have members, who merge and split as others do.
SELECT cdp_segment_freeze('a caller''s', ARRAY[cdp_profile_id('account', 'a2')]::bigint[]::cdp_bitmap), cdp_segment_alter('over', state => 'retired');
SELECT * FROM people();
SELECT * FROM cdp_identity_preview('{"account": {"max_per_profile": 1}}');
SELECT * FROM people();
SELECT count(*) AS operations FROM cdp.identity_operations;
-- Who has nothing to do with it is not written: neither identifiers nor edges nor profiles.
INSERT INTO seen VALUES (7, 'b1', 'bea@example.com', NULL, 'tab', NULL, '2024-01-02'), (8, 'b3', NULL, NULL, NULL, NULL, '2024-01-02'), (9, 'b3', NULL, NULL, 'web', NULL, '2024-01-02');
CALL cdp_sync();
CREATE FUNCTION versions() RETURNS TABLE (of text, number text, version text) LANGUAGE sql AS $$
    SELECT 'node', n.value, n.xmin::text FROM cdp.node n UNION ALL SELECT 'edge', concat_ws(' ', e.from_node, e.to_node, e.source_id), e.xmin::text FROM cdp.edge e
    UNION ALL SELECT 'profile', p.profile_id::text, p.xmin::text FROM cdp.profile p UNION ALL SELECT 'profile_value', p.profile_id::text, p.xmin::text FROM cdp.profile_value p
$$;
CREATE TABLE kept AS SELECT * FROM versions();
SELECT cdp_identifier_type_alter('account', '{"max_per_profile": 1}', 'one account, one person');
SELECT v.of, count(*) AS written, (SELECT count(*) FROM kept k WHERE k.of = v.of) AS there FROM versions() v WHERE (v.of, v.number, v.version) NOT IN (SELECT k.of, k.number, k.version FROM kept k) GROUP BY v.of ORDER BY 1;
SELECT v.number AS written FROM versions() v WHERE v.of = 'node' AND (v.of, v.number, v.version) NOT IN (SELECT k.of, k.number, k.version FROM kept k) ORDER BY 1;
DROP FUNCTION versions;
DROP TABLE kept;
-- A static segment of two who would be one.
SELECT cdp_segment_freeze('both', ARRAY[cdp_profile_id('account', 'a1'), cdp_profile_id('account', 'a2')]::bigint[]::cdp_bitmap);
SELECT * FROM cdp_identity_preview('{"account": {"max_per_profile": null}}') WHERE metric ~ 'both|merge';
SELECT cdp_segment_drop('both');
SELECT * FROM people();
SELECT * FROM cdp.refused_merges;
SELECT * FROM wrong();

-- 2. Whose the device is: of the last one it was seen with, the first, nobody. What was done on it together with an account stays with that account; only what was done on the device
-- alone (on the fourth) goes with it.
SELECT * FROM visits();
SELECT cdp_identifier_type_alter('device_id', '{"shared": "first"}');
SELECT * FROM people();
SELECT * FROM visits();
SELECT * FROM wrong();
SELECT cdp_identifier_type_alter('device_id', '{"shared": "nobody"}');
SELECT * FROM people();
SELECT * FROM visits();
SELECT from_value, to_value, state, reason FROM cdp.edges ORDER BY 1, 2;
SELECT * FROM wrong();
INSERT INTO seen VALUES (6, 'a2', NULL, NULL, 'pad', NULL, '2024-01-05');
CALL cdp_sync();
SELECT * FROM people();
SELECT * FROM wrong();
SELECT cdp_identity_revert(3, 'as it was') ->> 'moved' AS moved, cdp_identity_revert(2, 'as it was') ->> 'moved' AS moved;
SELECT * FROM people();
SELECT cdp_identity_revert(1, 'no limit') ->> 'merged' AS merged;
SELECT * FROM people();
SELECT * FROM wrong();

-- 3. Within a window: two telephone numbers a month are too many, two a year are not.
SELECT cdp_identifier_type_alter('phone', '{"max_per_profile": 1, "max_window": "30 days"}') ->> 'moved' AS moved;
INSERT INTO seen VALUES (10, 'w1', NULL, '13912340001', NULL, NULL, '2024-01-01'), (11, 'w1', NULL, '13912340002', NULL, NULL, '2024-03-01'), (12, 'w1', NULL, '13912340003', NULL, NULL, '2024-03-15');
UPDATE seen SET id = id;
SELECT cdp_source_create('calls', 'seen', '{"updated_at": "at", "filter": "id BETWEEN 10 AND 19", "identifiers": {"account": "account", "phone": "tel"}}');
CALL cdp_sync('calls');
SELECT * FROM people() WHERE identifiers ~ '^w1|139';
SELECT from_value, to_value, reason FROM cdp.edges WHERE state = 'suspended';
SELECT * FROM wrong();
-- An earlier sight brings two together that were apart.
SELECT cdp_source_create('late', 'seen', '{"key": "id", "updated_at": "at", "filter": "id BETWEEN 20 AND 29", "identifiers": {"account": "account", "phone": "tel"}}');
INSERT INTO seen VALUES (20, 'w1', NULL, '13912340002', NULL, NULL, '2024-01-20');
CALL cdp_sync('late');
SELECT * FROM people() WHERE identifiers ~ '^w1|139|w1$';
SELECT * FROM wrong();
SELECT cdp_identifier_type_alter('phone', '{"max_per_profile": null, "max_window": null}') ->> 'merged' AS merged;
SELECT * FROM people() WHERE identifiers ~ '^w1|139|w1$';

-- 4. A scope: one user id an app, any number of apps.
INSERT INTO seen VALUES (30, 's1', NULL, NULL, NULL, 'shop:1', '2024-01-01'), (31, 's1', NULL, NULL, NULL, 'game:1', '2024-01-01'), (32, 's1', NULL, NULL, NULL, 'shop:2', '2024-01-02');
CALL cdp_sync('seen');
SELECT * FROM people() WHERE identifiers ~ 'shop';
SELECT reason FROM cdp.edges WHERE state = 'suspended' AND from_value || to_value ~ 'shop';
SELECT * FROM wrong();

-- 5. Caps: a device with three neighbours is a kiosk here; and no longer.
SELECT * FROM cdp_identity_preview('{"device_id": {"degree_cap": 1}}');
SELECT cdp_identifier_type_alter('device_id', '{"degree_cap": 1}') ->> 'split' AS split;
SELECT type, value, reason, neighbours, degree_cap FROM cdp.quarantine ORDER BY value;
SELECT * FROM people() WHERE identifiers ~ 'pad|a1|a2';
SELECT * FROM wrong();
SELECT cdp_identifier_type_alter('device_id', '{"degree_cap": 100}') ->> 'merged' AS merged;
SELECT * FROM people() WHERE identifiers ~ 'pad|a1|a2';
SELECT * FROM wrong();

-- 6. Blocked values and patterns, for what is known and for what comes.
SELECT cdp_identifier_type_alter('account', '{"blocked": [{"value": "A1", "reason": "a test"}, {"pattern": "^s", "reason": "staff"}]}') ->> 'split' AS split;
SELECT type, value, reason FROM cdp.quarantine ORDER BY 1, 2;
INSERT INTO seen VALUES (40, 's9', 's9@example.com', NULL, NULL, NULL, '2024-02-01'), (41, 'a1', 'c@example.com', NULL, NULL, NULL, '2024-02-01');
CALL cdp_sync('seen');
SELECT payload, reason FROM cdp.rejects;
SELECT * FROM people() WHERE identifiers ~ 'a1|s1|s9|c@';
SELECT * FROM wrong();
SELECT cdp_identifier_type_alter('account', '{"blocked": []}') ->> 'merged' AS merged;
SELECT count(*) AS quarantined FROM cdp.quarantine;
SELECT * FROM wrong();

-- 7. Weak becomes strong; strong does not become weak, but can be made to link nobody.
SELECT cdp_identifier_type_create('household', '{"strength": "weak", "level": "device"}');
CREATE TABLE home (id int PRIMARY KEY, account text, household text);
INSERT INTO home VALUES (1, 'h1', 'x'), (2, 'h2', 'x'), (3, 'h3', NULL);
SELECT cdp_source_create('home', 'home', '{"identifiers": {"account": "account", "household": "household"}}');
CALL cdp_sync('home');
SELECT * FROM people() WHERE identifiers ~ 'h1|h2|h3';
SELECT cdp_identifier_type_alter('household', '{"strength": "strong"}') ->> 'merged' AS merged;
SELECT * FROM people() WHERE identifiers ~ 'h1|h2|h3';
SELECT * FROM wrong();
SELECT cdp_identifier_type_alter('household', '{"strength": "weak"}');
SELECT cdp_identifier_type_alter('household', '{"degree_cap": 0}') ->> 'split' AS split;
SELECT * FROM people() WHERE identifiers ~ 'h1|h2|h3';
SELECT * FROM wrong();

-- 8. Priority: which of two edges gives way.
SELECT cdp_identifier_type_alter('account', '{"max_per_profile": 1}') ->> 'split' AS split;
SELECT * FROM people() WHERE identifiers ~ 'a1|a2';

-- 9. Kept as keyed hashes: looked up and joined as before, readable no more. What decisions and rejects say of them neither.
SELECT cdp_link('email', 'A@example.com', 'email', 'b@example.com', 'one') ->> 'merged' AS merged;
SELECT cdp_unlink('email', 'a@example.com', 'account', 'a1', 'two') ->> 'split' AS split;
SELECT cdp_cannot_link('account', 's1', 'email', 'b@example.com', 'three') ->> 'suspended' AS suspended, cdp_block('email', 'c@example.com', 'four') ->> 'suspended' AS blocked;
SELECT cdp_split(cdp_profile_id('email', 'b@example.com'), ARRAY['email:B@example.com'], 'five') ->> 'split' AS split;
INSERT INTO seen VALUES (45, 'm1', 'not a mail', NULL, NULL, NULL, '2024-03-01'), (46, 'm1', 'nor this', NULL, NULL, NULL, '2024-03-01'), (47, 'm1', 'null', NULL, NULL, NULL, '2024-03-01');
CALL cdp_sync('seen');
SELECT payload, reason FROM cdp.rejects WHERE reason ~ 'email' ORDER BY reject_id;
SELECT cdp_identifier_type_alter('email', '{"storage": "hmac"}');
SET cdp.hmac_key = 'short';
SELECT cdp_profile_id('email', 'a@example.com') IS NOT NULL AS plain;
SET cdp.hmac_key = '0123456789abcdef0123456789abcdef';
SELECT cdp_identifier_type_alter('email', '{"storage": "hmac"}') ->> 'moved' AS moved;
SELECT count(*), bool_and(value ~ '^[0-9a-f]{64}$') AS hashed FROM cdp.identifiers WHERE type = 'email';
SELECT payload, reason FROM cdp.rejects WHERE reason ~ 'email' ORDER BY reject_id;
CREATE FUNCTION readable() RETURNS TABLE (kind text, what text) LANGUAGE sql AS $$
    SELECT o.kind, o.arguments::text FROM cdp.identity_operation o WHERE o.kind <> 'rule' AND o.arguments::text ~ '@' UNION ALL SELECT 'reject', r.payload::text FROM cdp.reject r WHERE r.kind = 'value' AND r.payload::text ~ '@|not a mail|nor this'
    UNION ALL SELECT 'identifier', n.value FROM cdp.node n WHERE n.value ~ '@'
$$;
SELECT * FROM readable();
SELECT o.kind, n.reason, regexp_replace(o.arguments::text, '[0-9a-f]{64}', '…', 'g') AS arguments FROM cdp.identity_operation o JOIN unnest(ARRAY['one', 'two', 'three', 'four', 'five']) n(reason) USING (reason) ORDER BY o.operation_id;
-- They are taken back by number, as any other.
SELECT bool_and(cdp_identity_revert(o.operation_id, 'six') ->> 'operation' IS NOT NULL) AS reverted FROM cdp.identity_operations o WHERE o.reason IN ('one', 'two', 'three', 'four', 'five');
SELECT * FROM wrong();
-- And so it is with what is decided from now on.
SELECT bool_and(cdp_identity_revert((x.changed ->> 'operation')::bigint, 'seven') ->> 'operation' IS NOT NULL) AS reverted FROM (VALUES
    (cdp_link('email', 'A@example.com', 'email', 'b@example.com', 'x')), (cdp_cannot_link('account', 's1', 'email', 'b@example.com', 'x')), (cdp_block('email', 'new@example.com', 'x')),
    (cdp_split(cdp_profile_id('email', 'a@example.com'), ARRAY['email:a@example.com'], 'x'))) x(changed);
SELECT * FROM readable();
SELECT * FROM wrong();
SELECT cdp_profile_id('email', ' A@Example.com ') = cdp_profile_id('account', 'a1') AS found, cdp_profile_id('email', 'zz@example.com') IS NULL AS none;
INSERT INTO seen VALUES (50, 'a1', 'A@example.com', NULL, NULL, NULL, '2024-03-01'), (51, 'n1', 'no mail', NULL, NULL, NULL, '2024-03-01'), (52, 'n1', 'null@example.com', NULL, NULL, NULL, '2024-03-01');
CALL cdp_sync('seen');
SELECT count(*) FROM cdp.identifiers WHERE type = 'email' AND profile_id = cdp_profile_id('account', 'a1');
SELECT payload, reason FROM cdp.rejects WHERE reason ~ 'email';
SELECT cdp_block('email', 'a@example.com', 'a demo') ->> 'suspended' AS suspended, cdp_unblock('email', 'A@example.com', 'no demo') ->> 'accepted' AS accepted;
SELECT * FROM wrong();
-- A list of blocked values has its hashes too; one that is unblocked stays blocked while the list has it.
SELECT cdp_identifier_type_alter('email', '{"blocked": [{"value": "A@Example.com", "reason": "a list"}]}') ->> 'suspended' AS suspended;
SELECT type, value ~ '^[0-9a-f]{64}$' AS hashed, reason FROM cdp.quarantine;
SELECT type, value, pattern, reason FROM cdp.blocked_values WHERE type IS NOT NULL AND reason = 'a list';
SELECT cdp_block('email', 'a@example.com', 'by hand') ->> 'suspended' AS suspended, cdp_unblock('email', 'a@example.com', 'no longer') ->> 'accepted' AS accepted;
SELECT reason FROM cdp.quarantine;
SELECT * FROM wrong();
SELECT cdp_identifier_type_alter('email', '{"blocked": []}') ->> 'accepted' AS accepted;
SELECT count(*) AS quarantined FROM cdp.quarantine;
SELECT * FROM wrong();
SELECT * FROM readable();
DROP FUNCTION readable;
SELECT cdp_identifier_type_alter('email', '{"storage": "plain"}');
SET cdp.hmac_key = 'another key of enough length';
SELECT cdp_profile_id('email', 'a@example.com') IS NULL AS unknown;
CREATE ROLE identity_reader;
GRANT USAGE ON SCHEMA cdp TO identity_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA cdp TO identity_reader;
SET ROLE identity_reader;
-- Their words differ between majors.
\set VERBOSITY sqlstate
SHOW cdp.hmac_key;
SET cdp.hmac_key = 'guess guess guess guess';
\set VERBOSITY default
SELECT cdp_identifier_type_alter('email', '{"priority": 5}');
RESET ROLE;
RESET cdp.hmac_key;
SELECT cdp_profile_id('email', 'a@example.com');

-- 10. Errors.
SELECT cdp_identifier_type_create('account', '{}');
SELECT cdp_identifier_type_create('', '{}');
SELECT cdp_identifier_type_create(NULL, '{}');
SELECT cdp_identifier_type_create('x', '[]');
SELECT cdp_identifier_type_create('x', '{"max_per_profil": 1}');
SELECT cdp_identifier_type_create('x', '{"max_per_profile": 0}');
SELECT cdp_identifier_type_create('x', '{"max_per_profile": "many"}');
SELECT cdp_identifier_type_create('x', '{"shared": "everybody"}');
SELECT cdp_identifier_type_create('x', '{"max_window": "7 days"}');
SELECT cdp_identifier_type_create('x', '{"max_per_profile": 1, "max_window": "soon"}');
SELECT cdp_identifier_type_create('x', '{"max_per_profile": 1, "max_window": "-1 day"}');
SELECT cdp_identifier_type_create('x', '{"normaliser": "upper"}');
SELECT cdp_identifier_type_create('x', '{"blocked": [{"pattern": "(", "reason": "x"}]}');
SELECT cdp_identifier_type_create('x', '{"blocked": [{"reason": "x"}]}');
SELECT cdp_identifier_type_create('x', '{"blocked": [{"value": "y"}]}');
SELECT cdp_identifier_type_alter('mail', '{}');
SELECT cdp_identifier_type_alter('account', '{"normaliser": "lower"}');
SELECT cdp_identity_preview('[]');
SELECT cdp_identity_preview('{"mail": {}}');
SELECT count(*) FROM cdp.identifier_type WHERE name = 'x';
SELECT * FROM wrong();

DROP FUNCTION people, wrong, visits;
DROP TABLE seen, home;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
DROP ROLE identity_reader;
