-- The columns of a relation change: each run says how, what the mapping needs and is gone is an error that names it, what still casts goes on.
SET client_min_messages = warning;
SET check_function_bodies = off;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE FUNCTION said() RETURNS TABLE (email text, city text, age bigint, event text, amount text) LANGUAGE sql AS $$
    SELECT i.value, p.city, p.age, e.event, e.properties ->> 'amount' FROM cdp.identifiers i JOIN cdp.profiles p USING (profile_id) LEFT JOIN cdp.events e USING (profile_id) ORDER BY 1, 5
$$;
CREATE TABLE crm (id int PRIMARY KEY, email text, city text, age int, at timestamptz, amount numeric, note text);
SELECT cdp_source_create('crm', 'crm', '{"identifiers": {"email": "email"}, "traits": {"city": "city", "age": "age"}, "event": {"name": "''buy''", "at": "at", "properties": {"amount": "amount"}}}');
INSERT INTO crm VALUES (1, 'ann@example.com', 'Rome', 30, '2024-01-01 00:00+00', 1.5);
-- 0. What a run says.
CREATE TABLE empty (id int, email text, city text, age int, "Odd one" date, gone text);
SELECT cdp_source_create('empty', 'empty', '{"identifiers": {"email": "email"}, "traits": {"none": "city"}}');
ALTER TABLE empty DROP COLUMN gone, DROP COLUMN age, ADD COLUMN age int, ALTER COLUMN city TYPE varchar(9), ADD COLUMN new numeric(9, 2);
ALTER TABLE empty RENAME COLUMN "Odd one" TO "Even one";
SET client_min_messages = notice;
CALL cdp_sync('empty');
CALL cdp_sync('empty');
ALTER TABLE empty RENAME COLUMN email TO mail;
CALL cdp_sync('empty');
ALTER TABLE empty RENAME COLUMN mail TO email;
CALL cdp_sync('empty');
SET client_min_messages = warning;
SELECT column_name, change, before, after FROM cdp.source_drift WHERE source = 'empty' ORDER BY at, column_name;
-- Nothing changed since it was created, and since the last run.
CALL cdp_sync('crm');
CALL cdp_sync('crm');
SELECT count(*) FROM cdp.source_drift WHERE source = 'crm';

-- 1. A new column, one that the mapping does not need is dropped, others change their type: it goes on, in the types that are known.
ALTER TABLE crm ADD COLUMN "new Column" varchar(10), DROP COLUMN note, ALTER COLUMN age TYPE text, ALTER COLUMN amount TYPE text, ALTER COLUMN city TYPE varchar(40);
INSERT INTO crm VALUES (2, 'bob@example.com', 'Nice', '40', '2024-01-02 00:00+00', '2.5'), (3, 'cid@example.com', 'Oslo', 'forty', '2024-01-03 00:00+00', '3.5'), (4, 'dee@example.com', 'Bern', '50', '2024-01-04 00:00+00', 'much');
CALL cdp_sync('crm');
SELECT source, column_name, change, before, after, at > now() - interval '1 minute' AS lately FROM cdp.source_drift WHERE source = 'crm' ORDER BY at, column_name;
SELECT * FROM said();
SELECT key, reason FROM cdp.rejects ORDER BY key;
SELECT cdp_segment_count('sum(buy.amount) > 1 AND age >= 30');
CALL cdp_sync('crm');

-- 2. A column that the mapping needs is renamed: the run fails, the job says why, and the change is kept though the run is not.
ALTER TABLE crm RENAME COLUMN city TO town;
CALL cdp_sync('crm');
SELECT state, rows_done, message FROM cdp.jobs ORDER BY job_id DESC LIMIT 1;
SELECT column_name, change, before, after FROM cdp.source_drift ORDER BY at DESC LIMIT 1;
CALL cdp_sync('crm');
-- Given the mapping for what the relation is now, it goes on; all rows are read again, which changes nothing that is known.
SELECT cdp_source_alter('crm', '{"identifiers": {"email": "email"}, "traits": {"city": "town", "age": "age"}, "event": {"name": "''buy''", "at": "at", "properties": {"amount": "amount::numeric"}}}');
INSERT INTO crm (id, email, town) VALUES (5, 'eve@example.com', 'Pisa');
SELECT cdp_source_alter('crm', '{"identifiers": {"email": "email"}, "traits": {"city": "town", "age": "CASE WHEN age ~ ''^[0-9]+$'' THEN age::bigint END"}, "event": {"name": "CASE WHEN at IS NOT NULL THEN ''buy'' END", "at": "at", "properties": {"amount": "amount::numeric"}}}');
CALL cdp_sync('crm');
SELECT state, rows_done, rows_rejected FROM cdp.jobs ORDER BY job_id DESC LIMIT 1;
SELECT * FROM said();

-- 3. One in each kind of entry is dropped.
ALTER TABLE crm DROP COLUMN at;
CALL cdp_sync('crm');
ALTER TABLE crm DROP COLUMN email;
CALL cdp_sync('crm');
SELECT column_name, change, before, after FROM cdp.source_drift ORDER BY at DESC LIMIT 2;

-- 4. A type that cannot be cast to what is known is an error that names the entry.
CREATE TABLE sale (id int PRIMARY KEY, email text, at timestamptz, paid boolean);
SELECT cdp_source_create('sale', 'sale', '{"updated_at": "at", "identifiers": {"email": "email"}, "event": {"name": "''sale''", "at": "at", "properties": {"paid": "paid"}}}');
ALTER TABLE sale ALTER COLUMN paid TYPE timestamptz USING now();
CALL cdp_sync('sale');

-- 5. The relation itself is gone, comes back with other numbers of its columns, or is another one.
DROP TABLE sale;
CALL cdp_sync('sale');
CREATE VIEW sale AS SELECT 'ann@example.com'::text AS email, true AS paid, 7 AS id, timestamptz '2024-02-01 00:00+00' AS at;
CALL cdp_sync('sale');
SELECT column_name, change FROM cdp.source_drift WHERE source = 'sale' ORDER BY at;
CREATE MATERIALIZED VIEW sale_kept AS SELECT 8 AS id, 'bob@example.com'::text AS email, false AS paid, timestamptz '2024-02-02 00:00+00' AS at, 1 AS more;
SELECT cdp_source_alter('sale', '{"updated_at": "at", "identifiers": {"email": "email"}, "event": {"name": "''sale''", "at": "at", "properties": {"paid": "paid"}}}', 'sale_kept', 70);
CALL cdp_sync('sale');
SELECT relation, trust, watermark FROM cdp.sources WHERE name = 'sale';
SELECT i.value, e.at, e.properties FROM cdp.events e JOIN cdp.identifiers i USING (profile_id) WHERE e.event = 'sale' ORDER BY e.at;

-- 6. Another mapping: what it refuses.
SELECT cdp_source_alter('nowhere', '{"identifiers": {"email": "email"}, "traits": {"paid": "paid"}}');
SELECT cdp_source_alter('sale', '{"updated_at": "at", "identifiers": {"email": "mail"}, "event": {"name": "''sale''", "at": "at", "properties": {"paid": "paid"}}}');
SELECT cdp_source_alter('sale', '{"key": "id", "updated_at": "at", "identifiers": {"email": "email"}, "event": {"name": "''sale''", "at": "at", "properties": {"paid": "paid"}}}');
SELECT cdp_source_alter('sale', '{"identifiers": {"email": "email"}, "event": {"name": "''sale''", "at": "at", "id": "id", "properties": {"paid": "paid"}}}');
SELECT cdp_source_alter('sale', '{"identifiers": {"email": "email"}, "event": {"name": "''sale''", "at": "at", "properties": {"paid": "email"}}}');
SELECT cdp_source_alter('sale', NULL);
SELECT cdp_source_alter('sale', '{"identifiers": {"email": "email"}, "traits": {"paid": "paid"}}', NULL, 101);
SELECT relation, trust, mapping ->> 'updated_at' AS updated_at FROM cdp.sources WHERE name = 'sale';

DROP FUNCTION said;
DROP MATERIALIZED VIEW sale_kept;
DROP VIEW sale;
DROP TABLE crm, empty;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
