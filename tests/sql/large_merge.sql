-- A profile with more events than are held in memory at once goes into another and comes out again: day columns follow column by column, and say what plain SQL says.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE visit AS SELECT i AS id, 'robot' AS visitor, '2024-01-01 00:00+00'::timestamptz + i * interval '1 minute' AS at, 'c' || i % 3 AS category, (i % 100)::numeric / 4 AS amount FROM generate_series(1, 100500) i;
INSERT INTO visit VALUES (0, 'robert', '2024-01-05 12:00+00', 'c1', 1.5);
ALTER TABLE visit ADD PRIMARY KEY (id);
SELECT cdp_source_create('visits', 'visit', '{"key": "id", "updated_at": "at", "identifiers": {"anonymous_id": "visitor"}, "event": {"name": "''view''", "at": "at", "properties": {"category": "category", "amount": "amount"}}}');
CALL cdp_sync();
SELECT cdp_flush();
-- Every question: how many from the columns, and how many its plain SQL counts.
CREATE FUNCTION wrong() RETURNS TABLE (expression text, columns bigint, plain bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH expression IN ARRAY ARRAY[
        'count(view) = 100501', 'count(view) = 100500', 'count(view) = 1', 'count(view) = 0', 'sum(view.amount) > 1000', 'sum(view.amount) = 1.5',
        'count(view) FILTER (WHERE category = ''c1'') > 33000', 'count(view) FILTER (WHERE category = ''c1'') = 1',
        'sum(view.amount) FILTER (WHERE category = ''c1'' AND at >= ''2024-01-05'' AND at < ''2024-01-06'') > 1.5',
        'count(view) FILTER (WHERE at >= ''2024-01-05'' AND at < ''2024-01-06'') = 1441'] LOOP
        columns := cdp_segment_count(expression);
        EXECUTE 'SELECT count(*) FROM (' || cdp_segment_sql(expression) || ') q' INTO plain;
        IF columns IS DISTINCT FROM plain THEN RETURN NEXT; END IF;
    END LOOP;
END $$;
SELECT * FROM wrong();
SELECT cdp_segment_count('count(view) = 100500') AS robot, cdp_segment_count('count(view) = 100501') AS both;
SELECT cdp_link('anonymous_id', 'robot', 'anonymous_id', 'robert', 'the same') -> 'merged' IS NOT NULL AS linked;
SELECT * FROM wrong();
SELECT cdp_segment_count('count(view) = 100500') AS robot, cdp_segment_count('count(view) = 100501') AS both;
SELECT cdp_flush();
SELECT * FROM wrong();
SELECT cdp_unlink('anonymous_id', 'robot', 'anonymous_id', 'robert', 'not the same') -> 'split' IS NOT NULL AS unlinked;
SELECT * FROM wrong();
SELECT cdp_segment_count('count(view) = 100500') AS robot, cdp_segment_count('count(view) = 100501') AS both;

-- So many identifiers that all decisions are read, and not those about each: a chain is cut three times, once by a pair that is to stay apart, and mended.
SELECT cdp_init('chain', 'UTC');
SET cdp.workspace = 'chain';
CREATE TABLE link AS SELECT i AS id, 'u' || i / 2 AS u, 'c' || (i + 1) / 2 AS c FROM generate_series(1, 60000) i;
SELECT cdp_source_create('links', 'link', '{"key": "id::text", "updated_at": "id", "identifiers": {"user_id": "u", "cookie": "c"}}');
CALL cdp_sync();
CREATE VIEW part AS SELECT string_agg(n::text, ' ' ORDER BY n) AS identifiers FROM (SELECT count(*) AS n FROM chain.node GROUP BY profile_id) x;
CREATE VIEW wrong AS SELECT count(*) AS wrong FROM cdp_identity_verify() v WHERE NOT v.ok;
SELECT * FROM part;
SELECT cdp_unlink('user_id', 'u15000', 'cookie', 'c15000', 'cut') -> 'moved' AS moved;
SELECT cdp_unlink('user_id', 'u5000', 'cookie', 'c5000', 'cut') -> 'moved' AS moved;
SELECT * FROM part, wrong;
-- Numbers of moves are drawn at once, and no one twice.
SELECT count(*) = count(DISTINCT m.move_id) AS each_once, max(m.move_id) = (SELECT q.last_value FROM chain.node_move_move_id_seq q) AS drawn FROM chain.node_move m;
SELECT cdp_cannot_link('user_id', 'u16000', 'user_id', 'u29000', 'two') -> 'suspended' AS suspended;
SELECT count(*), sum(identifiers) FROM (SELECT count(*) AS identifiers FROM chain.node GROUP BY profile_id) x, wrong WHERE wrong = 0;
SELECT cdp_identity_revert(3, 'one after all') -> 'accepted' AS accepted;
SELECT cdp_identity_revert(1, 'mended') -> 'accepted' AS accepted;
SELECT * FROM part, wrong;
SELECT cdp_identity_revert(2, 'mended') -> 'accepted' AS accepted;
SELECT * FROM part, wrong;
DROP VIEW part, wrong;
DROP TABLE link;
DROP SCHEMA chain CASCADE;

DROP FUNCTION wrong;
DROP TABLE visit;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
