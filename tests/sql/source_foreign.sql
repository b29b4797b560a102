-- Foreign tables are sources as tables are: rows of another server, here this one by way of itself, and of files. What the relation is, makes no difference.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION file_fdw;
SELECT cdp_init(time_zone => 'UTC');
SELECT cdp_init('twin', time_zone => 'UTC');
CREATE SCHEMA far;
CREATE TABLE far.customer (id int PRIMARY KEY, email text, city text, changed timestamptz);
CREATE TABLE far.sale (id int, email text, at timestamptz, amount numeric, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE far.sale_2023 PARTITION OF far.sale FOR VALUES FROM ('2023-01-01 00:00+00') TO ('2024-01-01 00:00+00');
CREATE TABLE far.sale_2024 PARTITION OF far.sale FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2025-01-01 00:00+00');
DO $$
BEGIN
    EXECUTE format('CREATE SERVER regress_cdp_far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L, fetch_size ''7'')',
        split_part(current_setting('unix_socket_directories'), ', ', 1), current_setting('port'), current_database());
    EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER regress_cdp_far OPTIONS (user %L)', current_user);
END $$;
CREATE FOREIGN TABLE customer (id int, email text, city text, changed timestamptz) SERVER regress_cdp_far OPTIONS (schema_name 'far', table_name 'customer');
CREATE FOREIGN TABLE sale (id int, email text, at timestamptz, amount numeric) SERVER regress_cdp_far OPTIONS (schema_name 'far', table_name 'sale');
-- A table whose partitions are elsewhere, one of them here.
CREATE TABLE stock (id int, email text, at timestamptz, amount numeric) PARTITION BY RANGE (at);
CREATE FOREIGN TABLE stock_2023 PARTITION OF stock FOR VALUES FROM ('2023-01-01 00:00+00') TO ('2024-01-01 00:00+00') SERVER regress_cdp_far OPTIONS (schema_name 'far', table_name 'sale_2023');
CREATE TABLE stock_2024 PARTITION OF stock FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2025-01-01 00:00+00');
CREATE SERVER regress_cdp_files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE paper (id int, email text, "Note, signed" text) SERVER regress_cdp_files OPTIONS (program $$printf 'id,email,note\n1,Ann@Example.com,"good, ""very"""\n2,no mail,\n3,f3@example.com,\n'$$, format 'csv', header 'true');

CREATE FUNCTION sources(near text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cdp_source_create('customer', (near || 'customer')::regclass, '{"key": "id", "updated_at": "changed", "overlap": "1 day", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
    PERFORM cdp_source_create('sale', (near || 'sale')::regclass, '{"key": "id", "deletions": "retract", "identifiers": {"email": "email"}, "event": {"name": "''sale''", "at": "at", "properties": {"amount": "amount"}}}');
END $$;
CREATE FUNCTION known(ws text) RETURNS TABLE (fact text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        SELECT format('%%s: %%s', i.value, p.city) FROM %1$I.profiles p JOIN %1$I.identifiers i USING (profile_id) WHERE p.city IS NOT NULL
        UNION ALL SELECT format('%%s: %%s %%s %%s', i.value, e.event, e.at, e.properties) FROM %1$I.events e JOIN %1$I.identifiers i USING (profile_id) WHERE e.event = 'sale'
        UNION ALL SELECT format('%%s %%s %%s', s.name, s.watermark, (SELECT format('%%s %%s %%s', j.rows_done, j.rows_total, j.rows_gone) FROM %1$I.jobs j WHERE j.source = s.name ORDER BY j.job_id DESC LIMIT 1))
            FROM %1$I.sources s WHERE s.name IN ('customer', 'sale') ORDER BY 1$q$, ws);
END $$;
-- Both ways come to the same: through the foreign tables, and in the twin from the tables themselves.
SELECT sources('');
SET cdp.workspace = twin;
SELECT sources('far.');
RESET cdp.workspace;
INSERT INTO far.customer SELECT i, 'f' || i || '@example.com', 'city ' || i % 3, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' FROM generate_series(1, 40) i;
INSERT INTO far.sale SELECT i, 'f' || i % 40 || '@example.com', timestamptz '2023-06-01 00:00+00' + i * interval '5 days', i FROM generate_series(1, 100) i;
CALL cdp_sync();
SET cdp.workspace = twin;
CALL cdp_sync();
RESET cdp.workspace;
SELECT count(*), md5(string_agg(fact, '|')) = (SELECT md5(string_agg(fact, '|')) FROM known('twin')) AS same FROM known('cdp');
-- Rows change, come late, and go.
UPDATE far.customer SET city = 'Nice', changed = '2024-02-01 00:00+00' WHERE id % 10 = 0;
INSERT INTO far.customer VALUES (41, 'f41@example.com', 'late', '2024-01-31 12:00+00'), (42, 'f42@example.com', 'too late', '2024-01-01 12:00+00');
DELETE FROM far.sale WHERE id % 4 = 0;
UPDATE far.sale SET amount = amount + 1000 WHERE id % 9 = 0;
CALL cdp_sync();
INSERT INTO far.customer VALUES (43, 'f43@example.com', 'late', '2024-01-31 12:00+00'), (44, 'f44@example.com', 'too late', '2024-01-30 12:00+00');
CALL cdp_sync('customer');
SET cdp.workspace = twin;
CALL cdp_sync();
RESET cdp.workspace;
SELECT fact FROM known('cdp') WHERE fact LIKE '%late' ORDER BY 1;
SELECT source, rows_done, rows_total, rows_gone FROM cdp.jobs ORDER BY job_id DESC LIMIT 3;
SELECT count(*) FROM cdp.events WHERE event = 'sale';
SELECT cdp_segment_count('count(sale) > 0') = (SELECT count(DISTINCT profile_id) FROM cdp.events WHERE event = 'sale') AS counted,
       cdp_segment_count('sum(sale.amount) > 1000') = (SELECT count(*) FROM (SELECT FROM cdp.events WHERE event = 'sale' GROUP BY profile_id HAVING sum((properties ->> 'amount')::numeric) > 1000) x) AS summed;
SELECT count(*) AS others FROM (SELECT * FROM known('cdp') EXCEPT SELECT * FROM known('twin')) x WHERE fact NOT LIKE '%late' AND fact NOT LIKE 'customer%';

-- Partitions of both kinds.
INSERT INTO stock VALUES (1001, 'f1@example.com', '2024-05-01 00:00+00', 5);
SELECT cdp_source_create('stock', 'stock', '{"key": "id", "identifiers": {"email": "email"}, "event": {"name": "''stock''", "at": "at", "properties": {"amount": "amount"}}}');
CALL cdp_sync('stock');
SELECT count(*) = (SELECT count(*) FROM stock) AS all, min(at) < '2024-01-01' AS elsewhere, max(at) AS here FROM cdp.events WHERE event = 'stock';

-- A file.
SELECT cdp_source_create('paper', 'paper', $${"key": "id", "identifiers": {"email": "email"}, "traits": {"note": "\"Note, signed\""}}$$);
CALL cdp_sync('paper');
SELECT i.value, p.note FROM cdp.profiles p JOIN cdp.identifiers i USING (profile_id) WHERE i.value IN ('ann@example.com', 'f3@example.com') ORDER BY 1;
SELECT key, reason FROM cdp.rejects WHERE source = 'paper' ORDER BY key;
CALL cdp_sync('paper');
SELECT rows_done FROM cdp.jobs ORDER BY job_id DESC LIMIT 1;

-- What is wrong on the other side fails the run, and the job says why; when it is right again the source goes on.
ALTER TABLE far.customer RENAME COLUMN city TO town;
INSERT INTO far.customer VALUES (50, 'f50@example.com', 'Oslo', '2024-03-01 00:00+00');
\set VERBOSITY terse
CALL cdp_sync('customer');
\set VERBOSITY default
SELECT state, message FROM cdp.jobs ORDER BY job_id DESC LIMIT 1;
ALTER FOREIGN TABLE customer ALTER COLUMN city OPTIONS (ADD column_name 'town');
CALL cdp_sync('customer');
SELECT state, message FROM cdp.jobs ORDER BY job_id DESC LIMIT 1;
SELECT fact FROM known('cdp') WHERE fact LIKE 'f50%';
SELECT count(*) AS drift FROM cdp.source_drift;

DROP FUNCTION sources, known;
DROP FOREIGN TABLE customer, sale, paper;
DROP TABLE stock;
DROP SERVER regress_cdp_far CASCADE;
DROP SERVER regress_cdp_files;
DROP EXTENSION postgres_fdw;
DROP EXTENSION file_fdw;
DROP SCHEMA far, cdp, twin CASCADE;
DROP EXTENSION pg_cdp;
