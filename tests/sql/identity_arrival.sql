-- The policy `arrival`: each row is settled as it comes; the documented algorithm of the field, with its worked example.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE FUNCTION people() RETURNS TABLE (profile_id bigint, identifiers text) LANGUAGE sql AS $$
    SELECT i.profile_id, string_agg(i.value, ' ' ORDER BY i.value COLLATE "C") FROM cdp.identifiers i WHERE i.profile_id IS NOT NULL GROUP BY 1 ORDER BY 1
$$;
CREATE FUNCTION wrong() RETURNS TABLE (what text, detail text) LANGUAGE sql AS $$ SELECT v."check", v.detail FROM cdp_identity_verify() v WHERE NOT v.ok $$;
SELECT cdp_identity_policy('arrival', 'as we had it') ->> 'moved' AS moved;
SELECT cdp_identifier_type_alter('user_id', '{"max_per_profile": 1, "priority": 1}') ->> 'moved' AS moved, cdp_identifier_type_alter('email', '{"max_per_profile": 5, "priority": 2}') ->> 'moved' AS moved;

-- abc123 is what tests are filled with, and blocked as shipped; here it is somebody.
DELETE FROM cdp.blocked_value WHERE value = 'abc123';

-- 1. The worked example: a profile of user abc123 and jane's e-mail; an event of user abc456 with the same e-mail. Two user ids are one too many, so the e-mail is left out and
-- abc456 is somebody new.
SELECT cdp_identify('{"user_id": "abc123", "email": "jane@example.com"}') AS first, cdp_identify('{"user_id": "abc456", "email": "jane@example.com"}') AS second;
SELECT * FROM people();
SELECT from_value, to_value, state, reason FROM cdp.edges ORDER BY 1, 2;
SELECT * FROM wrong();
-- The same two the other way round give the e-mail to the other: order matters here.
SELECT cdp_identify('{"user_id": "xyz456", "email": "john@example.com"}') AS first, cdp_identify('{"user_id": "xyz123", "email": "john@example.com"}') AS second;
SELECT * FROM people() WHERE identifiers ~ 'john|xyz';
-- What was left out before may fit later.
SELECT cdp_identify('{"email": ["jane@example.com", "jane2@example.com"]}') AS joined;
SELECT * FROM people() WHERE identifiers ~ 'jane|abc';

-- 2. Merges where limits allow: the older profile stays.
SELECT cdp_identify('{"cookie": "c1"}') AS visitor, cdp_identify('{"cookie": "c1", "email": "jane@example.com"}') AS logged_in;
SELECT * FROM people() WHERE identifiers ~ 'jane|c1';
SELECT retired_id, survivor_id FROM cdp.merges;
-- An identifier that is new and left out has a profile of its own until it fits somewhere.
SELECT cdp_identifier_type_alter('phone', '{"max_per_profile": 1}') ->> 'moved' AS moved;
SELECT cdp_identify('{"user_id": "p1", "phone": "13912340001"}') AS one, cdp_identify('{"user_id": "p1", "phone": "13912340002"}') AS other;
SELECT * FROM people() WHERE identifiers ~ 'p1|139';
SELECT * FROM wrong();

-- 3. Rows of a source, in their order; the values of events follow.
CREATE TABLE row (id int PRIMARY KEY, u text, e text, c text, at timestamptz);
SELECT cdp_source_create('row', 'row', '{"updated_at": "id", "identifiers": {"user_id": "u", "email": "e", "cookie": "c"}, "event": {"name": "''view''", "at": "at"}}');
INSERT INTO row VALUES (1, 'r1', 'r@example.com', NULL, '2024-01-01'), (2, 'r2', 'r@example.com', NULL, '2024-01-02'), (3, 'r2', NULL, 'k', '2024-01-03'), (4, NULL, 'r@example.com', 'k', '2024-01-04'), (5, NULL, NULL, 'k', '2024-01-05');
CALL cdp_sync();
SELECT * FROM people() WHERE identifiers ~ 'r[12@]';
SELECT from_value, to_value, state, reason FROM cdp.edges WHERE source = 'row' ORDER BY 1, 2;
SELECT p.identifiers, cdp_segment_contains('count(view) = 2', p.profile_id) AS two, cdp_segment_contains('count(view) = 3', p.profile_id) AS three FROM people() p WHERE identifiers ~ 'r[12@]';
SELECT * FROM wrong();
-- Decisions of operators hold, and can be taken back; what was left out stays so.
SELECT cdp_unlink('user_id', 'r2', 'cookie', 'k', 'another') ->> 'split' IS NOT NULL AS split;
SELECT * FROM people() WHERE identifiers ~ 'r[12@]|k';
INSERT INTO row VALUES (6, 'r2', NULL, 'k', '2024-01-06');
CALL cdp_sync();
SELECT * FROM people() WHERE identifiers ~ 'r[12@]|k';
SELECT cdp_identity_revert((SELECT max(operation_id) FROM cdp.identity_operations), 'the same') ->> 'merged' IS NOT NULL AS merged;
SELECT * FROM people() WHERE identifiers ~ 'r[12@]|k';
SELECT * FROM wrong();

-- 4. Caps: a profile takes over two others at most, and holds five identifiers. Rows go on to belong to it.
SELECT cdp_identity_policy('arrival', 'small ones', max_merges => 2, max_identifiers => 5) ->> 'moved' AS moved;
SELECT cdp_identify('{"cookie": "m1"}') AS m1, cdp_identify('{"cookie": "m2"}') AS m2, cdp_identify('{"cookie": "m3"}') AS m3, cdp_identify('{"cookie": "m4"}') AS m4, cdp_identify('{"cookie": "m5"}') AS m5;
SELECT cdp_identify('{"cookie": ["m1", "m2"]}') AS two, cdp_identify('{"cookie": ["m3", "m4"]}') AS two_more;
-- Merges that come with a profile count: m1's has taken over one, so has m3's.
SELECT cdp_identify('{"cookie": ["m1", "m3"]}') AS refused, cdp_identify('{"cookie": ["m1", "m5"]}') AS merged, cdp_identify('{"cookie": ["m2", "m6", "m7", "m8"]}') AS full;
SELECT * FROM people() WHERE identifiers ~ 'm[1-8]';
SELECT from_value, to_value, state, reason FROM cdp.edges WHERE from_value ~ '^m[1-8]$' AND state = 'suspended' ORDER BY 1, 2;
-- A full profile still has its rows; one that is new and tells more begins another.
SELECT cdp_identify('{"cookie": "m1"}') AS there, cdp_identify('{"cookie": "m1", "user_id": "n1"}') AS another;
SELECT * FROM wrong();
-- A merge that is undone counts no longer; a link by hand asks no cap.
SELECT cdp_unlink('cookie', 'm1', 'cookie', 'm5', 'not they') ->> 'moved' AS moved;
SELECT cdp_identify('{"cookie": ["m1", "n2"]}') AS fits, cdp_identify('{"cookie": ["m3", "m5"]}') AS merged;
SELECT cdp_link('cookie', 'm1', 'cookie', 'm3', 'they are') ->> 'merged' IS NOT NULL AS merged;
SELECT * FROM people() WHERE identifiers ~ 'm[1-8]';
SELECT cdp_identify('{"cookie": ["m1", "n3"]}') = cdp_identify('{"cookie": "m1"}') AS there, cdp_profile_id('cookie', 'n3') = cdp_profile_id('cookie', 'm1') AS joined;
SELECT * FROM wrong();
SELECT cdp_identity_policy('arrival', max_merges => -1);
SELECT cdp_identity_policy('arrival', max_identifiers => 0);
SELECT cdp_identity_policy('arrival', 'none', max_merges => NULL, max_identifiers => NULL) ->> 'moved' AS moved;
SELECT cdp_identify('{"cookie": ["m1", "m6", "m7", "m8", "n3"]}') = cdp_profile_id('cookie', 'm7') AS together;

-- 5. How rows are cut into batches is no matter: all at once, and one by one.
CREATE TABLE many AS SELECT i AS id, 'x' || (i * 7919) % 23 AS x, 'y' || (i * 104729) % 37 AS y, CASE WHEN i % 3 = 0 THEN 'z' || (i * 31) % 11 END AS z FROM generate_series(1, 120) i;
SELECT cdp_init('one_by_one', time_zone => 'UTC'), cdp_init('at_once', time_zone => 'UTC');
CREATE FUNCTION capped() RETURNS void LANGUAGE sql AS $$
    SELECT cdp_identity_policy('arrival', 'small ones', max_merges => 4, max_identifiers => 9);
    SELECT cdp_identifier_type_alter('user_id', '{"max_per_profile": 2, "priority": 1}');
$$;
SET cdp.workspace = 'one_by_one';
SELECT capped();
SELECT count(cdp_identify(jsonb_strip_nulls(jsonb_build_object('user_id', m.z, 'cookie', m.x, 'idfa', m.y)))) AS rows FROM (SELECT * FROM many ORDER BY id) m;
SET cdp.workspace = 'at_once';
SELECT capped();
SELECT cdp_source_create('many', 'many', '{"key": "id::text", "updated_at": "id", "identifiers": {"user_id": "z", "cookie": "x", "idfa": "y"}}');
CALL cdp_sync();
SELECT * FROM wrong();
RESET cdp.workspace;
SELECT count(*) FILTER (WHERE state = 'accepted') AS accepted, count(*) FILTER (WHERE reason ~ 'merges') AS merges, count(*) FILTER (WHERE reason ~ 'identifiers') AS identifiers, count(*) FILTER (WHERE reason ~ 'user_id') AS users FROM at_once.edges;
CREATE FUNCTION sides(of text) RETURNS TABLE (side text, what text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT %1$L, string_agg(value, '' '' ORDER BY value COLLATE "C") FROM %1$I.identifiers WHERE profile_id IS NOT NULL GROUP BY profile_id
        UNION ALL SELECT %1$L, concat_ws('' '', least(from_value COLLATE "C", to_value), greatest(from_value COLLATE "C", to_value), state, reason) FROM %1$I.edges
        UNION ALL SELECT %1$L, ''taken over: '' || n.value FROM %1$I.profile p JOIN %1$I.node n ON n.node_id = p.founding_node WHERE p.merged_into IS NOT NULL
        UNION ALL SELECT %1$L, ''merges: '' || count(*) FROM %1$I.merges', of);
END
$$;
SELECT (array_agg(side))[1] AS side, what FROM (SELECT * FROM sides('one_by_one') UNION ALL SELECT * FROM sides('at_once')) s GROUP BY what HAVING count(*) <> 2 ORDER BY 2;
SELECT count(*) > 8 AS many FROM sides('at_once') WHERE what ~ 'taken over';
DROP SCHEMA one_by_one CASCADE;
DROP SCHEMA at_once CASCADE;
DROP FUNCTION capped, sides;
DROP TABLE many;

-- 6. Back to the other policy: everything is judged by all edges.
SELECT cdp_identity_policy('judged') - 'operation' - 'split' - 'merged' AS changed;
SELECT state, count(*), bool_or(reason ~ '^arrival') AS left_over FROM cdp.edges GROUP BY 1 ORDER BY 1;
SELECT * FROM wrong();
SELECT cdp_identity_policy('sometimes');
SELECT cdp_identity_policy(NULL);
SELECT cdp_identity_revert(1, 'x');
SELECT kind, arguments, reason FROM cdp.identity_operations WHERE kind = 'policy' ORDER BY operation_id;

DROP FUNCTION people, wrong;
DROP TABLE row;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
