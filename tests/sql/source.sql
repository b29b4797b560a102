-- Sources: which relations can be one, and that a wrong mapping is refused when it is given, with the entry, the cause and what to do.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');

-- 1. Relations: a table, a partitioned table, a view, a materialized view, a foreign table.
CREATE SCHEMA "Shop 1";
CREATE TABLE "Shop 1"."Kunden Tabelle" ("E-Mail" text, "名" text, "order" int);
INSERT INTO "Shop 1"."Kunden Tabelle" VALUES ('t1@example.com', '张三', 1), ('t2@example.com', '李四', 2);
CREATE TABLE sale (id int, email text, at timestamptz, amount numeric) PARTITION BY RANGE (at);
CREATE TABLE sale_2023 PARTITION OF sale FOR VALUES FROM ('2023-01-01 00:00+00') TO ('2024-01-01 00:00+00');
CREATE TABLE sale_2024 PARTITION OF sale FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2025-01-01 00:00+00');
INSERT INTO sale VALUES (1, 't1@example.com', '2023-05-01 00:00+00', 10), (2, 't1@example.com', '2024-05-01 00:00+00', 20), (3, 't3@example.com', '2024-06-01 00:00+00', 5);
CREATE VIEW big_sale AS SELECT id, email, at, amount FROM sale WHERE amount >= 10;
CREATE MATERIALIZED VIEW sale_total AS SELECT email, sum(amount) AS total FROM sale GROUP BY email;
CREATE FUNCTION public.tidy(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';

SELECT cdp_source_create('kunden', '"Shop 1"."Kunden Tabelle"', $${"identifiers": {"email": "\"E-Mail\""}, "traits": {"名": "\"名\"", "order": "\"order\""}}$$);
SELECT cdp_source_create('sale', 'sale', $${"key": "id", "updated_at": "at", "identifiers": {"email": "email"},
    "event": {"name": "'buy'", "at": "at", "id": "'s' || id", "properties": {"amount": "amount"}}}$$, 70);
SELECT cdp_source_create('big sale', 'big_sale', $${"key": "id", "filter": "amount > 15", "identifiers": {"email": "public.tidy(upper(email))"}, "traits": {"big": "amount"}}$$);
SELECT cdp_source_create('total', 'sale_total', $${"key": "email", "identifiers": {"email": "email"}, "traits": {"total": "total::bigint"}}$$, trust => 0);
-- Where the foreign data wrapper for files is not to be had, a table stands in for the foreign one.
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'file_fdw') AS foreign_tables \gset
\if :foreign_tables
CREATE EXTENSION file_fdw;
CREATE SERVER regress_cdp_files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE paper (email text, note text) SERVER regress_cdp_files OPTIONS (program 'printf ''t2@example.com,good\nt4@example.com,bad\n''', format 'csv');
\else
CREATE TABLE paper (email text, note text);
INSERT INTO paper VALUES ('t2@example.com', 'good'), ('t4@example.com', 'bad');
\endif
SELECT cdp_source_create('paper', 'paper', $${"identifiers": {"email": "email"}, "traits": {"note": "note"}}$$);
CALL cdp_sync();
SELECT name, relation, trust, watermark, synced_at IS NOT NULL AS synced FROM cdp.sources ORDER BY name;
SELECT i.value, p."名", p."order", p.big, p.total, p.note, (SELECT count(*) FROM cdp.events e WHERE e.profile_id = p.profile_id) AS events
FROM cdp.profiles p JOIN cdp.identifiers i USING (profile_id) ORDER BY i.value COLLATE "C";

-- 2. The mapping is kept as it was given.
SELECT jsonb_pretty(mapping) FROM cdp.sources WHERE name = 'sale';

-- 3. What is wrong with a mapping is said when it is given.
CREATE TABLE crm (id int PRIMARY KEY, email text, phone text, city text, age int, active boolean, at timestamptz);
-- A column that does not exist, in each kind of entry.
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "nowhere"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"town": "town"}}');
SELECT cdp_source_create('x', 'crm', '{"key": "no", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"updated_at": "changed", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"filter": "deleted", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"name": "nowhere", "at": "at"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"name": "''seen''", "at": "seen_at"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"name": "''seen''", "at": "at", "id": "no"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"name": "''seen''", "at": "at", "properties": {"page": "nowhere"}}}');
-- A function, a table, an operator that is not there; no expression at all.
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "tidy(email)"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"n": "(SELECT count(*) FROM sale)"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"n": "age + city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email +"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"city": "city; DROP TABLE crm"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email) , (phone"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email, phone"}, "traits": {"city": "city"}}');
-- What is not of one row: an aggregate, a set, a window.
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"n": "count(*)"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"n": "generate_series(1, age)"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"n": "row_number() OVER ()"}}');
-- Types.
SELECT cdp_source_create('x', 'crm', '{"updated_at": "to_json(at)", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"filter": "age", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"name": "''seen''", "at": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"total": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"name": "''buy''", "at": "at", "properties": {"amount": "city"}}}');
-- Overlaps.
SELECT cdp_source_create('x', 'crm', '{"overlap": "1 hour", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"updated_at": "at", "overlap": "soon", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"updated_at": "at", "overlap": "-1 hour", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"updated_at": "age", "overlap": "1 hour", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"updated_at": "city", "overlap": "1", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"updated_at": "at", "overlap": ["1 hour"], "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', $${"updated_at": "at", "overlap": "0' OR '1'='1", "identifiers": {"email": "email"}, "traits": {"city": "city"}}$$);
-- Names.
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"e-mail": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"profile_id": "id"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"": "id"}}');
SELECT cdp_source_create('x', 'crm', jsonb_build_object('identifiers', '{"email": "email"}'::jsonb, 'traits', jsonb_build_object(repeat('城', 22), 'city')));
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"name": "''''", "at": "at"}}');
SELECT cdp_source_create('', 'crm', '{"identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('sale', 'crm', '{"identifiers": {"email": "email"}, "traits": {"city": "city"}}');
-- Entries: unknown ones, and ones of the wrong shape.
SELECT cdp_source_create('x', 'crm', '{"identifier": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"type": "''seen''", "at": "at"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "consents": {"ads": "active"}}');
SELECT cdp_source_create('x', 'crm', '"email"');
SELECT cdp_source_create('x', 'crm', '{"identifiers": ["email"]}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": 1}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"city": " "}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"city": "city"}, "key": ["id"]}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": "seen"}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"at": "at"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"name": "''seen''"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"name": "''seen''", "at": "at", "properties": {"age": "age"}, "tracked": ["city"]}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "event": {"name": "''seen''", "at": "at", "properties": {"age": "age"}, "measures": "age"}}');
-- Nothing to take.
SELECT cdp_source_create('x', 'crm', '{"traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}}');
-- Other arguments.
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"city": "city"}}', 101);
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"city": "city"}}', -1);
SELECT cdp_source_create('x', 'nowhere', '{"identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'crm', '{"identifiers": {"email": "email"}, "traits": {"city": "city"}}', NULL);
SELECT cdp_source_create(NULL, 'crm', '{"identifiers": {"email": "email"}, "traits": {"city": "city"}}');
-- A temporary table, which other sessions cannot see; the message names its schema, which differs from run to run.
CREATE TEMPORARY TABLE passing (email text, city text);
\set VERBOSITY sqlstate
SELECT cdp_source_create('x', 'passing', '{"identifiers": {"email": "email"}, "traits": {"city": "city"}}');
\set VERBOSITY default
DROP TABLE passing;
-- A refused source leaves nothing behind: no attribute, no event type, no column of the view.
SELECT name FROM cdp.sources WHERE name IN ('x', '');
SELECT name FROM cdp.attribute ORDER BY name COLLATE "C";
SELECT name FROM cdp.event_type;

-- 4. Two identifiers alone are a source: what links is worth taking.
SELECT cdp_source_create('links', 'crm', '{"identifiers": {"email": "email", "phone": "phone"}}');

-- 5. Dropping: one that has given no facts goes, one that has stays.
SELECT cdp_source_drop('links');
SELECT cdp_source_drop('links');
SELECT cdp_source_drop('sale');
SELECT name FROM cdp.sources ORDER BY name;

\if :foreign_tables
DROP FOREIGN TABLE paper;
DROP SERVER regress_cdp_files;
DROP EXTENSION file_fdw;
\else
DROP TABLE paper;
\endif
DROP FUNCTION tidy;
DROP MATERIALIZED VIEW sale_total;
DROP VIEW big_sale;
DROP TABLE sale, crm;
DROP SCHEMA cdp, "Shop 1" CASCADE;
DROP EXTENSION pg_cdp;
