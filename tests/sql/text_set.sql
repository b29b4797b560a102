-- Attributes with several values: text[]. Who is expected is written beside each expression, and the plain SQL and the question about one profile say the same.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE person (id int PRIMARY KEY, name text, labels text[], codes varchar(9)[], seen timestamptz NOT NULL);
INSERT INTO person VALUES
    (1, 'ann', '{vip,gold,vip}', '{a,b}', '2024-01-01'), (2, 'bob', '{gold,NULL}', NULL, '2024-01-01'), (3, 'cid', '{}', '{}', '2024-01-01'), (4, 'dee', NULL, '{a}', '2024-01-01'),
    (5, 'eve', ARRAY['上海', '', 'O''Hare', '"x", {y}'], NULL, '2024-01-01'), (6, 'fay', '{{vip,a},{b,NULL}}', NULL, '2024-01-01');
SELECT cdp_source_create('person', 'person', '{"key": "id", "updated_at": "seen", "identifiers": {"user_id": "''u'' || id"}, "traits": {"name": "name", "labels": "labels", "codes": "codes", "城市等级": "CASE WHEN id < 3 THEN ''一线'' END"}}');
CALL cdp_sync();
-- Each element once, none NULL, in the order of their bytes.
SELECT name, labels, codes FROM cdp.profiles ORDER BY name;
SELECT name, type FROM cdp.attributes ORDER BY name;
SELECT c.encoding, c.state FROM cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name IN ('labels', 'codes');
CREATE FUNCTION ask(expression text, OUT who text, OUT agrees boolean) LANGUAGE plpgsql SET TimeZone = 'UTC' AS $$
DECLARE plain bigint[]; got bigint[] := cdp_segment(expression)::bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(expression)) INTO plain;
    SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') INTO who FROM cdp.profiles WHERE profile_id = ANY (got);
    agrees := plain = got AND cardinality(got) = cdp_segment_count(expression)
        AND (SELECT bool_and((p.profile_id = ANY (got)) = (cdp_segment_contains(expression, p.profile_id) IS TRUE)) FROM cdp.profiles p)
        AND cdp_segment(cdp_segment_json(expression))::bigint[] = got;
END $$;
CREATE TABLE asked (expected text, expression text);
INSERT INTO asked VALUES
    ('ann fay', '''vip'' = ANY (labels)'), ('ann bob', '''gold'' = any(labels)'), ('bob cid eve', 'NOT ''vip'' = ANY (labels)'), ('bob cid eve', '''vip'' <> ALL (labels)'), ('dee', '(''vip'' = ANY (labels)) IS NULL'), ('bob cid dee eve', '(''vip'' = ANY (labels)) IS NOT TRUE'),
    ('', '''nothing such'' = ANY (labels)'), ('ann bob cid eve fay', '''nothing such'' <> ALL (labels)'), ('dee', 'labels IS NULL'), ('ann bob cid eve fay', 'labels IS NOT NULL'), ('cid', 'cardinality(labels) = 0'), ('ann', 'cardinality(labels) = 2'), ('eve fay', 'cardinality(labels) >= 3'), ('dee', 'cardinality(labels) IS NULL'),
    ('ann', '''vip'' = ANY (labels) AND ''gold'' = ANY (labels)'), ('ann bob fay', '''vip'' = ANY (labels) OR ''gold'' = ANY (labels)'), ('eve', '''上海'' = ANY (labels) AND '''' = ANY (labels) AND ''"x", {y}'' = ANY (labels)'), ('cid', 'NULL = ANY (labels) IS NOT NULL AND labels IS NOT NULL'), ('ann dee', '''a'' = ANY (codes)'), ('ann', '''a'' = ANY (codes) AND ''vip'' = ANY (labels)'),
    ('fay', 'lower(''VIP'') = ANY (labels) AND NOT (''gold'' = ANY (labels))'), ('ann fay', 'CASE WHEN ''vip'' = ANY (labels) THEN 1 ELSE 0 END = 1'), ('ann', 'labels::text = ''{gold,vip}'''), ('ann bob', '"城市等级" = ''一线'''), ('bob', '城市等级 = ''一线'' AND NOT ''vip'' = ANY (labels)'), ('', 'name = ANY (labels)');
SELECT count(*) AS asked, count(*) FILTER (WHERE a.who = q.expected) AS as_expected, count(*) FILTER (WHERE a.agrees) AS agree FROM asked q CROSS JOIN LATERAL ask(q.expression) a;
SELECT q.expression, q.expected, a.who, a.agrees FROM asked q CROSS JOIN LATERAL ask(q.expression) a WHERE a.who <> q.expected OR NOT a.agrees;
-- Changes: elements come and go, a set becomes empty or unknown, two people become one.
UPDATE person SET seen = '2024-02-01', labels = CASE id WHEN 1 THEN '{silver,vip}' WHEN 2 THEN '{}' WHEN 3 THEN '{vip}' END::text[] WHERE id <= 3;
CALL cdp_sync();
SELECT e, (ask(e)).* FROM unnest(ARRAY['''vip'' = ANY (labels)', '''gold'' = ANY (labels)', '''silver'' = ANY (labels)', 'cardinality(labels) = 0', 'labels IS NULL']) e;
SELECT cdp_flush() > 0 AS folded;
SELECT e, (ask(e)).* FROM unnest(ARRAY['''vip'' = ANY (labels)', '''gold'' = ANY (labels)', 'cardinality(labels) = 0', 'labels IS NULL']) e;
UPDATE cdp.store_column SET state = 'stale' WHERE kind = 'attribute';
SELECT e, (ask(e)).* FROM unnest(ARRAY['''vip'' = ANY (labels)', '''vip'' <> ALL (labels)']) e;
SELECT cdp_flush() > 0 AS rebuilt;
SELECT e, (ask(e)).* FROM unnest(ARRAY['''vip'' = ANY (labels)', '''vip'' <> ALL (labels)', 'cardinality(labels) = 0', 'labels IS NULL']) e;
-- How they spread, and one profile as a document.
SELECT * FROM cdp_segment_distribution('name <> ''eve''', 'labels');
SELECT p.name, cdp_profile(p.profile_id) -> 'traits' -> 'labels' -> 'value' AS labels FROM cdp.profiles p WHERE name IN ('ann', 'bob', 'dee') ORDER BY name;
SELECT cdp_trait_create('hobbies', 'text[]');
SELECT e, (ask(e)).* FROM unnest(ARRAY['''chess'' = ANY (hobbies)', 'hobbies IS NULL']) e;
SELECT cdp_source_create('other', 'person', '{"key": "id", "identifiers": {"user_id": "''u'' || id"}, "traits": {"labels": "name"}}');
SELECT * FROM cdp_segment_why('''vip'' = ANY (labels) AND ''none'' <> ALL (labels)', (SELECT profile_id FROM cdp.profiles WHERE name = 'bob'));
-- A tag of this type; many elements; what cannot be said.
SELECT cdp_tag_create('both', 'coalesce(labels, codes)');
SELECT name, profiles FROM cdp_tag_refresh();
SELECT e, (ask(e)).* FROM unnest(ARRAY['''a'' = ANY (both)', '''vip'' = ANY (both)']) e;
INSERT INTO person SELECT 100 + i, 'p' || i, ARRAY['l' || i, 'm' || i], NULL, '2024-03-01' FROM generate_series(1, 600) i;
CALL cdp_sync();
SELECT cdp_flush() >= 0 AS flushed;
SELECT c.state FROM cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'labels';
SELECT e, (ask(e)).* FROM unnest(ARRAY['''l7'' = ANY (labels) OR ''m8'' = ANY (labels)', '''vip'' = ANY (labels)']) e;
SELECT cdp_segment('labels = ''vip''');
SELECT cdp_segment('''vip'' IN (labels)');
SELECT cdp_segment('''vip'' = ANY (name)');
SELECT cdp_segment('5 = ANY (labels)');
SELECT cdp_segment('''vip'' < ANY (labels)');
SELECT cdp_segment('name = ANY (ARRAY[''a'', ''b''])');
SELECT cdp_segment('lower(labels) = ''vip''');
SELECT cdp_segment('cardinality(name) = 1');
SELECT cdp_segment('''v%'' LIKE ANY (labels)');
-- Nothing is in an empty set, NULL included: whoever has no such event is found too, by the bits and by the SQL, from which PostgreSQL 14 made an inner join.
CREATE TABLE wearer AS SELECT i AS id, CASE WHEN i % 2 = 0 THEN '{}' ELSE '{hat}'::text[] END AS wears FROM generate_series(1, 6) i;
CREATE TABLE look AS SELECT * FROM (VALUES (1, 1, timestamptz '2024-01-01', 'hat'), (2, 2, '2024-01-01', 'hat'), (3, 3, '2024-01-01', 'coat')) v(id, wearer, at, item);
SELECT cdp_source_create('wearer', 'wearer', '{"key": "id", "identifiers": {"user_id": "id::text"}, "traits": {"wears": "wears"}}');
SELECT cdp_source_create('look', 'look', '{"key": "id", "identifiers": {"user_id": "wearer::text"}, "event": {"name": "''look''", "at": "at", "properties": {"item": "item"}}}');
CALL cdp_sync('wearer');
CALL cdp_sync('look');
SELECT '(last(look.item) = ANY (wears)) IS FALSE' AS e \gset
SELECT string_agg(i.value, ' ' ORDER BY i.value) AS bits FROM cdp.identifiers i WHERE i.type = 'user_id' AND i.profile_id = ANY (cdp_segment(:'e')::bigint[]);
SELECT cdp_segment_sql(:'e') AS q \gset
SELECT string_agg(i.value, ' ' ORDER BY i.value) AS sql FROM cdp.identifiers i JOIN (:q) s USING (profile_id) WHERE i.type = 'user_id';
DROP FUNCTION ask;
DROP TABLE person, asked, wearer, look;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
