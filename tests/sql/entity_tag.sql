-- Tags of households and questions about them, beside plain SQL over the members and their events.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
SELECT cdp_identifier_type_create('address', '{"strength": "weak", "level": "device", "normaliser": "text"}');
CREATE TABLE resident (id int PRIMARY KEY, email text, address text, city text, at timestamptz DEFAULT '2024-01-01');
CREATE TABLE purchase (id int PRIMARY KEY, email text, at timestamptz, amount numeric, category text);
CREATE TABLE visit (id int PRIMARY KEY, email text, at timestamptz, page text);
SELECT cdp_source_create('resident', 'resident', '{"updated_at": "id", "identifiers": {"email": "email", "address": "address"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('purchase', 'purchase', '{"key": "id", "identifiers": {"email": "email"}, "event": {"name": "''purchase''", "at": "at", "properties": {"amount": "amount", "category": "category"}}}');
SELECT cdp_source_create('visit', 'visit', '{"key": "id", "identifiers": {"email": "email"}, "event": {"name": "''visit''", "at": "at", "properties": {"page": "page", "amount": "page"}}}');
-- 60 people at 25 addresses; one without an address, who is in no household.
INSERT INTO resident SELECT i, 'r' || i || '@example.com', 'home ' || (i * 7) % 25, (ARRAY['Rome', 'Bern', NULL])[1 + i % 3] FROM generate_series(1, 60) i;
INSERT INTO resident VALUES (61, 'alone@example.com', NULL, 'Oslo');
INSERT INTO purchase SELECT i, CASE WHEN i % 40 = 0 THEN 'alone@example.com' ELSE 'r' || 1 + (i * 37) % 50 || '@example.com' END, '2024-01-01 00:00+00'::timestamptz + (i * 131 % 400) * interval '13 hours', (i * 53 % 200) / 4.0, (ARRAY['food', 'toys', NULL])[1 + i % 3]
    FROM generate_series(1, 400) i;
INSERT INTO visit SELECT i, 'r' || 1 + (i * 29) % 60 || '@example.com', '2024-01-01 00:00+00'::timestamptz + (i * 173 % 500) * interval '11 hours', 'page' || i % 7 FROM generate_series(1, 300) i;
CALL cdp_sync();
SELECT cdp_entity_create('household', '{"address": {}}', 'people who live together');
SELECT count(*) AS before_a_refresh, cdp_segment_count('true', entity => 'household') FROM cdp.entity_household;
SELECT name, groups, people FROM cdp_entity_refresh();

-- 1. Who there is: a row a live household, with how many belong to it.
SELECT count(*) AS households, sum(members) AS people, cdp_segment_count('true', entity => 'household') AS asked FROM cdp.entity_household;
SELECT count(*) AS different FROM (SELECT group_id, members FROM cdp.entity_household) v FULL JOIN (SELECT group_id, count(*) AS members FROM cdp.entity_members WHERE entity = 'household' GROUP BY 1) m USING (group_id, members) WHERE v IS NULL OR m IS NULL;

-- 2. Questions about households, each beside SQL of its own, now and as of earlier moments.
CREATE TABLE question (n int PRIMARY KEY, expression text, plain text);
INSERT INTO question VALUES
    (1, $$count(purchase) >= 8$$, $$SELECT group_id FROM home h WHERE (SELECT count(*) FROM deed d WHERE d.group_id = h.group_id AND d.event = 'purchase' AND d.at <= %1$L) >= 8$$),
    (2, $$count(purchase) FILTER (WHERE amount > 45) = 0$$, $$SELECT group_id FROM home h WHERE NOT EXISTS (SELECT FROM deed d WHERE d.group_id = h.group_id AND d.event = 'purchase' AND d.at <= %1$L AND CASE WHEN d.event = 'purchase' THEN (properties ->> 'amount')::numeric > 45 END)$$),
    (3, $$sum(purchase.amount) FILTER (WHERE category = 'food') > 60.25$$, $$SELECT group_id FROM deed WHERE event = 'purchase' AND at <= %1$L AND properties ->> 'category' = 'food' GROUP BY 1 HAVING sum((properties ->> 'amount')::numeric) > 60.25$$),
    (4, $$avg(purchase.amount) < 22 AND members > 2$$, $$SELECT group_id FROM deed JOIN home USING (group_id) WHERE event = 'purchase' AND at <= %1$L AND people > 2 GROUP BY 1 HAVING avg((properties ->> 'amount')::numeric) < 22$$),
    (5, $$max(purchase.at) < now() - interval '20 days' OR max(purchase.at) IS NULL$$, $$SELECT group_id FROM home h WHERE coalesce((SELECT max(at) FROM deed d WHERE d.group_id = h.group_id AND event = 'purchase' AND at <= %1$L) < %1$L::timestamptz - interval '20 days', true)$$),
    (6, $$sequence(visit, purchase, within => '1 day')$$, $$SELECT DISTINCT a.group_id FROM deed a JOIN deed b USING (group_id) WHERE a.event = 'visit' AND b.event = 'purchase' AND (a.at, a.event_id) < (b.at, b.event_id) AND b.at - a.at <= interval '1 day' AND b.at <= %1$L$$),
    (7, $$did(visit, page => 'page3', within => '30 days')$$, $$SELECT DISTINCT group_id FROM deed WHERE event = 'visit' AND properties ->> 'page' = 'page3' AND at >= %1$L::timestamptz - interval '30 days' AND at <= %1$L$$),
    (8, $$count(DISTINCT visit.page) = 7 AND first(purchase.category) = 'toys'$$, $$SELECT group_id FROM home h WHERE (SELECT count(DISTINCT properties ->> 'page') FROM deed d WHERE d.group_id = h.group_id AND event = 'visit' AND at <= %1$L) = 7
        AND (SELECT properties ->> 'category' FROM deed d WHERE d.group_id = h.group_id AND event = 'purchase' AND at <= %1$L AND properties ->> 'category' IS NOT NULL ORDER BY at, event_id LIMIT 1) = 'toys'$$),
    (9, $$members IN (1, 2) OR NOT has_identifier('email')$$, $$SELECT group_id FROM home WHERE people IN (1, 2)$$),
    (10, $$count(visit)::numeric / nullif(count(purchase), 0) > 0.8$$, $$SELECT group_id FROM deed WHERE at <= %1$L GROUP BY 1 HAVING count(*) FILTER (WHERE event = 'visit')::numeric / nullif(count(*) FILTER (WHERE event = 'purchase'), 0) > 0.8$$);
CREATE VIEW home AS SELECT group_id, count(*) AS people FROM cdp.entity_members WHERE entity = 'household' GROUP BY 1;
CREATE VIEW deed AS SELECT m.group_id, e.event_id, e.event, e.at, e.properties FROM cdp.entity_members m JOIN cdp.events e USING (profile_id) WHERE m.entity = 'household';
CREATE FUNCTION beside(moment timestamptz) RETURNS TABLE (n int, households bigint, problem text) LANGUAGE plpgsql AS $$
DECLARE q question; want bigint[]; got bigint[]; counted bigint; printed bigint[];
BEGIN
    FOR q IN SELECT * FROM question ORDER BY 1 LOOP
        EXECUTE format('SELECT coalesce(array_agg(group_id ORDER BY group_id), ''{}'') FROM (' || q.plain || ') x', coalesce(moment, now())) INTO want;
        got := ARRAY(SELECT cdp_members(cdp_segment(q.expression, moment, 'household')));
        counted := cdp_segment_count(q.expression, moment, 'household');
        EXECUTE 'SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (' || cdp_segment_sql(q.expression, moment, 'household') || ') x' INTO printed;
        RETURN QUERY SELECT q.n, counted, nullif(concat_ws(', ', CASE WHEN got <> want THEN 'members' END, CASE WHEN counted <> cardinality(want) THEN 'count' END, CASE WHEN printed <> want THEN 'SQL' END), '');
    END LOOP;
END $$;
SELECT * FROM beside(NULL);
SELECT * FROM beside('2024-05-01 13:00+00');
SELECT count(*) FILTER (WHERE problem IS NULL) AS right, count(*) AS asked FROM generate_series('2024-01-01', '2024-09-01', interval '17 days') m, beside(m);
\pset format unaligned
SELECT cdp_segment_sql($$ sum(purchase.amount) > 5 AND members > 1 $$, entity => 'household');
\pset format aligned
SELECT cdp_segment(cdp_segment_json('count(purchase) >= 20'), entity => 'household') = cdp_segment('count(purchase) >= 20', entity => 'household') AS same_as_json;

-- 3. Tags of all kinds: values beside SQL, a typed column each with a comment.
SELECT cdp_tag_create('home_spend', 'sum(purchase.amount)', 'What a household ever spent', 'household', '{"owner": "crm", "path": "home/spend"}');
SELECT cdp_tag_create('home_level', $$ CASE WHEN home_spend >= 200 THEN 'high' WHEN home_spend > 0 THEN 'low' END $$, entity => 'household', settings => '{"values": ["low", "high"]}');
SELECT cdp_tag_create('Last seen', 'greatest(max(visit.at), max(purchase.at))', entity => 'household');
SELECT cdp_tag_create('home_care', NULL, 'How to treat them', 'household', '{"values": ["normal", "special"]}');
SELECT cdp_tag_create('home_score', NULL, entity => 'household', settings => '{"kind": "imported", "type": "numeric"}');
SELECT cdp_tag_create('person_spend', 'sum(purchase.amount)');
SELECT name, profiles, changed FROM cdp_tag_refresh(as_of => '2024-06-01 00:00+00');
SELECT a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type, col_description(a.attrelid, a.attnum) AS comment FROM pg_attribute a WHERE a.attrelid = 'cdp.entity_household'::regclass AND a.attnum > 0 ORDER BY a.attnum;
SELECT obj_description('cdp.entity_household'::regclass) AS view;
CREATE FUNCTION wrong(moment timestamptz) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM cdp.entity_household v JOIN (
        SELECT h.group_id, (SELECT sum((properties ->> 'amount')::numeric) FROM deed d WHERE d.group_id = h.group_id AND event = 'purchase' AND at <= moment) AS spend, (SELECT max(at) FROM deed d WHERE d.group_id = h.group_id AND at <= moment) AS seen FROM home h) w USING (group_id)
    WHERE v.home_spend IS DISTINCT FROM w.spend OR v."Last seen" IS DISTINCT FROM w.seen OR v.home_level IS DISTINCT FROM CASE WHEN w.spend >= 200 THEN 'high' WHEN w.spend > 0 THEN 'low' END
$$;
SELECT wrong('2024-06-01 00:00+00') AS different, count(home_level) AS levels FROM cdp.entity_household;
SELECT name, entity, kind, data_type, state, version, owner, path, profiles, coverage, distinct_values FROM cdp_tag_list();
SELECT name, entity, dependants FROM cdp.tags ORDER BY name COLLATE "C";
SELECT kind, name, needs_kind, needs FROM cdp.dependencies WHERE name LIKE 'home%' ORDER BY 2, 4;
-- They are named in questions and tags of households only.
SELECT cdp_segment_count($$ home_level = 'high' $$, entity => 'household') = (SELECT count(*) FROM cdp.entity_household WHERE home_level = 'high') AS by_tag,
    cdp_segment($$ home_level = 'high' OR "Last seen" > '2024-05-20' $$, entity => 'household') = (SELECT cdp_bitmap_build_agg(group_id) FROM cdp.entity_household WHERE home_level = 'high' OR "Last seen" > '2024-05-20') AS by_two,
    (SELECT count(*) FROM information_schema.columns WHERE table_schema = 'cdp' AND table_name = 'profiles' AND column_name LIKE 'home%') AS in_profiles;

-- 4. Values that are set.
SELECT cdp_tag_set('home_care', 1, 'special', 'complained', expires => now() + interval '1 hour');
SELECT cdp_tag_set('home_care', 2, 'normal');
SELECT cdp_tag_set('home_score', g, (g * 1.5)::text) FROM generate_series(1, 5) g;
-- Many at once come to the same.
SELECT cdp_tag_create('home_many', NULL, entity => 'household', settings => '{"type": "numeric"}');
SELECT cdp_tag_import('home_many', array_agg(g), array_agg((g * 1.5)::text)) AS changed FROM generate_series(1, 5) g;
SELECT cdp_tag_import('home_many', '{1,987654}', '{1,2}');
SELECT count(*) AS homes, count(*) FILTER (WHERE home_many IS NOT DISTINCT FROM home_score) AS same FROM cdp.entity_household;
SELECT cdp_tag_drop('home_many');
SELECT group_id, home_care, home_score FROM cdp.entity_household WHERE group_id <= 3 ORDER BY 1;
SELECT tag, profile_id AS household, value, reason, author = session_user AS mine, expires_at > now() AS expires FROM cdp.tag_values WHERE tag = 'home_care' ORDER BY 2;
SELECT cdp_segment($$ home_care = 'special' OR home_score = 4.5 $$, entity => 'household');
SELECT name, profiles, changed FROM cdp_tag_refresh('home_care');
SELECT name, profiles, changed FROM cdp_tag_refresh('home_care', now() + interval '1 hour');
SELECT cdp_tag_set('home_care', 2, NULL, 'a mistake');
SELECT count(home_care) AS cared_for FROM cdp.entity_household;

-- 5. Versions and states; what values were; as of a moment.
SELECT name, changed > 0 AS changed FROM cdp_tag_refresh('home_spend', '2024-07-01 00:00+00', dependants => true);
SELECT wrong('2024-07-01 00:00+00') AS but_last_seen FROM (SELECT cdp_tag_refresh('Last seen', '2024-07-01 00:00+00')) x;
SELECT count(*) AS households, count(*) FILTER (WHERE cdp_attribute_at(h.group_id, 'home_spend', m)::numeric IS NOT DISTINCT FROM (SELECT sum((properties ->> 'amount')::numeric) FROM deed d WHERE d.group_id = h.group_id AND event = 'purchase' AND at <= m)) AS right
FROM home h, unnest('{2024-06-01 00:00+00,2024-07-01 00:00+00}'::timestamptz[]) m;
SELECT cdp_tag_refresh('home_spend', '2024-04-01 00:00+00') IS NOT NULL AS filled_in;
SELECT count(*) FILTER (WHERE cdp_attribute_at(h.group_id, 'home_spend', m)::numeric IS NOT DISTINCT FROM (SELECT sum((properties ->> 'amount')::numeric) FROM deed d WHERE d.group_id = h.group_id AND event = 'purchase' AND at <= m)) AS right, count(*) AS of_all
FROM home h, unnest('{2024-04-01 00:00+00,2024-06-01 00:00+00,2024-07-01 00:00+00}'::timestamptz[]) m;
SELECT cdp_segment('home_spend > 150', '2024-05-01 00:00+00', 'household') = (SELECT cdp_bitmap_build_agg(group_id) FROM (SELECT group_id FROM deed WHERE event = 'purchase' AND at <= '2024-05-01 00:00+00' GROUP BY 1 HAVING sum((properties ->> 'amount')::numeric) > 150) x) AS as_it_was;
SELECT cdp_segment_count('home_score IS NOT NULL', now() - interval '1 day', 'household') AS scored_yesterday, cdp_segment_count('home_score IS NOT NULL', entity => 'household') AS scored;
SELECT cdp_tag_alter('home_level', $${"expression": "CASE WHEN home_spend >= 300 THEN 'high' ELSE 'low' END", "state": "draft", "description": "Spend in words"}$$);
SELECT version, expression FROM cdp.versions WHERE name = 'home_level' ORDER BY 1;
SELECT name FROM cdp_tag_refresh() ORDER BY 1;
SELECT cdp_tag_refresh('home_level') IS NOT NULL AS by_name;
SELECT count(*) AS different FROM cdp.entity_household WHERE home_level IS DISTINCT FROM CASE WHEN home_spend >= 300 THEN 'high' ELSE 'low' END;
SELECT cdp_attribute_alter('home_spend', '{"unit": "EUR"}');
SELECT name, entity, unit FROM cdp.attributes WHERE name = 'home_spend';
SELECT tag, count(*) > 1 AS moments FROM cdp.tag_refreshes WHERE tag = 'home_spend' GROUP BY 1;
SELECT count(*) AS changed_again FROM cdp_tag_refresh('home_spend') a, cdp_tag_refresh('home_spend') b WHERE b.changed > 0;

-- 6. Households that become one and part again. A number that lives again has its values again.
CREATE VIEW kept AS SELECT group_id, members, home_spend, home_level, home_score FROM cdp.entity_household ORDER BY 1;
CREATE TABLE before AS SELECT * FROM kept;
SELECT cdp_tag_set('home_score', 4, '40', 'later than the score of 3');
SELECT value AS set_score FROM cdp.tag_values WHERE tag = 'home_score' AND profile_id = 4;
CREATE FUNCTION somebody(household bigint) RETURNS text LANGUAGE sql AS $$
    SELECT min(i.value) FROM cdp.identifiers i JOIN cdp.entity_members m USING (profile_id) WHERE m.entity = 'household' AND i.type = 'email' AND m.group_id = household
$$;
SELECT cdp_link('email', somebody(3), 'email', somebody(4), 'the same') ->> 'merged' AS merged;
SELECT name, groups, changed > 0 AS changed FROM cdp_entity_refresh();
SELECT group_id, merged_into FROM cdp.entity_group WHERE merged_into IS NOT NULL;
SELECT count(*) AS rows_of_4, (SELECT members FROM cdp.entity_household WHERE group_id = 3) = (SELECT sum(members) - 1 FROM before WHERE group_id IN (3, 4)) AS all_members FROM cdp.entity_household WHERE group_id = 4;
SELECT name FROM cdp_tag_refresh() WHERE name LIKE 'home%' ORDER BY 1;
SELECT k.home_spend = (SELECT sum(home_spend) FROM before WHERE group_id IN (3, 4)) AS both_spent, k.home_score FROM kept k WHERE group_id = 3;
SELECT cdp_attribute_at(4, 'home_score', now()) AS as_3;
SELECT cdp_tag_set('home_care', 4, 'special');
SELECT group_id, home_care FROM cdp.entity_household WHERE home_care IS NOT NULL;
SELECT cdp_identity_revert(max(operation_id), 'not the same') ->> 'split' AS split FROM cdp.identity_operations;
SELECT name, groups FROM cdp_entity_refresh();
SELECT group_id, home_spend IS NOT DISTINCT FROM (SELECT home_spend FROM before b WHERE b.group_id = k.group_id) AS spend_as_before, home_score FROM kept k WHERE group_id IN (3, 4);
SELECT name, changed FROM cdp_tag_refresh() WHERE name IN ('home_spend', 'home_score') ORDER BY 1;
SELECT group_id, k.home_spend = b.home_spend AS spend_as_before, k.home_score FROM kept k JOIN before b USING (group_id) WHERE group_id IN (3, 4);
-- People who become one are one member, and what they did is counted once.
SELECT cdp_link('email', 'r1@example.com', 'email', 'r26@example.com', 'the same') ->> 'merged' AS merged;
SELECT * FROM beside(NULL) WHERE problem IS NOT NULL;
SELECT sum(members) AS people FROM cdp.entity_household;
SELECT count(*) = count(DISTINCT (group_id, profile_id)) AS once FROM cdp.entity_members;

-- 7. Other entity types, with names of their own.
SELECT cdp_entity_create('Büro "A"', '{"address": {"degree_cap": null}}');
SELECT name, groups > 0 AS groups FROM cdp_entity_refresh('Büro "A"');
SELECT cdp_tag_create('Größe', $$ CASE WHEN members > 2 THEN 'viele' ELSE 'wenige' END $$, entity => 'Büro "A"');
SELECT name, changed > 0 AS changed FROM cdp_tag_refresh('Größe');
SELECT cdp_segment_count($$ "Größe" = 'viele' AND count(purchase) > 0 $$, entity => 'Büro "A"') = (SELECT count(*) FROM cdp."entity_Büro ""A""" b WHERE b."Größe" = 'viele' AND EXISTS (SELECT FROM cdp.entity_members m JOIN cdp.events e USING (profile_id) WHERE m.entity = 'Büro "A"' AND m.group_id = b.group_id AND e.event = 'purchase')) AS same;

-- 8. What is refused.
SELECT cdp_segment('city = ''Rome''', entity => 'household');
SELECT cdp_segment('home_spend > 5');
SELECT cdp_segment('home_spnd > 5', entity => 'household');
SELECT cdp_segment('"Größe" = ''viele''', entity => 'household');
SELECT cdp_segment('home_spend', entity => 'household');
SELECT cdp_segment_create('rich', 'home_spend > 5');
SELECT cdp_segment_create('romans', 'city = ''Rome''');
SELECT cdp_segment_count('in_segment(''romans'')', entity => 'household');
SELECT cdp_segment_count('true', entity => 'hosehold');
SELECT cdp_segment_count('true', entity => NULL);
SELECT cdp_segment_sql('true', entity => 'flat');
SELECT cdp_tag_create('x', 'count(visit)', entity => 'flat');
SELECT cdp_tag_create('x', 'city', entity => 'household');
SELECT cdp_tag_create('x', 'home_spend + person_spend', entity => 'household');
SELECT cdp_tag_create('x', 'home_spend + 1');
SELECT cdp_tag_create('members', 'count(visit)', entity => 'household');
SELECT cdp_tag_create('group_id', 'count(visit)', entity => 'household');
SELECT cdp_tag_create('home_spend', 'count(visit)');
SELECT cdp_tag_create('city', 'count(visit)', entity => 'household');
SELECT cdp_tag_create('Größe', 'count(visit)', entity => 'household');
SELECT cdp_tag_create('home_x', '1', entity => 'household', settings => '{"values": ["a"]}');
SELECT cdp_trait_create('home_spend', 'numeric');
SELECT cdp_source_create('again', 'resident', '{"key": "id", "identifiers": {"email": "email"}, "traits": {"home_spend": "1.5"}}');
SELECT cdp_tag_alter('home_spend', '{"expression": "sum(purchase.amount) + person_spend"}');
SELECT cdp_tag_alter('home_spend', '{"expression": "CASE home_level WHEN ''high'' THEN 1.5 END"}');
SELECT cdp_tag_alter('home_care', '{"values": ["normal"]}');
SELECT cdp_tag_set('home_care', 99, 'normal');
SELECT cdp_tag_set('home_care', 1, 'vip');
SELECT cdp_tag_set('home_score', 1, 'many');
SELECT cdp_tag_set('home_spend', 1, '5');
SELECT cdp_attribute_at(99, 'home_spend', now()) IS NULL AS no_household, cdp_attribute_at(1, 'members', now());
SELECT cdp_entity_create('members', '{"address": {}}');
SELECT cdp_entity_create(repeat('h', 57), '{"address": {}}');
SELECT cdp_segment_insight('romans', attributes => ARRAY['home_level']);

-- 9. Dropping: a tag that another names, an entity type that has tags, a view that is read; who could read the view can read it again.
CREATE ROLE regress_cdp_homes;
GRANT USAGE ON SCHEMA cdp TO regress_cdp_homes;
GRANT SELECT ON cdp.entity_household TO regress_cdp_homes;
SELECT cdp_tag_drop('home_spend');
SELECT cdp_entity_drop('household');
SELECT cdp_tag_drop('home_score');
DROP VIEW kept;
SELECT cdp_tag_drop('home_score');
SET ROLE regress_cdp_homes;
SELECT count(*) > 0 AS may_read FROM cdp.entity_household;
RESET ROLE;
SELECT cdp_tag_drop(t) FROM unnest(ARRAY['home_level', 'home_spend', 'Last seen', 'home_care']) t;
SELECT attname FROM pg_attribute WHERE attrelid = 'cdp.entity_household'::regclass AND attnum > 0 ORDER BY attnum;
CREATE VIEW homes AS SELECT * FROM cdp.entity_household;
SELECT cdp_entity_drop('household');
DROP VIEW homes;
SELECT cdp_entity_drop('household');
SELECT to_regclass('cdp.entity_household') IS NULL AS no_view, count(*) FILTER (WHERE relname LIKE 'group_value%' AND relkind = 'r') AS wide_tables FROM pg_class WHERE relnamespace = 'cdp'::regnamespace;
SELECT (SELECT count(*) FROM cdp.group_tag_value) + (SELECT count(*) FROM cdp.attribute_history h WHERE NOT EXISTS (SELECT FROM cdp.attribute a WHERE a.attribute_id = h.attribute_id)) AS left_over;
SELECT name FROM cdp.tags ORDER BY 1;

DROP OWNED BY regress_cdp_homes;
DROP ROLE regress_cdp_homes;
DROP FUNCTION beside, wrong, somebody;
DROP VIEW home, deed;
DROP TABLE resident, purchase, visit, question, before;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
