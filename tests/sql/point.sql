-- One profile: cdp_segment_contains() in three values, cdp_segment_why() with the truth of every condition, the value, and the nearest change that turns it.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'America/New_York');
CREATE TABLE person (id int PRIMARY KEY, name text, email text, age int, balance numeric, vip boolean, born date, joined timestamptz, city text, labels text[]);
INSERT INTO person VALUES (1, 'ann', 'ann@example.com', 30, 100.50, true, '1994-05-01', '2024-01-10 12:00-05', 'Paris', '{gold,new}'), (2, 'bob', NULL, 40, NULL, NULL, NULL, NULL, NULL, NULL), (3, 'ann', NULL, 31, 100.50, true, '1994-05-01', '2024-01-10 12:00-05', 'Paris', '{gold}');
CREATE TABLE deed (id int PRIMARY KEY, person int, kind text, at timestamptz, item text, price numeric);
INSERT INTO deed VALUES (1, 1, 'buy', '2024-02-01 10:00-05', 'shoe', 50.00), (2, 3, 'buy', '2024-03-09 23:59:59-05', 'hat', 10.00), (3, 1, 'view', '2024-03-10 01:59:59-05', 'shoe', NULL);
SELECT cdp_source_create('person', 'person', '{"key": "id", "identifiers": {"user_id": "''u'' || id", "email": "email"}, "traits": {"name": "name", "age": "age", "balance": "balance", "vip": "vip", "born": "born", "joined": "joined", "city": "city", "labels": "labels"}}');
SELECT cdp_source_create('deed', 'deed', '{"key": "id", "identifiers": {"user_id": "''u'' || person"}, "event": {"name": "kind", "at": "at", "properties": {"item": "item", "price": "price"}}}');
CALL cdp_sync();
UPDATE person SET email = 'ann@example.com' WHERE id = 3;
CALL cdp_sync();
SELECT cdp_segment_create('rich', 'balance > 100');
SELECT cdp_tag_create('spent', 'sum(buy.price)');
SELECT name, profiles FROM cdp_tag_refresh();
SELECT p.merged_into IS NULL AS lives, count(*) FROM cdp.profile p GROUP BY 1 ORDER BY 1;

-- 1. Three values; a retired number stands for the profile that took it over.
SELECT e, (SELECT string_agg(coalesce(cdp_segment_contains(e, i)::text, 'null'), ' ' ORDER BY i) FROM generate_series(1, 3) i) AS "1, 2, 3"
FROM unnest(ARRAY['city = ''Paris''', 'NOT city = ''Paris''', 'count(buy) = 2', 'sum(buy.price) > 59', 'in_segment(''rich'')', 'has_identifier(''email'')', '''gold'' = ANY (labels)', 'true', 'NULL', 'spent = 60', 'sequence(buy, buy, view)',
    'CASE WHEN vip THEN balance > 100 END', 'last(buy.item) = ''hat''', 'days_to_anniversary(born) >= 0', 'count(buy) FILTER (WHERE at >= ''2024-03-01'') = 1']) e;
SELECT cdp_segment_contains('count(buy) = 1', 1, '2024-03-01'), cdp_segment_contains('spent = 50', 1, '2024-03-01'), cdp_segment_contains('in_segment(''rich'')', 1, '2020-01-01'), cdp_segment_contains('10 / (age - 31) > 1 AND false', 2);
SELECT cdp_segment_contains('10 / (age - 31) > 1', 1);

-- 2. Why.
CREATE FUNCTION why(expression text, profile_id bigint DEFAULT 1, as_of timestamptz DEFAULT NULL) RETURNS TABLE (condition text, result boolean, value text, reason text) LANGUAGE sql AS
    $$ SELECT repeat('  ', w.depth) || w.expression, w.result, w.value, w.reason FROM cdp_segment_why($1, $2, $3) w $$;
SELECT * FROM why('vip AND (count(buy) >= 4 OR sum(buy.price) > 100) AND city IN (''Lyon'', ''Nice'')');
SELECT * FROM why('vip AND (count(buy) >= 4 OR sum(buy.price) > 100) AND city IN (''Lyon'', ''Nice'')', 2);
SELECT * FROM why('NOT (age < 30 OR city = ''Paris'') AND in_segment(''rich'') AND has_identifier(''phone'')');
-- What turns conditions that are joined: any of an OR, all that are missing of an AND, through NOT.
SELECT * FROM why('count(buy) >= 4 OR sum(buy.price) >= 100');
SELECT * FROM why('(count(buy) >= 4 OR sum(buy.price) >= 100) AND (age > 60 OR NOT vip)');
SELECT * FROM why('(vip AND city = ''Lyon'' AND age >= 40) OR (in_segment(''rich'') AND NOT (count(buy) > 0 OR balance > 100)) OR ''vip'' = ANY (labels)');
SELECT * FROM why('count(buy) > 9 OR age > 40 OR born < ''1990-01-01'' OR joined > ''2024-02-01'' OR city = ''Lyon'' OR balance BETWEEN 1 AND 2');
SELECT * FROM why('city IS NULL OR sequence(view, buy) OR has_identifier(''phone'') OR avg(buy.price) > 50 OR max(buy.at) > timestamptz ''2024-04-01''');
SELECT * FROM why('vip AND sum(buy.price) > 5 AND in_segment(''rich'') AND has_identifier(''email'') AND city IS NOT NULL', 2);
SELECT * FROM why('NOT (sum(buy.price) > 5) AND NOT vip', 2);
-- What is said comes true.
SELECT w.reason, cdp_segment_contains('balance + 24.50 >= 125 AND age + 5 >= 35', 1) AS then_so, cdp_segment_contains('balance + 24.49 >= 125 OR age + 4 >= 35', 1) AS with_less FROM cdp_segment_why('balance >= 125 AND age >= 35', 1) w WHERE depth = 0;
-- Every operator from both sides; what would turn it.
SELECT w.* FROM unnest(ARRAY['count(buy) > 2', 'count(buy) >= 3', 'count(buy) < 2', 'count(buy) <= 1', 'count(buy) = 5', 'count(buy) = 1', 'count(buy) <> 2', 'count(buy) > 1', 'count(buy) >= 2', 'count(buy) < 4', 'count(buy) <= 4', 'count(buy) = 2', 'count(buy) <> 5', 'count(buy) > 2.5', 'count(buy) >= 1.5', '3 <= count(buy)',
    'count(buy.price) > 3', 'count(DISTINCT buy.item) > 3', 'count(buy) FILTER (WHERE item = ''hat'') > 3', 'sum(buy.price) >= 100', 'sum(buy.price) > 100', 'sum(buy.price) < 60', 'sum(buy.price) <= 40', 'sum(buy.price) = 59.99', 'sum(buy.price) > 20', 'coalesce(sum(buy.price), 0) >= 61', 'avg(buy.price) >= 31', 'age > 31', 'age >= 35', 'age < 20', 'age = 31', 'balance >= 101', 'balance < 100.5',
    'age BETWEEN 40 AND 50', 'age BETWEEN 10 AND 20', 'age BETWEEN 20 AND 40', 'age NOT BETWEEN 20 AND 40', 'born >= ''1994-05-11''', 'born < ''1994-05-01''', 'born = ''1994-04-30''', 'joined > ''2024-01-10 12:00''', 'joined < ''2024-01-09''', 'max(buy.at) < timestamptz ''2024-03-01''', 'city = ''Lyon''', 'city = ''Paris''', 'city <> ''Paris''', 'city IN (''Lyon'', ''Nice'', ''Rome'', ''Bonn'', ''Oslo'')', 'city IN (''Paris'')', 'city NOT IN (''Paris'', ''Rome'')',
    'city LIKE ''L%''', 'city NOT LIKE ''P%''', 'city IS NULL', 'city IS NOT NULL', 'vip', 'vip IS NOT TRUE', '''new'' = ANY (labels)', '''vip'' = ANY (labels)', 'in_segment(''rich'')', 'has_identifier(''email'')', 'has_identifier(''phone'')', 'sequence(buy, buy)', 'sequence(view, buy)', 'lower(city) = ''lyon''', 'age + 1 = 40', 'age > balance', 'CASE WHEN vip THEN age > 40 END', 'true', '1 > 2', 'NULL']) e CROSS JOIN LATERAL why(e) w;
SELECT w.* FROM unnest(ARRAY['count(buy) >= 1', 'sum(buy.price) >= 100', 'sum(buy.price) FILTER (WHERE item = ''hat'') > 5', 'sum(buy.price) > -5', 'avg(buy.price) > 1', 'max(buy.at) > ''2024-01-01''', 'balance > 5', 'city = ''Paris''', 'city IN (''Paris'')', 'city LIKE ''P%''', 'vip', 'born > ''2000-01-01''', 'age + balance > 5', 'balance BETWEEN 1 AND 2', 'in_segment(''rich'')']) e CROSS JOIN LATERAL why(e, 2) w;
-- What is written about a count is so: that many more, and not one less, turn it.
SELECT * FROM why('count(buy) FILTER (WHERE at >= now() - interval ''30 days'') >= 2', 1, '2024-03-20 12:00Z');
-- A condition that would fail alone does not fail what guards it.
SELECT * FROM why('age <> 31 AND 10 / (age - 31) > 1');
SELECT * FROM why('9223372036854775807 > age AND age > -9223372036854775807');
SELECT * FROM why('spent >= 60 AND in_segment(''rich'')', 1, '2024-02-15');

-- 3. Only the rows of the profile are read: the plan has no scan of everybody.
CREATE TABLE visit AS SELECT 1000 + i AS id, 'p' || i % 2000 AS person, 'visit' AS kind, timestamptz '2024-01-01 00:00Z' + i * interval '5 minutes' AS at, i % 7 AS amount FROM generate_series(1, 20000) i;
SELECT cdp_source_create('visit', 'visit', '{"key": "id", "identifiers": {"user_id": "person"}, "event": {"name": "kind", "at": "at", "properties": {"amount": "amount"}}}');
CALL cdp_sync();
ANALYZE;
SELECT sum(cdp_segment_contains('count(visit) > 9 AND sum(visit.amount) > 25 AND sequence(visit(amount => 1), visit(amount => 2)) AND name IS NULL', p.profile_id)::int)
    = cdp_segment_count('count(visit) > 9 AND sum(visit.amount) > 25 AND sequence(visit(amount => 1), visit(amount => 2)) AND name IS NULL') AS same FROM cdp.profiles p;
DROP FUNCTION why;
DROP TABLE person, deed, visit;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
