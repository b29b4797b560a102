-- Tags: attributes computed from an expression. Values change only at a refresh; whatever others need cannot be dropped.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE buy (id int PRIMARY KEY, name text, at timestamptz, amount numeric, n int);
INSERT INTO buy VALUES (1, 'ann', '2024-01-10 00:00+00', 50, 1), (2, 'ann', '2024-03-10 00:00+00', 70.5, 2), (3, 'bob', '2024-03-15 00:00+00', 20, 3), (4, 'cid', '2024-05-01 00:00+00', 5, 4);
SELECT cdp_source_create('buy', 'buy', '{"identifiers": {"user_id": "name"}, "traits": {"name": "name"}, "event": {"name": "''buy''", "at": "at", "properties": {"amount": "amount", "n": "n"}}}');
CALL cdp_sync();

-- 1. A tag has the type of its expression, and no value before it is refreshed.
SELECT cdp_tag_create('spent', 'sum(buy.amount)', 'All they ever spent');
SELECT cdp_tag_create('level', $$ CASE WHEN spent >= 100 THEN 'high' WHEN spent >= 20 THEN 'mid' ELSE 'low' END $$);
SELECT cdp_tag_create('recent', $$ did(buy, within => '60 days') $$);
SELECT cdp_tag_create('last buy', 'max(buy.at)');
SELECT cdp_tag_create('Käufe "x"', 'count(buy)');
SELECT cdp_tag_create('day', 'max(buy.at)::date');
SELECT name, type, expression, description, refreshed_at IS NULL AS never FROM cdp.tags ORDER BY name;
SELECT name, spent, level FROM cdp.profiles ORDER BY name;

-- 2. Refresh of all: those that others refer to first. As of a moment, everything is what it was then.
SELECT name, profiles, changed FROM cdp_tag_refresh(as_of => '2024-04-01 00:00+00');
SELECT name, spent, level, recent, "last buy", "Käufe ""x""", day FROM cdp.profiles ORDER BY name;
SELECT DISTINCT refreshed_as_of FROM cdp.tags;
-- The same again changes nothing; at another moment only what differs.
SELECT name, profiles, changed FROM cdp_tag_refresh(as_of => '2024-04-01 00:00+00');
SELECT name, profiles, changed FROM cdp_tag_refresh(as_of => '2024-02-01 00:00+00');
SELECT name, spent, level, recent, "last buy", "Käufe ""x""", day FROM cdp.profiles ORDER BY name;
-- One alone.
SELECT name, profiles, changed FROM cdp_tag_refresh('spent', '2024-06-01 00:00+00');
SELECT name, spent, level FROM cdp.profiles ORDER BY name;

-- 3. In an expression a tag is its stored value; with as_of it is what it would have been.
SELECT cdp_segment_count($$ level = 'high' $$) AS stored, cdp_segment_count($$ level = 'high' $$, '2024-03-31 00:00+00') AS as_of_march, cdp_segment_count($$ level = 'high' $$, '2024-03-01 00:00+00') AS as_of_february,
       cdp_segment_count($$ spent > 100 $$) AS spent, cdp_segment_count($$ "Käufe ""x""" = 0 $$) AS quoted, cdp_segment_count($$ recent $$) AS recent, cdp_segment_count($$ day = '2024-01-10' AND "last buy" < '2024-02-01' $$) AS days;

-- 4. New events show at the next refresh, not before.
INSERT INTO buy VALUES (5, 'cid', '2024-05-02 00:00+00', 200, 1);
CALL cdp_sync();
SELECT cdp_segment_count('spent > 150') AS before;
SELECT name, profiles, changed FROM cdp_tag_refresh('spent');
SELECT cdp_segment_count('spent > 150') AS after;

-- 5. What is refused.
SELECT cdp_tag_create('spent', '1');
SELECT cdp_tag_create('name', '1');
SELECT cdp_tag_create('', '1');
SELECT cdp_tag_create('at', '1');
SELECT cdp_tag_create('profile_id', '1');
SELECT cdp_tag_create(repeat('名', 22), '1');
SELECT cdp_tag_create('window', $$ now() - max(buy.at) $$);
SELECT cdp_tag_create('itself', 'itself + 1');
SELECT cdp_tag_create('wrong', 'spnet + 1');
SELECT cdp_tag_create('product', '1', entity => 'product');
SELECT cdp_tag_refresh('spnet');
SELECT cdp_tag_refresh('nothing like it');
SELECT cdp_tag_refresh('name');
SELECT cdp_tag_drop('spnet');
-- A tag in use stays.
SELECT cdp_segment_create('big', $$ spent > 100 AND recent $$);
SELECT cdp_tag_drop('spent');
SELECT cdp_tag_drop('recent');
SELECT cdp_segment_drop('big');
SELECT cdp_tag_drop('recent');
SELECT name FROM cdp.tags ORDER BY name;

-- 6. A refresh that fails changes nothing: it is one transaction.
SELECT cdp_tag_create('share', '100 / (spent - 120.5)');
SELECT md5(string_agg(p::text, ';' ORDER BY profile_id)) AS before FROM cdp.profiles p \gset
SELECT name, profiles, changed FROM cdp_tag_refresh();
SELECT md5(string_agg(p::text, ';' ORDER BY profile_id)) = :'before' AS unchanged FROM cdp.profiles p;
SELECT cdp_tag_drop('share');

-- 7. A tag without events, of NULL, of constants.
SELECT cdp_tag_create('nothing', 'NULL');
SELECT cdp_tag_create('one', '1');
SELECT cdp_tag_create('ratio', '1.0 / 3');
SELECT name, type FROM cdp.tags WHERE name IN ('nothing', 'one', 'ratio') ORDER BY name;
SELECT name, profiles, changed FROM cdp_tag_refresh() WHERE name IN ('nothing', 'one', 'ratio');
SELECT DISTINCT nothing, one, ratio FROM cdp.profiles;
SELECT cdp_segment_count('one = 1 AND nothing IS NULL AND ratio > 0.3333333333333333 AND ratio < 0.33333333333333339') AS n;

-- 8. Dropped, the name is free again, also for another type.
SELECT cdp_tag_drop('one');
SELECT cdp_tag_create('one', $$ 'text' $$);
SELECT name, profiles, changed FROM cdp_tag_refresh('one');
SELECT cdp_segment_count($$ one = 'text' $$) AS n;
SELECT count(*) AS left_over FROM cdp.store_column c WHERE kind = 'attribute' AND NOT EXISTS (SELECT FROM cdp.attribute a WHERE a.attribute_id = c.attribute_id);

DROP TABLE buy;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
