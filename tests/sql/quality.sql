-- Data quality: every figure is what plain SQL over the rows says.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'America/New_York');
CREATE TABLE visit (id int, email text, phone text, city text, page text, secs int, at timestamptz, changed int);
SELECT cdp_source_create('visit', 'visit', '{"key": "id", "updated_at": "changed", "identifiers": {"email": "email", "phone": "phone"}, "traits": {"city": "city"},
    "event": {"name": "CASE WHEN page = ''buy'' THEN ''buy'' WHEN page = '''' THEN '''' WHEN page IS NOT NULL THEN ''view'' END", "at": "at", "id": "id", "properties": {"page": "page", "secs": "100 / secs"}}}');
INSERT INTO visit SELECT i, CASE WHEN i % 3 > 0 THEN 'p' || i % 50 || '@example.com' ELSE '' END, CASE WHEN i % 4 = 0 THEN '1391234' || lpad((i % 90)::text, 4, '0') WHEN i % 31 = 0 THEN '12' END,
    CASE WHEN i % 5 > 0 THEN 'city ' || i % 6 END, CASE i % 9 WHEN 0 THEN 'buy' WHEN 1 THEN NULL ELSE 'page ' || i % 20 END, CASE WHEN i % 37 = 0 THEN 0 WHEN i % 2 = 0 THEN i END,
    CASE WHEN i % 41 = 0 THEN NULL WHEN i % 43 = 0 THEN 'infinity' ELSE timestamptz '2024-05-01 00:00+00' + i * interval '7 minutes' END, 1 FROM generate_series(1, 600) i;
UPDATE visit SET page = '' WHERE id = 100;
INSERT INTO visit SELECT NULL, 'n' || i || '@example.com', NULL, 'x', 'buy', 1, '2024-05-01', 1 FROM generate_series(1, 3) i;
INSERT INTO visit SELECT id, email, phone, city, page, secs, at, 0 FROM visit WHERE id IN (5, 7, 8, 11);
CALL cdp_sync();

-- 1. Rows, events, rejects by reason.
CREATE VIEW row_of AS SELECT *, id % 37 = 0 AS failed, page IS NOT NULL AND (at IS NULL OR NOT isfinite(at) OR page = '') AS no_event, NOT (id % 3 > 0 OR id % 4 = 0) AS nobody FROM visit WHERE id IS NOT NULL AND changed = 1;
CREATE VIEW expected AS
    SELECT 'key_null' AS code, count(*) AS n FROM visit WHERE id IS NULL
    UNION ALL SELECT 'key_repeated', count(*) FROM visit WHERE changed = 0
    UNION ALL SELECT 'expression_failed', count(*) FROM row_of WHERE failed
    UNION ALL SELECT 'event_time_null', count(*) FROM row_of WHERE NOT failed AND page IS NOT NULL AND at IS NULL
    UNION ALL SELECT 'event_time_infinite', count(*) FROM row_of WHERE NOT failed AND page IS NOT NULL AND at = 'infinity'
    UNION ALL SELECT 'event_name_invalid', count(*) FROM row_of WHERE NOT failed AND page = ''
    UNION ALL SELECT 'no_identifier', count(*) FROM row_of WHERE NOT failed AND NOT no_event AND nobody
    UNION ALL SELECT 'identifier_invalid', count(DISTINCT phone) FROM row_of WHERE NOT failed AND phone = '12';
SELECT q.source, q.rows = (SELECT count(*) FROM visit) AS rows, q.rejected = (SELECT sum(n) FROM expected WHERE code <> 'identifier_invalid') AS rejected,
       q.rejects = (SELECT jsonb_object_agg(code, n) FROM expected) AS reasons, q.rejects, q.warnings FROM cdp.data_quality q;
SELECT count(*) AS differences FROM (SELECT code, count(*) FROM cdp.rejects GROUP BY 1) a FULL JOIN expected e USING (code) WHERE a.count IS DISTINCT FROM e.n;
SELECT day = (now() AT TIME ZONE 'America/New_York')::date AS today FROM cdp.data_quality;
SELECT q.events = (SELECT count(*) FROM row_of WHERE NOT failed AND NOT no_event AND NOT nobody AND page IS NOT NULL) AS events, q.events = (SELECT count(*) FROM cdp.events) AS landed, q.repeated, q.duplicate_rate,
       q.newest = (SELECT max(at) FROM row_of WHERE NOT failed AND NOT no_event AND NOT nobody AND isfinite(at)) AS newest, q.lag_seconds = round(extract(epoch FROM q.updated_at - q.newest)) AS lag FROM cdp.data_quality q;

-- 2. Null rates: of the rows whose mapping could be evaluated.
CREATE VIEW mapped AS SELECT *, CASE WHEN page = 'buy' THEN 'buy' WHEN page = '' THEN '' WHEN page IS NOT NULL THEN 'view' END AS event FROM row_of WHERE NOT failed;
SELECT jsonb_pretty(null_rates) FROM cdp.data_quality;
SELECT null_rates = (SELECT jsonb_object_agg(name, rate) FROM (
    SELECT 'identifier email' AS name, round(1 - count(nullif(email, ''))::numeric / count(*), 4) AS rate FROM mapped
    UNION ALL SELECT 'identifier phone', round(1 - count(phone)::numeric / count(*), 4) FROM mapped
    UNION ALL SELECT 'trait city', round(1 - count(city)::numeric / count(*), 4) FROM mapped
    UNION ALL SELECT 'property ' || event || '.page', round(1 - count(page)::numeric / count(*), 4) FROM mapped WHERE event <> '' GROUP BY event
    UNION ALL SELECT 'property ' || event || '.secs', round(1 - count(secs)::numeric / count(*), 4) FROM mapped WHERE event <> '' GROUP BY event) x) AS right FROM cdp.data_quality;

-- 3. What says nothing new is counted when it comes again. Rows at the watermark are read again, whatever is new.
UPDATE visit SET changed = 2 WHERE id BETWEEN 1 AND 300 AND changed = 1;
UPDATE visit SET secs = 3 WHERE id BETWEEN 1 AND 30 AND secs IS NOT NULL AND changed = 2;
CALL cdp_sync();
SELECT repeated, (SELECT count(*) FROM visit v WHERE v.id IS NOT NULL AND v.changed > 0 AND NOT (v.id % 37 = 0 AND secs = 0) AND page <> '' AND isfinite(at) AND (v.id % 3 > 0 OR v.id % 4 = 0) AND (v.id > 30 OR v.secs IS NULL)) AS wanted FROM cdp.data_quality;
SELECT duplicate_rate = round(repeated::numeric / events, 4) AS rate, (SELECT count(*) FROM cdp.events) AS events FROM cdp.data_quality;

-- 4. On demand.
SELECT metric, item, value FROM cdp_data_quality('visit') WHERE metric <> 'lag_seconds';
SELECT value BETWEEN extract(epoch FROM now() - (SELECT max(at) FROM cdp.events)) - 100 AND extract(epoch FROM now() - (SELECT max(at) FROM cdp.events)) + 100 AS lag FROM cdp_data_quality('visit') WHERE metric = 'lag_seconds';
SELECT f.item, f.value = x.n AS right FROM cdp_data_quality('visit') f JOIN (
    SELECT 'trait city' AS item, count(DISTINCT city) AS n FROM row_of WHERE NOT failed AND NOT no_event AND NOT nobody
    UNION ALL SELECT 'property ' || event || '.page', count(DISTINCT properties ->> 'page') FROM cdp.events GROUP BY event
    UNION ALL SELECT 'property ' || event || '.secs', count(DISTINCT properties ->> 'secs') FROM cdp.events GROUP BY event) x USING (item) WHERE f.metric = 'distinct' ORDER BY 1;
SELECT f.item, f.value = x.n AS right FROM cdp_data_quality() f JOIN (
    SELECT 'identifier ' || type AS item, count(*)::numeric AS n, 'distinct' AS metric FROM cdp.identifiers GROUP BY type
    UNION ALL SELECT type, round(count(*)::numeric / count(DISTINCT profile_id), 4), 'identifiers_per_profile' FROM cdp.identifiers GROUP BY type) x USING (item, metric) ORDER BY 1;
SELECT value = (SELECT round(count(*)::numeric / count(DISTINCT profile_id), 4) FROM cdp.identifiers) AS right FROM cdp_data_quality() WHERE metric = 'identifiers_per_profile' AND item IS NULL;
SELECT count(*) FROM cdp_data_quality('visit', current_date + 2) WHERE metric IN ('rejects', 'null_rate');
SELECT value FROM cdp_data_quality('visit', current_date + 2) WHERE metric = 'rows';
SELECT * FROM cdp_data_quality('vist');

DROP VIEW mapped, expected, row_of;
DROP TABLE visit;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
