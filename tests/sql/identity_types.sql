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

-- 1. Two accounts share a device: one person, until there is a limit.
INSERT INTO seen VALUES (1, 'a1', 'a@example.com', NULL, NULL, NULL, '2024-01-01'), (2, 'a1', NULL, NULL, 'pad', NULL, '2024-01-02'), (3, 'a2', NULL, NULL, 'pad', NULL, '2024-01-03'),
    (4, 'a2', 'b@example.com', NULL, NULL, NULL, '2024-01-01'), (5, NULL, NULL, NULL, 'pad', NULL, '2024-01-04');
CALL cdp_sync();
SELECT cdp_segment_create('visitors', 'count(visit) >= 3');
SELECT * FROM people();
SELECT * FROM cdp_identity_preview('{"account": {"max_per_profile": 1}}');
SELECT * FROM people();
SELECT count(*) AS operations FROM cdp.identity_operations;
SELECT cdp_identifier_type_alter('account', '{"max_per_profile": 1}', 'one account, one person');
SELECT * FROM people();
SELECT * FROM cdp.refused_merges;
SELECT * FROM wrong();

-- 2. Whose the device is: of the last one it was seen with, the first, nobody.
SELECT cdp_identifier_type_alter('device_id', '{"shared": "first"}');
SELECT * FROM people();
SELECT * FROM wrong();
SELECT cdp_identifier_type_alter('device_id', '{"shared": "nobody"}');
SELECT * FROM people();
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
SELECT type, value, reason, neighbours, degree_cap FROM cdp.quarantine;
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

-- 9. Kept as keyed hashes: looked up and joined as before, readable no more.
SELECT cdp_identifier_type_alter('email', '{"storage": "hmac"}');
SET cdp.hmac_key = 'short';
SELECT cdp_profile_id('email', 'a@example.com') = cdp_profile_id('account', 'a1') AS plain;
SET cdp.hmac_key = '0123456789abcdef0123456789abcdef';
SELECT cdp_identifier_type_alter('email', '{"storage": "hmac"}') ->> 'moved' AS moved;
SELECT count(*), bool_and(value ~ '^[0-9a-f]{64}$') AS hashed FROM cdp.identifiers WHERE type = 'email';
SELECT cdp_profile_id('email', ' A@Example.com ') = cdp_profile_id('account', 'a1') AS found, cdp_profile_id('email', 'zz@example.com') IS NULL AS none;
INSERT INTO seen VALUES (50, 'a1', 'A@example.com', NULL, NULL, NULL, '2024-03-01'), (51, 'n1', 'no mail', NULL, NULL, NULL, '2024-03-01'), (52, 'n1', 'null@example.com', NULL, NULL, NULL, '2024-03-01');
CALL cdp_sync('seen');
SELECT count(*) FROM cdp.identifiers WHERE type = 'email' AND profile_id = cdp_profile_id('account', 'a1');
SELECT payload, reason FROM cdp.rejects WHERE reason ~ 'email';
SELECT cdp_block('email', 'a@example.com', 'a demo') ->> 'suspended' AS suspended, cdp_unblock('email', 'A@example.com', 'no demo') ->> 'accepted' AS accepted;
SELECT * FROM wrong();
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

DROP FUNCTION people, wrong;
DROP TABLE seen, home;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
DROP ROLE identity_reader;
