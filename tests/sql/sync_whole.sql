-- The first run of a source whose rows show identifiers and nothing else reads its relation once, into memory. It comes to the same as with rows that are kept aside, whatever the rows are.
\set VERBOSITY terse
\pset null -
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE EXTENSION pg_cdp;

-- Everything that a run leaves; numbers of identifiers follow the rows, those of profiles and rejects too.
CREATE FUNCTION facts(workspace text) RETURNS TABLE (part text, rows bigint, digest text) LANGUAGE plpgsql AS $$
DECLARE part_sql record;
BEGIN
    FOR part_sql IN SELECT * FROM (VALUES
        ('node', 'SELECT node_id, type_id, value, profile_id, source_id, quarantine FROM %1$I.node'),
        ('edge', 'SELECT from_node, to_node, source_id, trust, state, reason FROM %1$I.edge'),
        ('profile', 'SELECT profile_id, founding_node, merged_into, contested FROM %1$I.profile'),
        ('source_row', 'SELECT source_id, key, hash, seen, event_key, again FROM %1$I.source_row'),
        ('reject', 'SELECT source_id, key, payload, kind, code, reason FROM %1$I.reject'),
        ('quality', 'SELECT * FROM %1$I.data_quality_reason'),
        ('job', 'SELECT kind, source_id, state, rows_done, rows_total, rows_rejected, message FROM %1$I.job')) AS v(name, query)
    LOOP
        RETURN QUERY EXECUTE format('SELECT %2$L::text, count(*), md5(string_agg(t::text, '';'' ORDER BY t::text)) FROM (' || part_sql.query || ') t', workspace, part_sql.name);
    END LOOP;
END
$$;
-- Runs a source step by step in two workspaces, and tells how: in one with as little memory as PostgreSQL allows, which is too little for any of the tables here.
CREATE FUNCTION run(source text) RETURNS TABLE (workspace text, spool_at_first boolean, spool_then boolean, state text, done bigint, total bigint, rejected bigint) LANGUAGE plpgsql AS $$
DECLARE
    memory text;
    job bigint;
    reached bigint;
BEGIN
    FOR workspace, memory IN VALUES ('whole', '64MB'), ('aside', '1MB') LOOP
        PERFORM set_config('cdp.workspace', workspace, false), set_config('maintenance_work_mem', memory, false);
        job := _cdp_sync_begin(id) FROM _cdp_sync_sources(source) id;
        spool_at_first := to_regclass('pg_temp.cdp_spool') IS NOT NULL;
        reached := _cdp_sync_batch(job, 0);
        spool_then := to_regclass('pg_temp.cdp_spool') IS NOT NULL;
        WHILE reached IS NOT NULL LOOP
            reached := _cdp_sync_batch(job, reached);
        END LOOP;
        PERFORM _cdp_sync_end(job, NULL);
        EXECUTE format('SELECT j.state, j.rows_done, j.rows_total, j.rows_rejected FROM %I.jobs j WHERE j.job_id = $1', workspace) INTO state, done, total, rejected USING job;
        RETURN NEXT;
    END LOOP;
END
$$;
CREATE FUNCTION in_both(call text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE workspace text;
BEGIN
    FOREACH workspace IN ARRAY '{whole,aside}'::text[] LOOP
        PERFORM set_config('cdp.workspace', workspace, false);
        EXECUTE call;
    END LOOP;
END
$$;
CREATE VIEW differ AS SELECT part, a.rows AS whole, b.rows AS aside FROM facts('whole') a FULL JOIN facts('aside') b USING (part) WHERE (a.rows, a.digest) IS DISTINCT FROM (b.rows, b.digest);
SELECT cdp_init('whole', 'UTC'), cdp_init('aside', 'UTC');
SELECT in_both($$ SELECT cdp_identifier_type_alter('device_id', '{"degree_cap": 30}') $$), in_both($$ SELECT cdp_identifier_type_alter('member_no', '{"max_per_profile": 2}') $$);

-- 1. People of several rows, kiosks, members of too many numbers, values that are none or blocked, rows without any; keys that sort otherwise than they come.
CREATE TABLE till (id int PRIMARY KEY, email text, mail2 text, phone text, member text, device text, ip text);
INSERT INTO till SELECT i, CASE WHEN i % 3 > 0 THEN 'P' || i * 7 % 2311 || '@example.com' END, CASE WHEN i % 17 = 0 THEN 'p' || i * 7 % 2311 || '@Example.com' END,
        CASE WHEN i % 5 > 1 THEN '139' || lpad((i * 11 % 3307)::text, 8, '0') END, CASE WHEN i % 4 = 0 THEN 'M' || i % 97 END,
        CASE WHEN i % 70 = 0 THEN 'kiosk' WHEN i % 11 = 0 THEN 'd' || i % 523 END, '10.0.0.' || i % 9
    FROM generate_series(1, 6000) i;
INSERT INTO till VALUES (7001, 'no address', NULL, NULL, NULL, NULL, '10.0.0.1'), (7002, '', '', '', '', '', ''), (7003, NULL, NULL, NULL, NULL, NULL, NULL), (7004, 'null@example.com', NULL, 'test', NULL, NULL, NULL),
    (7005, 'no address', NULL, '13900000011', NULL, NULL, NULL), (7006, repeat('x', 1100) || '@example.com', NULL, NULL, 'M1', NULL, NULL);
SELECT in_both($$ SELECT cdp_source_create('till', 'till', '{"filter": "id <> 13", "identifiers": {"email": "coalesce(mail2, email)", "phone": "phone", "member_no": "member", "device_id": "device", "ip": "ip"}}', trust => 90) $$);
SELECT * FROM run('till');
TABLE differ;
SELECT part, rows FROM facts('whole') ORDER BY part COLLATE "C";
SELECT code, key, payload FROM whole.reject WHERE key::int > 7000 ORDER BY key COLLATE "C";
-- What is new is kept aside from then on.
UPDATE till SET email = 'moved' || id || '@example.com' WHERE id % 100 = 1;
INSERT INTO till (id, email) VALUES (8001, 'new@example.com'), (8002, 'no address');
SELECT * FROM run('till');
TABLE differ;

-- 2. A row for which an expression fails: it is found among rows that are kept aside, and nothing of the first attempt is left.
CREATE TABLE broken AS SELECT i AS id, 'b' || i || '@example.com' AS email, CASE WHEN i = 4321 THEN 'x' ELSE (i % 100)::text END AS number, repeat('.', 100) AS filler FROM generate_series(1, 5000) i;
ALTER TABLE broken ADD PRIMARY KEY (id);
SELECT in_both($$ SELECT cdp_source_create('broken', 'broken', '{"identifiers": {"email": "email", "member_no": "''B'' || number::int + id"}}') $$);
SELECT * FROM run('broken');
TABLE differ;
SELECT code, key, reason FROM whole.reject WHERE key = '4321';

-- 3. Rows that take far more memory than they lie on disk.
CREATE TABLE short AS SELECT i AS id FROM generate_series(1, 120000) i;
ALTER TABLE short ADD PRIMARY KEY (id);
SELECT in_both($$ SELECT cdp_source_create('short', 'short', '{"identifiers": {"member_no": "''S'' || id % 60000 || repeat(''.'', 300)", "cookie": "repeat(''c'', 300) || id"}}') $$);
SELECT * FROM run('short');
TABLE differ;

-- 4. Not one row, and none that can be used.
CREATE TABLE empty (id int PRIMARY KEY, email text, ip text);
CREATE TABLE useless AS SELECT i AS id, 'no address'::text AS email, '10.0.0.1'::text AS ip, repeat('.', 300) AS filler FROM generate_series(1, 2000) i;
ALTER TABLE useless ADD PRIMARY KEY (id);
SELECT in_both($$ SELECT cdp_source_create(s, s, '{"identifiers": {"email": "email", "ip": "ip"}}') FROM unnest('{empty,useless}'::text[]) s $$);
SELECT * FROM run('empty');
SELECT * FROM run('useless');
TABLE differ;

-- 5. Not of this kind: rows without a primary key, with another key, with times, with traits.
CREATE TABLE loose AS SELECT i AS id, 'l' || i AS name, 'l' || i || '@example.com' AS email, timestamptz '2026-01-01' AS at FROM generate_series(1, 10) i;
CREATE TABLE keyed (LIKE loose, PRIMARY KEY (id));
INSERT INTO keyed TABLE loose;
SELECT in_both($$ SELECT cdp_source_create(name, relation, mapping::jsonb) FROM (VALUES
    ('loose', 'loose', '{"identifiers": {"email": "email", "cookie": "name"}}'), ('named', 'keyed', '{"key": "name", "identifiers": {"email": "email", "cookie": "name"}}'),
    ('timed', 'keyed', '{"updated_at": "at", "identifiers": {"email": "email", "cookie": "name"}}'), ('traits', 'keyed', '{"identifiers": {"email": "email"}, "traits": {"name": "name"}}')) v(name, relation, mapping) $$);
SELECT s.name, r.* FROM unnest('{loose,named,timed,traits}'::text[]) s(name), run(s.name) r WHERE r.workspace = 'whole' ORDER BY s.name COLLATE "C";
TABLE differ;

-- 6. In a transaction block it goes like that too, and back.
CREATE TABLE block AS SELECT i AS id, 'k' || i % 900 || '@example.com' AS email, 'k' || i AS cookie FROM generate_series(1, 3000) i;
ALTER TABLE block ADD PRIMARY KEY (id);
SELECT in_both($$ SELECT cdp_source_create('block', 'block', '{"identifiers": {"email": "email", "cookie": "cookie"}}') $$);
SELECT set_config('cdp.workspace', 'whole', false), set_config('maintenance_work_mem', '64MB', false);
SELECT sum(rows) AS rows FROM facts('whole') WHERE part <> 'job' \gset
BEGIN;
CALL cdp_sync('block');
SELECT sum(rows) > :rows AS taken FROM facts('whole') WHERE part <> 'job';
ROLLBACK;
SELECT sum(rows) = :rows AS back FROM facts('whole') WHERE part <> 'job';
CALL cdp_sync('block');
SELECT rows_done, rows_total FROM whole.jobs ORDER BY job_id DESC LIMIT 1;
SELECT * FROM cdp_identity_verify() WHERE NOT ok;

-- 7. Where a query has more to do than to write which rows were taken.
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER more BEFORE INSERT ON whole.source_row FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT cdp_source_create('again', 'block', '{"identifiers": {"email": "email", "cookie": "cookie"}}');
SELECT _cdp_sync_begin(id) AS job FROM _cdp_sync_sources('again') id \gset
SELECT to_regclass('pg_temp.cdp_spool') IS NOT NULL AS spool;
SELECT _cdp_sync_end(:job, 'given up');

DROP VIEW differ;
DROP FUNCTION facts, run, in_both, nothing CASCADE;
DROP TABLE till, broken, short, empty, useless, loose, keyed, block;
DROP SCHEMA whole, aside CASCADE;
DROP EXTENSION pg_cdp;
