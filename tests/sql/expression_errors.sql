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
SELECT cdp_segment('consented(''ads'')');

-- 5. Sequences, identifiers, anniversaries.
SELECT cdp_segment('sequence()');
SELECT cdp_segment('sequence(purchse, purchase)');
SELECT cdp_segment('sequence(NOT purchase)');
SELECT cdp_segment('vip AND sequence(NOT purchase, purchase)');
SELECT cdp_segment('sequence(purchase, purchase.price > 3)');
SELECT cdp_segment('sequence(purchase, NOT NOT purchase)');
SELECT cdp_segment('sequence(purchase, purchase() FILTER (WHERE itme = ''hat''))');
SELECT cdp_segment('sequence(purchase, purchase(itme => ''hat''))');
SELECT cdp_segment('sequence(purchase(5), purchase)');
SELECT cdp_segment('sequence(purchase, within => ''soon'')');
SELECT cdp_segment('sequence(purchase, within => 2)');
SELECT cdp_segment('sequence(purchase, within => ''1 day'', within => ''2 days'')');
SELECT cdp_segment('sequence(purchase, by => itme)');
SELECT cdp_segment('sequence(purchase, purchase, by => ''item'')');
SELECT cdp_segment('sequence(purchase, within => ''1 day'', purchase)');
SELECT cdp_segment('sequence(purchase, gap => ''1 day'')');
SELECT cdp_segment('sequence(purchase, purchase) FILTER (WHERE true)');
SELECT cdp_segment('count(purchase) FILTER (WHERE sequence(purchase)) > 0');
SELECT cdp_segment('sequence(' || repeat('purchase, ', 20) || 'purchase)');
SELECT cdp_segment('sequence(purchase) > 1');
SELECT cdp_segment('has_identifier(''emial'')');
SELECT cdp_segment('has_identifier(email)');
SELECT cdp_segment('has_identifier()');
SELECT cdp_segment('days_to_anniversary(gender) < 7');
SELECT cdp_segment('days_to_anniversary(birthday, 7)');
SELECT cdp_segment('days_to_aniversary(birthday) < 7');
SELECT cdp_segment('days_to_anniversary(birthday) < interval ''7 days''');

-- 6. The JSON form.
SELECT cdp_segment('{"=": [{"attribute": "gendre"}, "f"]}'::jsonb);
SELECT cdp_segment('{"adn": [true, true]}'::jsonb);
SELECT cdp_segment('{"and": [true, {"<": [{"attribute": "age"}]}]}'::jsonb);
SELECT cdp_segment('{"attribute": "age", "op": "<", "value": 5}'::jsonb);
SELECT cdp_segment('[]'::jsonb);
SELECT cdp_segment('"vip"'::jsonb);
SELECT cdp_segment('{"count": {"event": "purchase", "filter": true}}'::jsonb);
SELECT cdp_segment('{">": [{"number": "1 OR true"}, 0]}'::jsonb);
SELECT cdp_segment(NULL::jsonb);
SELECT cdp_segment(replace(replace(repeat('N', 500) || 'true' || repeat('}', 500), 'N', '{"not": '), '}', '}')::jsonb);
SELECT cdp_segment_json('gendre = ''f''');
SELECT cdp_segment_text('{"in": [1]}');
SELECT cdp_segment_json('age + 0.10') AS a_tag, cdp_segment_text('{"+": [{"attribute": "age"}, 0.10]}') AS as_text;

-- 7. One profile.
SELECT cdp_segment_contains('vip', 999999);
SELECT cdp_segment_contains('vip', NULL);
SELECT cdp_segment_why('gendre = ''f''', 1);

-- 8. Beyond measure.
SELECT cdp_segment(repeat('(', 60) || 'vip' || repeat(')', 60));
SELECT cdp_segment('age > 1e999');
SELECT cdp_segment(repeat('NOT ', 60) || 'vip');
SELECT cdp_segment(repeat('-', 1) || repeat('(-', 55) || 'age' || repeat(')', 55) || ' > 0');
SELECT cdp_segment('age' || repeat(' + 1', 120) || ' > 0');
SELECT cdp_segment('age' || repeat(' ISNULL', 9000));
SELECT cdp_segment(repeat('vip AND ', 6000) || 'vip');
-- 10 MB, and 100,000 levels: refused at once.
SET statement_timeout = '30s';
SELECT cdp_segment('gender = ''' || repeat('x', 10000000) || '''');
SELECT cdp_segment(repeat('(', 10000000));
SET cdp.max_expression_size = '1MB';
SET cdp.max_expression_depth = 100;
SELECT cdp_segment(repeat('(', 100000) || 'vip' || repeat(')', 100000));
SELECT cdp_segment(repeat('NOT ', 100000) || 'vip');
SELECT cdp_segment(repeat('CASE WHEN vip THEN ', 30000) || 'vip' || repeat(' END', 30000));
SELECT cdp_segment(repeat('lower(', 100000) || 'gender');
SELECT cdp_segment(repeat('vip AND (vip OR ', 40000) || 'vip' || repeat(')', 40000));
SELECT cdp_segment(repeat('- ', 100000) || 'age > 0');
SELECT cdp_segment('age' || repeat('::text', 100000) || ' = ''x''');
SELECT cdp_segment_count(repeat('(', 99) || 'vip' || repeat(')', 99)) AS as_deep_as_may_be;
SELECT cdp_segment_count('age IN (' || string_agg(i::text, ', ') || ')') AS a_very_long_list FROM generate_series(1, 50000) i;
SET cdp.max_expression_size = '1kB';
SET cdp.max_expression_depth = 2;
SELECT cdp_segment('vip OR gender IN (' || repeat('''f'', ', 300) || '''m'')');
SELECT cdp_segment('(((vip)))');
SELECT cdp_segment_count('((vip))') AS n;
SET cdp.max_expression_depth = 101;
RESET cdp.max_expression_size;
RESET cdp.max_expression_depth;
-- The time that statements may take holds inside.
SET statement_timeout = '300ms';
SELECT cdp_segment_count('sequence(purchase, purchase, purchase)') AS n FROM generate_series(1, 100000);
RESET statement_timeout;
-- Definitions that lead back to themselves; only by hand, since a definition can name nothing but what is there.
SELECT cdp_segment_create('older', 'in_segment(''vip'') AND age > 40');
SELECT cdp_tag_create('grade', 'CASE WHEN in_segment(''older'') THEN 1 END');
UPDATE cdp.segment SET expression = 'grade = 1 OR vip' WHERE name = 'vip';
SELECT cdp_segment_count('in_segment(''older'')') AS what_is_kept_is_read;
SELECT cdp_segment_count('in_segment(''older'')', now());
SELECT cdp_segment_count('grade > 0', now());
UPDATE cdp.segment SET expression = 'vip' WHERE name = 'vip';
-- Tags that name a tag twice are written out twice, but not without end.
DO $$ BEGIN
    PERFORM cdp_tag_create('t0', 'age');
    FOR i IN 1..30 LOOP PERFORM cdp_tag_create('t' || i, format('t%s + t%s', i - 1, i - 1)); END LOOP;
END $$;
SELECT cdp_segment_count('t8 > 0', now()) AS n;
SELECT cdp_segment_count('t30 > 0', now());
-- Nor to any depth: four tags of ninety sums each, one in the other, and a fifth.
DO $$ BEGIN
    FOR i IN 1..5 LOOP PERFORM cdp_tag_create('d' || i, CASE i WHEN 1 THEN 'age' ELSE 'd' || i - 1 END || repeat(' + 1', 90)); END LOOP;
END $$;
SELECT cdp_segment_count('d4 > 0', now()) AS n;
SELECT cdp_segment_count('d5 > 0', now());
SELECT length(repeat('x', 70000)), cdp_segment('gender = ''' || repeat('x', 70000) || '''');
SELECT cdp_segment_count('age IN (' || string_agg(i::text, ', ') || ')') AS a_long_list_is_fine FROM generate_series(1, 2000) i;

-- 9. A value that only shows when it is computed fails as in SQL.
INSERT INTO shop VALUES ('a@example.com', 'f', 0, 1, true, '2000-01-01', now(), NULL, '2024-01-01', 'hat', 5);
CALL cdp_sync();
SELECT cdp_segment('10 / age > 1');
SELECT cdp_segment_count('d4 > 0', now()) AS n, cdp_segment_contains('vip AND d4 > 0', 1, now()) AS one;
SELECT cdp_segment('gender::bigint = 1');
SELECT cdp_segment('age / 0 = 1');
SELECT cdp_segment('9223372036854775807 + age + 1 > 0');

-- 10. The same words from every door.
SELECT cdp_segment_count('gendre = ''f''');
SELECT cdp_segment_sql('gendre = ''f''');
SELECT cdp_segment_create('x', 'gendre = ''f''');
SELECT cdp_tag_create('x', 'gendre');
SELECT cdp_segment_contains('gendre = ''f''', 1);
SELECT cdp_segment('true', 'infinity');
SELECT cdp_segment('true', entity => 'product');

-- 11. Codes.
CREATE FUNCTION code(expression text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM cdp_segment(expression); RETURN 'none'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT code(e), left(e, 60) AS e FROM unnest(ARRAY['gendre = 1', 'count(purchse) > 0', 'sum(purchase.pirce) > 0', 'in_segment(''vpi'')', 'lowr(gender)', 'gender =', 'gender = 1', 'age = ''many''', 'age = ''99999999999999999999''', 'gender ~ ''f''', repeat('(', 60), '''a'' + ''b'' = 1', 'birthday = ''2024-02-30''', '10 / age > 1', 'sequence(NOT purchase)', 'sequence(purchase, within => ''soon'')', 'has_identifier(''emial'')', repeat('x', 70000)]) e;

DROP FUNCTION code;
DROP TABLE shop;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
