-- Messages as client libraries send them, whole payloads with all that they carry (tests/data/segment): by cdp_ingest(), and the same bytes by the inbox.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset null -
\set js `cat tests/data/segment/analytics-js.json`
\set swift `cat tests/data/segment/analytics-swift.json`
\set kotlin `cat tests/data/segment/analytics-kotlin.json`
\set node `cat tests/data/segment/analytics-node.json`
\set python `cat tests/data/segment/analytics-python.json`
\set delivered `cat tests/data/segment/delivered.json`
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC', phone_region => 'DE');
CREATE TABLE payload AS SELECT * FROM (VALUES (1, 'js', :'js'), (2, 'swift', :'swift'), (3, 'kotlin', :'kotlin'), (4, 'node', :'node'), (5, 'python', :'python'), (6, 'delivered', :'delivered')) p(nth, library, text);
SELECT library, length(text) > 500 AS there FROM payload ORDER BY nth;

-- 1. What the senders are answered.
CREATE TABLE answer AS SELECT nth, library, a.nr, a.answer FROM (SELECT nth, library, cdp_ingest(text::jsonb, library) AS answer FROM payload ORDER BY nth OFFSET 0) p
    CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(answer) WHEN 'array' THEN answer ELSE jsonb_build_array(answer) END) WITH ORDINALITY AS a(answer, nr);
SELECT library, nr, answer - 'messageId' - 'traits' AS answer FROM answer ORDER BY nth, nr;

-- 2. Who they are. The address of a group, the network address and what is empty are nobody's.
SELECT dense_rank() OVER (ORDER BY profile_id) AS person, type, value FROM cdp.identifiers ORDER BY 1, type, value COLLATE "C";

-- 3. What is known of them: nested traits flattened, lists as lists, null and empty texts as none.
SELECT name, type, origin FROM cdp.attributes ORDER BY name;
SELECT i.value AS user_id, jsonb_strip_nulls(to_jsonb(p) - 'profile_id') AS traits FROM cdp.profiles p JOIN cdp.identifiers i USING (profile_id) WHERE i.type = 'user_id' ORDER BY 1;

-- 4. What they did. When it happened is counted back from when it was received: the moment of sending less that of the event.
SELECT source, event, properties FROM cdp.events ORDER BY event_id;
SELECT source, event, CASE WHEN received_at = '2024-03-01 10:00:10.5+00' THEN at::text ELSE (received_at - at)::text || ' before' END AS at, original_at FROM cdp.events ORDER BY event_id;
SELECT event, name, type FROM cdp.properties ORDER BY event COLLATE "C", name COLLATE "C";
-- What could not be used.
SELECT source, code, reason FROM cdp.rejects ORDER BY source, reason;

-- 5. The same bytes by the inbox come to the same.
SELECT cdp_init('bulk', time_zone => 'UTC', phone_region => 'DE');
INSERT INTO bulk.inbox (payload, source) SELECT text, library FROM payload ORDER BY nth;
SET cdp.workspace = 'bulk';
CALL cdp_process_inbox();
SELECT count(*) AS left_over FROM bulk.inbox;
CREATE FUNCTION state(ws text) RETURNS TABLE (part text, line text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE replace($q$
        WITH who AS (SELECT profile_id, min(type || ':' || value) AS name FROM §.identifiers GROUP BY 1)
        SELECT 'identifier', concat_ws(' ', w.name, i.type, i.value, i.source) FROM §.identifiers i JOIN who w USING (profile_id)
        UNION ALL SELECT 'traits', w.name || ' ' || jsonb_strip_nulls(to_jsonb(p) - 'profile_id')::text FROM §.profiles p JOIN who w USING (profile_id)
        UNION ALL SELECT 'event', concat_ws(' ', w.name, e.source, e.event, e.received_at - e.at, e.original_at, e.properties) FROM §.events e JOIN who w USING (profile_id)
        UNION ALL SELECT 'attribute', concat_ws(' ', name, type, origin, observations) FROM §.attributes
        UNION ALL SELECT 'property', concat_ws(' ', event, name, type, events) FROM §.properties
    $q$, '§', ws);
END $$;
SELECT part, count(*) AS lines, count(*) FILTER (WHERE a.line IS NULL OR b.line IS NULL) AS differences FROM state('cdp') a FULL JOIN state('bulk') b USING (part, line) GROUP BY part ORDER BY part;

DROP TABLE payload, answer;
DROP FUNCTION state(text);
RESET cdp.workspace;
DROP EXTENSION pg_cdp CASCADE;
DROP SCHEMA cdp, bulk CASCADE;
