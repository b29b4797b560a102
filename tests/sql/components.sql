-- cdp_components(): connected components of the edges a query returns, without a workspace.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
-- The oracle's recursion looks dearer to the planner than it is.
SET jit = off;
CREATE EXTENSION pg_cdp;

-- The oracle: components by plain recursion over the same edges. Nothing, when both say the same, by node and each node once.
CREATE TABLE e (a bigint, b bigint);
CREATE FUNCTION differing() RETURNS TABLE (what text, node bigint, component bigint) LANGUAGE sql AS $$
    WITH RECURSIVE link AS (SELECT a, b FROM e WHERE a IS NOT NULL AND b IS NOT NULL UNION SELECT b, a FROM e WHERE a IS NOT NULL AND b IS NOT NULL),
    node AS (SELECT a AS node FROM e WHERE a IS NOT NULL UNION SELECT b FROM e WHERE b IS NOT NULL),
    reach AS (SELECT node AS start, node FROM node UNION SELECT r.start, l.b FROM reach r JOIN link l ON l.a = r.node),
    plain AS (SELECT start AS node, min(node) AS component FROM reach GROUP BY 1),
    found AS (SELECT * FROM cdp_components('TABLE e'))
    SELECT 'missing', x.* FROM (SELECT * FROM plain EXCEPT ALL SELECT * FROM found) x
    UNION ALL SELECT 'too much', x.* FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM plain) x
    UNION ALL SELECT 'out of order', o.node, o.component FROM (SELECT f.*, lag(f.node) OVER (ORDER BY f.ordinality) AS before FROM cdp_components('TABLE e') WITH ORDINALITY f) o WHERE o.node <= o.before
$$;

-- A handful.
INSERT INTO e VALUES (5, 3), (3, 9), (9, 5), (1, 1), (-4, 20), (7, NULL), (NULL, 8), (NULL, NULL), (20, NULL);
SELECT * FROM cdp_components('TABLE e');
SELECT * FROM differing();
-- Nothing in, nothing out.
SELECT * FROM cdp_components('SELECT a, b FROM e WHERE false');
SELECT * FROM cdp_components('SELECT NULL::int, NULL::int');
-- Integers of every width, domains over them, expressions, both ends of the range.
CREATE DOMAIN node_number AS integer;
SELECT * FROM cdp_components('SELECT a::smallint, b::node_number FROM e WHERE a < b');
SELECT * FROM cdp_components('VALUES ((-9223372036854775808)::bigint, 9223372036854775807::bigint), (0, 9223372036854775807), (3, 4) ORDER BY 1 DESC');
SELECT * FROM cdp_components('VALUES ((-32768)::smallint, (-2147483648)::integer), (32767::smallint, 2147483647)');
SELECT * FROM cdp_components('WITH x AS (SELECT a, b FROM e) SELECT x.b, x.a FROM x') EXCEPT SELECT * FROM cdp_components('TABLE e');
-- A column is joined, limited, given up half-way.
SELECT count(*) FROM (SELECT cdp_components('SELECT i, i + 1 FROM generate_series(1, 100000) i') LIMIT 3) x;
SELECT c.component, count(*) FROM cdp_components('TABLE e') c JOIN e ON e.a = c.node GROUP BY 1 ORDER BY 1;

-- Graphs that look like chance, at every density, with ids in a row, far apart, and below zero.
CREATE FUNCTION random_graphs() RETURNS TABLE (n int, edges int, step bigint, base bigint, wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR n, edges, step, base IN
        SELECT v.n, (v.n * d.density)::int, s.step, s.base FROM (VALUES (2), (10), (60)) v(n), (VALUES (0.3), (0.5), (0.7), (1.5)) d(density),
            (VALUES (1::bigint, 0::bigint), (1, -20), (1000003, -30000000), (76861433640456465, -4611686018427387904)) s(step, base)
    LOOP
        TRUNCATE e;
        INSERT INTO e SELECT base + step * ((hashint8(i * 2 + edges)::bigint & 1048575) % n), base + step * ((hashint8(i * 2 + 1 + n)::bigint & 1048575) % n)
        FROM generate_series(1, edges) i;
        SELECT count(*) INTO wrong FROM differing();
        RETURN NEXT;
    END LOOP;
END $$;
SELECT count(*) AS graphs, sum(edges) AS edges, sum(wrong) AS wrong FROM random_graphs();

-- Chains of 200, edges in any order, twice over, and hubs between some of them.
TRUNCATE e;
INSERT INTO e SELECT CASE WHEN i % 2 = 0 THEN x ELSE y END, CASE WHEN i % 2 = 0 THEN y ELSE x END
FROM (SELECT i, chain * 1000 + i AS x, chain * 1000 + i + 1 AS y FROM generate_series(1, 5) chain, generate_series(1, 199) i, generate_series(1, 2)) s
ORDER BY hashint8(x);
SELECT * FROM differing();
SELECT component, count(*), min(node), max(node) FROM cdp_components('TABLE e') GROUP BY 1 ORDER BY 1;
INSERT INTO e SELECT 500, chain * 1000 + 77 FROM generate_series(2, 4) chain;
SELECT * FROM differing();
SELECT component, count(*) FROM cdp_components('TABLE e') GROUP BY 1 ORDER BY 1;
-- The order of edges, and which end comes first, changes nothing.
SELECT bool_and(same) FROM (
    SELECT (SELECT sum(hashint8(node * 31 + component)::numeric) FROM cdp_components(format('SELECT %s FROM e ORDER BY hashint8(a + %s)', CASE s % 2 WHEN 0 THEN 'a, b' ELSE 'b, a' END, s)))
         = (SELECT sum(hashint8(node * 31 + component)::numeric) FROM cdp_components('TABLE e')) AS same FROM generate_series(1, 20) s) x;

-- So many that the edges are no longer kept as they come: in a row, scattered, first the one and then the other.
CREATE FUNCTION scattered(i bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT (i * 2654435761) % 4294967296 * 1000000007 $$;
SELECT count(*) AS nodes, count(DISTINCT component) AS components, bool_and((node - component) % 7 = 0 AND component < 7) AS right
FROM cdp_components('SELECT i, i + 7 FROM generate_series(0, 1099992) i ORDER BY hashint4(i)');
SELECT count(*) AS nodes, count(DISTINCT component) AS components FROM cdp_components('SELECT scattered(i), scattered(i + 7) FROM generate_series(0, 1099992) i');
SELECT count(*) AS nodes, count(DISTINCT component) AS components, count(*) FILTER (WHERE component < 0) AS below
FROM cdp_components('SELECT i, i - 3 FROM generate_series(0, 1060000) i UNION ALL SELECT scattered(i), i FROM generate_series(1, 1050000, 10) i');

-- What the caller's statement sees, the query sees; in a procedure's next statement, what the one before wrote.
TRUNCATE e;
WITH new AS (INSERT INTO e VALUES (1, 2) RETURNING a) SELECT (SELECT count(*) FROM new) AS written, count(*) AS seen FROM cdp_components('TABLE e');
SELECT count(*) AS seen FROM cdp_components('TABLE e');
-- It is the caller's query: with the caller's rights, and row security.
CREATE ROLE components_reader;
SELECT current_schema() AS schema \gset
GRANT USAGE ON SCHEMA :"schema" TO components_reader;
SET ROLE components_reader;
SELECT * FROM cdp_components('TABLE e');
RESET ROLE;
GRANT SELECT ON e TO components_reader;
CREATE POLICY above_one ON e USING (a > 1);
ALTER TABLE e ENABLE ROW LEVEL SECURITY;
INSERT INTO e VALUES (4, 6);
SET ROLE components_reader;
SELECT * FROM cdp_components('TABLE e');
RESET ROLE;
DROP POLICY above_one ON e;
ALTER TABLE e DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON e FROM components_reader;
REVOKE USAGE ON SCHEMA :"schema" FROM components_reader;
DROP ROLE components_reader;

-- Mistakes, each with its code, what was given, and what to give.
\set VERBOSITY default
CREATE TABLE wrong_query (n int GENERATED ALWAYS AS IDENTITY, query text);
INSERT INTO wrong_query (query) VALUES
    ('e'), (''), ('TABLE nowhere'), ('SELECT a FROM e'), ('SELECT a, b, a FROM e'), ('SELECT FROM e'), ('SELECT a, b::text FROM e'), ('SELECT a::numeric, b FROM e'),
    ('SELECT a, nothing FROM e'), ('INSERT INTO e VALUES (1, 2) RETURNING a, b'), ('UPDATE e SET a = b'), ('TABLE e; TABLE e'), ('SELECT a, b INTO f FROM e'), ('EXPLAIN TABLE e'),
    ('SELECT a, $1 FROM e'), ('SELECT a, 1 / (b - b) FROM e'), ('WITH x AS (DELETE FROM e RETURNING a, b) TABLE x'),
    (format('SELECT a, %L FROM e', repeat('long ', 40)));
CREATE FUNCTION answer(query text) RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM cdp_components(query);
    RETURN QUERY SELECT 'no error', NULL, NULL, NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;
\x on
SELECT w.query, a.* FROM wrong_query w, answer(w.query) a ORDER BY w.n;
\x off
SELECT * FROM cdp_components(NULL);
-- None of them has changed anything, and the session goes on.
SELECT * FROM cdp_components('TABLE e');
-- A cancelled statement ends at once, while edges come in and while they are tied.
BEGIN;
SET LOCAL statement_timeout = '200ms';
SELECT count(*) FROM cdp_components('SELECT i, i + 1 FROM generate_series(1::bigint, 100000000000) i');
ROLLBACK;

DROP FUNCTION answer, random_graphs, differing, scattered;
DROP TABLE e, wrong_query;
DROP DOMAIN node_number;
DROP EXTENSION pg_cdp;
