-- Rows of identities are added and changed with cdp.direct_write, and by queries without it: the tables come to the same, row for row and number for number, and each index has an entry of each
-- row. A table with triggers or other things that only a query knows of is written by queries.
\set VERBOSITY terse
\pset null -
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE EXTENSION pg_cdp;
CREATE EXTENSION amcheck;
SHOW cdp.direct_write;

-- Three sources: with and without times, and one with traits. Devices go round, so that some become hubs and some rows are suspended.
CREATE TABLE till (id int PRIMARY KEY, email text, phone text, member text, device text, ip text);
CREATE TABLE web (id int PRIMARY KEY, at timestamptz, cookie text, email text, device text);
CREATE TABLE crm (id int PRIMARY KEY, at timestamptz, member text, email text, city text);

CREATE TABLE visit (id int PRIMARY KEY, at timestamptz, cookie text, email text, page text, price numeric, items bigint, sale boolean);

CREATE PROCEDURE fill(round int) LANGUAGE sql AS $$
    -- Over months, and before the first and after the last that has a partition of its own; some a second time, changed or not.
    INSERT INTO visit SELECT 1000 * round + i, CASE WHEN i = 7 THEN timestamptz '1950-05-05' WHEN i = 8 THEN timestamptz '2150-05-05' ELSE timestamptz '2026-01-30' + (i * 37 % 400 + 50 * round) * interval '6 hours' END, 'c' || i * 17 % 290,
            CASE WHEN i % 9 = 0 THEN 'p' || i * 3 % 211 || '@example.com' END, CASE WHEN i % 5 > 0 THEN 'page ' || i % 7 END, CASE WHEN i % 4 > 0 THEN i * 25 % 1300 / 100.0 END, CASE WHEN i % 3 > 0 THEN i END, CASE WHEN i % 6 > 0 THEN i % 2 = 0 END
        FROM generate_series(1, 500) i;
    UPDATE visit SET page = 'page 9', at = at + interval '1 day' WHERE round > 1 AND id % 50 = 3;
    UPDATE visit SET price = price + 0.001 WHERE round > 1 AND id = 2011;
    INSERT INTO till SELECT 1000 * round + i, CASE WHEN i % 3 > 0 THEN 'p' || i * 7 % 211 || '@example.com' END, CASE WHEN i % 5 > 1 THEN '139' || lpad((i * 11 % 307)::text, 8, '0') END,
            CASE WHEN i % 4 = 0 THEN 'M' || i * round % 97 END, CASE WHEN i % 7 = 0 THEN 'kiosk' WHEN i % 11 = 0 THEN 'd' || i % 23 END, '10.0.0.' || i % 9
        FROM generate_series(1, 400) i;
    INSERT INTO till VALUES (1000 * round, 'no address', NULL, NULL, NULL, '10.0.0.1');
    INSERT INTO web SELECT 1000 * round + i, timestamptz '2026-01-01' + (i * 37 % 500 - 250 * round) * interval '1 hour', 'c' || i * 13 % 290, CASE WHEN i % 6 = 0 THEN 'p' || i * 5 % 211 || '@example.com' END,
            CASE WHEN i % 2 = 0 THEN 'd' || i % 41 END
        FROM generate_series(1, 300) i;
    INSERT INTO crm SELECT 1000 * round + i, timestamptz '2026-03-01' + i * interval '1 minute', 'M' || i, CASE WHEN i % 2 = 0 THEN 'p' || (i + 40 * round) % 211 || '@example.com' END, 'city ' || i % 5
        FROM generate_series(1, 90) i;
$$;

CREATE PROCEDURE live(workspace text, direct text) LANGUAGE plpgsql AS $$
DECLARE pair record;
BEGIN
    PERFORM set_config('cdp.workspace', workspace, false), set_config('cdp.direct_write', direct, false);
    TRUNCATE till, web, crm, visit;
    PERFORM cdp_init(workspace, 'UTC');
    PERFORM cdp_identifier_type_alter('member_no', '{"max_per_profile": 2}');
    PERFORM cdp_identifier_type_alter('device_id', '{"degree_cap": 30}');
    PERFORM cdp_source_create('till', 'till', '{"identifiers": {"email": "email", "phone": "phone", "member_no": "member", "device_id": "device", "ip": "ip"}}', trust => 90);
    PERFORM cdp_source_create('web', 'web', '{"key": "id::text", "updated_at": "at", "overlap": "1000 days", "identifiers": {"cookie": "cookie", "email": "email", "device_id": "device"}}', trust => 30);
    PERFORM cdp_source_create('crm', 'crm', '{"updated_at": "at", "overlap": "1000 days", "identifiers": {"member_no": "member", "email": "email"}, "traits": {"city": "city"}}');
    PERFORM cdp_source_create('visit', 'visit', '{"key": "id::text", "identifiers": {"cookie": "cookie", "email": "email"},
        "event": {"name": "CASE WHEN id % 13 = 0 THEN ''buy'' ELSE ''visit'' END", "at": "at", "properties": {"page": "page", "price": "price", "items": "items", "sale": "sale"}}}');
    FOR round IN 1..3 LOOP
        CALL fill(round);
        UPDATE till SET phone = NULL WHERE id % 10 = 3;
        CALL cdp_sync();
        -- Single sights: something new, somebody joined.
        PERFORM cdp_identify(jsonb_build_object('cookie', 'c' || i, 'email', CASE WHEN i % 2 = 0 THEN 'p' || i * round || '@example.com' ELSE 'new' || i * round || '@example.com' END, 'ip', '10.1.0.' || i))
            FROM generate_series(1, 40) i;
        -- Sights of other times: earlier and later ones in turn, so often that some rows find no room where they are; one identifier links nobody.
        PERFORM cdp_identify(jsonb_build_object('cookie', 'c' || 13 * (i % 6), 'email', 'p' || 5 * (i % 6) || '@example.com') || CASE WHEN i % 10 = 0 THEN '{"device_id": "kiosk"}' ELSE '{}' END::jsonb, 'api',
            timestamptz '2026-02-01' + CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END * (i * round % 101) * interval '1 day') FROM generate_series(1, 100) i;
        -- Operators part whom rows joined, and join others.
        FOR pair IN EXECUTE format('SELECT f.type AS ft, f.value AS fv, t.type AS tt, t.value AS tv FROM (SELECT from_type, from_value, to_type, to_value, '
                'row_number() OVER (ORDER BY from_type, from_value, to_type, to_value) AS n FROM %I.edges WHERE state = %L) e '
                'CROSS JOIN LATERAL (SELECT e.from_type, e.from_value) f(type, value) CROSS JOIN LATERAL (SELECT e.to_type, e.to_value) t(type, value) WHERE n %% 29 = %s', workspace, 'accepted', round) LOOP
            BEGIN
                PERFORM cdp_unlink(pair.ft, pair.fv, pair.tt, pair.tv, 'apart');
            EXCEPTION WHEN OTHERS THEN
                -- The two were seen together by more than one source: it is said already.
                NULL;
            END;
        END LOOP;
        PERFORM cdp_link('cookie', 'c' || 13 * round, 'email', 'p' || 7 * round || '@example.com', 'one') FROM generate_series(1, 1);
    END LOOP;
    PERFORM cdp_identity_revert(2 * n, 'undo') FROM generate_series(3, 5) n;
    PERFORM cdp_flush();
END $$;
CALL live('plainly', 'off');
CALL live('fast', 'on');
RESET cdp.direct_write;

-- Something of everything is there.
SELECT count(*) > 500 AS nodes, count(*) FILTER (WHERE quarantine IS NOT NULL) > 0 AS hubs, count(*) FILTER (WHERE profile_id IS NULL) > 0 AS weak FROM fast.node;
SELECT state, count(*) > 5 AS some FROM fast.edge GROUP BY 1 ORDER BY 1;
SELECT (SELECT count(*) FROM fast.profile_merge) > 50 AS merges, (SELECT count(*) FROM fast.profile_split) > 5 AS splits, (SELECT count(*) FROM fast.node_move) > 100 AS moves,
    (SELECT count(*) FROM fast.reject) > 0 AS rejects, (SELECT count(*) FROM fast.event) AS events, (SELECT count(DISTINCT tableoid) FROM fast.event) AS partitions, (SELECT count(*) FROM fast.source_row) AS taken;

-- Times of the transaction apart, the tables are equal.
CREATE FUNCTION differ(of text, columns text, a text DEFAULT 'fast', b text DEFAULT 'plainly') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM ((SELECT %2$s FROM %3$I.%1$I EXCEPT ALL SELECT %2$s FROM %4$I.%1$I) UNION ALL (SELECT %2$s FROM %4$I.%1$I EXCEPT ALL SELECT %2$s FROM %3$I.%1$I)) x', of, columns, a, b) INTO n;
    RETURN n;
END $$;
SELECT count(*) FILTER (WHERE first_seen < '2026-01-01') > 5 AS earlier, count(*) FILTER (WHERE last_seen BETWEEN '2026-05-01' AND '2026-05-31') > 5 AS later FROM fast.node;
SELECT t.name, differ(t.name, t.columns) AS differ FROM (VALUES
    ('node', 'node_id, type_id, value, profile_id, source_id, CASE WHEN first_seen < ''2026-06-01'' THEN first_seen END, CASE WHEN last_seen < ''2026-06-01'' THEN last_seen END, quarantine'),
    ('edge', 'from_node, to_node, source_id, trust, state, reason, CASE WHEN first_seen < ''2026-06-01'' THEN first_seen END, CASE WHEN last_seen < ''2026-06-01'' THEN last_seen END'),
    ('profile', 'profile_id, entity, founding_node, merged_into, contested'), ('profile_value', '*'), ('profile_merge', 'merge_id, retired_id, survivor_id, from_node, to_node, source_id, operation_id'),
    ('profile_split', 'split_id, profile_id, from_id, created, source_id, operation_id'), ('node_move', 'node_id, from_profile, to_profile'), ('source_row', '*'),
    ('reject', 'source_id, key, payload, kind, code, reason'), ('chunk', '*'), ('event', '*'), ('event_seen', '*'), ('store_column', '*'), ('dictionary', '*'), ('data_quality_field', 'source_id, kind, event, name, rows, present')) t(name, columns);
SELECT w.workspace, count(*) FILTER (WHERE NOT v.ok) AS wrong FROM (VALUES ('fast'), ('plainly')) w(workspace)
    CROSS JOIN LATERAL (SELECT set_config('cdp.workspace', w.workspace, false)) s CROSS JOIN LATERAL cdp_identity_verify() v GROUP BY 1 ORDER BY 1;
-- Seen again and again in one transaction: pages fill up, and a version that finds no room in its page gets entries of its own.
CREATE PROCEDURE see_again() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..5 LOOP
        UPDATE web SET at = at + interval '1 year';
        CALL cdp_sync('web');
    END LOOP;
END $$;
BEGIN;
SET LOCAL cdp.workspace = 'fast';
CALL see_again();
SELECT pg_stat_get_xact_tuples_hot_updated('fast.node'::regclass) > 100 AS in_place, pg_stat_get_xact_tuples_updated('fast.node'::regclass) - pg_stat_get_xact_tuples_hot_updated('fast.node'::regclass) > 100 AS elsewhere;
COMMIT;
BEGIN;
UPDATE web SET at = at - interval '5 years';
SET LOCAL cdp.workspace = 'plainly';
SET LOCAL cdp.direct_write = off;
CALL see_again();
COMMIT;
SELECT differ('node', 'node_id, type_id, value, profile_id, CASE WHEN last_seen > ''2027-01-01'' THEN last_seen END, quarantine') AS node,
    differ('edge', 'from_node, to_node, source_id, CASE WHEN last_seen > ''2027-01-01'' THEN last_seen END') AS edge, (SELECT count(*) FROM fast.node WHERE last_seen > '2030-01-01') AS seen;
SELECT c.relname AS index, bt_index_check(c.oid, true) FROM pg_class c WHERE c.relnamespace = 'fast'::regnamespace AND c.relkind = 'i'
    AND c.relname ~ '^(node|edge|profile|node_move|profile_value|source_row|pending|event_y2026m0[1-4])_' AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree') ORDER BY 1;

-- 2. The first rows of a table come before the entries of its indexes, which are built of them, if there are many; not while a cursor of the session reads the table.
CREATE TABLE crowd (id int PRIMARY KEY, cookie text, email text);
INSERT INTO crowd SELECT i, 'c' || i % 55000, CASE WHEN i % 3 > 0 THEN 'q' || i * 7 % 58000 || '@example.com' ELSE 'only' || i || '@example.com' END FROM generate_series(1, 60000) i;
CREATE FUNCTION built(workspace text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c WHERE c.relnamespace = workspace::regnamespace AND c.relkind = 'i' AND c.relname ~ '^(node|edge|profile|source_row)_' AND pg_relation_filenode(c.oid) <> c.oid $$;
CREATE PROCEDURE crowd(workspace text, direct text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('cdp.workspace', workspace, false), set_config('cdp.direct_write', direct, false);
    PERFORM cdp_init(workspace, 'UTC');
    PERFORM cdp_source_create('crowd', 'crowd', '{"identifiers": {"cookie": "cookie", "email": "email"}}');
END $$;
CALL crowd('slow', 'off');
CALL cdp_sync();
CALL crowd('read', 'on');
BEGIN;
DECLARE reading CURSOR FOR SELECT node_id FROM read.node ORDER BY type_id, value;
FETCH reading;
CALL cdp_sync();
COMMIT;
CALL crowd('built', 'on');
CALL cdp_sync();
SELECT built('slow') AS by_queries, built('read') AS while_read, built('built') AS built;
SELECT w AS workspace, t.name, differ(t.name, t.columns, 'slow', w) AS differ FROM unnest(ARRAY['read', 'built']) w, (VALUES
    ('node', 'node_id, type_id, value, profile_id, quarantine'), ('edge', 'from_node, to_node, source_id, state, reason'), ('profile', 'profile_id, founding_node, merged_into, contested'), ('source_row', '*')) t(name, columns) ORDER BY 1, 2;
SELECT n.nspname, c.relname AS index, bt_index_check(c.oid, true) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('read', 'built') AND c.relkind = 'i'
    AND c.relname ~ '^(node|edge|profile|source_row)_' AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree') AND NOT c.relname ~ '_(merge|split|shelf|value)_' ORDER BY 1, 2;
-- What comes next finds its place in them.
INSERT INTO crowd SELECT i, 'c' || i % 55000, 'q' || i || '@example.com' FROM generate_series(60001, 60100) i;
CALL cdp_sync();
SELECT count(*) FILTER (WHERE NOT ok) AS wrong FROM cdp_identity_verify();
RESET cdp.direct_write;
RESET cdp.workspace;

-- 3. That is the one way and the other.
SET cdp.workspace = 'fast';
SELECT name, direct FROM _cdp_written_tables() WHERE NOT direct OR name NOT LIKE 'event%' ORDER BY 1;
SELECT count(*) FROM _cdp_written_tables() WHERE name LIKE 'event%';
-- What only a query knows of is left to it: here triggers, columns of somebody's, an index on an expression, a constraint.
SET cdp.workspace = 'fast';
CREATE TABLE heard (what text, n bigint);
CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.heard VALUES (TG_TABLE_NAME || ' ' || TG_OP, 1); RETURN NULL; END $$;
CREATE TRIGGER hear AFTER INSERT OR UPDATE ON fast.node FOR EACH ROW EXECUTE FUNCTION hear();
CREATE TRIGGER hear AFTER INSERT OR UPDATE ON fast.profile FOR EACH ROW EXECUTE FUNCTION hear();
CREATE TRIGGER hear AFTER DELETE ON fast.profile_value FOR EACH ROW EXECUTE FUNCTION hear();
CREATE TRIGGER hear AFTER INSERT ON fast.event FOR EACH ROW EXECUTE FUNCTION hear();
CREATE INDEX lower_reason ON fast.edge (lower(reason));
ALTER TABLE fast.node_move ADD note text DEFAULT 'moved';
ALTER TABLE fast.profile_merge ADD note text DEFAULT 'merged';
ALTER TABLE fast.profile_split ADD note text DEFAULT 'split';
ALTER TABLE fast.pending ADD note text DEFAULT 'pending';
ALTER TABLE fast.profile_value ADD note text DEFAULT 'born';
ALTER TABLE fast.source_row ADD CHECK (key <> '9999');
SELECT name FROM _cdp_written_tables() WHERE direct ORDER BY 1;
INSERT INTO till VALUES (9001, 'x@example.com', '13900009001', NULL, NULL, NULL), (9002, 'y@example.com', '13900009002', NULL, NULL, NULL);
CALL cdp_sync('till');
SELECT what, count(*) FROM heard GROUP BY 1 ORDER BY 1;
INSERT INTO till VALUES (9003, 'x@example.com', '13900009002', NULL, NULL, NULL);
CALL cdp_sync('till');
SELECT what, count(*) FROM heard GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM fast.node_move WHERE note = 'moved' AND move_id > (SELECT max(move_id) FROM plainly.node_move);
SELECT count(*) FROM fast.profile_merge WHERE note = 'merged' AND merge_id > (SELECT max(merge_id) FROM plainly.profile_merge);
SELECT cdp_unlink('email', 'x@example.com', 'phone', '+8613900009002', 'x') ->> 'moved' AS moved;
SELECT count(*) FROM fast.pending WHERE note = 'pending';
SELECT count(*) FROM fast.profile_split WHERE note = 'split' AND split_id > (SELECT max(split_id) FROM plainly.profile_split);
SELECT cdp_identify('{"email": "x@example.com"}', 'till', '2001-01-01') = cdp_identify('{"email": "x@example.com"}', 'till') AS same;
SELECT what, count(*) FROM heard WHERE what LIKE 'node %' GROUP BY 1 ORDER BY 1;
SELECT note, count(*) FROM fast.profile_value WHERE note IS NOT NULL AND profile_id > (SELECT max(profile_id) FROM plainly.profile) GROUP BY 1;
INSERT INTO till VALUES (9999, 'z@example.com', '13900009002', NULL, NULL, NULL);
CALL cdp_sync('till');
SELECT bt_index_check('fast.lower_reason', true);
-- A partial index gets the entries of its rows: those of a condition that is known without a query, and those that only a query can tell.
DROP TRIGGER hear ON fast.profile;
DROP TRIGGER hear ON fast.node;
DROP INDEX fast.lower_reason;
CREATE INDEX known_gone ON fast.profile (founding_node) WHERE merged_into IS NOT NULL;
CREATE INDEX known_hub ON fast.node (profile_id) WHERE quarantine = 'blocked: x';
CREATE INDEX known_why ON fast.edge (to_node, reason) WHERE state = 'suspended';
CREATE PROCEDURE part_and_meet() LANGUAGE plpgsql AS $$
DECLARE pair record;
BEGIN
    FOR i IN 1..30 LOOP
        PERFORM cdp_identify(jsonb_build_object('cookie', 'meet' || i, 'email', 'meet' || i % 7 || '@example.com'), 'till', '2026-01-01'::timestamptz + i * interval '1 day');
        IF i = 12 AND NOT EXISTS (SELECT FROM fast.quarantine WHERE value = 'meet3') THEN PERFORM cdp_block('cookie', 'meet3', 'x'); END IF;
    END LOOP;
    FOR pair IN SELECT * FROM fast.edges WHERE from_value LIKE 'meet%' AND state = 'accepted' ORDER BY from_value, to_value LIMIT 12 LOOP
        PERFORM cdp_unlink(pair.from_type, pair.from_value, pair.to_type, pair.to_value, 'x');
    END LOOP;
    FOR i IN 1..29 LOOP
        PERFORM cdp_identify(jsonb_build_object('cookie', 'meet' || i, 'phone', '+86139000090' || 10 + i / 2), 'till', '2026-02-01');
    END LOOP;
END $$;
CALL part_and_meet();
SELECT bt_index_check('fast.known_gone', true), bt_index_check('fast.known_hub', true), bt_index_check('fast.known_why', true);
SET enable_seqscan = off;
SELECT (SELECT count(*) FROM fast.profile WHERE merged_into IS NOT NULL AND founding_node > 0) > 10 AS gone, (SELECT count(*) FROM fast.node WHERE quarantine = 'blocked: x' AND profile_id > 0) AS hub,
    (SELECT count(*) FROM fast.edge WHERE state = 'suspended' AND to_node > 0) > 10 AS why;
RESET enable_seqscan;
CREATE INDEX unknown_gone ON fast.profile (founding_node) WHERE merged_into > 3;
CREATE INDEX unknown_seen ON fast.node (value) WHERE last_seen > '2026-02-01';
CREATE INDEX unknown_why ON fast.edge (to_node) WHERE state = 'suspended' AND trust > 0;
CALL part_and_meet();
SELECT cdp_identify(jsonb_build_object('cookie', 'meet' || i, 'phone', '+86139000090' || 40 + i / 3), 'till', '2026-03-01') > 0 AS seen FROM generate_series(1, 29) i GROUP BY 1;
SELECT bt_index_check(format('fast.%I', name)::regclass, true) FROM unnest(ARRAY['known_gone', 'known_hub', 'known_why', 'unknown_gone', 'unknown_seen', 'unknown_why']) name;
SELECT count(*) FILTER (WHERE NOT ok) AS wrong FROM cdp_identity_verify();
-- Events of a source that is new are landed out of memory; the trigger hears of them.
TRUNCATE heard;
SELECT cdp_source_create('again', 'visit', '{"key": "id::text", "filter": "id < 1100", "identifiers": {"cookie": "cookie"}, "event": {"name": "''again''", "at": "at", "properties": {"price": "price"}}}');
CALL cdp_sync('again');
SELECT count(*) AS heard, (SELECT count(*) FROM fast.events WHERE event = 'again') AS events FROM heard WHERE what LIKE 'event%';

DROP SCHEMA fast, plainly, slow, read, built CASCADE;
DROP TABLE till, web, crm, visit, heard, crowd;
DROP FUNCTION hear, differ, built;
DROP PROCEDURE fill, live, see_again, crowd, part_and_meet;
DROP EXTENSION amcheck, pg_cdp;
