-- Attributes: which value of several observed counts, and that the columns of bits answer as plain SQL does, whatever the values.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'America/New_York');

CREATE FUNCTION check_segment(expression text) RETURNS boolean LANGUAGE plpgsql SET TimeZone = 'America/New_York' AS $$
DECLARE plain bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(expression)) INTO plain;
    RETURN plain = cdp_segment(expression)::bigint[] AND cardinality(plain) = cdp_segment_count(expression);
END $$;
-- Every comparison of an attribute with every literal, many pairs, and their negations: which expressions are not answered as plain SQL does.
CREATE FUNCTION unlike(attribute text, literals text[]) RETURNS TABLE (asked bigint, wrong text[]) LANGUAGE sql AS $$
    WITH x AS (
        SELECT format('%s %s %s', attribute, op, l) AS e FROM unnest(literals) l, unnest('{=,<>,<,<=,>,>=}'::text[]) op
        UNION ALL SELECT format('%s BETWEEN %s AND %s', attribute, a, b) FROM unnest(literals[:4]) a, unnest(literals[:4]) b
        UNION ALL SELECT format('%s IN (%s, %s, NULL)', attribute, a, b) FROM unnest(literals[:3]) a, unnest(literals[4:]) b
        UNION ALL SELECT format('%s IN (%s)', attribute, array_to_string(literals, ', '))
        UNION ALL SELECT format('%s IS NULL', attribute)),
    y AS (SELECT e FROM x UNION ALL SELECT format('NOT (%s)', e) FROM x UNION ALL SELECT format('(%s) IS NULL', e) FROM x)
    SELECT count(*), array_agg(e ORDER BY e COLLATE "C") FILTER (WHERE NOT check_segment(e)) FROM y
$$;
CREATE VIEW state AS SELECT a.name, a.type, c.encoding, c.scale, c.state FROM cdp.attribute a JOIN cdp.store_column c USING (attribute_id);

-- 1. The types of columns and what they become.
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE kinds (id int PRIMARY KEY, email text, b boolean, i2 smallint, i4 int, i8 bigint, n numeric, f4 real, f8 double precision, t text, v varchar(9), c char(3), d date, ts timestamp, tz timestamptz, j jsonb, a int[], e mood, u uuid);
SELECT cdp_source_create('kinds', 'kinds', '{"identifiers": {"email": "email"}, "traits": {"b": "b", "i2": "i2", "i4": "i4", "i8": "i8", "n": "n", "f4": "f4", "f8": "f8", "t": "t", "v": "v", "c": "c", "d": "d", "ts": "ts", "tz": "tz", "j": "j", "a": "a", "e": "e", "u": "u"}}');
INSERT INTO kinds VALUES (1, 'k1@example.com', true, 1, 2, 3, 4.50, 0.25, 0.5, 'text', 'varchar', 'c', '2024-02-29', '2024-07-01 12:00:00', '2024-07-01 12:00:00+00', '{"a": [1]}', '{1,2}', 'happy', '00000000-0000-0000-0000-0000000000ff');
CALL cdp_sync();
SELECT name, type FROM cdp.attributes ORDER BY name;
-- A timestamp without zone is read in the zone of the workspace.
SELECT b, i2, i4, i8, n, f4, f8, t, v, c, d, ts, tz, j, a, e, u FROM cdp.profiles;
SELECT check_segment($$ b AND i2 = 1 AND i4 = 2 AND i8 = 3 AND n = 4.5 AND f4 = 0.25 AND f8 = 0.5 AND t = 'text' AND v = 'varchar' AND c = 'c  ' AND d = '2024-02-29' $$) AS same,
       cdp_segment_count($$ b AND i2 = 1 AND i4 = 2 AND i8 = 3 AND n = 4.5 AND f4 = 0.25 AND f8 = 0.5 AND t = 'text' AND v = 'varchar' AND d = '2024-02-29' AND ts = '2024-07-01 12:00:00' AND tz = '2024-07-01 08:00' AND e = 'happy' $$) AS n;

-- 2. Survivorship: the value observed last counts; of two at once that of the more trusted source, then of the source made first, then the smaller text.
CREATE TABLE one (id int PRIMARY KEY, email text, phone text, city text, tier int, at timestamptz);
CREATE TABLE two (LIKE one INCLUDING ALL);
CREATE TABLE three (LIKE one INCLUDING ALL);
SELECT cdp_source_create(s, s::regclass, '{"updated_at": "at", "identifiers": {"email": "email", "phone": "phone"}, "traits": {"city": "city", "tier": "tier"}}', trust)
FROM (VALUES ('one', 50), ('two', 50), ('three', 80)) AS v(s, trust);
INSERT INTO one VALUES (1, 's1@example.com', NULL, 'one', 1, '2024-01-02 00:00+00');
INSERT INTO two VALUES (1, 's1@example.com', NULL, 'two', 2, '2024-01-01 00:00+00');
INSERT INTO three VALUES (1, 's1@example.com', NULL, 'three', 3, '2024-01-01 00:00+00');
CALL cdp_sync();
SELECT city, tier FROM cdp.profiles WHERE city IS NOT NULL;
-- Later wins over trust.
UPDATE two SET at = '2024-01-03 00:00+00';
CALL cdp_sync();
SELECT city, tier FROM cdp.profiles WHERE city IS NOT NULL;
-- At the same time, trust.
UPDATE three SET at = '2024-01-03 00:00+00';
CALL cdp_sync();
SELECT city, tier FROM cdp.profiles WHERE city IS NOT NULL;
-- With the same trust, the source made first.
UPDATE one SET at = '2024-01-04 00:00+00';
UPDATE two SET at = '2024-01-04 00:00+00';
CALL cdp_sync();
SELECT city, tier FROM cdp.profiles WHERE city IS NOT NULL;
-- NULL and empty are no values: they never take the place of one. Each trait counts by itself.
UPDATE one SET city = '', tier = 10, at = '2024-01-05 00:00+00';
CALL cdp_sync();
SELECT city, tier FROM cdp.profiles WHERE tier IS NOT NULL;
UPDATE two SET city = 'two again', tier = NULL, at = '2024-01-06 00:00+00';
CALL cdp_sync();
SELECT city, tier FROM cdp.profiles WHERE tier IS NOT NULL;
-- What an older row says that comes late does not count; within one batch the order of rows does not either.
INSERT INTO three VALUES (2, 's1@example.com', NULL, 'late', 99, '2024-01-05 12:00+00'), (3, 's1@example.com', NULL, 'last', 30, '2024-01-07 00:00+00'), (4, 's1@example.com', NULL, 'first', 31, '2024-01-06 00:00+00');
CALL cdp_sync();
SELECT city, tier FROM cdp.profiles WHERE tier IS NOT NULL;
-- Two rows of one source and one moment: the smaller text.
INSERT INTO three VALUES (5, 's1@example.com', NULL, 'b', 5, '2024-01-08 00:00+00'), (6, 's1@example.com', NULL, 'a', 40, '2024-01-08 00:00+00');
CALL cdp_sync();
SELECT city, tier FROM cdp.profiles WHERE tier IS NOT NULL;
SELECT check_segment($$ city = 'a' $$) AS same, check_segment('tier < 40') AS same;

-- 3. Numbers: the ends of bigint, zero, negatives, NULL.
CREATE TABLE num (id int PRIMARY KEY, email text, big bigint, dec numeric, fl double precision);
SELECT cdp_source_create('num', 'num', '{"identifiers": {"email": "email"}, "traits": {"big": "big", "dec": "dec", "fl": "fl"}}');
INSERT INTO num VALUES (1, 'n1@example.com', 0, 0, 0), (2, 'n2@example.com', -1, -0.01, -0.5), (3, 'n3@example.com', 1, 99.99, 0.5), (4, 'n4@example.com', 4000000000000000000, 1e12, 1e5), (5, 'n5@example.com', -4000000000000000000, -1e12, -1e5), (6, 'n6@example.com', NULL, NULL, NULL), (7, 'n7@example.com', 1, 99.990, 0.25);
CALL cdp_sync();
SELECT * FROM state WHERE name IN ('big', 'dec', 'fl') ORDER BY name;
SELECT * FROM unlike('big', '{0,-1,1,4000000000000000000,-4000000000000000000,4000000000000000001,9223372036854775807,-9223372036854775808,9223372036854775808,1.5,-0.5,"NULL"}');
SELECT * FROM unlike('dec', '{0,-0.01,99.99,99.990,99.995,-0.001,1e12,-1e12,1e30,-1e30,"NULL"}');
SELECT * FROM unlike('fl', '{0,0.5,-0.5,0.25,0.125,1e5}');
SELECT cdp_segment_count('big > 0') AS positive, cdp_segment_count('big <= -1') AS negative, cdp_segment_count('big > 9223372036854775808') AS beyond, cdp_segment_count('dec = 99.99') AS equal,
       cdp_segment_count('dec > 99.985 AND dec < 99.995') AS around, cdp_segment_count('NOT (fl > 0)') AS not_positive, cdp_segment_count('fl IS NULL') AS none;
-- Values that the bits as they are cannot hold: the column steps aside at once, the next flush of the sync builds it anew or leaves it out.
INSERT INTO num VALUES (8, 'n8@example.com', 9223372036854775807, 0.123456789, 1e-9), (9, 'n9@example.com', -9223372036854775808, 123456.789, 123456.789);
CALL cdp_sync();
SELECT * FROM state WHERE name IN ('big', 'dec', 'fl') ORDER BY name;
SELECT * FROM unlike('big', '{0,1,4000000000000000000,9223372036854775807,-9223372036854775808,9223372036854775808,"NULL"}');
SELECT * FROM unlike('dec', '{0,-0.01,0.123456789,0.1234567891,123456.789,1e12,-1e12,"NULL"}');
SELECT * FROM unlike('fl', '{0,0.000000001,123456.789}');
INSERT INTO num VALUES (10, 'n10@example.com', 5, 'NaN', 'Infinity'), (11, 'n11@example.com', 6, 1e100, '-Infinity'), (12, 'n12@example.com', 7, 1e-20, 'NaN');
CALL cdp_sync();
SELECT * FROM state WHERE name IN ('big', 'dec', 'fl') ORDER BY name;
SELECT * FROM unlike('dec', '{0,0.123456789,1e-20,1e99,1e100,''NaN'',''Infinity'',''-Infinity''}');
SELECT * FROM unlike('fl', '{0,0.5,''NaN'',''Infinity'',''-Infinity''}');
-- They can change and go, and the answers with them.
UPDATE num SET dec = id, fl = id, big = id WHERE id >= 8;
CALL cdp_sync();
SELECT * FROM unlike('big', '{1,8,12}');
SELECT * FROM unlike('dec', '{0,8,12}');
SELECT * FROM unlike('fl', '{0,8,12}');

-- 4. Text: few values, then more than the column keeps a bitmap for; order is PostgreSQL's.
CREATE TABLE word (id int PRIMARY KEY, email text, w text);
SELECT cdp_source_create('word', 'word', '{"identifiers": {"email": "email"}, "traits": {"w": "w"}}');
INSERT INTO word SELECT i, 'w' || i || '@example.com', CASE WHEN i % 11 = 0 THEN NULL ELSE 'w' || i % 7 END FROM generate_series(1, 40) i;
INSERT INTO word VALUES (41, 'w41@example.com', 'W1'), (42, 'w42@example.com', ' w1 '), (43, 'w43@example.com', 'it''s "w"'), (44, 'w44@example.com', '城'), (45, 'w45@example.com', 'null'), (46, 'w46@example.com', 'NULL'), (47, 'w47@example.com', 'a%b_c\d');
CALL cdp_sync();
SELECT * FROM state WHERE name = 'w';
SELECT * FROM unlike('w', ARRAY[$$'w1'$$, $$'w6'$$, $$'W1'$$, $$' w1 '$$, $$'it''s "w"'$$, $$'城'$$, $$'never'$$, $$'NULL'$$, $$''$$, 'NULL']);
SELECT e, check_segment(e) AS same FROM unnest(ARRAY[$$w LIKE 'w%'$$, $$w LIKE 'a\%b\_c\\d'$$, $$w ILIKE 'W1'$$, $$lower(w) = 'w1'$$, $$w NOT LIKE '%1%'$$, $$upper(w) IN ('W1', 'W2')$$, $$coalesce(w, 'none') = 'none'$$, $$nullif(w, 'w1') IS NULL$$, $$w = w$$, $$CASE w WHEN 'w1' THEN 1 ELSE 2 END = 1$$]) e;
INSERT INTO word SELECT 1000 + i, 'w' || 1000 + i || '@example.com', 'many' || i FROM generate_series(1, 505) i;
CALL cdp_sync();
SELECT * FROM state WHERE name = 'w';
SELECT * FROM unlike('w', ARRAY[$$'w1'$$, $$'many505'$$, $$'many9'$$, $$'never'$$, 'NULL']);
INSERT INTO word VALUES (2000, 'w2000@example.com', 'one more'), (2001, 'w2001@example.com', repeat('long ', 2000));
CALL cdp_sync();
SELECT * FROM state WHERE name = 'w';
SELECT * FROM unlike('w', ARRAY[$$'w1'$$, $$'many505'$$, $$'one more'$$, $$'never'$$, $$'城'$$, 'NULL']);
SELECT e, check_segment(e) AS same FROM unnest(ARRAY[$$w LIKE 'many1%'$$, $$w ILIKE 'W1'$$, $$w NOT LIKE '%1%'$$, $$w > 'many2' AND w < 'w'$$, $$w LIKE 'long long%'$$]) e;
UPDATE word SET w = 'changed' WHERE id BETWEEN 1001 AND 1300;
UPDATE word SET w = 'w1' WHERE id = 11;
CALL cdp_sync();
SELECT cdp_segment_count($$ w = 'changed' $$) AS changed, cdp_segment_count($$ w = 'many1' $$) AS gone, cdp_segment_count($$ w LIKE 'many%' $$) AS many;
SELECT * FROM unlike('w', ARRAY[$$'w1'$$, $$'changed'$$, $$'many1'$$, 'NULL']);

-- 5. Booleans.
CREATE TABLE flag (id int PRIMARY KEY, email text, f boolean);
SELECT cdp_source_create('flag', 'flag', '{"identifiers": {"email": "email"}, "traits": {"f": "f"}}');
INSERT INTO flag VALUES (1, 'f1@example.com', true), (2, 'f2@example.com', false), (3, 'f3@example.com', NULL), (4, 'f4@example.com', false);
CALL cdp_sync();
SELECT * FROM unlike('f', '{true,false,"NULL"}');
SELECT e, cdp_segment_count(e) AS n, check_segment(e) AS same FROM unnest('{f,NOT f,f IS TRUE,f IS NOT TRUE,f IS FALSE,f IS NOT FALSE,f IS UNKNOWN,f IS NOT UNKNOWN,f OR NOT f,f AND NOT f}'::text[]) e;

-- 6. Days and moments, to the ends of what PostgreSQL has.
CREATE TABLE day (id int PRIMARY KEY, email text, d date, m timestamptz);
SELECT cdp_source_create('day', 'day', '{"identifiers": {"email": "email"}, "traits": {"dd": "d", "mm": "m"}}');
INSERT INTO day VALUES (1, 'd1@example.com', '2024-02-29', '2024-03-10 06:59:59.999999+00'), (2, 'd2@example.com', '1999-12-31', '2024-03-10 07:00:00+00'), (3, 'd3@example.com', '2000-01-01', '1969-12-31 23:59:59.999999+00'), (4, 'd4@example.com', NULL, NULL), (5, 'd5@example.com', '0001-01-01 BC', '2024-11-03 06:30:00+00');
CALL cdp_sync();
SELECT * FROM state WHERE name IN ('dd', 'mm') ORDER BY name;
SELECT * FROM unlike('dd', ARRAY[$$'2024-02-29'$$, $$'1999-12-31'$$, $$date '2000-01-01'$$, $$'0001-01-01 BC'$$, $$'infinity'$$, $$'-infinity'$$, $$timestamptz '2024-02-29 00:00:01'$$, 'NULL']);
SELECT * FROM unlike('mm', ARRAY[$$'2024-03-10 06:59:59.999999+00'$$, $$'2024-03-10 03:00:00'$$, $$'1969-12-31 23:59:59.999999+00'$$, $$'2024-11-03 01:30:00-05'$$, $$date '2024-03-10'$$, $$'infinity'$$, $$'-infinity'$$, 'NULL']);
INSERT INTO day VALUES (6, 'd6@example.com', 'infinity', 'infinity'), (7, 'd7@example.com', '5874897-12-31', '294276-12-31 23:59:59.999999+00'), (8, 'd8@example.com', '4714-11-24 BC', '4714-11-24 00:00:00+00 BC'), (9, 'd9@example.com', '-infinity', '-infinity');
CALL cdp_sync();
SELECT * FROM state WHERE name IN ('dd', 'mm') ORDER BY name;
SELECT * FROM unlike('dd', ARRAY[$$'2024-02-29'$$, $$'0001-01-01 BC'$$, $$'infinity'$$, $$'-infinity'$$, $$'5874897-12-31'$$, $$'4714-11-24 BC'$$]);
SELECT * FROM unlike('mm', ARRAY[$$'2024-03-10 03:00:00'$$, $$'infinity'$$, $$'-infinity'$$, $$'294276-12-31 23:59:59.999999+00'$$, $$'4714-11-24 00:00:00+00 BC'$$]);

-- 7. Traits made before a source brings them.
SELECT cdp_trait_create('plan', 'text');
SELECT cdp_trait_create('hidden', 'bigint', 'most_recent', 'identity', false);
SELECT name, kind, type, rule, class, indexed FROM cdp.attributes WHERE name IN ('plan', 'hidden') ORDER BY name;
SELECT cdp_trait_create('plan', 'text');
SELECT cdp_trait_create('x', 'money');
SELECT cdp_trait_create('x', 'text', 'loudest');
SELECT cdp_trait_create('x', 'text', 'most_recent', 'secret');
SELECT cdp_trait_create('', 'text');
CREATE TABLE plans (id int PRIMARY KEY, email text, p text, h int);
INSERT INTO plans VALUES (1, 'f1@example.com', 'gold', 7), (2, 'f2@example.com', 'free', NULL);
SELECT cdp_source_create('plans', 'plans', '{"identifiers": {"email": "email"}, "traits": {"plan": "p", "hidden": "h"}}');
CALL cdp_sync();
SELECT * FROM unlike('plan', ARRAY[$$'gold'$$, $$'free'$$, 'NULL']);
-- An attribute without bits is read from the table.
SELECT count(*) FROM state WHERE name = 'hidden';
SELECT * FROM unlike('hidden', '{7,8,"NULL"}');

DROP VIEW state;
DROP FUNCTION check_segment, unlike;
DROP TABLE kinds, one, two, three, num, word, flag, day, plans;
DROP TYPE mood;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
