-- "deletions": "retract": what rows said that are gone, or say no longer, is taken back; what is left is what a workspace has that never saw them.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
SELECT cdp_init('twin', time_zone => 'UTC');

-- What is known, by identifiers and not by numbers; identifiers alone stay when their rows go.
CREATE FUNCTION known(ws text) RETURNS TABLE (fact text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        SELECT format('%%s: %%s %%s', i.value, p.city, p.tier) FROM %1$I.profiles p JOIN %1$I.identifiers i USING (profile_id) WHERE p.city IS NOT NULL OR p.tier IS NOT NULL
        UNION ALL SELECT format('%%s: %%s %%s %%s %%s', i.value, e.event, e.at::date, e.properties, e.source) FROM %1$I.events e JOIN %1$I.identifiers i USING (profile_id)
        ORDER BY 1$q$, ws);
END $$;
-- The expressions below against plain SQL over the views: columns of bits follow the facts.
CREATE FUNCTION wrong_columns() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE x text; bits bigint[]; plain bigint[];
BEGIN
    FOREACH x IN ARRAY ARRAY['true', 'city IS NULL', 'city = ''Rome''', 'city = ''Nice''', 'tier > 1', 'tier IS NULL', 'count("order") > 0', 'count("order") = 0', 'sum("order".amount) > 15',
            'count("order") FILTER (WHERE item = ''hat'') > 0', 'count("order") FILTER (WHERE at >= ''2024-04-02 06:00+00'') > 0', 'sum("order".amount) FILTER (WHERE at < ''2024-04-03'') > 5'] LOOP
        bits := ARRAY(SELECT cdp_members(cdp_segment(x)));
        EXECUTE 'SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (' || cdp_segment_sql(x) || ') q' INTO plain;
        IF bits <> plain THEN RETURN NEXT x; END IF;
    END LOOP;
END $$;
-- The twin is made anew from the rows there are and sees nothing else.
CREATE FUNCTION sources() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cdp_source_create('list', 'list', '{"deletions": "retract", "filter": "tier IS NULL OR tier >= 0", "identifiers": {"email": "email"}, "traits": {"city": "city", "tier": "tier"}}');
    PERFORM cdp_source_create('orders', 'orders', '{"deletions": "retract", "identifiers": {"email": "email"},
        "event": {"name": "CASE WHEN NOT draft THEN ''order'' END", "id": "coalesce(parent, id)", "at": "at", "properties": {"item": "item", "amount": "amount"}}}');
    PERFORM cdp_source_create('kept', 'kept', '{"identifiers": {"email": "email"}, "traits": {"tier": "tier"}}', 40);
END $$;
CREATE FUNCTION twin_anew() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DROP SCHEMA twin CASCADE;
    PERFORM cdp_init('twin', time_zone => 'UTC');
    PERFORM set_config('cdp.workspace', 'twin', false);
    PERFORM sources();
END $$;
CREATE TABLE list (id int PRIMARY KEY, email text, city text, tier int);
CREATE TABLE orders (id int PRIMARY KEY, parent int, email text, draft boolean DEFAULT false, at timestamptz, item text, amount numeric);
CREATE TABLE kept (id int PRIMARY KEY, email text, tier int);
SELECT sources();
INSERT INTO list VALUES (1, 'ann@example.com', 'Rome', 1), (2, 'bob@example.com', 'Nice', 2), (3, 'bob@example.com', 'Oslo', 3), (4, 'cid@example.com', 'Rome', NULL), (5, 'dee@example.com', 'Bern', 5);
INSERT INTO orders VALUES (1, NULL, 'ann@example.com', false, '2024-04-01 12:00+00', 'hat', 10), (2, NULL, 'ann@example.com', false, '2024-04-02 12:00+00', 'shoe', 20),
    (3, NULL, 'bob@example.com', false, '2024-04-02 12:00+00', 'hat', 30), (4, 3, 'bob@example.com', false, '2024-04-02 12:00+00', 'hat', 30), (5, NULL, 'cid@example.com', false, '2024-04-03 12:00+00', 'hat', 7);
INSERT INTO kept VALUES (1, 'dee@example.com', 9), (2, 'eve@example.com', 8);
CALL cdp_sync();
SELECT source, rows_done, rows_total, rows_gone FROM cdp.jobs ORDER BY job_id;
SELECT * FROM known('cdp');
SELECT * FROM wrong_columns();

-- 1. A row that is gone: the traits of its source on its identifier, its event; another row of the person, another source's value, another row of the event count on.
DELETE FROM list WHERE id IN (1, 2, 5);
DELETE FROM orders WHERE id IN (2, 3);
DELETE FROM kept WHERE id = 2;
CALL cdp_sync();
SELECT source, rows_done, rows_total, rows_gone FROM cdp.jobs ORDER BY job_id DESC LIMIT 3;
SELECT * FROM known('cdp');
SELECT * FROM wrong_columns();
SELECT twin_anew();
CALL cdp_sync();
RESET cdp.workspace;
-- Only what the source that keeps has said of eve is more.
(SELECT 'more', * FROM (SELECT * FROM known('cdp') EXCEPT ALL SELECT * FROM known('twin')) a) UNION ALL (SELECT 'less', * FROM (SELECT * FROM known('twin') EXCEPT ALL SELECT * FROM known('cdp')) b);
SELECT count(*) AS identifiers_stay FROM cdp.identifiers WHERE value IN ('ann@example.com', 'dee@example.com', 'bob@example.com');
-- The last row of an event takes it along.
DELETE FROM orders WHERE id = 4;
CALL cdp_sync();
SELECT * FROM known('cdp') WHERE fact LIKE 'bob%';
SELECT * FROM wrong_columns();

-- 2. A row that says something else: of another person, of none, no event any more, another event; one that the filter leaves out.
INSERT INTO list VALUES (6, 'bob@example.com', 'Nice', 6), (7, 'fay@example.com', 'Rome', 7);
CALL cdp_sync();
SELECT * FROM known('cdp');
UPDATE list SET email = 'ann@example.com' WHERE id = 6;
UPDATE list SET email = 'nobody' WHERE id = 4;
UPDATE list SET tier = -1 WHERE id = 7;
UPDATE orders SET draft = true WHERE id = 1;
UPDATE orders SET parent = 55, email = 'ann@example.com' WHERE id = 5;
CALL cdp_sync();
SELECT source, rows_done, rows_total, rows_rejected, rows_gone FROM cdp.jobs WHERE source <> 'kept' ORDER BY job_id DESC LIMIT 2;
SELECT * FROM known('cdp');
SELECT * FROM wrong_columns();
SELECT twin_anew();
CALL cdp_sync();
RESET cdp.workspace;
(SELECT 'more', * FROM (SELECT * FROM known('cdp') EXCEPT ALL SELECT * FROM known('twin')) a) UNION ALL (SELECT 'less', * FROM (SELECT * FROM known('twin') EXCEPT ALL SELECT * FROM known('cdp')) b);
SELECT count(*) AS waiting FROM cdp.source_row WHERE again;

-- 3. What is taken again keeps its time: it does not become newer than what another source said meanwhile.
INSERT INTO list VALUES (10, 'gus@example.com', 'Rome', 10), (11, 'gus@example.com', 'Rome', 11);
CALL cdp_sync('list');
INSERT INTO kept VALUES (10, 'gus@example.com', 99);
CALL cdp_sync('kept');
SELECT * FROM known('cdp') WHERE fact LIKE 'gus%';
DELETE FROM list WHERE id = 11;
CALL cdp_sync('list');
SELECT * FROM known('cdp') WHERE fact LIKE 'gus%';
DELETE FROM list WHERE id = 10;
CALL cdp_sync('list');
SELECT * FROM known('cdp') WHERE fact LIKE 'gus%';

-- 4. All of them; and all of them back.
CREATE TABLE aside AS TABLE orders;
TRUNCATE orders;
CALL cdp_sync('orders');
SELECT rows_done, rows_gone FROM cdp.jobs ORDER BY job_id DESC LIMIT 1;
SELECT count(*) AS events FROM cdp.events;
SELECT * FROM wrong_columns();
INSERT INTO orders TABLE aside;
CALL cdp_sync('orders');
SELECT rows_done, rows_gone FROM cdp.jobs ORDER BY job_id DESC LIMIT 1;
SELECT * FROM known('cdp') WHERE fact LIKE '%orders';
SELECT * FROM wrong_columns();

-- 5. Rows without a key are their own: one that changes is gone and another has come.
CREATE TABLE visit (email text, at timestamptz, page text);
SELECT cdp_source_create('visit', 'visit', '{"deletions": "retract", "identifiers": {"email": "email"}, "event": {"name": "''visit''", "at": "at", "properties": {"page": "page"}}}');
INSERT INTO visit VALUES ('ann@example.com', '2024-05-01 00:00+00', '/a'), ('ann@example.com', '2024-05-01 00:00+00', '/b');
CALL cdp_sync('visit');
UPDATE visit SET page = '/c' WHERE page = '/b';
CALL cdp_sync('visit');
SELECT rows_done, rows_gone FROM cdp.jobs ORDER BY job_id DESC LIMIT 1;
SELECT properties FROM cdp.events WHERE event = 'visit' ORDER BY properties ->> 'page';

-- 6. In a transaction that is rolled back nothing was taken back.
BEGIN;
TRUNCATE visit;
CALL cdp_sync('visit');
SELECT count(*) FROM cdp.events WHERE event = 'visit';
ROLLBACK;
SELECT count(*) FROM cdp.events WHERE event = 'visit';

-- 7. What cannot be meant is refused.
SELECT cdp_source_create('x', 'list', '{"deletions": "drop", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'list', '{"deletions": "retract", "updated_at": "id", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
SELECT cdp_source_create('x', 'list', '{"deletions": "retract", "identifiers": {"email": "email", "phone": "city"}}');
SELECT ok, detail FROM cdp_identity_verify() WHERE NOT ok;

DROP FUNCTION known, wrong_columns, twin_anew, sources;
DROP TABLE list, orders, kept, aside, visit;
DROP SCHEMA cdp, twin CASCADE;
DROP EXTENSION pg_cdp;
