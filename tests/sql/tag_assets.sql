-- Tags as assets: kinds, settings, allowed values, versions, states, values that are set, and what every attribute was before.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE person (name text PRIMARY KEY, email text, city text, points numeric, changed timestamptz);
CREATE TABLE buy (id int PRIMARY KEY, name text, at timestamptz, amount numeric);
INSERT INTO person VALUES ('ann', 'a@example.com', 'Rome', 10.50, '2024-01-01 00:00+00'), ('bob', 'b@example.com', 'Bern', 2, '2024-01-01 00:00+00'),
    ('cid', 'c@example.com', NULL, NULL, '2024-01-01 00:00+00'), ('dee', 'd@example.com', 'Oslo', 7, '2024-01-01 00:00+00');
INSERT INTO buy VALUES (1, 'ann', '2024-01-10 00:00+00', 50), (2, 'ann', '2024-03-10 00:00+00', 70.5), (3, 'bob', '2024-03-15 00:00+00', 20), (4, 'cid', '2024-05-01 00:00+00', 5);
SELECT cdp_source_create('person', 'person', '{"updated_at": "changed", "identifiers": {"user_id": "name", "email": "email"}, "traits": {"name": "name", "city": "city", "points": "points"}}');
SELECT cdp_source_create('buy', 'buy', '{"key": "id", "identifiers": {"user_id": "name"}, "event": {"name": "''buy''", "at": "at", "properties": {"amount": "amount"}}}');
CALL cdp_sync();
CREATE FUNCTION id(who text) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT cdp_profile_id('user_id', who) $$;

-- 1. Kinds and settings.
SELECT cdp_tag_create('spent', 'sum(buy.amount)', 'All they ever spent', settings => '{"owner": "crm team", "path": "value/spend", "sensitivity": "personal"}');
SELECT cdp_tag_create('level', $$ CASE WHEN spent >= 100 THEN 'high' WHEN spent >= 20 THEN 'mid' ELSE 'low' END $$, settings => '{"path": "value/level", "values": ["low", "mid", "high"]}');
SELECT cdp_tag_create('vip', NULL, 'Somebody said so', settings => '{"type": "boolean", "path": "service"}');
SELECT cdp_tag_create('score', NULL, settings => '{"type": "numeric", "kind": "imported", "values": [1, "2.50", 3]}');
SELECT cdp_tag_create('note', NULL);
SELECT name, kind, data_type, state, version, owner, path, sensitivity, profiles, coverage, distinct_values FROM cdp_tag_list();
SELECT name, profiles, changed FROM cdp_tag_refresh(as_of => '2024-06-01 00:00+00');
SELECT name, kind, profiles, coverage, distinct_values, changed, refresh_ms >= 0 AS timed, dependants FROM cdp.tags ORDER BY name;
SELECT cdp_tag_create('x', '1', settings => '{"type": "text"}');
SELECT cdp_tag_create('x', NULL, settings => '{"kind": "rule"}');
SELECT cdp_tag_create('x', NULL, settings => '{"type": "money"}');
SELECT cdp_tag_create('x', NULL, settings => '{"ower": "me"}');
SELECT cdp_tag_create('x', NULL, settings => '[]');
SELECT cdp_tag_create('x', NULL, settings => '{"sensitivity": "secret"}');
SELECT cdp_tag_create('x', NULL, settings => '{"type": "bigint", "values": ["one"]}');
SELECT cdp_tag_create('x', NULL, settings => '{"values": [null]}');
SELECT cdp_tag_create('x', NULL, settings => NULL);
SELECT count(*) AS none_was_made FROM cdp.tags WHERE name = 'x';

-- 2. Values that are set: at once in the profile, in expressions, in the log.
SELECT cdp_tag_set('vip', id('ann'), 'yes', 'called us twice');
SELECT cdp_tag_set('vip', id('bob'), 'f');
SELECT cdp_tag_set('score', id('ann'), '2.6');
SELECT cdp_tag_set('score', id('ann'), '2.5');
SELECT cdp_tag_set('note', id('cid'), 'likes "quotes", it''s said', expires => now() + interval '1 day');
SELECT name, vip, score, note FROM cdp.profiles ORDER BY name;
SELECT cdp_segment_count('vip') AS vip, cdp_segment_count('NOT vip') AS not_vip, cdp_segment_count('score = 2.5') AS score, cdp_segment_count($$ note LIKE 'likes%' $$) AS note;
SELECT tag, p.name, value, reason, author = session_user AS mine, expires_at > now() AS expires FROM cdp.tag_values JOIN cdp.profiles p USING (profile_id) ORDER BY 1, 2;
-- Set again, cleared, to the same.
SELECT cdp_tag_set('vip', id('ann'), 'true', 'again');
SELECT cdp_tag_set('vip', id('bob'), NULL, 'a mistake');
SELECT name, vip FROM cdp.profiles ORDER BY name;
SELECT p.name, value, reason FROM cdp.tag_values JOIN cdp.profiles p USING (profile_id) WHERE tag = 'vip' ORDER BY 1;
SELECT cdp_segment_count('vip') AS vip, cdp_segment_count('vip IS NULL') AS nobody_said;
-- A refresh finds nothing to change, but what has expired at its moment.
SELECT name, profiles, changed FROM cdp_tag_refresh('note');
SELECT name, profiles, changed FROM cdp_tag_refresh('note', now() + interval '1 day');
SELECT count(note) AS notes, cdp_segment_count('note IS NOT NULL') AS in_bits FROM cdp.profiles;
SELECT name, profiles, changed FROM cdp_tag_refresh('vip');
-- What is refused.
SELECT cdp_tag_set('vip', id('ann'), 'perhaps');
SELECT cdp_tag_set('score', id('ann'), '2');
SELECT cdp_tag_set('spent', id('ann'), '2');
SELECT cdp_tag_set('vpi', id('ann'), 'yes');
SELECT cdp_tag_set('city', id('ann'), 'Bern');
SELECT cdp_tag_set('vip', 99, 'yes');
SELECT cdp_tag_set('vip', NULL::bigint, 'yes');
SELECT cdp_tag_set('vip', id('ann'), 'yes', expires => '2024-01-01');

-- Many at once: what an import brings. Of a profile that comes twice the last value counts; what stays the same is not written.
CREATE FUNCTION ids(VARIADIC who text[]) RETURNS bigint[] LANGUAGE sql STABLE AS $$ SELECT array_agg(id(w) ORDER BY n) FROM unnest(who) WITH ORDINALITY w(w, n) $$;
SELECT cdp_tag_import('score', ids('ann', 'bob', 'cid', 'bob'), ARRAY['2.50', '1', '3', '3.0'], 'import of May') AS changed;
SELECT name, score FROM cdp.profiles ORDER BY name;
SELECT cdp_segment_count('score = 3') AS three, cdp_segment_count('score IS NULL') AS none, (SELECT count(*) FROM cdp.pending) AS pending;
SELECT p.name, value, reason FROM cdp.tag_values JOIN cdp.profiles p USING (profile_id) WHERE tag = 'score' ORDER BY 1;
SELECT cdp_tag_import('score', ids('ann', 'bob', 'cid'), ARRAY['2.5', '3', NULL], 'import of June', expires => now() + interval '1 day') AS changed;
SELECT cdp_tag_import('score', ids('ann', 'bob', 'cid'), ARRAY['2.5', '3.000', NULL]) AS changed;
SELECT cdp_tag_import('score', '{}'::bigint[], '{}') AS changed;
SELECT p.name, value, reason, expires_at FROM cdp.tag_values JOIN cdp.profiles p USING (profile_id) WHERE tag = 'score' ORDER BY 1;
SELECT p.name, h.value, h.from_at = '-infinity' AS before FROM cdp.attribute_history h JOIN cdp.attribute a USING (attribute_id) JOIN cdp.profiles p USING (profile_id) WHERE a.name = 'score' AND p.name <> 'ann' ORDER BY 1, h.from_at;
-- As one by one: in the row, the bits, the log and the history.
SELECT cdp_tag_create('one', NULL), cdp_tag_create('many', NULL);
SELECT cdp_tag_set('one', profile_id, left(name, 1) || profile_id % 2) FROM cdp.profiles ORDER BY profile_id;
SELECT cdp_tag_import('many', array_agg(profile_id ORDER BY profile_id), array_agg(left(name, 1) || profile_id % 2 ORDER BY profile_id)) AS changed FROM cdp.profiles;
SELECT cdp_tag_set('one', id('cid'), NULL), cdp_tag_set('one', id('bob'), 'x'), cdp_tag_import('many', ids('cid', 'bob'), '{NULL,x}') AS changed;
SELECT count(*) AS people, count(one) AS set, count(*) FILTER (WHERE one IS NOT DISTINCT FROM many) AS same, count(*) FILTER (WHERE (one IS NULL) = (cdp_segment_contains('many IS NULL', profile_id))) AS same_in_bits FROM cdp.profiles;
SELECT bool_and(cdp_segment_count(format('one = %L', v)) = cdp_segment_count(format('many = %L', v))) AS same_sets FROM (SELECT DISTINCT one AS v FROM cdp.profiles WHERE one IS NOT NULL) v;
SELECT (SELECT array_agg((profile_id, h.value, h.from_at = '-infinity') ORDER BY profile_id, h.from_at) FROM cdp.attribute_history h JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'one')
     = (SELECT array_agg((profile_id, h.value, h.from_at = '-infinity') ORDER BY profile_id, h.from_at) FROM cdp.attribute_history h JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'many') AS same_history;
SELECT cdp_tag_drop('one'), cdp_tag_drop('many');
-- What is refused, whole.
SELECT cdp_tag_import('vip', ids('ann', 'bob'), ARRAY['no', 'perhaps']);
SELECT cdp_tag_import('score', ids('ann', 'bob'), ARRAY['3', '2']);
SELECT cdp_tag_import('score', ids('ann', 'bob'), ARRAY['3', 'three']);
SELECT cdp_tag_import('score', ids('ann', 'bob'), ARRAY['3']);
SELECT cdp_tag_import('score', id('ann') || '{98,99}'::bigint[], ARRAY['3', '3', '3']);
SELECT cdp_tag_import('score', ARRAY[id('ann'), NULL], ARRAY['3', '3']);
SELECT cdp_tag_import('score', NULL::bigint[], ARRAY['3']);
SELECT cdp_tag_import('score', ids('ann'), NULL::text[]);
SELECT cdp_tag_import('score', ids('ann'), ARRAY['3'], expires => '2024-01-01');
SELECT cdp_tag_import('spent', ids('ann'), ARRAY['3']);
SELECT cdp_tag_import('socre', ids('ann'), ARRAY['3']);
SELECT name, vip, score FROM cdp.profiles ORDER BY name;
-- Back to what the rest of the test begins with.
SELECT cdp_tag_import('score', ids('ann', 'bob', 'cid'), ARRAY['2.5', NULL, NULL]) AS changed;

-- 3. Allowed values: a refresh that would leave them changes nothing.
SELECT cdp_tag_alter('level', '{"values": ["low", "mid"]}');
SELECT cdp_tag_alter('level', $${"expression": "CASE WHEN spent >= 100 THEN 'top' WHEN spent >= 20 THEN 'mid' ELSE 'low' END"}$$);
SELECT cdp_tag_refresh('level', '2024-06-01 00:00+00');
SELECT name, level FROM cdp.profiles ORDER BY name;
SELECT cdp_tag_alter('level', '{"values": ["low", "mid", "high", "top"], "owner": "ann", "description": "Spend in words", "sensitivity": "public"}');
SELECT name, profiles, changed FROM cdp_tag_refresh('level', '2024-06-01 00:00+00');
SELECT name, level FROM cdp.profiles ORDER BY name;
SELECT name, version, kind, owner, path, sensitivity, allowed, description, distinct_values FROM cdp.tags WHERE name = 'level';
SELECT version, expression FROM cdp.versions WHERE name = 'level' ORDER BY version;
SELECT col_description('cdp.profiles'::regclass, attnum) AS comment FROM pg_attribute WHERE attrelid = 'cdp.profiles'::regclass AND attname = 'level';
SELECT cdp_tag_alter('level', '{"owner": null, "values": null}');
SELECT owner IS NULL AS no_owner, allowed IS NULL AS any_value FROM cdp.tags WHERE name = 'level';
SELECT cdp_tag_alter('level', '{"expression": "count(buy)"}');
SELECT cdp_tag_alter('level', '{"expression": "levle"}');
SELECT cdp_tag_alter('level', '{"expression": null}');
SELECT cdp_tag_alter('level', '{"type": "text"}');
SELECT cdp_tag_alter('level', '{"values": "low"}');
SELECT cdp_tag_alter('vip', '{"expression": "true"}');
SELECT cdp_tag_alter('levle', '{}');

-- 4. The graph: cycles are refused and shown, dependants come after, and whoever is named stays.
SELECT cdp_tag_alter('spent', '{"expression": "CASE WHEN level = ''low'' THEN 0 ELSE sum(buy.amount) END"}');
SELECT cdp_tag_alter('spent', '{"expression": "spent + 1"}');
SELECT cdp_tag_create('rank', $$ CASE level WHEN 'top' THEN 1 WHEN 'mid' THEN 2 ELSE 3 END $$);
SELECT cdp_segment_create('best', 'rank = 1');
SELECT cdp_tag_create('first', '1');
-- Now the first names the last made.
SELECT cdp_tag_alter('first', '{"expression": "rank + 10"}');
SELECT cdp_tag_alter('spent', '{"expression": "sum(buy.amount) + CASE WHEN in_segment(''best'') THEN 1 ELSE 0 END"}');
SELECT name FROM cdp_tag_refresh(as_of => '2024-06-01 00:00+00');
SELECT name, rank, "first" FROM cdp.profiles ORDER BY name;
SELECT name FROM cdp_tag_refresh('level', dependants => true);
SELECT kind, name, needs_kind, needs FROM cdp.dependencies ORDER BY 1, 2, 3, 4;
-- With all that would be hurt, whoever names it through others too.
SELECT cdp_tag_drop('level');
SELECT cdp_tag_drop('rank');
SELECT cdp_tag_drop('spent');
SELECT cdp_segment_create('best of all', 'in_segment(''best'') AND "first" > 0');
SELECT cdp_segment_drop('best');
SELECT cdp_tag_drop('spent');
SELECT cdp_segment_drop('best of all');
SELECT name, dependants FROM cdp.tags WHERE dependants IS NOT NULL ORDER BY name;
-- One pass: a segment of a tag, a tag of that segment, a segment of that tag, entered in another order.
SELECT cdp_tag_create('medal', 'NULL::text'), cdp_segment_create('medalled', 'medal IS NOT NULL'), cdp_tag_create('bought', '0');
SELECT cdp_segment_create('buyers', 'bought >= 2'), cdp_tag_alter('medal', $$ {"expression": "CASE WHEN in_segment('buyers') THEN 'gold' END"} $$), cdp_tag_alter('bought', '{"expression": "count(buy)"}');
-- Each by itself, one order or the other, would need two rounds.
BEGIN;
SELECT count(*) > 0 AS refreshed FROM cdp_tag_refresh();
SELECT count(*) > 0 AS refreshed FROM cdp_segment_refresh();
SELECT (SELECT count(medal) FROM cdp.profiles) AS medals, cdp_count('medalled') AS medalled, cdp_count('buyers') AS buyers;
ROLLBACK;
SELECT kind, name, profiles, changed, added, removed, ms >= 0 AS timed FROM cdp_refresh() WHERE name IN ('bought', 'buyers', 'medal', 'medalled');
SELECT name, bought, medal FROM cdp.profiles ORDER BY name;
SELECT cdp_count('medalled') AS medalled, cdp_count('buyers') AS buyers;
SELECT kind, name, changed, added, removed FROM cdp_refresh() WHERE changed <> 0;
-- As of a moment, all of it.
SELECT kind, name, profiles, changed FROM cdp_refresh('2024-02-01 00:00+00') WHERE name IN ('bought', 'buyers', 'medal', 'medalled');
SELECT kind, name, profiles, changed FROM cdp_refresh('2024-06-01 00:00+00') WHERE name IN ('bought', 'buyers', 'medal', 'medalled');
-- An error of one leaves all as they were.
SELECT cdp_tag_create('broken', 'CASE WHEN in_segment(''medalled'') THEN 1 ELSE 1 / (bought - 1) END');
SELECT count(*) FROM cdp_refresh('2024-02-01 00:00+00');
SELECT name, bought, medal FROM cdp.profiles ORDER BY name;
SELECT cdp_tag_drop('broken');
SELECT cdp_segment_drop('medalled'), cdp_tag_drop('medal'), cdp_segment_drop('buyers'), cdp_tag_drop('bought');
-- Retired and draft.
SELECT cdp_tag_alter('first', '{"state": "retired"}');
SELECT cdp_tag_alter('score', '{"state": "draft"}');
SELECT name FROM cdp_tag_refresh();
SELECT cdp_tag_refresh('first');
SELECT name FROM cdp_tag_refresh('score');
SELECT cdp_tag_alter('score', '{"state": "retired"}');
SELECT cdp_tag_set('score', id('ann'), '3');

-- 5. History of a tag: one row a change, beside what was seen at each refresh. Moments in any order.
CREATE TABLE seen (n int GENERATED ALWAYS AS IDENTITY, at timestamptz, profile_id bigint, tag text, value text);
CREATE FUNCTION look(ts timestamptz) RETURNS TABLE (tag text, changed bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT r.name, r.changed FROM unnest(ARRAY['spent2', 'recent']) WITH ORDINALITY t(t, i) CROSS JOIN LATERAL cdp_tag_refresh(t.t, ts) r ORDER BY 1;
    DELETE FROM seen s WHERE s.at = ts;
    INSERT INTO seen (at, profile_id, tag, value) SELECT ts, profile_id, 'spent2', spent2::text FROM cdp.profiles UNION ALL SELECT ts, profile_id, 'recent', recent::text FROM cdp.profiles;
END $$;
CREATE FUNCTION compare() RETURNS TABLE (seen bigint, equal bigint, "an hour later" bigint) LANGUAGE sql AS $$
    SELECT count(*), count(*) FILTER (WHERE cdp_attribute_at(profile_id, tag, at) IS NOT DISTINCT FROM value), count(*) FILTER (WHERE cdp_attribute_at(profile_id, tag, at + interval '1 hour') IS NOT DISTINCT FROM value) FROM seen $$;
SELECT cdp_tag_create('spent2', 'sum(buy.amount)');
SELECT cdp_tag_create('recent', $$ CASE WHEN did(buy, within => '40 days') THEN 'yes' END $$);
SELECT * FROM look('2024-02-01 00:00+00');
SELECT count(*) AS first_values_are_no_change FROM cdp.attribute_history h JOIN cdp.attribute a USING (attribute_id) WHERE a.name IN ('spent2', 'recent');
SELECT * FROM look('2024-03-01 00:00+00');
SELECT * FROM look('2024-03-12 00:00+00');
SELECT * FROM look('2024-03-20 00:00+00');
SELECT * FROM look('2024-06-01 00:00+00');
SELECT * FROM look('2024-06-02 00:00+00');
SELECT * FROM compare();
SELECT a.name AS tag, p.name, h.from_at, h.value FROM cdp.attribute_history h JOIN cdp.attribute a USING (attribute_id) JOIN cdp.profiles p USING (profile_id) WHERE a.name IN ('spent2', 'recent') ORDER BY 1, 2, 3;
-- The past is filled in; then the present comes back.
SELECT * FROM look('2024-01-15 00:00+00');
SELECT * FROM compare();
SELECT * FROM look('2024-04-01 00:00+00');
SELECT * FROM look('2024-06-10 00:00+00');
SELECT * FROM compare();
SELECT * FROM look('2024-02-20 00:00+00');
SELECT * FROM look('2024-06-20 00:00+00');
SELECT * FROM look('2024-07-20 00:00+00');
SELECT * FROM compare();
SELECT * FROM look('2024-03-14 00:00+00');
SELECT * FROM look('2023-12-01 00:00+00');
SELECT * FROM look('2024-05-05 00:00+00');
SELECT * FROM look('2024-03-14 00:00+00');
SELECT * FROM compare();
-- Somebody new has no earlier value: the first is no change.
INSERT INTO buy VALUES (5, 'eva', '2024-06-15 00:00+00', 9);
CALL cdp_sync('buy');
SELECT * FROM look('2024-07-21 00:00+00');
SELECT * FROM compare();
SELECT count(*) AS rows FROM cdp.attribute_history WHERE profile_id = id('eva');
SELECT tag, count(*) AS moments, sum(changed) AS changed FROM cdp.tag_refreshes WHERE tag IN ('spent2', 'recent') GROUP BY 1 ORDER BY 1;

-- 6. History of traits: what was observed replaces what was before, from the observation on.
SELECT count(*) AS nothing_has_changed FROM cdp.attribute_history h JOIN cdp.attribute a USING (attribute_id) WHERE a.kind = 'trait';
UPDATE person SET city = 'Bern', changed = '2024-02-01 00:00+00' WHERE name = 'ann';
UPDATE person SET city = 'Lyon', points = 3.25, changed = '2024-02-01 00:00+00' WHERE name = 'cid';
CALL cdp_sync('person');
UPDATE person SET city = 'Nice', changed = '2024-03-01 00:00+00' WHERE name IN ('ann', 'cid');
CALL cdp_sync('person');
SELECT a.name AS trait, p.name, h.from_at, h.value FROM cdp.attribute_history h JOIN cdp.attribute a USING (attribute_id) JOIN cdp.profiles p USING (profile_id) WHERE a.kind = 'trait' ORDER BY 1, 2, 3;
SELECT t AS at, cdp_attribute_at(id('ann'), 'city', t) AS ann, cdp_attribute_at(id('bob'), 'city', t) AS bob, cdp_attribute_at(id('cid'), 'city', t) AS cid, cdp_attribute_at(id('cid'), 'points', t) AS points
FROM unnest('{2023-01-01,2024-01-15,2024-02-01,2024-02-29,2024-03-01,2025-01-01}'::timestamptz[]) t;
SELECT cdp_attribute_at(id('ann'), 'ctiy', now());
SELECT cdp_attribute_at(99, 'city', now()) IS NULL AS nobody;

-- 7. A merge: values that were set are not lost, the last one set counts; the survivor's history goes on.
SELECT cdp_tag_set('vip', id('dee'), 'false', 'dee is not');
UPDATE person SET email = 'b@example.com', changed = '2024-04-01 00:00+00' WHERE name = 'dee';
SELECT id('dee') AS dee \gset
CALL cdp_sync('person');
SELECT id('dee') = id('bob') AS one_person, cdp_resolve(:dee) = id('bob') AS redirects;
SELECT name, profiles, changed FROM cdp_tag_refresh('vip');
SELECT name, vip, city FROM cdp.profiles ORDER BY name;
SELECT t AS at, cdp_attribute_at(:dee, 'city', t) AS city FROM unnest('{2024-01-15,2024-04-01}'::timestamptz[]) t;
SELECT cdp_tag_set('vip', :dee, 'true', 'under the old number');
SELECT vip FROM cdp.profiles WHERE profile_id = id('bob');
-- Dropped, nothing is left.
SELECT cdp_tag_drop('vip');
SELECT cdp_tag_drop('recent');
SELECT (SELECT count(*) FROM cdp.tag_values WHERE tag = 'vip') AS values, (SELECT count(*) FROM cdp.attribute_history h WHERE NOT EXISTS (SELECT FROM cdp.attribute a WHERE a.attribute_id = h.attribute_id)) AS history,
       (SELECT count(*) FROM cdp.versions WHERE name IS NULL) AS versions, (SELECT count(*) FROM cdp.dependencies WHERE name IS NULL OR needs IS NULL) AS dependencies;

DROP FUNCTION look, compare, ids, id;
DROP TABLE person, buy, seen;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
