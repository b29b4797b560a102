-- The members of the extension: what it adds to a database, that each says what it is for, and who may call it.
-- The lists are the public API as data: a change here is a change of the API.
SET client_min_messages = warning;
\pset format unaligned
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;

CREATE VIEW member AS
SELECT p.oid, p.proname AS name, p.oid::regprocedure::text AS signature, p.prokind, p.provolatile, p.proparallel, p.prosecdef, p.proconfig, p.prolang
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'pg_cdp';

-- 1. Kinds of member: functions, aggregates, one procedure; types, operators and casts; no tables, no views.
SELECT d.classid::regclass AS kind, count(*) > 0 AS some FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND e.extname = 'pg_cdp'
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' GROUP BY 1 ORDER BY d.classid::regclass::text COLLATE "C";
SELECT t.typname, t.typtype FROM pg_type t JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refobjid = e.oid AND e.extname = 'pg_cdp' WHERE t.typcategory <> 'A' ORDER BY 1;

-- 2. The functions people call, beside those of cdp_bitmap: signature and result, volatility (immutable, stable, volatile),
--    parallel safety (safe, restricted, unsafe), whether everybody may call it.
SELECT m.signature || CASE WHEN m.prokind = 'p' THEN '' ELSE ' -> ' || pg_get_function_result(m.oid) END AS function, m.prokind AS kind, m.provolatile AS vol, m.proparallel AS par,
       has_function_privilege('public', m.oid, 'EXECUTE') AS public
FROM member m WHERE m.name LIKE 'cdp\_%' AND m.name NOT LIKE 'cdp\_bitmap\_%' ORDER BY m.signature COLLATE "C";
-- The names of the arguments, which callers may write, and what they are when left out.
SELECT m.name, pg_get_function_arguments(m.oid) AS arguments FROM member m
WHERE m.name LIKE 'cdp\_%' AND m.name NOT LIKE 'cdp\_bitmap\_%' AND pg_get_function_arguments(m.oid) <> '' ORDER BY m.signature COLLATE "C";

-- 3. The functions of cdp_bitmap by name: all immutable, strict, safe for parallel plans, for everybody; see bitmap.sql.
SELECT m.signature AS function FROM member m WHERE m.name LIKE 'cdp\_bitmap\_%' ORDER BY m.signature COLLATE "C";

-- 4. What the extension keeps for itself begins with _cdp_.
SELECT m.signature AS internal, m.provolatile AS vol, m.proparallel AS par, has_function_privilege('public', m.oid, 'EXECUTE') AS public
FROM member m WHERE m.name LIKE '\_cdp\_%' ORDER BY m.signature COLLATE "C";
SELECT m.signature AS neither FROM member m WHERE m.name NOT LIKE 'cdp\_%' AND m.name NOT LIKE '\_cdp\_%' ORDER BY 1;

-- 5. None of these has a row.
-- Without a comment:
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND e.extname = 'pg_cdp'
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND obj_description(d.objid, d.classid::regclass::name) IS NULL
  AND NOT (d.classid = 'pg_type'::regclass AND (SELECT typcategory = 'A' FROM pg_type WHERE pg_type.oid = d.objid)) ORDER BY 1;
-- Run as somebody else:
SELECT signature AS security_definer FROM member WHERE prosecdef;
-- In a procedural language, without a pinned search_path; a procedure that commits cannot have one:
SELECT signature AS unpinned FROM member m JOIN pg_language l ON l.oid = m.prolang
WHERE l.lanname IN ('sql', 'plpgsql') AND NOT coalesce(proconfig::text ~ 'search_path', false) AND signature NOT IN ('cdp_process_inbox(integer)', 'cdp_sync(text)');
-- Changes data, yet everybody may call it:
SELECT signature AS open_writer FROM member
WHERE provolatile = 'v' AND has_function_privilege('public', oid, 'EXECUTE') AND signature NOT IN ('_cdp_in_transaction_block()', 'cdp_segment_explain(text,boolean,timestamp with time zone)', 'cdp_status()');
-- Changes data, yet says it is safe for parallel plans:
SELECT signature AS parallel_writer FROM member WHERE provolatile = 'v' AND proparallel <> 'u';

-- 6. The rights mean what they say.
CREATE ROLE regress_cdp_reader;
SET ROLE regress_cdp_reader;
SELECT cdp_init('mine');
CALL cdp_sync();
SELECT cdp_tag_create('t', '1');
SELECT cdp_segment_refresh();
SELECT cdp_flush();
SELECT cdp_norm_email(' ANN@Example.com ') AS a_reader_may;
RESET ROLE;
DROP ROLE regress_cdp_reader;

DROP VIEW member;
DROP EXTENSION pg_cdp;
