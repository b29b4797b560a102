-- The expression language, each construct once: who is expected is written beside it, and the plain SQL of the expression says the same.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'America/New_York');

CREATE TABLE person (id int PRIMARY KEY, name text, gender text, age int, balance numeric, vip boolean, born date, joined timestamptz, city text);
INSERT INTO person VALUES
    (1, 'ann', 'f', 30, 100.50, true,  '1994-05-01', '2024-01-10 12:00-05', 'New York'),
    (2, 'bob', 'm', 40,  99.99, false, '1984-12-31', '2024-01-11 00:00-05', 'Boston'),
    (3, 'cid', 'm', 17,   0.00, NULL,  '2007-02-28', '2023-12-31 23:59:59.999999-05', 'new york'),
    (4, 'dee', 'f', NULL, -5.25, true,  NULL,        NULL, NULL),
    (5, 'eve', NULL, 65, NULL, false, '1959-07-04', '2024-03-10 03:00-04', 'Bos_ton');
CREATE TABLE deed (id int PRIMARY KEY, person int, kind text, at timestamptz, item text, price numeric, pieces int, gift boolean, due date);
INSERT INTO deed VALUES
    (1, 1, 'buy',  '2024-02-01 10:00-05', 'shoe', 50.00, 1, false, '2024-02-10'),
    (2, 1, 'buy',  '2024-03-09 23:59:59.999999-05', 'hat', 9.99, 3, true, NULL),
    (3, 1, 'view', '2024-03-10 01:59:59.999999-05', 'shoe', NULL, NULL, NULL, NULL),
    (4, 2, 'buy',  '2024-03-10 00:00-05', 'shoe', 30.00, 2, false, '2024-03-15'),
    (5, 2, 'buy',  '2024-03-10 03:00-04', 'shoe', -10.00, 1, NULL, '2024-03-11'),
    (6, 2, 'view', '2024-03-10 23:59:59.999999-04', 'coat', NULL, NULL, NULL, NULL),
    (7, 3, 'view', '2024-03-11 00:00-04', NULL, NULL, NULL, NULL, NULL),
    (8, 3, 'buy',  '2024-11-03 01:30-04', 'hat', 0.01, 1, true, '2024-11-03'),
    (9, 4, 'view', '2024-11-03 01:30-05', 'shoe', NULL, NULL, NULL, NULL);
SELECT cdp_source_create('person', 'person', '{"identifiers": {"user_id": "''u'' || id"}, "traits": {"name": "name", "gender": "gender", "age": "age", "balance": "balance", "vip": "vip", "born": "born", "joined": "joined", "city": "city"}}');
SELECT cdp_source_create('deed', 'deed', '{"identifiers": {"user_id": "''u'' || person"}, "event": {"name": "kind", "at": "at", "properties": {"item": "item", "price": "price", "pieces": "pieces", "gift": "gift", "due": "due"}}}');
CALL cdp_sync();
SELECT cdp_segment_create('ladies', $$ gender = 'f' $$);
SELECT cdp_tag_create('spent', 'sum(buy.price)');
SELECT name, profiles FROM cdp_tag_refresh();

-- Who an expression is true for, by name; and whether the plain SQL of the expression, run in the zone of the workspace, and the count agree.
CREATE FUNCTION ask(expression text, as_of timestamptz DEFAULT NULL, OUT who text, OUT agrees boolean) LANGUAGE plpgsql SET TimeZone = 'America/New_York' AS $$
DECLARE plain bigint[]; got bigint[] := cdp_segment(expression, as_of)::bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(expression, as_of)) INTO plain;
    SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') INTO who FROM cdp.profiles WHERE profile_id = ANY (got);
    agrees := plain = got AND cardinality(got) = cdp_segment_count(expression, as_of);
END $$;
CREATE TABLE asked (n int GENERATED ALWAYS AS IDENTITY, expected text, expression text, as_of timestamptz);

-- 1. Comparisons with each type; NULL is neither true nor false.
INSERT INTO asked (expected, expression) VALUES
    ('ann dee', $$gender = 'f'$$), ('bob cid', $$gender <> 'f'$$), ('bob cid', $$gender != 'f'$$), ('bob cid', $$NOT gender = 'f'$$), ('bob cid', $$'f' <> gender$$),
    ('bob eve', $$age >= 40$$), ('cid', $$age < 18$$), ('ann bob cid eve', $$age > -1$$), ('ann bob cid', $$age <= 40.5$$), ('', $$age = 30.5$$), ('ann', $$age = '30'$$),
    ('bob', $$balance = 99.990$$), ('ann bob cid', $$balance > -5.245$$), ('ann', $$balance > 99.995$$), ('ann dee', $$vip$$), ('bob eve', $$NOT vip$$), ('bob eve', $$vip = false$$),
    ('ann', $$born = '1994-05-01'$$), ('ann cid', $$born >= date '1994-05-01'$$), ('bob eve', $$born < '1990-01-01'$$),
    ('ann bob eve', $$joined >= '2024-01-01'$$), ('bob', $$joined = '2024-01-11'$$), ('eve', $$joined > timestamptz '2024-03-10 01:59:59.999999-05'$$),
    ('', $$gender = NULL$$), ('', $$gender <> NULL$$), ('', $$NOT gender = NULL$$), ('ann bob cid dee eve', $$true$$), ('', $$false$$), ('', $$NULL$$), ('ann bob cid dee eve', $$1 = 1$$), ('', $$1 > 2$$);
-- 2. Sets, ranges, NULL, patterns.
INSERT INTO asked (expected, expression) VALUES
    ('ann bob cid dee', $$gender IN ('f', 'm')$$), ('bob cid', $$gender NOT IN ('f', 'x')$$), ('', $$gender NOT IN ('f', NULL)$$), ('ann dee', $$gender IN ('f', NULL)$$), ('ann cid', $$age IN (17, 30, 99)$$),
    ('ann bob', $$age BETWEEN 30 AND 40$$), ('cid eve', $$age NOT BETWEEN 30 AND 40$$), ('', $$age BETWEEN 40 AND 30$$), ('cid eve', $$age NOT BETWEEN 20 AND 40$$), ('ann', $$born BETWEEN '1990-01-01' AND '2000-01-01'$$),
    ('eve', $$gender IS NULL$$), ('ann bob cid dee', $$gender IS NOT NULL$$), ('cid', $$vip IS NULL$$), ('bob cid eve', $$vip IS NOT TRUE$$), ('ann cid dee', $$vip IS NOT FALSE$$), ('cid', $$(vip AND true) IS UNKNOWN$$),
    ('ann', $$city LIKE 'New%'$$), ('ann cid', $$city ILIKE 'new%'$$), ('bob', $$city NOT LIKE '%\_%' AND city LIKE 'B%'$$), ('bob eve', $$city LIKE 'Bos%'$$), ('eve', $$city LIKE 'Bos\_ton'$$), ('ann bob eve', $$city NOT LIKE 'n%'$$);
-- 3. AND, OR, NOT in three values.
INSERT INTO asked (expected, expression) VALUES
    ('ann dee', $$gender = 'f' AND vip$$), ('ann bob dee eve', $$gender = 'f' OR NOT vip$$), ('ann bob cid dee', $$gender = 'm' OR gender = 'f'$$), ('bob eve', $$NOT (vip OR gender = 'x') OR NOT vip$$),
    ('cid', $$(vip AND gender = 'm') IS NULL$$), ('bob', $$NOT (vip OR gender = 'f')$$), ('bob cid eve', $$NOT (vip AND age > 20)$$), ('ann bob cid eve', $$age > 60 OR (gender IS NOT NULL AND age IS NOT NULL)$$),
    ('ann bob cid dee eve', $$vip OR NOT vip OR vip IS NULL$$), ('ann bob dee eve', $$vip OR NOT vip$$), ('dee', $$NOT (age IS NOT NULL)$$);
-- 4. CASE, functions, arithmetic.
INSERT INTO asked (expected, expression) VALUES
    ('ann bob', $$CASE WHEN balance >= 100 THEN 'high' WHEN balance > 50 THEN 'mid' ELSE 'low' END IN ('high', 'mid')$$), ('cid dee eve', $$CASE WHEN balance >= 100 THEN 'high' WHEN balance > 50 THEN 'mid' ELSE 'low' END = 'low'$$),
    ('dee eve', $$CASE gender WHEN 'f' THEN age WHEN 'm' THEN 0 END IS NULL$$), ('bob cid', $$CASE gender WHEN 'f' THEN age WHEN 'm' THEN 0 END = 0$$), ('ann dee', $$CASE WHEN gender = 'f' THEN true END$$),
    ('dee', $$coalesce(age, -1) < 0$$), ('ann dee', $$coalesce(gender, 'x') NOT IN ('m', 'x')$$), ('dee eve', $$nullif(age, 65) IS NULL$$), ('ann bob', $$nullif(gender, 'x') = 'm' AND age = 40 OR age = 30$$),
    ('cid', $$least(age, 18) = 17$$), ('ann bob dee eve', $$greatest(age, 18) >= 18 AND name <> 'cid'$$), ('dee', $$abs(balance) = 5.25$$), ('ann bob', $$round(balance) IN (100, 101)$$), ('ann', $$round(balance, 1) = 100.5$$),
    ('ann cid', $$lower(city) = 'new york'$$), ('ann cid', $$upper(city) LIKE 'NEW%'$$), ('ann', $$age + 1 = 31$$), ('bob', $$age - 40 = 0$$), ('ann bob eve', $$age * 2 > 50$$), ('bob eve', $$age / 2 >= 20$$), ('cid', $$age / 2 = 8$$), ('cid', $$age / 2.0 = 8.5$$),
    ('dee', $$-balance > 5$$), ('ann bob', $$balance > age$$), ('ann bob cid eve', $$age = age$$), ('ann', $$balance * 2 = 201.00$$), ('cid', $$age::text = '17'$$), ('ann', $$born + 10 = '1994-05-11'$$), ('bob', $$born - date '1984-12-30' = 1$$), ('ann bob cid eve', $$'2024-01-01' - born > 0$$),
    ('ann', $$extract(month FROM born) = 5$$), ('eve', $$extract(doy FROM born) = 185$$), ('cid', $$extract(year FROM joined) = 2023$$), ('bob', $$extract(hour FROM joined) = 0$$), ('eve', $$extract(hour FROM joined) = 3$$),
    ('ann bob', $$date_trunc('month', joined) = '2024-01-01'$$), ('eve', $$joined::date = '2024-03-10'$$), ('bob', $$joined = born::timestamptz + (joined - born::timestamptz) AND name = 'bob'$$), ('ann bob', $$joined < timestamptz '2024-01-10 00:00' + interval '2 days' AND joined >= date '2024-01-10'$$);
-- 5. Aggregates over events: counts are never NULL, sums of nothing are.
INSERT INTO asked (expected, expression) VALUES
    ('ann bob cid', $$count(buy) > 0$$), ('dee eve', $$count(buy) = 0$$), ('ann bob', $$count(buy) >= 2$$), ('cid dee eve', $$count(buy) < 2$$), ('cid', $$count(buy) BETWEEN 1 AND 1$$), ('ann bob', $$count(buy) <> 1 AND count(buy) > 0$$), ('ann bob cid dee eve', $$count(buy) IS NOT NULL$$),
    ('ann', $$sum(buy.price) > 50$$), ('bob', $$sum(buy.price) = 20$$), ('dee eve', $$sum(buy.price) IS NULL$$), ('bob cid', $$NOT sum(buy.price) > 50$$), ('dee eve', $$coalesce(sum(buy.price), 0) = 0$$), ('cid dee eve', $$coalesce(sum(buy.price), 0) < 1$$), ('bob', $$min(buy.price) < 0$$), ('ann bob', $$max(buy.price) >= 30$$), ('bob', $$avg(buy.price) = 10$$),
    ('ann bob', $$count(buy.gift) = 2 OR sum(buy.pieces) = 3$$), ('ann', $$count(DISTINCT buy.item) = 2$$), ('bob cid', $$count(DISTINCT buy.item) = 1$$), ('ann', $$first(buy.item) = 'shoe' AND last(buy.item) = 'hat'$$), ('bob', $$min(buy.at) = '2024-03-10 00:00'$$), ('cid', $$max(buy.at) > '2024-06-01'$$), ('ann', $$min(buy.due) = '2024-02-10'$$),
    ('ann bob', $$count(buy) FILTER (WHERE item = 'shoe') > 0$$), ('ann cid dee eve', $$count(buy) FILTER (WHERE item = 'shoe') < 2$$), ('bob', $$count(buy) FILTER (WHERE item IN ('shoe', 'coat')) = 2$$), ('ann cid', $$count(buy) FILTER (WHERE gift) > 0$$), ('ann bob', $$count(buy) FILTER (WHERE NOT gift) > 0$$), ('bob', $$count(buy) FILTER (WHERE gift IS NULL) > 0$$),
    ('cid', $$count(view) FILTER (WHERE item IS NULL) > 0$$), ('ann dee', $$count(view) FILTER (WHERE item <> 'coat') > 0$$), ('ann', $$sum(buy.price) FILTER (WHERE pieces > 1 AND gift) = 9.99$$), ('bob', $$sum(buy.price) FILTER (WHERE price > 0 AND due > '2024-03-01') = 30$$), ('ann bob', $$count(buy) FILTER (WHERE price * pieces > 25) > 0$$),
    ('ann', $$count(buy) > count(view) AND count(view) = 1 AND gender = 'f'$$), ('ann bob cid dee', $$count(buy) + count(view) > 0$$), ('ann bob', $$did(buy, item => 'shoe')$$), ('ann', $$did(buy, item => 'shoe', until => '2024-03-01')$$), ('bob', $$did(buy, gift => false, since => '2024-03-01')$$), ('dee eve', $$NOT did(buy)$$), ('ann dee', $$in_segment('ladies')$$), ('bob cid eve', $$NOT in_segment('ladies')$$), ('ann', $$in_segment('ladies') AND did(buy)$$), ('ann bob', $$spent > 10$$), ('dee eve', $$spent IS NULL$$);
-- 6. Windows are exact to the microsecond, in the days of the workspace: 2024-03-10 had 23 hours in New York, 2024-11-03 had 25.
INSERT INTO asked (expected, expression) VALUES
    ('bob', $$count(buy) FILTER (WHERE at >= '2024-03-10' AND at < '2024-03-11') = 2$$), ('ann', $$count(buy) FILTER (WHERE at >= '2024-03-09' AND at < '2024-03-10') = 1$$), ('ann bob', $$count(view) FILTER (WHERE at >= '2024-03-10' AND at < '2024-03-11') = 1$$), ('bob', $$count(view) FILTER (WHERE at BETWEEN '2024-03-10 02:00-05' AND '2024-03-10 23:59:59.999999') = 1$$),
    ('', $$count(view) FILTER (WHERE at BETWEEN '2024-03-10 02:00-05' AND '2024-03-10 23:59:59.999998') = 1$$), ('cid', $$count(view) FILTER (WHERE at >= '2024-03-11' AND at <= '2024-03-11') = 1$$), ('', $$count(view) FILTER (WHERE at > '2024-03-11' AND at < '2024-03-12') = 1$$), ('cid', $$count(view) FILTER (WHERE at = '2024-03-11') = 1$$),
    ('ann', $$count(view) FILTER (WHERE at <= '2024-03-10 01:59:59.999999') = 1$$), ('', $$count(view) FILTER (WHERE at < '2024-03-10 01:59:59.999999') = 1$$), ('ann bob', $$count(buy) FILTER (WHERE at < '2024-03-10 03:00') > 0$$), ('bob', $$sum(buy.price) FILTER (WHERE at >= '2024-03-10' AND at < '2024-03-10 03:00') = 30$$), ('bob', $$sum(buy.price) FILTER (WHERE at >= '2024-03-10 00:00:00.000001' AND at < '2024-03-12' AND item = 'shoe') = -10$$),
    ('cid', $$count(buy) FILTER (WHERE at >= '2024-11-03' AND at < '2024-11-04') = 1$$), ('dee', $$count(view) FILTER (WHERE at >= '2024-11-03' AND at < '2024-11-04') = 1$$), ('dee', $$count(view) FILTER (WHERE at > timestamptz '2024-11-03 01:30-04' AND at < '2024-11-03 02:00') = 1$$), ('bob', $$count(buy) FILTER (WHERE at > NULL) = 0 AND count(buy) = 2 AND gender = 'm'$$), ('ann bob cid dee eve', $$count(buy) FILTER (WHERE at > NULL) = 0$$), ('ann bob cid dee eve', $$count(buy) FILTER (WHERE at > '2024-03-10' AND at < '2024-03-10') = 0$$), ('ann', $$count(buy) FILTER (WHERE at::date = '2024-03-09') = 1$$), ('bob', $$count(buy) FILTER (WHERE due - at::date = 5) = 1$$);
-- 7. As of a moment: later events have not happened, now() is that moment, tags and dynamic segments are what they would have been then.
INSERT INTO asked (expected, expression, as_of) VALUES
    ('ann', 'count(buy) > 0', '2024-02-01 10:00-05'), ('', 'count(buy) > 0', '2024-02-01 09:59:59.999999-05'), ('ann', $$count(buy) > 0$$, '2024-03-09 23:59:59.999999-05'), ('ann bob', 'count(buy) > 0', '2024-03-10 00:00-05'),
    ('ann', $$count(buy) FILTER (WHERE at >= now() - interval '1 day') = 1$$, '2024-03-10 23:59:59.999998-04'), ('bob', $$count(buy) FILTER (WHERE at >= now() - interval '1 day') = 2$$, '2024-03-11 00:00-04'), ('bob', $$count(buy) FILTER (WHERE at >= now() - interval '24 hours') = 1$$, '2024-03-11 01:00:00.000001-04'), ('ann', $$did(buy, within => '30 days') AND gender = 'f'$$, '2024-03-02 10:00-05'), ('', $$did(buy, within => '30 days') AND gender = 'f'$$, '2024-03-02 10:00:00.000001-05'),
    ('bob', $$count(buy) FILTER (WHERE at >= current_date) = 2$$, '2024-03-10 20:00-04'), ('bob', $$count(buy) FILTER (WHERE at::date = current_date) = 2$$, '2024-03-10 23:59-04'), ('ann', $$spent = 50$$, '2024-03-01 00:00-05'), ('bob cid dee eve', $$spent IS NULL$$, '2024-03-01 00:00-05'), ('ann dee', $$in_segment('ladies')$$, '2020-01-01 00:00Z'),
    ('cid', $$extract(year FROM now()) - extract(year FROM born) = 17$$, '2024-06-01 00:00Z'), ('bob', $$count(buy) FILTER (WHERE at >= date_trunc('month', now()) AND price > 0) = 1 AND count(buy) FILTER (WHERE at >= date_trunc('month', now())) = 2$$, '2024-03-31 12:00Z'), ('ann bob eve', 'now() - joined < interval ''1 day''', '2024-01-11 11:00-05');
-- 7. Decimals are exact; the days to an anniversary (29 February is 28 February where there is none); identifiers.
INSERT INTO asked (expected, expression) VALUES
    ('ann bob cid dee eve', $$0.1 + 0.2 = 0.3$$), ('bob', $$balance + 0.01 = 100.00 AND balance * 3 = 299.97$$), ('ann bob', $$count(buy)::numeric / nullif(count(view), 0) > 0.5 AND gender IS NOT NULL AND age > 20$$), ('dee', $$(count(buy)::numeric / nullif(count(buy) + count(view), 0)) = 0$$),
    ('ann bob cid dee eve', $$has_identifier('user_id')$$), ('', $$has_identifier('email')$$), ('ann', $$has_identifier('user_id') AND NOT has_identifier('phone') AND age = 30$$),
    ('ann bob', $$max(buy.at) < '2024-04-01'::timestamptz - interval '10 days'$$), ('ann dee', $$count(view) FILTER (WHERE extract(isodow FROM at) = 7 AND extract(hour FROM at) = 1) > 0$$), ('ann', $$count(buy) FILTER (WHERE date_trunc('month', at) = '2024-02-01') = 1$$),
    ('ann bob', $$count(buy) FILTER (WHERE at BETWEEN timestamptz '2024-02-01' AND timestamptz '2024-03-10 23:59') > 0$$);
INSERT INTO asked (expected, expression, as_of) VALUES
    ('cid', $$days_to_anniversary(born) = 0$$, '2024-02-28 12:00-05'), ('cid', $$days_to_anniversary(born) = 1$$, '2025-02-27 23:59:59-05'), ('cid', $$days_to_anniversary(born) = 364$$, '2025-03-01 00:00-05'), ('ann cid', $$days_to_anniversary(born) BETWEEN 0 AND 100$$, '2026-02-28 00:00-05'),
    ('eve', $$days_to_anniversary(born) <= 7$$, '2024-06-27 00:00-04'), ('', $$days_to_anniversary(born) <= 7$$, '2024-06-26 23:59-04'), ('dee', $$days_to_anniversary(born) IS NULL$$, '2024-06-26 23:59-04'), ('bob', $$days_to_anniversary(born) = 0$$, '2023-12-31 12:00-05'), ('bob', $$days_to_anniversary(joined) = 1$$, '2027-01-10 12:00-05'),
    ('ann bob cid dee eve', $$days_to_anniversary(date '2000-02-29') = 0$$, '2023-02-28 12:00Z'), ('ann bob cid dee eve', $$days_to_anniversary(date '2000-02-29') = 1$$, '2024-02-28 12:00Z'), ('ann bob cid dee eve', $$days_to_anniversary(date '2000-02-29') = 365$$, '2023-03-01 12:00Z'), ('ann bob cid dee eve', $$days_to_anniversary(date 'infinity') IS NULL AND days_to_anniversary('0044-03-15 BC') IS NULL$$, '2024-02-28 12:00Z');
SELECT count(*) AS asked, count(*) FILTER (WHERE a.who = q.expected) AS as_expected, count(*) FILTER (WHERE a.agrees) AS as_plain_sql FROM asked q CROSS JOIN LATERAL ask(q.expression, q.as_of) a;
SELECT q.n, q.expression, q.as_of, q.expected, a.who, a.agrees FROM asked q CROSS JOIN LATERAL ask(q.expression, q.as_of) a WHERE a.who <> q.expected OR NOT a.agrees ORDER BY q.n;

-- 8. The same whatever the session prefers: literals are read in the zone of the workspace.
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SET search_path = pg_temp, public;
CREATE FUNCTION pg_temp.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT 'hijacked' $$;
SELECT count(*) FILTER (WHERE a.who = q.expected) = count(*) AS as_expected FROM public.asked q CROSS JOIN LATERAL public.ask(q.expression, q.as_of) a WHERE q.expression !~ 'lower';
SELECT cdp_segment_count($$ lower(city) = 'new york' $$) AS n;
RESET ALL;
SET client_min_messages = warning;

-- 9. Spelling does not matter: case of words, spaces, comments, quotes, dollar quotes; names are folded as PostgreSQL does.
SELECT e, (ask(e)).who FROM unnest(ARRAY['GENDER = ''f''', '"gender" = $x$f$x$', E'gender\n\t=\n''f'' -- women', '/* who */ gender = E''\x66''', '((gender)) = ((''f''))', 'Sum(BUY.Price) > 50', 'COUNT(buy) filter (where ITEM = ''shoe'') > 0']) e;

-- 10. What the plain SQL looks like.
SELECT cdp_segment_sql($$ gender = 'f' AND (age > 20 OR vip) AND count(buy) FILTER (WHERE item = 'shoe' AND at >= now() - interval '30 days') > 0 $$) AS sql \gx
SELECT cdp_segment_sql($$ spent > 10 $$, '2024-03-01 00:00Z') AS sql \gx

-- 11. A workspace in another zone: the same instants lie in other days.
SELECT cdp_init('east', 'Asia/Shanghai');
SET cdp.workspace = 'east';
SELECT cdp_source_create('deed', 'deed', '{"identifiers": {"user_id": "''u'' || person"}, "traits": {"name": "(SELECT p.name FROM public.person p WHERE p.id = person)"}, "event": {"name": "kind", "at": "at", "properties": {"item": "item", "price": "price"}}}');
CALL cdp_sync();
CREATE FUNCTION ask_east(expression text, as_of timestamptz DEFAULT NULL, OUT who text, OUT agrees boolean) LANGUAGE plpgsql SET TimeZone = 'Asia/Shanghai' AS $$
DECLARE plain bigint[]; got bigint[] := cdp_segment(expression, as_of)::bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(expression, as_of)) INTO plain;
    SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') INTO who FROM east.profiles WHERE profile_id = ANY (got);
    agrees := plain = got AND cardinality(got) = cdp_segment_count(expression, as_of);
END $$;
SELECT q.expected = a.who AS as_expected, a.who, a.agrees, q.expression FROM (VALUES
    ('bob', $$count(buy) FILTER (WHERE at >= '2024-03-10 13:00' AND at < '2024-03-11') = 2$$),
    ('ann bob', $$count(buy) FILTER (WHERE at >= '2024-03-10' AND at < '2024-03-11') > 0$$),
    ('ann', $$count(buy) FILTER (WHERE at >= '2024-03-10' AND at < '2024-03-10 13:00') = 1$$),
    ('bob cid', $$count(view) FILTER (WHERE at >= '2024-03-11' AND at < '2024-03-12') = 1$$),
    ('ann', $$count(view) FILTER (WHERE at::date = '2024-03-10') = 1$$)) AS q(expected, expression) CROSS JOIN LATERAL ask_east(q.expression) a;

DROP FUNCTION ask, ask_east;
DROP TABLE person, deed, asked;
DROP SCHEMA cdp, east CASCADE;
DROP EXTENSION pg_cdp;
