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

-- Tries an expression; tells how it fails. All the answers are in one form: the code; the place, which the detail begins with; the message; the detail; the hint.
CREATE SEQUENCE tried;
CREATE FUNCTION wrong(call text, VARIADIC arguments text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE code text; message text; detail text; hint text;
BEGIN
    BEGIN
        EXECUTE 'SELECT ' || call USING arguments;
        RETURN NEXT 'accepted';
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    END;
    PERFORM nextval('tried');
    RETURN NEXT format('%s at %s: %s', code, coalesce(substring(detail FROM '^At (?:character )?(the end|[0-9]+)'), 'no place'), message);
    IF detail <> '' THEN RETURN NEXT '    detail: ' || detail; END IF;
    RETURN NEXT '    hint: ' || coalesce(nullif(hint, ''), '(none)');
END $$;
CREATE FUNCTION wrong(expression text) RETURNS SETOF text LANGUAGE sql AS $$ SELECT wrong('cdp_segment($1[1])', expression) $$;
CREATE FUNCTION wrong(expression jsonb) RETURNS SETOF text LANGUAGE sql AS $$ SELECT wrong('cdp_segment($1[1]::jsonb)', expression::text) $$;
\pset format unaligned
\pset tuples_only on

-- 1. Names, with the nearest that exists.
SELECT * FROM wrong('gendre = ''f''');
SELECT * FROM wrong('value_levle = ''high''');
SELECT * FROM wrong('城镇 = ''上海''');
SELECT * FROM wrong('age > 20 AND shoe_size = 40');
SELECT * FROM wrong('count(purchse) > 0');
SELECT * FROM wrong('sum(purchase.pirce) > 0');
SELECT * FROM wrong('count(purchase) FILTER (WHERE itme = ''hat'') > 0');
SELECT * FROM wrong('in_segment(''vpi'')');
SELECT * FROM wrong('lowr(gender) = ''f''');
SELECT * FROM wrong('purchase > 0');
SELECT * FROM wrong('at > now()');
SELECT * FROM wrong('"Gender" = ''f''');

-- 2. Grammar.
SELECT * FROM wrong('');
SELECT * FROM wrong('gender =');
SELECT * FROM wrong('(gender = ''f''');
SELECT * FROM wrong('gender = ''f'') OR vip');
SELECT * FROM wrong('gender = ''f'' vip');
SELECT * FROM wrong('gender = ''f');
SELECT * FROM wrong('age IN ()');
SELECT * FROM wrong('1 < age < 40');
SELECT * FROM wrong('true; DROP TABLE cdp.profile');
SELECT * FROM wrong(E'age > 20\n  AND\n  OR vip');

-- 3. Types.
SELECT * FROM wrong('age');
SELECT * FROM wrong('gender = 1');
SELECT * FROM wrong('age = ''many''');
SELECT * FROM wrong('vip = ''maybe''');
SELECT * FROM wrong('birthday = ''2024-02-30''');
SELECT * FROM wrong('joined > now() - ''30 days''');
SELECT * FROM wrong('age + gender > 1');
SELECT * FROM wrong('sum(purchase.item) > 1');
SELECT * FROM wrong('CASE WHEN vip THEN gender ELSE age END = ''f''');
SELECT * FROM wrong('age = ''99999999999999999999''');
SELECT * FROM wrong('vip AND age');

-- 4. SQL that is not part of the language.
SELECT * FROM wrong('EXISTS (SELECT 1 FROM pg_class)');
SELECT * FROM wrong('age = (SELECT 1)');
SELECT * FROM wrong('pg_sleep(10) IS NULL');
SELECT * FROM wrong('count(*) > 0');
SELECT * FROM wrong('count(purchase) FILTER (WHERE gender = ''f'') > 0');
SELECT * FROM wrong('gender || ''x'' = ''fx''');
SELECT * FROM wrong('gender ~ ''^f''');
SELECT * FROM wrong('age::money = 1');
SELECT * FROM wrong('$1 = gender');
SELECT * FROM wrong('count(purchase) OVER () > 1');
SELECT * FROM wrong('consented(''ads'')');

-- 5. Sequences, identifiers, anniversaries.
SELECT * FROM wrong('sequence()');
SELECT * FROM wrong('sequence(purchse, purchase)');
SELECT * FROM wrong('sequence(NOT purchase)');
SELECT * FROM wrong('vip AND sequence(NOT purchase, purchase)');
SELECT * FROM wrong('sequence(purchase, purchase.price > 3)');
SELECT * FROM wrong('sequence(purchase, NOT NOT purchase)');
SELECT * FROM wrong('sequence(purchase, purchase() FILTER (WHERE itme = ''hat''))');
SELECT * FROM wrong('sequence(purchase, purchase(itme => ''hat''))');
SELECT * FROM wrong('sequence(purchase(5), purchase)');
SELECT * FROM wrong('sequence(purchase, within => ''soon'')');
SELECT * FROM wrong('sequence(purchase, within => 2)');
SELECT * FROM wrong('sequence(purchase, within => ''1 day'', within => ''2 days'')');
SELECT * FROM wrong('sequence(purchase, by => itme)');
SELECT * FROM wrong('sequence(purchase, purchase, by => ''item'')');
SELECT * FROM wrong('sequence(purchase, within => ''1 day'', purchase)');
SELECT * FROM wrong('sequence(purchase, gap => ''1 day'')');
SELECT * FROM wrong('sequence(purchase, purchase) FILTER (WHERE true)');
SELECT * FROM wrong('count(purchase) FILTER (WHERE sequence(purchase)) > 0');
SELECT * FROM wrong('sequence(' || repeat('purchase, ', 20) || 'purchase)');
SELECT * FROM wrong('sequence(purchase) > 1');
SELECT * FROM wrong('has_identifier(''emial'')');
SELECT * FROM wrong('has_identifier(email)');
SELECT * FROM wrong('has_identifier()');
SELECT * FROM wrong('days_to_anniversary(gender) < 7');
SELECT * FROM wrong('days_to_anniversary(birthday, 7)');
SELECT * FROM wrong('days_to_aniversary(birthday) < 7');
SELECT * FROM wrong('days_to_anniversary(birthday) < interval ''7 days''');

-- 6. The JSON form.
SELECT * FROM wrong('{"=": [{"attribute": "gendre"}, "f"]}'::jsonb);
SELECT * FROM wrong('{"adn": [true, true]}'::jsonb);
SELECT * FROM wrong('{"and": [true, {"<": [{"attribute": "age"}]}]}'::jsonb);
SELECT * FROM wrong('{"attribute": "age", "op": "<", "value": 5}'::jsonb);
SELECT * FROM wrong('[]'::jsonb);
SELECT * FROM wrong('"vip"'::jsonb);
SELECT * FROM wrong('{"count": {"event": "purchase", "filter": true}}'::jsonb);
SELECT * FROM wrong('{">": [{"number": "1 OR true"}, 0]}'::jsonb);
SELECT * FROM wrong(NULL::jsonb);
SELECT * FROM wrong(replace(replace(repeat('N', 500) || 'true' || repeat('}', 500), 'N', '{"not": '), '}', '}')::jsonb);
SELECT * FROM wrong('cdp_segment_json($1[1])', 'gendre = ''f''');
SELECT * FROM wrong('cdp_segment_text($1[1]::jsonb)', '{"in": [1]}');
SELECT cdp_segment_json('age + 0.10') AS a_tag, cdp_segment_text('{"+": [{"attribute": "age"}, 0.10]}') AS as_text;

-- 7. One profile.
SELECT * FROM wrong('cdp_segment_contains($1[1], $1[2]::bigint)', 'vip', '999999');
SELECT * FROM wrong('cdp_segment_contains($1[1], $1[2]::bigint)', 'vip', NULL);
SELECT * FROM wrong('cdp_segment_why($1[1], $1[2]::bigint)', 'gendre = ''f''', '1');

-- 8. Beyond measure.
SELECT * FROM wrong(repeat('(', 60) || 'vip' || repeat(')', 60));
SELECT * FROM wrong('age > 1e999');
SELECT * FROM wrong(repeat('NOT ', 60) || 'vip');
SELECT * FROM wrong(repeat('-', 1) || repeat('(-', 55) || 'age' || repeat(')', 55) || ' > 0');
SELECT * FROM wrong('age' || repeat(' + 1', 120) || ' > 0');
SELECT * FROM wrong('age' || repeat(' ISNULL', 9000));
SELECT * FROM wrong(repeat('vip AND ', 6000) || 'vip');
-- 10 MB, and 100,000 levels: refused at once.
SET statement_timeout = '30s';
SELECT * FROM wrong('gender = ''' || repeat('x', 10000000) || '''');
SELECT * FROM wrong(repeat('(', 10000000));
SET cdp.max_expression_size = '1MB';
SET cdp.max_expression_depth = 100;
SELECT * FROM wrong(repeat('(', 100000) || 'vip' || repeat(')', 100000));
SELECT * FROM wrong(repeat('NOT ', 100000) || 'vip');
SELECT * FROM wrong(repeat('CASE WHEN vip THEN ', 30000) || 'vip' || repeat(' END', 30000));
SELECT * FROM wrong(repeat('lower(', 100000) || 'gender');
SELECT * FROM wrong(repeat('vip AND (vip OR ', 40000) || 'vip' || repeat(')', 40000));
SELECT * FROM wrong(repeat('- ', 100000) || 'age > 0');
SELECT * FROM wrong('age' || repeat('::text', 100000) || ' = ''x''');
-- So is the JSON form: long, wide, and as deep as PostgreSQL itself reads jsonb, or deeper.
SELECT * FROM wrong('cdp_segment($1[1]::jsonb)', '{"=": [{"attribute": "gender"}, "' || repeat('x', 10000000) || '"]}');
SELECT * FROM wrong('cdp_segment($1[1]::jsonb)', '{"and": [' || repeat('{"attribute": "vip"}, ', 500000) || 'true]}');
SELECT * FROM wrong('cdp_segment($1[1]::jsonb)', '{"in": [{"attribute": "age"}' || repeat(', 1', 3300000) || ']}');
SELECT * FROM wrong('cdp_segment($1[1]::jsonb)', repeat('{"not": ', 3000) || 'true' || repeat('}', 3000));
SELECT * FROM wrong('cdp_segment($1[1]::jsonb)', repeat('[', 3000) || repeat(']', 3000));
SELECT * FROM wrong('cdp_segment_text($1[1]::jsonb)', repeat('{"not": ', 3000) || 'true' || repeat('}', 3000));
SELECT * FROM wrong('cdp_segment($1[1]::jsonb)', repeat('{"not": ', 100000) || 'true' || repeat('}', 100000));
SELECT * FROM wrong('cdp_segment($1[1]::jsonb)', repeat('[', 100000) || repeat(']', 100000));
SELECT cdp_segment_count(repeat('(', 99) || 'vip' || repeat(')', 99)) AS as_deep_as_may_be;
SELECT cdp_segment_count('age IN (' || string_agg(i::text, ', ') || ')') AS a_very_long_list FROM generate_series(1, 50000) i;
SET cdp.max_expression_size = '1kB';
SET cdp.max_expression_depth = 2;
SELECT * FROM wrong('vip OR gender IN (' || repeat('''f'', ', 300) || '''m'')');
SELECT * FROM wrong('(((vip)))');
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
SELECT * FROM wrong('cdp_segment_count($1[1], now())', 'in_segment(''older'')');
SELECT * FROM wrong('cdp_segment_count($1[1], now())', 'grade > 0');
UPDATE cdp.segment SET expression = 'vip' WHERE name = 'vip';
-- Tags that name a tag twice are written out twice, but not without end.
DO $$ BEGIN
    PERFORM cdp_tag_create('t0', 'age');
    FOR i IN 1..30 LOOP PERFORM cdp_tag_create('t' || i, format('t%s + t%s', i - 1, i - 1)); END LOOP;
END $$;
SELECT cdp_segment_count('t8 > 0', now()) AS n;
SELECT * FROM wrong('cdp_segment_count($1[1], now())', 't30 > 0');
-- Nor to any depth: four tags of ninety sums each, one in the other, and a fifth.
DO $$ BEGIN
    FOR i IN 1..5 LOOP PERFORM cdp_tag_create('d' || i, CASE i WHEN 1 THEN 'age' ELSE 'd' || i - 1 END || repeat(' + 1', 90)); END LOOP;
END $$;
SELECT cdp_segment_count('d4 > 0', now()) AS n;
SELECT * FROM wrong('cdp_segment_count($1[1], now())', 'd5 > 0');
SELECT * FROM wrong('gender = ''' || repeat('x', 70000) || '''');
SELECT cdp_segment_count('age IN (' || string_agg(i::text, ', ') || ')') AS a_long_list_is_fine FROM generate_series(1, 2000) i;

-- 9. A value that only shows when it is computed fails as in SQL.
INSERT INTO shop VALUES ('a@example.com', 'f', 0, 1, true, '2000-01-01', now(), NULL, '2024-01-01', 'hat', 5);
CALL cdp_sync();
SELECT * FROM wrong('10 / age > 1');
SELECT cdp_segment_count('d4 > 0', now()) AS n, cdp_segment_contains('vip AND d4 > 0', 1, now()) AS one;
SELECT * FROM wrong('gender::bigint = 1');
SELECT * FROM wrong('age / 0 = 1');
SELECT * FROM wrong('9223372036854775807 + age + 1 > 0');

-- 10. The same words from every door.
SELECT * FROM wrong('cdp_segment_count($1[1])', 'gendre = ''f''');
SELECT * FROM wrong('cdp_segment_sql($1[1])', 'gendre = ''f''');
SELECT * FROM wrong('cdp_segment_create($1[1], $1[2])', 'x', 'gendre = ''f''');
SELECT * FROM wrong('cdp_tag_create($1[1], $1[2])', 'x', 'gendre');
SELECT * FROM wrong('cdp_segment_contains($1[1], 1)', 'gendre = ''f''');
SELECT * FROM wrong('cdp_segment($1[1], $1[2]::timestamptz)', 'true', 'infinity');
SELECT * FROM wrong('cdp_segment($1[1], entity => $1[2])', 'true', 'product');

-- 11. One evaluation that takes long ends when its time is over, not when it is done: a condition of 2,500 products for each of 5,000 people.
INSERT INTO shop (email, age, balance, at) SELECT 'p' || i || '@example.com', i, i + 0.25, '2024-01-01' FROM generate_series(1, 5000) i;
CALL cdp_sync();
SET cdp.max_expression_size = '1MB';
SET statement_timeout = '200ms';
SELECT clock_timestamp() AS begun \gset
SELECT cdp_segment_count(string_agg(format('age * balance = %s.1', i), ' OR ')) FROM generate_series(1, 2500) i;
SELECT clock_timestamp() - :'begun' < interval '1.5 seconds' AS in_time;
SELECT cdp_segment_count('age > 0') AS goes_on;
RESET cdp.max_expression_size;
RESET statement_timeout;

-- Failed as they should, each with its code.
SELECT currval('tried');

DROP FUNCTION wrong(text), wrong(jsonb), wrong(text, VARIADIC text[]);
DROP SEQUENCE tried;
DROP TABLE shop;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
