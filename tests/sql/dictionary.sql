-- The dictionary: what is declared, mapped and counted, its settings and their errors, and the rules applied to batches.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'Asia/Shanghai');

-- 1. A property is declared before data comes; its event type comes with it.
SELECT cdp_property_create('order', 'amount', 'numeric', '{"description": "what was paid", "unit": "CNY", "role": "amount", "min": 0, "max": 10000, "validation": "reject", "required": true}');
SELECT cdp_property_create('order', 'status', 'text', '{"allowed": ["paid", "open"], "validation": "warn", "pii": false}');
SELECT cdp_property_create('order', 'code', 'text', '{"pattern": "^[A-Z]{3}$", "tracked": false, "validation": "off"}');
SELECT cdp_property_create('order', 'due', 'date', '{"min": "2020-01-01", "validation": "off"}');
SELECT cdp_event_type_alter('order', '{"role": "order", "description": "an order"}');
SELECT name, origin, role, description, events, first_seen FROM cdp.event_types;
SELECT name, type, origin, role, unit, pii, description, tracked, measure, validation, required, minimum, maximum, allowed, pattern, events FROM cdp.properties ORDER BY name;

-- 2. What is refused.
SELECT cdp_property_create('order', 'amount', 'numeric');
SELECT cdp_property_create('order', 'x', 'money');
SELECT cdp_property_create('order', '', 'text');
SELECT cdp_property_create('', 'x', 'text');
SELECT cdp_property_create('order', 'x', 'text', '{"min": 1}');
SELECT cdp_property_create('order', 'x', 'text', '{"colour": "red"}');
SELECT cdp_property_create('order', 'x', 'date', '{"tracked": true}');
SELECT cdp_property_create('order', 'x', 'text', '{"measure": true}');
SELECT cdp_property_create(NULL, 'x', 'text');
SELECT cdp_property_alter('order', 'amount', '{"min": 10, "max": 5}');
SELECT cdp_property_alter('order', 'amount', '{"min": "ten"}');
SELECT cdp_property_alter('order', 'amount', '{"pattern": "x"}');
SELECT cdp_property_alter('order', 'amount', '{"validation": "maybe"}');
SELECT cdp_property_alter('order', 'amount', '{"required": "yes"}');
SELECT cdp_property_alter('order', 'amount', '{"unit": 5}');
SELECT cdp_property_alter('order', 'amount', '{"allowed": 5}');
SELECT cdp_property_alter('order', 'amount', '{"allowed": [[1]]}');
SELECT cdp_property_alter('order', 'code', '{"pattern": "("}');
SELECT cdp_property_alter('order', 'amonut', '{}');
SELECT cdp_property_alter('ordre', 'amount', '{}');
SELECT cdp_property_alter('order', 'amount', '[]');
SELECT cdp_event_type_alter('ordre', '{}');
SELECT cdp_event_type_alter('order', '{"unit": "CNY"}');
SELECT cdp_attribute_alter('city', '{}');
SELECT count(*) FROM cdp.properties;

-- 3. A source whose type is another than the declared one is refused as before; one that fits goes in.
CREATE TABLE sale (id int PRIMARY KEY, email text, city text, tags text[], age int, amount numeric, status text, code text, due date, at timestamptz);
SELECT cdp_source_create('sale', 'sale', '{"updated_at": "at", "identifiers": {"email": "email"}, "event": {"name": "''order''", "at": "at", "properties": {"amount": "amount::text"}}}');
SELECT cdp_source_create('sale', 'sale', '{"updated_at": "at", "identifiers": {"email": "email"}, "traits": {"city": "city", "tags": "tags", "age": "age"},
    "event": {"name": "''order''", "at": "at", "properties": {"amount": "amount", "status": "status", "code": "code", "due": "due", "note": "id::text || city"}}}');
SELECT name, origin FROM cdp.properties ORDER BY name;
SELECT cdp_attribute_alter('city', '{"description": "where they live", "pii": true, "allowed": ["Paris", "Rome"], "validation": "reject"}');
SELECT cdp_attribute_alter('tags', '{"allowed": ["a", "b"], "pattern": "^.$", "validation": "reject"}');
SELECT cdp_attribute_alter('age', '{"min": 0, "max": 130, "unit": "years", "validation": "warn"}');
SELECT cdp_attribute_alter('age', '{"required": true}');
SELECT cdp_attribute_alter('age', '{"max": -1}');
SELECT name, type, unit, pii, validation, minimum, maximum, allowed, pattern FROM cdp.attributes ORDER BY name;
SELECT col_description('cdp.profiles'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'cdp.profiles'::regclass AND attname = 'city';

-- 4. A batch: reject, warn, off. Every row has an identity; what is wrong is the event or a value.
INSERT INTO sale SELECT i, 'p' || i % 40 || '@example.com', CASE WHEN i % 10 = 0 THEN 'Nowhere' ELSE 'Paris' END, CASE i % 7 WHEN 0 THEN ARRAY['a', 'zz'] ELSE ARRAY['b', 'a'] END, i % 140,
    CASE WHEN i % 11 = 0 THEN NULL WHEN i % 13 = 0 THEN -i WHEN i % 17 = 0 THEN 10000 + i ELSE i END, CASE WHEN i % 5 = 0 THEN 'odd' ELSE 'paid' END, CASE WHEN i % 4 = 0 THEN 'ab' ELSE 'ABC' END,
    date '2019-12-01' + i, timestamptz '2024-03-01 00:00+08' + i * interval '1 hour' FROM generate_series(1, 400) i;
CALL cdp_sync();
-- The oracle is plain SQL over the rows.
CREATE VIEW wrong AS SELECT *, CASE WHEN amount IS NULL THEN 'required_missing' WHEN amount < 0 THEN 'below_minimum' WHEN amount > 10000 THEN 'above_maximum' END AS of_amount FROM sale;
SELECT (SELECT count(*) FROM cdp.events) = (SELECT count(*) FROM wrong WHERE of_amount IS NULL) AS the_others_landed,
       (SELECT jsonb_object_agg(of_amount, n) FROM (SELECT of_amount, count(*) n FROM wrong WHERE of_amount IS NOT NULL GROUP BY 1) x) AS of_amount;
SELECT code, kind, count(*), count(DISTINCT key) = count(*) AS once, min(reason COLLATE "C") FROM cdp.rejects GROUP BY 1, 2 ORDER BY 1;
SELECT r.key FROM cdp.rejects r LEFT JOIN wrong w ON w.id::text = r.key AND w.of_amount = r.code WHERE w.id IS NULL AND r.reason LIKE 'property%';
SELECT (SELECT count(*) FROM cdp.rejects WHERE reason LIKE 'trait city%') = (SELECT count(*) FROM sale WHERE city = 'Nowhere') AS cities,
       (SELECT count(*) FROM cdp.rejects WHERE reason LIKE 'trait tags%') = (SELECT count(*) FROM sale WHERE 'zz' = ANY (tags)) AS tags;
-- A value that was rejected is no trait; one that was warned of is.
SELECT count(*) FILTER (WHERE city = 'Nowhere') AS nowhere, count(*) FILTER (WHERE 'zz' = ANY (tags)) AS zz, max(age) AS oldest, count(*) FROM cdp.profiles;
SELECT warnings FROM cdp.data_quality;
SELECT jsonb_object_agg(code, n) FROM (SELECT 'above_maximum' AS code, count(*) FILTER (WHERE age > 130) AS n FROM sale UNION ALL
    SELECT 'not_allowed', count(*) FILTER (WHERE status = 'odd') FROM sale) x;
-- Counts and times of the catalogues are those of the events.
SELECT t.name, t.events = x.n AND t.first_seen = x.lo AND t.last_seen = x.hi AS right FROM cdp.event_types t,
    (SELECT event, count(*) AS n, min(at) AS lo, max(at) AS hi FROM cdp.events GROUP BY 1) x WHERE x.event = t.name;
SELECT p.name, p.events, p.events = x.n AND p.first_seen = x.lo AND p.last_seen = x.hi AS right FROM cdp.properties p CROSS JOIN LATERAL
    (SELECT count(*) AS n, min(e.at) AS lo, max(e.at) AS hi FROM cdp.events e WHERE e.event = p.event AND e.properties ? p.name) x ORDER BY 1;
-- A row that changes is no other event; one whose profile changes is none either.
UPDATE sale SET status = 'open', code = NULL, at = at + interval '300 days' WHERE id IN (1, 2, 3);
INSERT INTO sale VALUES (1001, 'P1@example.com', 'Rome', NULL, 30, 5, 'paid', NULL, NULL, '2025-02-01 00:00+08');
CALL cdp_sync();
SELECT t.events = (SELECT count(*) FROM cdp.events) AS right, t.last_seen FROM cdp.event_types t;
SELECT p.name, p.events = (SELECT count(*) FROM cdp.events e WHERE e.properties ? p.name) AS right FROM cdp.properties p ORDER BY 1;

-- 5. Without rules nothing is looked at, and everything lands.
SELECT cdp_property_alter('order', 'amount', '{"validation": "off"}');
SELECT cdp_property_alter('order', 'status', '{"allowed": null}');
INSERT INTO sale VALUES (1002, 'p1@example.com', 'Rome', NULL, 30, -5, 'odd', NULL, NULL, '2025-02-02 00:00+08');
CALL cdp_sync();
SELECT properties FROM cdp.events WHERE properties ->> 'amount' = '-5';

-- 6. Day columns by value begin and end with the setting.
CREATE VIEW columns AS SELECT p.name AS property, m.name AS measure, s.state FROM cdp.store_column s JOIN cdp.property p USING (property_id) LEFT JOIN cdp.property m ON m.property_id = s.measure_id WHERE s.kind = 'day';
CREATE FUNCTION agree(e text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE plain bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(e)) INTO plain;
    RETURN cdp_segment(e)::bigint[] = plain AND plain <> '{}';
END $$;
SELECT * FROM columns WHERE property IN ('code', 'status') ORDER BY 1, 2 NULLS FIRST;
SELECT cdp_property_alter('order', 'code', '{"tracked": true}');
SELECT cdp_property_alter('order', 'status', '{"tracked": false}');
SELECT cdp_flush() > 0 AS built;
SELECT * FROM columns WHERE property IN ('code', 'status') ORDER BY 1, 2 NULLS FIRST;
SELECT agree('count("order") FILTER (WHERE code = ''ABC'') > 5'), agree('count("order") FILTER (WHERE status = ''odd'') > 1');
SELECT cdp_property_alter('order', 'status', '{"tracked": true}');
SELECT cdp_property_alter('order', 'amount', '{"measure": false}');
SELECT cdp_flush() > 0 AS built;
SELECT * FROM columns WHERE property IN ('code', 'status') ORDER BY 1, 2 NULLS FIRST;
SELECT agree('sum("order".amount) > 1000'), agree('count("order") FILTER (WHERE status = ''odd'') > 1');

-- 7. Names and values that would be SQL.
SELECT cdp_property_create('order', 'it''s "q" @ws@', 'text', '{"allowed": ["a''b", "@ws@ $1"], "pattern": "''", "validation": "reject"}');
CREATE TABLE hostile (id int PRIMARY KEY, email text, v text, at timestamptz);
SELECT cdp_source_create('hostile', 'hostile', '{"updated_at": "at", "identifiers": {"email": "email"}, "event": {"name": "''order''", "at": "at", "properties": {"it''s \"q\" @ws@": "v"}}}');
INSERT INTO hostile VALUES (1, 'h1@example.com', 'a''b', '2025-03-01 00:00+08'), (2, 'h2@example.com', '''; DROP TABLE cdp.event; --', '2025-03-01 00:00+08'), (3, 'h3@example.com', '@ws@ $1', '2025-03-01 00:00+08');
CALL cdp_sync('hostile');
SELECT properties FROM cdp.events WHERE source = 'hostile' ORDER BY at;
SELECT code, reason FROM cdp.rejects WHERE source = 'hostile' ORDER BY reject_id;

-- 8. Messages, one at a time and through the inbox: a type is read off the first value, rules hold for both doors.
SELECT cdp_property_create('pay', 'sum', 'numeric', '{"min": 0, "validation": "reject", "required": true}');
SELECT cdp_property_create('pay', 'way', 'text', '{"allowed": ["card", "cash"], "validation": "warn"}');
CREATE FUNCTION sent(id text, properties jsonb, traits jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('type', 'track', 'userId', 'u' || left(id, 1), 'messageId', id, 'event', 'pay', 'timestamp', '2025-04-01T10:00:00Z', 'properties', properties, 'context', jsonb_build_object('traits', traits)) $$;
CREATE TABLE messages AS SELECT * FROM (VALUES (1, '{"sum": 5, "way": "card", "on": "2025-01-01", "when": "2025-01-01T00:00:00Z", "open": true, "list": [1, 2]}'::jsonb), (2, '{"sum": -5, "way": "card"}'), (3, '{"way": "cash"}'), (4, '{"sum": 7, "way": "shell"}'), (5, '{"sum": "8"}')) m(i, properties);
SELECT i, cdp_ingest(sent('a' || i, properties)) -> 'rejected' AS rejected FROM messages ORDER BY i;
INSERT INTO cdp.inbox (payload, source) SELECT sent('b' || i, properties), 'bulk' FROM messages ORDER BY i;
CALL cdp_process_inbox();
SELECT source, payload ->> 'messageId' AS message, kind, code, reason FROM cdp.rejects WHERE kind = 'message' ORDER BY 1, 2;
SELECT e.source, p.value AS user_id, e.properties FROM cdp.events e JOIN cdp.identifiers p USING (profile_id) WHERE e.event = 'pay' ORDER BY e.source, e.event_id;
SELECT name, type, origin, events = (SELECT count(*) FROM cdp.events e WHERE e.event = 'pay' AND e.properties ? p.name) AS counted FROM cdp.properties p WHERE event = 'pay' ORDER BY 1;
SELECT source, rejects, warnings, outliers FROM cdp.data_quality WHERE source IN ('api', 'bulk') ORDER BY 1;
SELECT cdp_flush() >= 0 AS folded;
SELECT events = (SELECT count(*) FROM cdp.events WHERE event = 'pay') AS counted, (SELECT count(*) FROM cdp.event_seen_one) AS waiting FROM cdp.event_types WHERE name = 'pay';

-- 9. A range that is declared and of which nothing else is said is held to: what lies outside is quarantined and counted, by every door. What was said stays said.
SELECT cdp_property_create('fine', 'speed', 'numeric', '{"max": 300, "unit": "km/h"}');
SELECT cdp_property_create('fine', 'zone', 'text', '{"required": true}');
SELECT cdp_property_create('fine', 'plate', 'text', '{"pattern": "^[A-Z]", "validation": "off"}');
SELECT cdp_property_alter('fine', 'plate', '{"allowed": ["A1", "B2"]}');
SELECT cdp_property_create('fine', 'kind', 'text', '{"allowed": ["day", "night"], "validation": "warn"}');
SELECT cdp_property_alter('fine', 'kind', '{"allowed": ["day"]}');
SELECT cdp_property_create('fine', 'note', 'text', '{"pattern": null, "min": null}');
SELECT cdp_trait_create('height', 'numeric');
SELECT cdp_attribute_alter('height', '{"min": 20, "max": 260, "unit": "cm"}');
SELECT name, validation, minimum, maximum FROM cdp.properties WHERE event = 'fine' UNION ALL SELECT name, validation, minimum, maximum FROM cdp.attributes WHERE name = 'height' ORDER BY 1;
SELECT col_description('cdp.profiles'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'cdp.profiles'::regclass AND attname = 'height';
CREATE TABLE fine AS SELECT i, jsonb_build_object('type', 'track', 'userId', 'v' || i % 5, 'messageId', i, 'event', 'fine', 'timestamp', '2025-05-01T10:00:00Z', 'properties', jsonb_build_object('speed', i * 20, 'plate', 'x', 'kind', 'dusk')) AS event,
    jsonb_build_object('type', 'identify', 'userId', 'v' || i, 'messageId', 'i' || i, 'timestamp', '2025-05-01T10:00:00Z', 'traits', jsonb_build_object('height', i * 20)) AS person FROM generate_series(1, 20) i;
SELECT count(cdp_ingest(event, 'gate')) AS taken, count(cdp_ingest(person, 'gate')) AS people FROM fine;
INSERT INTO cdp.inbox (payload, source) SELECT event::text, 'gates' FROM fine UNION ALL SELECT person::text, 'gates' FROM fine;
CALL cdp_process_inbox();
SELECT s.source, (SELECT count(*) FROM cdp.events e WHERE e.event = 'fine' AND e.source = s.source) = (SELECT count(*) FROM fine WHERE i * 20 <= 300) AS kept,
    (SELECT jsonb_object_agg(code, n) FROM (SELECT code, count(*) AS n FROM cdp.rejects r WHERE r.source = s.source GROUP BY 1) x) AS told, q.rejects, q.warnings, q.outliers, q.rejected FROM unnest('{gate,gates}'::text[]) s(source) JOIN cdp.data_quality q USING (source) ORDER BY 1;
SELECT max(height) AS highest, min(height) AS lowest FROM cdp.profiles;

DROP FUNCTION agree, sent;
DROP TABLE messages, fine;
DROP VIEW columns, wrong;
DROP TABLE sale, hostile;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
