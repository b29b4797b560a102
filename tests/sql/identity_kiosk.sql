-- What the shipped rules make of devices in public places, against the truth: three thousand people, three kiosks that hundreds of them used. And a merge rewrites no event.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
-- Person p has an account, one to three browsers, a device of their own, and every second an e-mail address; a third of them used a kiosk once.
CREATE TABLE visit (id int PRIMARY KEY, account text, cookie text, device text, email text);
INSERT INTO visit
SELECT row_number() OVER (ORDER BY md5(p || ' ' || n)), CASE WHEN n < 3 THEN 'a' || p END, 'c' || p || '-' || n, CASE n WHEN 0 THEN 'd' || p WHEN 3 THEN 'kiosk' || p % 3 END, CASE WHEN n = 1 AND p % 2 = 0 THEN 'p' || p || '@example.com' END
FROM generate_series(1, 3000) p CROSS JOIN generate_series(0, 3) n WHERE n <= p % 3 OR (n = 3 AND p % 9 < 3);
-- Whoever used a kiosk had logged in with the same browser before.
INSERT INTO visit SELECT 100000 + p, 'a' || p, 'c' || p || '-3', NULL, NULL FROM generate_series(1, 3000) p WHERE p % 9 < 3;
SELECT cdp_source_create('visit', 'visit', '{"updated_at": "id", "identifiers": {"user_id": "account", "cookie": "cookie", "device_id": "device", "email": "email"}}');
CALL cdp_sync();
CREATE VIEW owned AS SELECT i.profile_id, i.type, i.value, CASE i.type WHEN 'email' THEN substr(split_part(i.value, '@', 1), 2) ELSE split_part(substr(i.value, 2), '-', 1) END AS owner
    FROM cdp.identifiers i WHERE i.value !~ '^kiosk';
CREATE VIEW quality AS SELECT round((SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM owned GROUP BY profile_id, owner) x) / (SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM owned GROUP BY profile_id) x), 4) AS pair_precision,
    round((SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM owned GROUP BY profile_id, owner) x) / (SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM owned GROUP BY owner) x), 4) AS pair_recall,
    (SELECT max(n) FROM (SELECT count(*) AS n FROM owned GROUP BY profile_id) x) AS largest,
    -- People who share a profile with somebody else, among all.
    (SELECT round(count(DISTINCT owner) FILTER (WHERE n > 1) / count(DISTINCT owner)::numeric, 4) FROM owned JOIN (SELECT profile_id, count(DISTINCT owner) AS n FROM owned GROUP BY 1) x USING (profile_id)) AS over_merged;
SELECT type, value, reason, neighbours FROM cdp.quarantine ORDER BY 2;
SELECT pair_precision, pair_precision >= 0.99 AS precise, pair_recall, pair_recall >= 0.995 AS recalled, largest <= 8 AS small, over_merged, over_merged <= 0.001 AS apart FROM quality;
SELECT count(*) AS people, (SELECT count(DISTINCT owner) FROM owned) AS in_truth FROM (SELECT DISTINCT profile_id FROM owned) x;
SELECT * FROM cdp_identity_verify() WHERE NOT ok;
-- Without the rule the kiosks make one crowd of everybody who used them.
SELECT metric, value FROM cdp_identity_preview('{"device_id": {"degree_cap": null, "person_cap": null}}') WHERE metric ~ 'live|move';

SELECT cdp_identifier_type_alter('device_id', '{"degree_cap": null, "person_cap": null}', 'no rule') ->> 'operation' AS operation;
SELECT pair_precision < 0.1 AS a_crowd, largest > 1000 AS large, over_merged FROM quality;
SELECT cdp_identity_revert(1, 'the rule') ->> 'operation' AS operation;
SELECT pair_precision, pair_recall, largest <= 8 AS small, over_merged FROM quality;

-- A merge of two people with a thousand events each writes no event anew; all that is counted follows.
CREATE TABLE click (id int PRIMARY KEY, cookie text, at timestamptz);
INSERT INTO click SELECT i, 'c' || 4 + i % 2 || '-0', '2024-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 2000) i;
SELECT cdp_source_create('click', 'click', '{"updated_at": "at", "identifiers": {"cookie": "cookie"}, "event": {"name": "''click''", "at": "at"}}');
CALL cdp_sync('click');
CREATE TABLE place AS SELECT tableoid AS part, ctid AS place, xmin::text AS written FROM cdp.event;
SELECT cdp_segment_count('count(click) = 1000') AS two, cdp_segment_count('count(click) = 2000') AS none;
SELECT cdp_link('user_id', 'a4', 'user_id', 'a5', 'one') ->> 'merged' IS NOT NULL AS merged;
SELECT cdp_segment_count('count(click) = 1000') AS none, cdp_segment_count('count(click) = 2000') AS one, cdp_segment_count($$ count(click) FILTER (WHERE at < '2024-02-01') = 743 $$) AS in_january;
SELECT count(*) AS events, count(*) FILTER (WHERE p.place IS NULL) AS rewritten FROM cdp.event e LEFT JOIN place p ON p.part = e.tableoid AND p.place = e.ctid AND p.written = e.xmin::text;
SELECT cdp_identity_revert(3, 'two') ->> 'split' IS NOT NULL AS split;
SELECT cdp_segment_count('count(click) = 1000') AS two;
SELECT count(*) FILTER (WHERE p.place IS NULL) AS rewritten FROM cdp.event e LEFT JOIN place p ON p.part = e.tableoid AND p.place = e.ctid AND p.written = e.xmin::text;

DROP VIEW quality, owned;
DROP TABLE visit, click, place;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
