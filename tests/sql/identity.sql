-- Identity: identifiers that were seen together are one person; numbers are stable; whatever hangs on a person follows a merge.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');

CREATE FUNCTION who(profile bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(i.value, ' ' ORDER BY i.value COLLATE "C") FROM cdp.identifiers i WHERE i.profile_id = $1
$$;
-- The oracle: people are the connected components of the accepted edges, found by plain recursion, and a wide row, the column of live
-- profiles and the profile table agree on who lives. Gives what differs; nothing, when all is right.
CREATE FUNCTION wrong() RETURNS TABLE (what text, n bigint) LANGUAGE sql AS $$
    WITH RECURSIVE link AS (
        SELECT from_node AS a, to_node AS b FROM cdp.edge WHERE state = 'accepted' UNION SELECT to_node, from_node FROM cdp.edge WHERE state = 'accepted'),
    strong AS (SELECT node_id FROM cdp.node JOIN cdp.identifier_type USING (type_id) WHERE strength = 'strong'),
    reach AS (SELECT node_id AS start, node_id FROM strong UNION SELECT r.start, l.b FROM reach r JOIN link l ON l.a = r.node_id),
    component AS (SELECT start AS node_id, min(node_id) AS home FROM reach GROUP BY 1),
    by_edges AS (SELECT x.node_id AS a, y.node_id AS b FROM component x JOIN component y USING (home)),
    by_profile AS (SELECT x.node_id AS a, y.node_id AS b FROM cdp.node x JOIN cdp.node y USING (profile_id)),
    live AS (SELECT profile_id FROM cdp.profile WHERE merged_into IS NULL)
    SELECT * FROM (VALUES
        ('together by edges, not by profile', (SELECT count(*) FROM (SELECT * FROM by_edges EXCEPT ALL SELECT * FROM by_profile) x)),
        ('together by profile, not by edges', (SELECT count(*) FROM (SELECT * FROM by_profile EXCEPT ALL SELECT * FROM by_edges) x)),
        ('weak identifiers that belong to somebody', (SELECT count(*) FROM cdp.node WHERE profile_id IS NOT NULL AND node_id NOT IN (SELECT node_id FROM strong))),
        ('live profiles without a wide row', (SELECT count(*) FROM (SELECT profile_id FROM live EXCEPT SELECT profile_id FROM cdp.profiles) x)),
        ('wide rows of nobody', (SELECT count(*) FROM (SELECT profile_id FROM cdp.profiles EXCEPT SELECT profile_id FROM live) x)),
        ('live profiles not in the universe', (SELECT count(*) FROM (SELECT profile_id FROM live EXCEPT SELECT cdp_members(cdp_segment('true'))) x)),
        ('universe of nobody', (SELECT count(*) FROM (SELECT cdp_members(cdp_segment('true')) EXCEPT SELECT profile_id FROM live) x)),
        ('retired numbers that do not lead to a live profile', (SELECT count(*) FROM cdp.profile p WHERE p.merged_into IS NOT NULL AND p.merged_into NOT IN (SELECT profile_id FROM live))),
        ('founding identifiers that are elsewhere', (SELECT count(*) FROM cdp.profile p JOIN cdp.node n ON n.node_id = p.founding_node WHERE n.profile_id IS DISTINCT FROM coalesce(p.merged_into, p.profile_id)))
    ) AS v(what, n) WHERE n <> 0
$$;
-- The set executor against the plain SQL of the same question.
CREATE FUNCTION check_segment(expression text) RETURNS boolean LANGUAGE plpgsql SET TimeZone = 'UTC' AS $$
DECLARE plain bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(expression)) INTO plain;
    RETURN plain = cdp_segment(expression)::bigint[] AND cardinality(plain) = cdp_segment_count(expression);
END $$;

CREATE TABLE crm (id int PRIMARY KEY, email text, phone text, city text, seen timestamptz DEFAULT '2024-01-01 00:00+00');
CREATE TABLE web (id int PRIMARY KEY, cookie text, device text, email text, ip text, page text, at timestamptz);
SELECT cdp_source_create('crm', 'crm', '{"updated_at": "seen", "identifiers": {"email": "email", "phone": "phone"}, "traits": {"city": "city"}}', 90);
SELECT cdp_source_create('web', 'web', '{"updated_at": "at", "identifiers": {"cookie": "cookie", "device_id": "device", "email": "email", "ip": "ip"}, "event": {"name": "''view''", "at": "at", "properties": {"page": "page"}}}', 30);

-- 1. Four people from four rows: numbers are dense and in the order of arrival.
INSERT INTO crm VALUES (1, 'ann@example.com', NULL, 'Paris');
CALL cdp_sync();
INSERT INTO crm VALUES (2, NULL, '13912340001', 'Rome');
CALL cdp_sync();
INSERT INTO crm VALUES (3, 'bob@example.com', '13912340002', NULL);
CALL cdp_sync();
INSERT INTO crm VALUES (4, 'cid@example.com', NULL, 'Bern');
CALL cdp_sync();
SELECT profile_id, who(profile_id), city FROM cdp.profiles ORDER BY 1;
SELECT * FROM wrong();

-- 2. Look-ups clean what they are given.
SELECT cdp_profile_id('email', ' ANN@Example.com ') AS ann, cdp_profile_id('phone', '+86 139-1234-0001') AS rome, cdp_profile_id('phone', '0086 13912340002') AS bob,
       cdp_profile_id('email', 'nobody@example.com') AS nobody, cdp_profile_id('email', 'no mail') AS invalid, cdp_profile_id('email', '') AS empty, cdp_profile_id('email', NULL) AS nothing;
SELECT cdp_profile_id('mail', 'ann@example.com');
SELECT cdp_resolve(1) AS one, cdp_resolve(99) AS never, cdp_resolve(0) AS zero, cdp_resolve(-1) AS negative;

-- 3. Web visits: a cookie and a device make a person of their own; an address in the network makes nobody.
INSERT INTO web VALUES (1, 'c1', 'd1', NULL, '10.0.0.1', '/a', '2024-02-01 10:00+00');
CALL cdp_sync();
INSERT INTO web VALUES (2, 'c2', NULL, NULL, '10.0.0.1', '/b', '2024-02-01 11:00+00'), (3, NULL, NULL, NULL, '10.0.0.1', '/c', '2024-02-01 12:00+00');
CALL cdp_sync();
SELECT profile_id, who(profile_id) FROM cdp.profiles ORDER BY 1;
SELECT type, value, profile_id FROM cdp.identifiers WHERE type = 'ip';
SELECT least(ROW(from_type, from_value), ROW(to_type, to_value)) AS one, greatest(ROW(from_type, from_value), ROW(to_type, to_value)) AS other, source, trust, state FROM cdp.edges ORDER BY 1, 2, 3;
SELECT source, key, reason FROM cdp.rejects;
SELECT * FROM wrong();

-- 4. Tags and segments before anybody is merged.
SELECT cdp_tag_create('views', 'count(view)');
SELECT name, profiles, changed FROM cdp_tag_refresh();
SELECT cdp_segment_create('viewers', 'count(view) > 0');
SELECT cdp_segment_create('italians', $$ city = 'Rome' $$);
SELECT segment, array_agg(profile_id ORDER BY profile_id) FROM cdp.segment_members GROUP BY 1 ORDER BY 1;

-- 5. A log-in joins two: the older number stays, the other leads to it; the values, the events, the bits and the segments follow at once.
INSERT INTO web VALUES (4, 'c1', NULL, 'ann@example.com', NULL, '/login', '2024-02-02 10:00+00');
CALL cdp_sync();
SELECT profile_id, who(profile_id), city, views FROM cdp.profiles ORDER BY 1;
SELECT cdp_resolve(5) AS resolved, cdp_profile_id('device_id', 'D1') AS by_device, cdp_profile(5) ->> 'profile_id' AS picture_of;
SELECT retired_id, survivor_id, least(ROW(from_type, from_value), ROW(to_type, to_value)) AS one, greatest(ROW(from_type, from_value), ROW(to_type, to_value)) AS other, source FROM cdp.merges ORDER BY retired_id;
SELECT * FROM wrong();
SELECT expression, cdp_segment(expression), check_segment(expression) AS as_plain_sql FROM unnest(ARRAY[
    'count(view) > 0', 'count(view) = 2', $$ count(view) FILTER (WHERE page = '/a') > 0 $$, $$ city = 'Paris' AND count(view) > 0 $$, 'count(view) = 0', 'views > 0', 'views IS NULL', $$ in_segment('viewers') $$]) expression;
SELECT segment, array_agg(profile_id ORDER BY profile_id) FROM cdp.segment_members GROUP BY 1 ORDER BY 1;
SELECT name, added, removed, total FROM cdp_segment_refresh();

-- 6. A chain of merges: 6 goes to 4, 4 to 3, 3 to 2; every retired number leads straight to the one that lives.
INSERT INTO web VALUES (5, 'c2', NULL, 'cid@example.com', NULL, '/x', '2024-02-03 10:00+00');
CALL cdp_sync();
INSERT INTO crm VALUES (5, 'cid@example.com', '13912340002', NULL, '2024-02-03 00:00+00');
CALL cdp_sync();
INSERT INTO crm VALUES (6, 'bob@example.com', '13912340001', NULL, '2024-02-04 00:00+00');
CALL cdp_sync();
SELECT profile_id, merged_into, cdp_resolve(profile_id) FROM cdp.profile ORDER BY 1;
SELECT profile_id, who(profile_id), city FROM cdp.profiles ORDER BY 1;
SELECT retired_id, survivor_id, least(from_value, to_value) AS one, greatest(from_value, to_value) AS other, source FROM cdp.merges ORDER BY retired_id DESC;
SELECT * FROM wrong();
SELECT expression, cdp_segment(expression), check_segment(expression) AS as_plain_sql FROM unnest(ARRAY[
    'count(view) > 0', $$ city = 'Bern' $$, $$ city IN ('Rome', 'Bern') $$, 'city IS NULL', 'views IS NULL', $$ in_segment('italians') $$, $$ in_segment('viewers') $$]) expression;
SELECT segment, array_agg(profile_id ORDER BY profile_id) FROM cdp.segment_members GROUP BY 1 ORDER BY 1;
SELECT name, profiles, changed FROM cdp_tag_refresh();
SELECT profile_id, views FROM cdp.profiles ORDER BY 1;

-- 7. A new identifier of a known person makes no new number; numbers of the retired are not used again.
INSERT INTO crm VALUES (7, 'ann@example.com', '13912340007', 'Nice', '2024-03-01 00:00+00'), (8, 'dee@example.com', NULL, 'Oslo', '2024-03-01 00:00+00');
CALL cdp_sync();
SELECT profile_id, who(profile_id), city FROM cdp.profiles ORDER BY 1;

-- 8. One row can join many at once, and rows of one batch join each other in any order.
CREATE TABLE many (id int PRIMARY KEY, email text, phone text, cookie text, user_id text);
SELECT cdp_source_create('many', 'many', '{"identifiers": {"email": "email", "phone": "phone", "cookie": "cookie", "user_id": "user_id"}, "event": {"name": "''m''", "at": "timestamptz ''2024-01-01 00:00+00''", "properties": {"id": "id"}}}');
INSERT INTO many VALUES (1, 'm1@example.com', NULL, NULL, NULL), (2, NULL, '13912350002', NULL, NULL), (3, NULL, NULL, 'cm3', NULL), (4, NULL, NULL, NULL, 'u4');
CALL cdp_sync('many');
INSERT INTO many VALUES (5, 'm1@example.com', '13912350002', 'cm3', 'u4');
CALL cdp_sync('many');
SELECT who(profile_id), count(*) FROM cdp.events WHERE event = 'm' GROUP BY profile_id;
SELECT * FROM wrong();
INSERT INTO many SELECT 100 + i, 'ring' || i || '@example.com', '139123' || 60000 + i, NULL, NULL FROM generate_series(1, 40) i;
INSERT INTO many SELECT 200 + i, 'ring' || (i % 40) + 1 || '@example.com', '139123' || 60000 + i, NULL, NULL FROM generate_series(40, 1, -1) i WHERE i % 10 <> 0;
CALL cdp_sync('many');
SELECT count(DISTINCT profile_id) AS people, count(*) AS identifiers FROM cdp.identifiers WHERE value ~ '^ring|139123600';
SELECT * FROM wrong();
SELECT count(*) AS live, max(profile_id) = count(*) + (SELECT count(*) FROM cdp.profile WHERE merged_into IS NOT NULL) AS dense FROM cdp.profiles;

-- 9. A few hundred people over random links, in several batches: the recomputation agrees after each.
CREATE TABLE random_link (id int PRIMARY KEY, a text, b text, c text, v int, at timestamptz);
SELECT cdp_source_create('random', 'random_link', '{"identifiers": {"user_id": "a", "email": "b", "cookie": "c"}, "traits": {"v": "v"}, "event": {"name": "''r''", "at": "at", "properties": {"v": "v", "kind": "v % 3 = 0"}}}');
CREATE FUNCTION more(from_id int, to_id int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO random_link SELECT i, CASE WHEN h[1] < 150 THEN 'ru' || h[2] END, CASE WHEN h[3] < 150 THEN 'r' || h[4] * 2 || '@example.com' END, CASE WHEN h[5] < 150 THEN 'rc' || h[6] * 2 END, h[7],
        '2024-01-01 00:00+00'::timestamptz + h[8] * interval '1 hour'
    FROM generate_series(from_id, to_id) i CROSS JOIN LATERAL (SELECT array_agg(get_byte(decode(md5('seed' || i), 'hex'), b) ORDER BY b) AS h FROM generate_series(0, 7) b) x
$$;
SELECT more(1, 60);
CALL cdp_sync('random');
SELECT * FROM wrong();
SELECT more(61, 200);
CALL cdp_sync('random');
SELECT * FROM wrong();
SELECT more(201, 300);
CALL cdp_sync('random');
SELECT * FROM wrong();
SELECT count(*) AS merged FROM cdp.merges WHERE source = 'random';
SELECT expression, check_segment(expression) AS as_plain_sql FROM unnest(ARRAY[
    'v > 100', 'v IS NULL', 'count(r) >= 2', 'sum(r.v) > 200', 'count(r) FILTER (WHERE kind) > 1', $$ sum(r.v) FILTER (WHERE NOT kind AND at < '2024-01-05') BETWEEN 50 AND 300 $$, 'count(r) = 0']) expression;
-- And nothing is left over in the columns of bits: built anew from the facts they are the same.
SELECT cdp_flush() IS NOT NULL AS flushed;
CREATE TABLE kept AS SELECT e, cdp_segment(e) AS members FROM unnest(ARRAY['v > 100', 'count(r) >= 2', 'sum(r.v) > 200', 'count(r) FILTER (WHERE kind) > 1', 'views > 0']) e;
UPDATE cdp.store_column SET state = 'stale' WHERE kind IN ('attribute', 'day');
SELECT cdp_flush() IS NOT NULL AS flushed;
SELECT e, cdp_segment(e) = members AS same FROM kept;

DROP FUNCTION who, wrong, check_segment, more;
DROP TABLE crm, web, many, random_link, kept;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
