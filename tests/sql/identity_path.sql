-- Why two identifiers are one person, what keeps them apart, whose an identifier was; and pictures of it.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE crm (id int PRIMARY KEY, email text, phone text, card text, at timestamptz);
CREATE TABLE web (id int PRIMARY KEY, cookie text, device text, email text, ip text, at timestamptz);
CREATE TABLE desk (LIKE web INCLUDING ALL);
SELECT cdp_source_create('crm', 'crm', '{"updated_at": "at", "identifiers": {"email": "email", "phone": "phone", "id_card": "card"}, "traits": {"who": "email"}}', 90);
SELECT cdp_source_create(s, s::regclass, '{"updated_at": "at", "identifiers": {"cookie": "cookie", "device_id": "device", "email": "email", "ip": "ip"}, "event": {"name": "''view''", "at": "at"}}', t)
    FROM (VALUES ('web', 30), ('desk', 60)) AS v(s, t);
-- A ring of four, a chain that leaves it, somebody else.
INSERT INTO crm VALUES (1, 'ann@example.com', '13912340001', NULL, '2024-01-01 00:00+00'), (2, 'bob@example.com', '13912340002', NULL, '2024-01-01 00:00+00');
INSERT INTO web VALUES (1, 'c1', 'd1', NULL, '10.0.0.1', '2024-02-01 00:00+00'), (2, 'c1', NULL, 'ann@example.com', NULL, '2024-02-02 00:00+00'), (3, 'c2', 'd1', NULL, NULL, '2024-02-03 00:00+00'),
    (4, 'c2', NULL, 'ann@example.com', NULL, '2024-02-04 00:00+00'), (5, 'c2', 'd2', NULL, NULL, '2024-02-05 00:00+00'), (6, 'c3', 'd2', NULL, NULL, '2024-02-06 00:00+00');
INSERT INTO desk VALUES (1, 'c2', 'd2', NULL, NULL, '2024-03-01 00:00+00');
CALL cdp_sync();

-- 1. The chain: the fewest steps, of those the ones that are believed most; the same from either end. Both sources of a pair are named.
SELECT * FROM cdp_identity_path('phone', '139 1234 0001', 'cookie', 'c3');
SELECT step, from_value, to_value, source, trust, bridge, weakest FROM cdp_identity_path('cookie', 'c3', 'phone', '+8613912340001');
-- In the ring no step is a bridge; of two ways of two steps the better known one is taken.
SELECT step, from_value, to_value, source, trust, last_seen, bridge, weakest FROM cdp_identity_path('email', 'ann@example.com', 'device_id', 'D1');
SELECT count(*) FROM cdp_identity_path('email', 'ann@example.com', 'email', ' ANN@example.com ');

-- 2. What keeps them apart: nothing known, a decision, a limit, a hub in between.
SELECT * FROM cdp_identity_path('email', 'ann@example.com', 'email', 'bob@example.com');
INSERT INTO web VALUES (7, 'c3', NULL, 'bob@example.com', NULL, '2024-03-01 00:00+00');
CALL cdp_sync();
SELECT step, from_value, to_value, bridge, weakest FROM cdp_identity_path('email', 'ann@example.com', 'email', 'bob@example.com');
SELECT cdp_unlink('cookie', 'c3', 'email', 'bob@example.com', 'a visitor') ->> 'split' AS split;
SELECT * FROM cdp_identity_path('email', 'ann@example.com', 'email', 'bob@example.com');
INSERT INTO crm VALUES (3, 'ann@example.com', NULL, '320102198506120034', '2024-04-01 00:00+00'), (4, 'ann@example.com', NULL, '110101199003074514', '2024-04-02 00:00+00');
CALL cdp_sync();
SELECT * FROM cdp_identity_path('phone', '13912340001', 'id_card', '320102198506120034');
SELECT cdp_block('device_id', 'd2', 'a demo phone') ->> 'moved' AS moved;
SELECT * FROM cdp_identity_path('email', 'ann@example.com', 'cookie', 'c3');
SELECT * FROM cdp_identity_path('email', 'ann@example.com', 'device_id', 'd2');

-- 3. The graph of a profile: its identifiers, and every edge of theirs, what suspends it, where it leads.
SELECT kind, from_type, from_value, to_type, to_value, source, trust, state, reason, bridge, belongs_to FROM cdp_identity_graph(cdp_profile_id('email', 'ann@example.com'));
SELECT kind, from_value, state, first_seen, last_seen FROM cdp_identity_graph(cdp_profile_id('cookie', 'c3')) WHERE kind = 'node';
-- A retired number stands for the one that lives.
SELECT cdp_link('email', 'ann@example.com', 'email', 'bob@example.com', 'a couple') ->> 'merged' AS merged;
SELECT count(*) AS differ FROM ((SELECT * FROM cdp_identity_graph(2) EXCEPT SELECT * FROM cdp_identity_graph(1)) UNION ALL (SELECT * FROM cdp_identity_graph(1) EXCEPT SELECT * FROM cdp_identity_graph(2))) x;
SELECT source, trust, state, bridge FROM cdp_identity_graph(2) WHERE kind = 'edge' AND from_type = 'email' AND to_type = 'email';
SELECT cdp_identity_revert((SELECT max(operation_id) FROM cdp.identity_operations), 'no couple') ->> 'split' AS split;
-- All of it, once: every edge that touches the profile.
SELECT count(*) FROM cdp_identity_graph(cdp_profile_id('email', 'ann@example.com')) g WHERE g.kind = 'edge'
EXCEPT SELECT count(*) FROM cdp.edges e JOIN cdp.identifiers f ON f.type = e.from_type AND f.value = e.from_value JOIN cdp.identifiers t ON t.type = e.to_type AND t.value = e.to_value
    WHERE cdp_profile_id('email', 'ann@example.com') IN (f.profile_id, t.profile_id);
-- A bridge is an edge whose loss splits: each is tried.
CREATE FUNCTION splits(ft text, fv text, tt text, tv text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE changed jsonb;
BEGIN
    changed := cdp_unlink(ft, fv, tt, tv, 'to see');
    PERFORM cdp_identity_revert((changed ->> 'operation')::bigint, 'seen');
    RETURN changed -> 'split' <> '[]';
END $$;
SELECT from_value, to_value, bridge FROM cdp_identity_graph(cdp_profile_id('email', 'ann@example.com')) g WHERE kind = 'edge' AND state = 'accepted' AND bridge <> splits(from_type, from_value, to_type, to_value);

-- 4. Pictures.
SELECT cdp_identity_dot(cdp_profile_id('email', 'ann@example.com'));
SELECT cdp_identity_mermaid(cdp_profile_id('email', 'ann@example.com'));
-- Values can be anything.
SELECT cdp_identify(jsonb_build_object('member_no', E'a "b" \\ <i>`x`</i>\n&#quot; %%', 'cookie', 'ein-"zwei\'), 'shop "1" \') > 0 AS known;
SELECT cdp_identity_dot(cdp_profile_id('cookie', 'ein-"zwei\'));
SELECT cdp_identity_mermaid(cdp_profile_id('cookie', 'ein-"zwei\'));

-- 5. Whose an identifier was: before it was known, in its own profile, in the one that took it over, back again.
CREATE TABLE moment (name text PRIMARY KEY, at timestamptz);
CREATE FUNCTION now_is(name text) RETURNS void LANGUAGE sql AS $$ INSERT INTO moment SELECT $1, clock_timestamp() $$;
SELECT now_is('before');
SELECT cdp_identify('{"cookie": "x1"}') = cdp_profile_id('cookie', 'x1') AS own, cdp_identify('{"email": "eve@example.com"}') > 0 AS eve;
SELECT now_is('alone');
CREATE TABLE own AS SELECT cdp_profile_id('cookie', 'x1') AS x1, cdp_profile_id('email', 'eve@example.com') AS eve;
SELECT cdp_identify('{"cookie": "x1", "email": "eve@example.com"}') > 0 AS one;
SELECT now_is('one');
SELECT cdp_unlink('cookie', 'x1', 'email', 'eve@example.com', 'no') ->> 'moved' AS moved;
SELECT now_is('parted');
SELECT m.name, CASE cdp_profile_at('cookie', ' x1', m.at) WHEN own.x1 THEN 'its own' WHEN own.eve THEN 'hers' END AS x1, CASE cdp_profile_at('email', 'EVE@example.com', m.at) WHEN own.x1 THEN 'the cookie''s' WHEN own.eve THEN 'her own' END AS eve
    FROM moment m, own ORDER BY m.at;
SELECT cdp_profile_at('cookie', 'x1', 'infinity') = cdp_profile_id('cookie', 'x1') AS later, cdp_profile_at('cookie', 'x1', '-infinity') AS never, cdp_profile_at('cookie', 'nope', now()) AS unknown, cdp_profile_at('ip', '10.0.0.1', now()) AS weak, cdp_profile_at('cookie', 'x1', NULL) AS nothing;

-- 6. Errors.
SELECT * FROM cdp_identity_path('mail', 'a', 'cookie', 'c1');
SELECT * FROM cdp_identity_path('email', 'nobody@example.com', 'cookie', 'c1');
SELECT * FROM cdp_identity_path('ip', '10.0.0.1', 'cookie', 'c1');
SELECT * FROM cdp_identity_path('email', NULL, 'cookie', 'c1');
SELECT * FROM cdp_identity_graph(9999);
SELECT * FROM cdp_identity_graph(NULL);
SELECT cdp_identity_dot(9999);
SELECT cdp_identity_mermaid(NULL);
SELECT cdp_profile_at('mail', 'a', now());

DROP FUNCTION splits, now_is;
DROP TABLE crm, web, desk, moment, own;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
