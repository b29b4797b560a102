-- Segments: an expression or a set under a name. Membership is what it was at the last refresh; what others need cannot be dropped.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE buy (id int PRIMARY KEY, name text, city text, at timestamptz, amount numeric);
INSERT INTO buy VALUES (1, 'ann', 'Rome', '2024-01-10 00:00+00', 50), (2, 'bob', 'Rome', '2024-03-10 00:00+00', 70), (3, 'cid', 'Bern', '2024-03-15 00:00+00', 20), (4, 'dee', NULL, '2024-05-01 00:00+00', 5);
SELECT cdp_source_create('buy', 'buy', '{"updated_at": "at", "identifiers": {"user_id": "name"}, "traits": {"name": "name", "city": "city"}, "event": {"name": "''buy''", "at": "at", "properties": {"amount": "amount"}}}');
CALL cdp_sync();
CREATE FUNCTION members() RETURNS TABLE (segment text, members text) LANGUAGE sql AS
    'SELECT segment, string_agg(name, '' '' ORDER BY name) FROM cdp.segment_members JOIN cdp.profiles USING (profile_id) GROUP BY segment';

-- 1. Made, a segment is filled.
SELECT cdp_segment_create('romans', $$ city = 'Rome' $$, 'Who lives in Rome');
SELECT cdp_segment_create('big "spenders" 大', 'sum(buy.amount) >= 50');
SELECT cdp_segment_create('spring', $$ did(buy, since => '2024-03-01', until => '2024-04-01') $$);
SELECT cdp_segment_create('nobody', 'false');
SELECT cdp_segment_create('unsure', 'NULL');
SELECT name, kind, expression, description, profiles FROM cdp.segments ORDER BY name COLLATE "C";
SELECT * FROM members() ORDER BY segment COLLATE "C";

-- 2. A set frozen under a name; it holds numbers of people there are.
SELECT cdp_segment_freeze('frozen', cdp_segment($$ city IS NOT NULL $$) - cdp_segment($$ in_segment('spring') $$));
SELECT cdp_segment_freeze('empty', '{}');
SELECT name, kind, expression, profiles FROM cdp.segments WHERE kind = 'static' ORDER BY name;
SELECT cdp_segment_freeze('strangers', '{1,99,4294967296}');
SELECT cdp_segment_freeze('frozen', '{1}');
SELECT cdp_segment_refresh('frozen');

-- 3. Members by name, as rows, as a number, in expressions.
SELECT cdp_count('romans') AS n, cdp_count('nobody') AS none, ARRAY(SELECT cdp_members('romans')) = ARRAY(SELECT cdp_members(cdp_segment($$ in_segment('romans') $$))) AS same;
SELECT e, cdp_segment_count(e) AS n FROM unnest(ARRAY[$$ in_segment('romans') AND in_segment('spring') $$, $$ NOT in_segment('romans') $$, $$ in_segment('big "spenders" 大') OR in_segment('frozen') $$, $$ in_segment('nobody') IS NULL $$, $$ in_segment('empty') $$, $$ in_segment('unsure') $$]) e;
SELECT profile_id IN (SELECT cdp_members('romans')) AS roman, name FROM cdp.profiles ORDER BY name;

-- 4. Refresh tells what came and what went; the same again nothing.
SELECT name, added, removed, total FROM cdp_segment_refresh();
INSERT INTO buy VALUES (5, 'ann', 'Bern', '2024-06-01 00:00+00', 1), (6, 'eve', 'Rome', '2024-06-01 00:00+00', 500), (7, 'dee', 'Rome', '2024-06-02 00:00+00', 60);
CALL cdp_sync();
SELECT * FROM members() WHERE segment = 'romans';
SELECT name, added, removed, total FROM cdp_segment_refresh();
SELECT * FROM members() ORDER BY segment COLLATE "C";
SELECT name, added, removed, total FROM cdp_segment_refresh('romans');
-- As of a moment.
SELECT name, added, removed, total FROM cdp_segment_refresh('big "spenders" 大', '2024-02-01 00:00+00');
SELECT * FROM members() WHERE segment LIKE 'big%';
SELECT refreshed_as_of FROM cdp.segments WHERE name LIKE 'big%';

-- 5. Segments of segments: stored membership now, the expression itself as of then.
SELECT cdp_segment_create('spring romans', $$ in_segment('romans') AND in_segment('spring') $$);
SELECT cdp_segment_count($$ in_segment('big "spenders" 大') $$) AS stored, cdp_segment_count($$ in_segment('big "spenders" 大') $$, '2024-12-01 00:00+00') AS as_of_december,
       cdp_segment_count($$ in_segment('frozen') $$, '2000-01-01 00:00+00') AS frozen_is_frozen;

-- 6. What is refused.
SELECT cdp_segment_create('romans', 'true');
SELECT cdp_segment_create('frozen', 'true');
SELECT cdp_segment_create('', 'true');
SELECT cdp_segment_create('self', $$ in_segment('self') $$);
SELECT cdp_segment_create('number', 'sum(buy.amount)');
SELECT cdp_segment_refresh('romens');
SELECT cdp_segment_refresh('nothing like it');
SELECT cdp_segment_drop('romens');
SELECT cdp_members('romens');
SELECT cdp_count('romens');
SELECT cdp_segment($$ in_segment('romens') $$);
-- A segment in use stays, whether a segment or a tag uses it.
SELECT cdp_segment_drop('romans');
SELECT cdp_segment_drop('spring romans');
SELECT cdp_tag_create('roman', $$ in_segment('romans') $$);
SELECT cdp_segment_drop('romans');
SELECT cdp_tag_drop('roman');
SELECT cdp_segment_drop('romans');
SELECT name FROM cdp.segments ORDER BY name COLLATE "C";
SELECT count(*) AS left_over FROM cdp.segment_members WHERE segment = 'romans';
-- The name is free again.
SELECT cdp_segment_freeze('romans', cdp_segment($$ name = 'ann' $$));
SELECT * FROM members() WHERE segment = 'romans';

-- 7. A set is a set: frozen from itself, it is the same.
SELECT cdp_segment_freeze('copy', cdp_bitmap_build_agg(m)) FROM cdp_members('spring') m;
SELECT cdp_segment($$ in_segment('copy') $$) = cdp_segment($$ in_segment('spring') $$) AS same;

DROP FUNCTION members;
DROP TABLE buy;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
