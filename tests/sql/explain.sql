-- cdp_segment_explain(): which way every condition goes, how many it is expected to be true for (of so few people that is exact where bits alone answer; what PostgreSQL's
-- planner expects of scans differs between versions), and that its counts are those of the condition asked alone.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE person AS SELECT i AS id, CASE i % 3 WHEN 0 THEN 'Paris' WHEN 1 THEN 'Lyon' END AS city, i % 50 AS age, i % 7 = 0 AS vip, i * 0.5 AS balance FROM generate_series(1, 300) i;
CREATE TABLE deed AS SELECT i AS id, 1 + i % 299 AS person, (ARRAY['view', 'buy'])[1 + i % 2] AS kind, timestamptz '2024-01-01 00:00Z' + i * interval '3 hours' AS at, (ARRAY['hat', 'coat'])[1 + i % 3 / 2] AS item, i % 11 AS price FROM generate_series(1, 2000) i;
SELECT cdp_source_create('person', 'person', '{"key": "id", "identifiers": {"user_id": "''u'' || id"}, "traits": {"city": "city", "age": "age", "vip": "vip", "balance": "balance"}}');
SELECT cdp_source_create('deed', 'deed', '{"key": "id", "identifiers": {"user_id": "''u'' || person"}, "event": {"name": "kind", "at": "at", "properties": {"item": "item", "price": "price"}, "measures": ["price"]}}');
CALL cdp_sync();
SELECT cdp_segment_create('old', 'age > 40');
CREATE FUNCTION how(expression text, as_of timestamptz DEFAULT NULL) RETURNS TABLE (condition text, path text, reads boolean, estimated boolean, estimate text, profiles bigint, alone bigint, timed boolean) LANGUAGE sql AS
    $$ SELECT repeat('  ', x.depth) || x.expression, x.path, x.bytes > 0, x.rows > 0, CASE WHEN x.rows IS NULL THEN x.estimate::text WHEN x.estimate BETWEEN 0 AND 300 THEN 'some' END, x.profiles, cdp_segment_count(x.expression, $2), x.ms >= 0 FROM cdp_segment_explain($1, as_of => $2) x $$;
SELECT * FROM how('city = ''Paris'' AND NOT (age < 10 OR vip) AND in_segment(''old'')');
SELECT * FROM how('count(buy) FILTER (WHERE item = ''hat'' AND at >= ''2024-03-01'') > 0 AND count(view) FILTER (WHERE at >= ''2024-03-01 12:00'') > 2 AND avg(buy.price) > 5 AND sequence(view, buy, view, buy, view, buy, view)');
SELECT * FROM how('city IS NULL AND (balance + 0 > 100 OR lower(city) = ''lyon'') AND true');
SELECT repeat('  ', depth) || expression AS condition, path, profiles FROM cdp_segment_explain('age <> 0 AND 100 / age > 3');
SELECT cdp_segment_count('age <> 0 AND 100 / age > 3') AS whole;
SELECT * FROM how('in_segment(''old'') AND city = ''Lyon''', '2024-03-01');
-- Before running: what would be read, and nothing else.
SELECT expression, path, bytes > 0 AS reads, rows > 0 AS estimated, CASE WHEN rows IS NULL THEN estimate::text WHEN estimate BETWEEN 0 AND 100 THEN 'up to 100' WHEN estimate <= 300 THEN 'up to 300' END AS estimate, profiles, ms
FROM cdp_segment_explain('city = ''Paris'' AND avg(buy.price) > 3', run => false);
-- Of part of a day the planner's events; of a day column all; of NOT what is left.
SELECT expression, path, estimate, profiles FROM cdp_segment_explain('NOT (count(buy) FILTER (WHERE at < ''2024-02-01'') > 0) OR sum(buy.price) > 30', run => false);
SELECT path, estimate >= 1 AS some, estimate <= 300 AS of_all FROM cdp_segment_explain('count(buy) FILTER (WHERE at >= ''2024-03-01 03:00'' AND at < ''2024-03-01 12:00'') > 0', run => false);

SELECT cdp_segment_explain('city = Paris');
DROP FUNCTION how;
DROP TABLE person, deed;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
