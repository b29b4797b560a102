-- Batches of a source beside others: events of people who are known are written out of memory, under a lock that batches share; whatever else a batch holds, it is taken while nobody else writes.
-- Both come to the same, table by table.
SET client_min_messages = warning;
SET timezone = 'UTC';
\set SHOW_CONTEXT never
\pset null -
CREATE EXTENSION pg_cdp;

-- 1. People, and tables of what they did: some have a row that is not like the others.
CREATE TABLE person (id int PRIMARY KEY, member text, email text, device text);
INSERT INTO person SELECT i, 'M' || i, 'p' || i || '@example.com', 'd' || i % 70 FROM generate_series(1, 300) i;
-- A kiosk that links nobody.
INSERT INTO person SELECT 1000 + i, 'K' || i, NULL, 'kiosk' FROM generate_series(1, 60) i;
CREATE TABLE part (nth int, name text);
INSERT INTO part SELECT i, p FROM unnest('{known,plain,reread,new,bare,joins,kiosk,early,broken,bound,faulty,dated,keyed}'::text[]) WITH ORDINALITY x(p, i);
CREATE TABLE deed (part text, id int, at timestamptz, member text, email text, device text, what text, item text, price numeric, n bigint, gift boolean, due date, seen timestamptz, tags text[], PRIMARY KEY (part, id));
CREATE PROCEDURE fill(round int) LANGUAGE sql AS $$
    INSERT INTO deed SELECT part, 1000 * round + i, timestamptz '2026-01-20' + (h % 400 + 100 * round) * interval '3 hours', CASE WHEN h % 3 < 2 THEN 'M' || 1 + h % 300 END,
            CASE WHEN h % 3 > 0 THEN 'p' || 1 + h % 300 || '@example.com' END, NULL, CASE WHEN h % 31 = 0 THEN NULL ELSE (ARRAY['view', 'buy'])[1 + h % 2] END,
            CASE WHEN h % 5 > 0 THEN 'item ' || h % 9 || ' "quoted" \ ü' END, CASE WHEN h % 11 > 0 THEN h % 10000 / 100.0 END, CASE WHEN h % 4 > 0 THEN 9007199254740993 + h % 100 END,
            CASE WHEN h % 6 > 0 THEN h % 2 = 0 END, date '2026-01-01' + h % 50, timestamptz '2026-01-01 00:00:00.123456+00' + h % 90 * interval '1 hour', CASE WHEN h % 8 > 0 THEN ARRAY['a' || h % 3, NULL, 'b'] END
        FROM (SELECT name FROM part) p(part),
            LATERAL (SELECT i, ('x' || substr(md5(part || i * round), 1, 7))::bit(28)::int AS h FROM generate_series(1, 250) i) x
        ON CONFLICT DO NOTHING;
    UPDATE deed SET member = 'K' || 1 + id % 60, email = NULL, device = 'kiosk' WHERE part = 'kiosk' AND id % 20 = 7;
    UPDATE deed SET member = 'new' || id, email = NULL WHERE part = 'new' AND id % 100 = 50;
    UPDATE deed SET member = NULL, email = NULL, device = 'ghost' || id % 3 WHERE part = 'bare' AND id % 100 = 50;
    UPDATE deed SET member = 'M1', email = 'p' || 1 + id % 90 || '@example.com' WHERE part = 'joins' AND id % 125 = 50;
    UPDATE deed SET at = '1950-01-01' WHERE part = 'early' AND id % 125 = 50;
    UPDATE deed SET n = 0 WHERE part = 'broken' AND id % 125 = 50;
    UPDATE deed SET price = -1 WHERE part = 'bound' AND id % 125 = 50;
    UPDATE deed SET at = CASE id % 3 WHEN 0 THEN NULL WHEN 1 THEN 'infinity'::timestamptz ELSE at END, what = CASE WHEN id % 3 = 2 THEN repeat('x', 64) ELSE what END WHERE part = 'faulty' AND id % 50 = 25;
    -- What was there already, changed or not.
    UPDATE deed SET price = price + 1, at = at + interval '1 day' WHERE part = 'known' AND round > 1 AND id = 1007;
    UPDATE deed SET n = 17 WHERE part = 'keyed' AND id % 40 < 2;
$$;
CREATE FUNCTION mapping(part text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('identifiers', jsonb_build_object('member_no', 'member', 'email', 'email', 'device_id', 'device'), 'event',
        jsonb_build_object('name', CASE WHEN part = 'bound' THEN '''sale''' ELSE 'what' END, 'at', 'at', 'properties', jsonb_build_object('item', 'item', 'price', 'price', 'n', CASE WHEN part = 'broken' THEN '100 / n' ELSE 'n' END, 'gift', 'gift', 'due', 'due', 'seen', 'seen', 'tags', 'tags'))
            || CASE WHEN part = 'keyed' THEN '{"id": "n"}' ELSE '{}'::jsonb END)
        || CASE WHEN part IN ('known', 'dated', 'new') THEN '{"key": "id", "updated_at": "coalesce(seen, at)"}' WHEN part = 'reread' THEN '{"key": "id", "updated_at": "at", "overlap": "1000 days"}' ELSE '{"key": "id"}' END::jsonb $$;
SELECT format('CREATE VIEW %I AS SELECT * FROM deed WHERE part = %L', part, part) FROM (SELECT name FROM part) p(part) \gexec
CREATE PROCEDURE make(workspace text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cdp_init(workspace, 'Europe/Berlin'), set_config('cdp.workspace', workspace, false);
    PERFORM cdp_identifier_type_alter('device_id', '{"degree_cap": 30}');
    PERFORM cdp_source_create('person', 'person', '{"identifiers": {"member_no": "member", "email": "email", "device_id": "device"}}');
    PERFORM cdp_property_create('sale', 'price', 'numeric'), cdp_property_alter('sale', 'price', '{"min": 0}');
    PERFORM cdp_source_create(part, part, mapping(part)) FROM (SELECT name FROM part ORDER BY nth) p(part);
END $$;
CALL make('alone');
CALL make('beside');
CALL make('query');
-- Takes source by source, and notes which of them had a batch beside others.
CREATE PROCEDURE each(round int) LANGUAGE plpgsql AS $$
DECLARE name text; last bigint;
BEGIN
    FOR name IN SELECT p.name FROM part p ORDER BY p.nth LOOP
        SELECT max(xact) INTO last FROM beside.event_batch;
        CALL cdp_sync(name);
        INSERT INTO shown SELECT round, name, coalesce(max(b.xact), 0) > coalesce(last, 0) FROM beside.event_batch b;
    END LOOP;
END $$;
CREATE TABLE shown (round int, source text, beside bool);
-- At REPEATABLE READ nothing is written beside others.
SELECT format('CALL fill(%1$s); DELETE FROM deed WHERE part IN (%2$L, %3$L) AND id = 1009 AND %1$s = 2;', n, 'plain', 'known'),
    'SET cdp.workspace = alone', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'CALL cdp_sync()', 'COMMIT',
    'SET cdp.workspace = query', 'SET cdp.direct_write = off', 'SET cdp.direct_read = off', 'CALL cdp_sync()', 'RESET cdp.direct_write', 'RESET cdp.direct_read',
    'SET cdp.workspace = beside', 'CALL cdp_sync(''person'')',
    format('CALL each(%s)', n)
    FROM generate_series(1, 3) n ORDER BY n \gexec
-- Which of the sources were written so: the first one of all brings types of event that are not known yet, and a watermark, or a wide overlap, what is there already.
SELECT round, string_agg(source, ' ' ORDER BY source) FILTER (WHERE beside) AS beside, string_agg(source, ' ' ORDER BY source) FILTER (WHERE NOT beside) AS alone FROM shown GROUP BY 1 ORDER BY 1;
SELECT count(*) AS none FROM alone.event_batch;
-- The tables are equal, times of the transaction apart.
CREATE FUNCTION differ(a text, b text, of text, columns text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM ((SELECT %4$s FROM %1$I.%3$I EXCEPT ALL SELECT %4$s FROM %2$I.%3$I) UNION ALL (SELECT %4$s FROM %2$I.%3$I EXCEPT ALL SELECT %4$s FROM %1$I.%3$I)) x', a, b, of, columns) INTO n;
    RETURN n;
END $$;
SELECT t.name, differ('alone', 'beside', t.name, t.columns) AS beside, differ('alone', 'query', t.name, t.columns) AS query FROM (VALUES
    ('node', 'type_id, value, profile_id, source_id, CASE WHEN first_seen < ''2026-06-01'' THEN first_seen END, CASE WHEN last_seen < ''2026-06-01'' THEN last_seen END, quarantine'),
    ('edge', 'from_node, to_node, source_id, trust, state, reason, CASE WHEN first_seen < ''2026-06-01'' THEN first_seen END, CASE WHEN last_seen < ''2026-06-01'' THEN last_seen END'),
    ('profile', 'profile_id, entity, founding_node, merged_into, contested'), ('profile_merge', 'merge_id, retired_id, survivor_id, from_node, to_node, source_id'),
    ('source_row', '*'), ('source', 'name, watermark'), ('reject', 'source_id, key, payload, kind, code, reason'), ('event_seen', '*'), ('store_column', '*'), ('dictionary', '*'), ('chunk', '*'),
    ('event', 'event_type_id, source_id, node_id, at, key, properties, received_at, original_at'),
    ('data_quality_field', 'source_id, kind, event, name, rows, present'), ('data_quality_reason', 'source_id, level, code, times'), ('data_quality_day', 'source_id, rows, rejected, events, repeated, CASE WHEN newest < ''2026-06-01'' THEN newest END')) t(name, columns);
SELECT (SELECT count(*) FROM beside.event) > 6000 AS events, (SELECT count(*) FROM beside.reject) > 20 AS rejects, (SELECT count(*) FROM beside.profile_merge) > 0 AS merges, (SELECT count(*) FROM beside.chunk) > 100 AS chunks,
    (SELECT count(*) FROM beside.node WHERE quarantine IS NOT NULL) AS hubs;
-- Somebody was seen first and last when the facts say, and the columns are what plain SQL says.
SELECT count(*) AS wrong FROM beside.node n JOIN (SELECT node_id, min(at) AS first, max(at) AS last FROM beside.event WHERE source_id NOT IN (SELECT source_id FROM beside.source WHERE mapping ? 'updated_at') GROUP BY 1) e USING (node_id) WHERE n.first_seen > e.first OR n.last_seen < e.last;
SET cdp.workspace = beside;
CREATE FUNCTION plain(q text) RETURNS SETOF bigint LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE cdp_segment_sql(q); END $$;
SELECT q, cdp_segment_count(q) > 0 AS some, cdp_segment(q)::bigint[] = (SELECT coalesce(array_agg(m ORDER BY m), '{}') FROM plain(q) m) AS equal
    FROM unnest('{count(view) > 2, sum(buy.price) > 400, count(buy) FILTER (WHERE NOT gift) > 1, count(view) FILTER (WHERE gift) > 1, sum(view.price) FILTER (WHERE item LIKE ''item 7%'') > 10}'::text[]) q;
SELECT count(*) FILTER (WHERE NOT ok) AS wrong FROM cdp_identity_verify();

-- 2. Batch by batch: one that has to be taken alone keeps the next from being tried in vain, no longer.
CREATE TABLE many (id int PRIMARY KEY, at timestamptz, member text);
INSERT INTO many SELECT i, timestamptz '2026-02-01' + i * interval '1 second', 'M' || 1 + i % 300 FROM generate_series(1, 210000) i;
UPDATE many SET member = 'unheard of' WHERE id IN (20000, 120001);
SELECT cdp_source_create('many', 'many', '{"key": "id", "updated_at": "at", "identifiers": {"member_no": "member"}, "event": {"name": "''view''", "at": "at"}}');
CREATE FUNCTION batches() RETURNS text LANGUAGE plpgsql AS $$
DECLARE job bigint := _cdp_sync_begin((SELECT source_id FROM beside.source WHERE name = 'many')); reached bigint := 0; last bigint; told text := '';
BEGIN
    LOOP
        SELECT max(xact) INTO last FROM beside.event_batch;
        reached := _cdp_sync_batch(job, reached);
        EXIT WHEN reached IS NULL;
        told := concat_ws(', ', nullif(told, ''), reached || CASE WHEN (SELECT count(*) FROM beside.event_batch b WHERE b.source_id = (SELECT source_id FROM beside.source WHERE name = 'many')) > 0 THEN ' beside' ELSE ' alone' END);
        DELETE FROM beside.event_batch;
    END LOOP;
    PERFORM _cdp_sync_end(job, NULL), _cdp_sync_fold();
    RETURN told;
END $$;
SELECT batches();
SELECT count(*), count(DISTINCT key) FROM beside.event WHERE source_id = (SELECT source_id FROM beside.source WHERE name = 'many');
SELECT cdp_segment_count('count(view) > 600') = (SELECT count(*) FROM plain('count(view) > 600')) AS equal;

-- 3. A message that came under the name of the source has the key of one of its rows: the first run finds it, and the row replaces it.
CREATE TABLE late (id int PRIMARY KEY, at timestamptz, member text);
INSERT INTO late SELECT i, timestamptz '2026-02-01' + i * interval '1 day', 'M' || i FROM generate_series(1, 3) i;
SELECT cdp_source_create('late', 'late', '{"key": "id", "updated_at": "at", "identifiers": {"member_no": "member"}, "event": {"name": "''view''", "at": "at"}}');
SELECT cdp_ingest('{"type": "track", "messageId": "2", "event": "view", "timestamp": "2026-02-20T00:00:00Z", "context": {"externalIds": [{"type": "member_no", "id": "M2"}]}}', 'late') ->> 'profile' IS NOT NULL AS taken;
CALL cdp_sync('late');
SELECT key, at FROM beside.event WHERE source_id = (SELECT source_id FROM beside.source WHERE name = 'late') ORDER BY key, at;

-- 4. Columns may be called as the spool's own are, whatever becomes of their rows: events, identifiers, traits, rejects.
CREATE TABLE named (id int PRIMARY KEY, "cdp$rn" text, "cdp$k" text, "cdp$r" text, "cdp$u" timestamptz, "cdp$seen" text, c0 text, k text, rn text);
INSERT INTO named VALUES (1, 'N1', 'one', 'z1', '2026-02-01', 'red', 'n1@example.com', 'first', 'a'), (2, 'N2', 'two', 'z2', '2026-02-02', 'blue', 'n2@example.com', 'second', 'b'), (3, 'N3', 'three', 'z3', NULL, 'green', 'n3@example.com', 'third', 'c');
SELECT cdp_source_create('named_events', 'named', '{"key": "\"cdp$r\"", "updated_at": "\"cdp$u\"", "identifiers": {"member_no": "\"cdp$rn\"", "email": "c0"},
    "event": {"name": "''named''", "at": "\"cdp$u\"", "properties": {"item": "\"cdp$k\"", "size": "k", "note": "rn"}}}');
SELECT cdp_source_create('named_plain', 'named', '{"identifiers": {"member_no": "\"cdp$rn\"", "cookie": "\"cdp$r\""}}');
SELECT cdp_source_create('named_traits', 'named', '{"identifiers": {"member_no": "\"cdp$rn\""}, "traits": {"colour": "\"cdp$seen\""}}');
CALL cdp_sync('named_events');
CALL cdp_sync('named_plain');
CALL cdp_sync('named_traits');
SELECT key, reason FROM beside.rejects WHERE source = 'named_events';
SELECT * FROM cdp_reject_replay(reject_id => (SELECT reject_id FROM beside.rejects WHERE source = 'named_events'), payload => '{"cdp$u": "2026-02-03T00:00:00Z"}');
SELECT x.key, e.event, e.at, e.properties FROM beside.events e JOIN beside.event x USING (event_id) WHERE e.event = 'named' ORDER BY 1;
SELECT m.value AS member, c.value AS cookie, p.colour FROM beside.identifiers m JOIN beside.identifiers c USING (profile_id) JOIN beside.profiles p USING (profile_id) WHERE m.type = 'member_no' AND c.type = 'cookie' AND c.value LIKE 'z_' ORDER BY 1;

DROP FUNCTION batches, plain, differ, mapping;
DROP PROCEDURE each, make, fill;
DROP TABLE person, part, deed, shown, many, late, named CASCADE;
RESET cdp.workspace;
DROP EXTENSION pg_cdp CASCADE;
DROP SCHEMA alone, beside, query CASCADE;
