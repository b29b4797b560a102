-- Households: groups of people over the same identifiers, with rules of their own, that change nobody.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
SELECT cdp_identifier_type_create('address', '{"strength": "weak", "level": "device", "normaliser": "text"}');
CREATE TABLE resident (id int PRIMARY KEY, email text, address text, device text, at timestamptz);
SELECT cdp_source_create('resident', 'resident', '{"updated_at": "id", "identifiers": {"email": "email", "address": "address", "device_id": "device"}}');
INSERT INTO resident VALUES (1, 'ann@example.com', '1 High St', NULL, now()), (2, 'bob@example.com', '1 High St', 'tv', now()), (3, 'cid@example.com', '2 Low Rd', NULL, now()),
    (4, 'dee@example.com', NULL, 'pad', now()), (5, 'eve@example.com', '3 Mid Ln', NULL, now());
CALL cdp_sync();
CREATE FUNCTION homes() RETURNS TABLE (group_id bigint, people text) LANGUAGE sql AS $$
    SELECT m.group_id, string_agg(i.value, ' ' ORDER BY i.value) FROM cdp.entity_members m JOIN cdp.identifiers i USING (profile_id) WHERE m.entity = 'household' AND i.type = 'email' GROUP BY 1 ORDER BY 1
$$;
SELECT cdp_entity_create('household', '{"address": {"degree_cap": 3}, "person": {"max_per_profile": 3}}', 'people who live together');
SELECT name, groups, people, changed FROM cdp_entity_refresh();
SELECT * FROM homes();
SELECT count(*) AS persons FROM cdp.profiles;

-- 1. Somebody moves in with both: the older household stays; nobody is merged.
INSERT INTO resident VALUES (6, 'cid@example.com', '1 High St', NULL, now());
CALL cdp_sync();
SELECT name, groups, people, changed FROM cdp_entity_refresh('household');
SELECT * FROM homes();
SELECT group_id, merged_into FROM cdp.entity_group ORDER BY 1;
SELECT count(*) AS persons FROM cdp.profiles;
SELECT name, groups, people, changed FROM cdp_entity_refresh('household');

-- 2. No more than three people; an address of more than three joins nobody.
INSERT INTO resident VALUES (7, 'eve@example.com', '2 Low Rd', NULL, now());
CALL cdp_sync();
SELECT name, groups, people, changed FROM cdp_entity_refresh('household');
SELECT * FROM homes();
INSERT INTO resident VALUES (8, 'flo@example.com', '1 High St', NULL, now());
CALL cdp_sync();
SELECT name, groups, people, changed FROM cdp_entity_refresh('household');
SELECT * FROM homes();
SELECT group_id, merged_into FROM cdp.entity_group ORDER BY 1;

-- 3. People who become one, and two again, take their households along.
SELECT cdp_link('email', 'ann@example.com', 'email', 'dee@example.com', 'the same') ->> 'merged' AS merged;
SELECT * FROM homes();
SELECT name, groups, people, changed FROM cdp_entity_refresh('household');
SELECT cdp_identity_revert(1, 'not the same') ->> 'split' AS split;
SELECT name, groups, people, changed FROM cdp_entity_refresh('household');
SELECT * FROM homes();
SELECT * FROM cdp_identity_verify() WHERE NOT ok;

-- 4. People who were split can still be of one household; what an operator unlinked joins nobody there either, until that is taken back.
INSERT INTO resident VALUES (9, 'gus@example.com', NULL, 'till', now()), (10, 'hal@example.com', NULL, 'till', now()), (11, 'ivy@example.com', NULL, 'till', now());
CALL cdp_sync('resident');
SELECT cdp_entity_create('till', '{"device_id": {}}');
CREATE VIEW at_till AS SELECT m.group_id, string_agg(i.value || ' ' || m.profile_id, ', ' ORDER BY i.value) AS people FROM cdp.entity_members m JOIN cdp.identifiers i USING (profile_id) WHERE m.entity = 'till' AND i.value ~ '^(gus|hal|ivy)@' GROUP BY 1;
SELECT name, changed FROM cdp_entity_refresh('till');
SELECT * FROM at_till ORDER BY 1;
SELECT cdp_split(profile_id, ARRAY['email:hal@example.com'], 'father and son') IS NOT NULL AS split FROM cdp.identifiers WHERE value = 'hal@example.com';
SELECT cdp_unlink('email', 'ivy@example.com', 'device_id', 'till', 'it was somebody else') IS NOT NULL AS unlinked;
SELECT name, changed FROM cdp_entity_refresh('till');
SELECT * FROM at_till ORDER BY 1;
SELECT cdp_identity_revert(max(operation_id), 'it was her') IS NOT NULL AS reverted FROM cdp.identity_operation;
SELECT name, changed FROM cdp_entity_refresh('till');
SELECT * FROM at_till ORDER BY 1;
DROP VIEW at_till;
SELECT cdp_entity_drop('till');

-- 5. The components of plain SQL, over many.
CREATE TABLE many (id int PRIMARY KEY, email text, address text);
SELECT cdp_source_create('many', 'many', '{"updated_at": "id", "identifiers": {"email": "email", "address": "address"}}');
INSERT INTO many SELECT i, 'm' || (i * 7919) % 300 || '@example.com', 'home ' || (i * 104729) % 211 FROM generate_series(1, 400) i;
CALL cdp_sync('many');
SELECT cdp_entity_create('plain', '{"address": {"degree_cap": null}}');
SELECT name, people FROM cdp_entity_refresh('plain');
WITH RECURSIVE tie AS (SELECT DISTINCT f.profile_id, e.to_node AS home FROM cdp.edge e JOIN cdp.node f ON f.node_id = e.from_node JOIN cdp.node t ON t.node_id = e.to_node JOIN cdp.identifier_type y ON y.type_id = t.type_id WHERE y.name = 'address'
        UNION SELECT DISTINCT t.profile_id, e.from_node FROM cdp.edge e JOIN cdp.node f ON f.node_id = e.from_node JOIN cdp.node t ON t.node_id = e.to_node JOIN cdp.identifier_type y ON y.type_id = f.type_id WHERE y.name = 'address'),
    reach AS (SELECT DISTINCT profile_id AS start, profile_id FROM tie UNION SELECT r.start, b.profile_id FROM reach r JOIN tie a ON a.profile_id = r.profile_id JOIN tie b ON b.home = a.home),
    component AS (SELECT start AS profile_id, min(profile_id) AS least FROM reach GROUP BY 1),
    groups AS (SELECT array_agg(profile_id ORDER BY profile_id) AS people FROM component GROUP BY least),
    ours AS (SELECT array_agg(profile_id ORDER BY profile_id) AS people FROM cdp.entity_members WHERE entity = 'plain' GROUP BY group_id)
SELECT (SELECT count(*) FROM groups) AS groups, (SELECT count(*) FROM (SELECT * FROM groups EXCEPT SELECT * FROM ours) x) + (SELECT count(*) FROM (SELECT * FROM ours EXCEPT SELECT * FROM groups) x) AS different;

-- 6. Errors.
SELECT cdp_entity_create('household', '{"address": {}}');
SELECT cdp_entity_create('person', '{"address": {}}');
SELECT cdp_entity_create('x', '{}');
SELECT cdp_entity_create('x', '{"person": {}}');
SELECT cdp_entity_create('x', '{"adress": {}}');
SELECT cdp_entity_create('x', '{"address": {"cap": 3}}');
SELECT cdp_entity_create('x', '{"address": {"shared": "all"}}');
SELECT cdp_entity_create('x', '{"address": {"max_per_profile": 0}}');
SELECT cdp_entity_create('x', '[]');
SELECT * FROM cdp_entity_refresh('x');
SELECT cdp_entity_drop('x');
SELECT cdp_entity_drop('household');
SELECT DISTINCT entity FROM cdp.entity_members;

DROP FUNCTION homes;
DROP TABLE resident, many;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
