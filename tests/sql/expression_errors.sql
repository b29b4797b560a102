-- What is wrong with an expression is said with its SQLSTATE, the place (in characters, from 1), the word, and what to do.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE shop (email text, gender text, age int, balance numeric, vip boolean, birthday date, joined timestamptz, 城市 text, at timestamptz, item text, price numeric);
SELECT cdp_source_create('shop', 'shop', '{"identifiers": {"email": "email"}, "traits": {"gender": "gender", "age": "age", "balance": "balance", "vip": "vip", "birthday": "birthday", "joined": "joined", "城市": "城市"},
    "event": {"name": "''purchase''", "at": "at", "properties": {"item": "item", "price": "price"}}}');
SELECT cdp_segment_create('vip', 'vip');
SELECT cdp_tag_create('value_level', $$ CASE WHEN sum(purchase.price) > 100 THEN 'high' END $$);

-- 1. Names, with the nearest that exists.
SELECT cdp_segment('gendre = ''f''');
SELECT cdp_segment('value_levle = ''high''');
SELECT cdp_segment('城镇 = ''上海''');
SELECT cdp_segment('age > 20 AND shoe_size = 40');
SELECT cdp_segment('count(purchse) > 0');
SELECT cdp_segment('sum(purchase.pirce) > 0');
SELECT cdp_segment('count(purchase) FILTER (WHERE itme = ''hat'') > 0');
SELECT cdp_segment('in_segment(''vpi'')');
SELECT cdp_segment('lowr(gender) = ''f''');
SELECT cdp_segment('purchase > 0');
SELECT cdp_segment('at > now()');
SELECT cdp_segment('"Gender" = ''f''');

-- 2. Grammar.
SELECT cdp_segment('');
SELECT cdp_segment('gender =');
SELECT cdp_segment('(gender = ''f''');
SELECT cdp_segment('gender = ''f'') OR vip');
SELECT cdp_segment('gender = ''f'' vip');
SELECT cdp_segment('gender = ''f');
SELECT cdp_segment('age IN ()');
SELECT cdp_segment('1 < age < 40');
SELECT cdp_segment('true; DROP TABLE cdp.profile');
SELECT cdp_segment(E'age > 20\n  AND\n  OR vip');

-- 3. Types.
SELECT cdp_segment('age');
SELECT cdp_segment('gender = 1');
SELECT cdp_segment('age = ''many''');
SELECT cdp_segment('vip = ''maybe''');
SELECT cdp_segment('birthday = ''2024-02-30''');
SELECT cdp_segment('joined > now() - ''30 days''');
SELECT cdp_segment('age + gender > 1');
SELECT cdp_segment('sum(purchase.item) > 1');
SELECT cdp_segment('CASE WHEN vip THEN gender ELSE age END = ''f''');
SELECT cdp_segment('age = ''99999999999999999999''');
SELECT cdp_segment('vip AND age');

-- 4. SQL that is not part of the language.
SELECT cdp_segment('EXISTS (SELECT 1 FROM pg_class)');
SELECT cdp_segment('age = (SELECT 1)');
SELECT cdp_segment('pg_sleep(10) IS NULL');
SELECT cdp_segment('count(*) > 0');
SELECT cdp_segment('count(purchase) FILTER (WHERE gender = ''f'') > 0');
SELECT cdp_segment('gender || ''x'' = ''fx''');
SELECT cdp_segment('gender ~ ''^f''');
SELECT cdp_segment('age::money = 1');
SELECT cdp_segment('$1 = gender');
SELECT cdp_segment('count(purchase) OVER () > 1');
SELECT cdp_segment('has_identifier(''email'')');

-- 5. Beyond measure.
SELECT cdp_segment(repeat('(', 60) || 'vip' || repeat(')', 60));
SELECT cdp_segment('age > 1e999');
SELECT length(repeat('x', 70000)), cdp_segment('gender = ''' || repeat('x', 70000) || '''');
SELECT cdp_segment_count('age IN (' || string_agg(i::text, ', ') || ')') AS a_long_list_is_fine FROM generate_series(1, 2000) i;

-- 6. A value that only shows when it is computed fails as in SQL.
INSERT INTO shop VALUES ('a@example.com', 'f', 0, 1, true, '2000-01-01', now(), NULL, '2024-01-01', 'hat', 5);
CALL cdp_sync();
SELECT cdp_segment('10 / age > 1');
SELECT cdp_segment('gender::bigint = 1');
SELECT cdp_segment('age / 0 = 1');
SELECT cdp_segment('9223372036854775807 + age + 1 > 0');

-- 7. The same words from every door.
SELECT cdp_segment_count('gendre = ''f''');
SELECT cdp_segment_sql('gendre = ''f''');
SELECT cdp_segment_create('x', 'gendre = ''f''');
SELECT cdp_tag_create('x', 'gendre');
SELECT cdp_segment('true', 'infinity');
SELECT cdp_segment('true', entity => 'product');

-- 8. Codes.
CREATE FUNCTION code(expression text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM cdp_segment(expression); RETURN 'none'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT code(e), e FROM unnest(ARRAY['gendre = 1', 'count(purchse) > 0', 'sum(purchase.pirce) > 0', 'in_segment(''vpi'')', 'lowr(gender)', 'gender =', 'gender = 1', 'age = ''many''', 'age = ''99999999999999999999''', 'gender ~ ''f''', repeat('(', 60), '''a'' + ''b'' = 1', 'birthday = ''2024-02-30''', '10 / age > 1']) e;

DROP FUNCTION code;
DROP TABLE shop;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
