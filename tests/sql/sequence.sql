-- sequence(): events one after the other. What is expected is written beside each, and a slow twin says it independently: every chain of events is tried.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'America/New_York');
CREATE TABLE deed (id int PRIMARY KEY, person text, kind text, at timestamptz, sku text, price numeric, score text);
SELECT cdp_source_create('deed', 'deed', '{"key": "id", "identifiers": {"user_id": "person"}, "traits": {"name": "person"}, "event": {"name": "kind", "at": "at", "id": "id", "properties": {"sku": "sku", "price": "price"}}}');
INSERT INTO deed VALUES
    -- ann: view, cart an hour later, purchase an hour after that
    (1, 'ann', 'view', '2024-05-01 10:00-04', 'hat', 5), (2, 'ann', 'cart', '2024-05-01 11:00-04', 'hat', 5), (3, 'ann', 'buy', '2024-05-01 12:00-04', 'hat', 5),
    -- bob: view, cart of something else two hours and a microsecond later
    (11, 'bob', 'view', '2024-05-01 10:00-04', 'hat', 5), (12, 'bob', 'cart', '2024-05-01 12:00:00.000001-04', 'coat', 50),
    -- cid: cart before view; then everything at one moment, in the order of the rows
    (21, 'cid', 'cart', '2024-05-01 09:00-04', 'hat', 5), (22, 'cid', 'view', '2024-05-02 10:00-04', 'hat', 5), (23, 'cid', 'cart', '2024-05-02 10:00-04', 'hat', 5), (24, 'cid', 'buy', '2024-05-02 10:00-04', 'hat', 5),
    -- dee: view, buy, view, cart: a purchase between the first view and the cart, none since the second
    (31, 'dee', 'view', '2024-05-01 08:00-04', 'hat', 5), (32, 'dee', 'buy', '2024-05-01 08:30-04', 'hat', 5), (33, 'dee', 'view', '2024-05-01 09:00-04', 'coat', 50), (34, 'dee', 'cart', '2024-05-01 09:10-04', 'coat', 50),
    -- eve: view and view; two carts, and a purchase two hours after the first
    (41, 'eve', 'view', '2024-05-01 08:00-04', 'hat', NULL), (42, 'eve', 'view', '2024-05-01 09:00-04', 'hat', 9), (43, 'eve', 'cart', '2024-05-01 09:30-04', 'hat', 9), (44, 'eve', 'cart', '2024-05-01 11:00-04', NULL, 9), (45, 'eve', 'buy', '2024-05-01 11:30-04', 'hat', 9),
    -- fay: the night in which an hour is left out
    (51, 'fay', 'view', '2024-03-10 01:30-05', 'hat', 1), (52, 'fay', 'cart', '2024-03-10 03:30-04', 'hat', 1);
CALL cdp_sync();
CREATE FUNCTION ask(expression text, as_of timestamptz DEFAULT NULL, OUT who text, OUT agrees boolean) LANGUAGE plpgsql SET TimeZone = 'America/New_York' AS $$
DECLARE plain bigint[]; got bigint[] := cdp_segment(expression, as_of)::bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(expression, as_of)) INTO plain;
    SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') INTO who FROM cdp.profiles WHERE profile_id = ANY (got);
    agrees := plain = got AND cardinality(got) = cdp_segment_count(expression, as_of)
        AND (SELECT bool_and((p.profile_id = ANY (got)) IS NOT DISTINCT FROM cdp_segment_contains(expression, p.profile_id, as_of)) FROM cdp.profiles p);
END $$;
CREATE TABLE asked (n int GENERATED ALWAYS AS IDENTITY, expected text, expression text, as_of timestamptz);
INSERT INTO asked (expected, expression) VALUES
    ('ann bob cid dee eve fay', 'sequence(view)'), ('ann bob cid dee eve fay', 'sequence(view, cart)'), ('ann cid eve', 'sequence(view, cart, buy)'), ('dee', 'sequence(buy, view)'), ('dee eve', 'sequence(view, view)'), ('', 'sequence(view, view, view)'),
    ('cid eve', 'sequence(cart, cart)'), ('ann cid eve', 'sequence(cart, buy)'), ('cid', 'sequence(cart, view)'), ('bob', 'NOT sequence(view, cart, within => ''2 hours'')'), ('ann bob cid dee eve fay', 'sequence(view, cart, within => ''2 hours 0.000001 seconds'')'),
    ('ann cid', 'sequence(view, cart, buy, within => ''2 hours'')'), ('cid', 'sequence(view, cart, buy, within => ''1 hour'')'), ('cid', 'sequence(view, cart, within => ''0 seconds'')'), ('', 'sequence(view, cart, within => ''-1 seconds'')'),
    -- between two steps
    ('ann bob cid dee eve fay', 'sequence(view, NOT buy, cart)'), ('', 'sequence(view, NOT cart, buy) AND name <> ''dee'''), ('dee', 'sequence(view, NOT cart, buy)'), ('dee', 'sequence(buy, NOT cart, view)'), ('dee eve', 'sequence(view, NOT cart, view)'), ('', 'sequence(view, NOT view, NOT cart, buy) AND name <> ''dee'''), ('ann cid', 'sequence(view, NOT view, cart, NOT cart, buy) AND name <> ''eve'''), ('ann cid eve', 'sequence(view, NOT buy, cart, NOT view, buy)'),
    -- at the end
    ('bob dee fay', 'sequence(view, cart, NOT buy)'), ('bob dee fay', 'sequence(view, NOT buy, cart, NOT buy)'), ('bob dee eve fay', 'sequence(view, cart, NOT buy, within => ''100 minutes'') OR name = ''bob'''), ('ann dee eve', 'sequence(view, cart, NOT buy, within => ''59 minutes 59 seconds'') OR name = ''ann'''), ('dee fay', 'sequence(view, cart, NOT buy, within => ''60 minutes'') AND name <> ''eve'''), ('dee eve fay', 'sequence(view, cart, NOT buy, within => ''60 minutes'')'), ('ann bob cid eve', 'sequence(buy, NOT view) OR name = ''bob'''),
    -- filters and equal properties
    ('ann cid dee eve fay', 'sequence(view, cart, by => sku)'), ('bob', 'sequence(view, cart) AND NOT sequence(view, cart, by => sku)'), ('ann cid', 'sequence(view, cart, buy, within => ''2 hours'', by => sku)'), ('dee', 'sequence(view, cart, NOT buy, by => sku) AND name <> ''fay'''), ('dee fay', 'sequence(view, cart, NOT buy, by => sku)'), ('eve', 'sequence(view(price => 9), cart)'), ('bob dee', 'sequence(view, cart() FILTER (WHERE price > 10))'), ('dee', 'sequence(view(sku => ''hat''), buy, view(sku => ''coat''))'), ('eve', 'sequence(view() FILTER (WHERE price IS NULL), NOT cart() FILTER (WHERE sku = ''coat''), view() FILTER (WHERE extract(hour FROM at) = 9))'),
    ('fay', 'sequence(view, cart, within => ''1 hour'') AND sequence(view() FILTER (WHERE price < 2))'), ('ann', 'sequence(view, cart, buy) AND sequence(buy() FILTER (WHERE at >= ''2024-05-01 12:00'')) AND name = ''ann'''), ('bob', 'CASE WHEN sequence(view, cart, within => ''2 hours'') THEN ''quick'' ELSE ''slow'' END = ''slow''');
INSERT INTO asked (expected, expression, as_of) VALUES
    ('ann dee eve fay', 'sequence(view, cart, NOT buy)', '2024-05-01 11:29:59-04'), ('', 'sequence(view, cart) AND NOT sequence(view, cart, NOT buy)', '2024-04-30'), ('', 'sequence(view, cart, buy)', '2024-05-01 11:00-04'), ('eve', 'sequence(view, cart, buy)', '2024-05-01 11:30-04');
SELECT count(*) AS asked, count(*) FILTER (WHERE a.who = q.expected) AS as_expected, count(*) FILTER (WHERE a.agrees) AS agree FROM asked q CROSS JOIN LATERAL ask(q.expression, q.as_of) a;
SELECT q.n, q.expression, q.as_of, q.expected, a.who, a.agrees FROM asked q CROSS JOIN LATERAL ask(q.expression, q.as_of) a WHERE a.who <> q.expected OR NOT a.agrees ORDER BY q.n;

-- The plain SQL.
SELECT cdp_segment_sql('sequence(view, cart(sku => ''hat''), NOT buy, within => ''2 hours'', by => sku)') \g (format=unaligned tuples_only=on)
SELECT cdp_segment_sql('sequence(view, NOT buy, cart)', '2024-06-01 00:00Z') \g (format=unaligned tuples_only=on)

-- What a definition names is kept: the events of all steps, and types of identifier.
SELECT cdp_segment_create('left', 'sequence(view, NOT buy, cart) AND has_identifier(''user_id'')');
SELECT cdp_tag_create('again', 'CASE WHEN sequence(buy, buy) THEN 1 END');
SELECT kind, name, needs_kind, needs FROM cdp.dependencies ORDER BY 1, 2, 3, 4;
SELECT cdp_segment_drop('left'), cdp_tag_drop('again');

-- Why: how far each came, when, and what would turn it.
SELECT e AS sequence, p.name, w.result, w.value, w.reason
FROM unnest(ARRAY['view, cart, buy', 'view, cart, within => ''2 hours''', 'view, NOT view, cart, buy', 'view, cart, NOT buy, within => ''150 minutes''', 'view, cart, by => sku', 'view(price => 9), buy']) WITH ORDINALITY x(e, i), cdp.profiles p,
    cdp_segment_why('sequence(' || e || ')', p.profile_id, '2024-05-01 12:30-04') w ORDER BY i, name;

-- A property of one name and two types: each filter reads its own events only.
INSERT INTO deed VALUES (61, 'gus', 'score', '2024-05-01 10:00-04', 'hat', 1, '7'), (62, 'gus', 'mark', '2024-05-01 10:01-04', 'hat', 1, 'A');
SELECT cdp_source_create('marks', 'deed', '{"key": "id", "identifiers": {"user_id": "person"}, "event": {"name": "''m_'' || kind", "at": "at", "id": "id", "properties": {"score": "score"}}}');
CREATE VIEW scored AS SELECT * FROM deed WHERE kind = 'score';
SELECT cdp_source_create('scores', 'scored', '{"key": "id", "identifiers": {"user_id": "person"}, "event": {"name": "''s''", "at": "at", "id": "id", "properties": {"score": "score::numeric"}}}');
CALL cdp_sync();
SELECT (ask(e)).* FROM unnest(ARRAY['count(s) FILTER (WHERE score > 5) > 0', 'sequence(s(score => 7), m_mark(score => ''A''))', 'sequence(m_score, s, by => score)']) e WHERE e !~ 'by';
SELECT cdp_segment('sequence(m_score, s, by => score)');

-- Random people against the slow twin: ties, several chains, events that are two steps at once.
CREATE FUNCTION chains(steps text[], within interval, same boolean) RETURNS SETOF bigint LANGUAGE plpgsql SET TimeZone = 'America/New_York' AS $$
-- Steps as SQL conditions on e; one that begins with ! must not come. Tries every chain.
DECLARE froms text := ''; wheres text := 'true'; step text; absent text[] := '{}'; n int := 0; a text;
BEGIN
    FOREACH step IN ARRAY steps || NULL::text LOOP
        IF step LIKE '!%' THEN absent := absent || substr(step, 2); CONTINUE; END IF;
        IF step IS NOT NULL THEN
            n := n + 1;
            froms := froms || CASE WHEN n > 1 THEN ', ' ELSE '' END || format('cdp.events e%s', n);
            wheres := wheres || format(' AND (%s) AND e%s.profile_id = e1.profile_id', replace(step, 'e.', format('e%s.', n)), n);
            IF same THEN wheres := wheres || format(' AND e%s.properties->>''sku'' = e1.properties->>''sku''', n); END IF;
            IF n > 1 THEN wheres := wheres || format(' AND (e%s.at, e%s.event_id) > (e%s.at, e%s.event_id)', n, n, n - 1, n - 1); END IF;
        END IF;
        IF cardinality(absent) > 0 THEN
            a := '(' || array_to_string(absent, ' OR ') || ') AND e.profile_id = e1.profile_id' || CASE WHEN same THEN ' AND e.properties->>''sku'' = e1.properties->>''sku''' ELSE '' END;
            IF step IS NOT NULL THEN
                wheres := wheres || format(' AND NOT EXISTS (SELECT FROM cdp.events e WHERE %s AND (e.at, e.event_id) > (e%s.at, e%s.event_id) AND (e.at, e.event_id) < (e%s.at, e%s.event_id))', a, n - 1, n - 1, n, n);
            ELSE
                wheres := wheres || format(' AND coalesce((SELECT %s FROM cdp.events e WHERE %s AND (e.at, e.event_id) > (e%s.at, e%s.event_id) ORDER BY e.at, e.event_id LIMIT 1), true)',
                    CASE WHEN within IS NULL THEN 'false' ELSE format('e.at - interval %L > e%s.at', within, n) END, a, n, n);
            END IF;
            absent := '{}';
        END IF;
    END LOOP;
    IF within IS NOT NULL THEN wheres := wheres || format(' AND e1.at >= e%s.at - interval %L', n, within); END IF;
    RETURN QUERY EXECUTE format('SELECT DISTINCT e1.profile_id FROM %s WHERE %s ORDER BY 1', froms, wheres);
END $$;
SELECT setseed(0.42);
INSERT INTO deed SELECT 1000 + i, 'p' || (random() * 60)::int, (ARRAY['view', 'cart', 'buy'])[1 + floor(random() * 3)], timestamptz '2024-03-09 20:00-05' + floor(random() * 20) * interval '30 minutes', (ARRAY['hat', 'coat', NULL])[1 + floor(random() * 3)], floor(random() * 3) FROM generate_series(1, 500) i;
CALL cdp_sync();
CREATE TABLE tried AS
WITH step(said, sql) AS (VALUES ('view', 'e.event = ''view'''), ('cart', 'e.event = ''cart'''), ('buy() FILTER (WHERE price > 0)', 'e.event = ''buy'' AND (e.properties->>''price'')::numeric > 0'), ('view(sku => ''hat'')', 'e.event = ''view'' AND e.properties->>''sku'' = ''hat''')),
rolled AS (SELECT n, i, 1 + floor(random() * 4)::int AS k, i > 1 AND random() < 0.4 AS absent FROM generate_series(1, 150) n, generate_series(1, 4) i WHERE i <= 1 + n % 4),
steps AS (SELECT r.n, string_agg(CASE WHEN r.absent THEN 'NOT ' ELSE '' END || s.said, ', ' ORDER BY i) AS said, array_agg(CASE WHEN r.absent THEN '!' ELSE '' END || s.sql ORDER BY i) AS sql
    FROM rolled r JOIN (SELECT row_number() OVER () AS k, * FROM step) s USING (k) GROUP BY r.n),
chosen AS (SELECT *, (ARRAY['0 minutes', '30 minutes', '90 minutes', '3 hours', NULL])[1 + n % 5] AS within, n % 3 = 0 AS same FROM steps)
SELECT n, 'sequence(' || said || coalesce(', within => ' || quote_literal(within), '') || CASE WHEN same THEN ', by => sku' ELSE '' END || ')' AS expression, ARRAY(SELECT chains(sql, within::interval, same)) AS truth, said AS steps, within, same FROM chosen;
SELECT count(*) AS tried, count(*) FILTER (WHERE cardinality(truth) > 0) > 100 AS most_are_somebody, count(*) FILTER (WHERE cdp_segment(expression)::bigint[] = truth) AS as_the_twin FROM tried;
SELECT expression, cardinality(truth) AS twin, cdp_segment_count(expression) AS n FROM tried WHERE cdp_segment(expression)::bigint[] <> truth ORDER BY length(expression) LIMIT 5;

-- cdp_segment_why() counts as many steps as the longest beginning of the sequence has that is true; and what it says would turn it does, with the first event left out it does not.
CREATE FUNCTION told(t tried, who bigint, OUT steps int, OUT longest int) LANGUAGE plpgsql STABLE AS $$
DECLARE part text; prefix text := ''; n int := 0;
BEGIN
    steps := (SELECT split_part(w.value, ' of ', 1) FROM cdp_segment_why(t.expression, who) w);
    longest := 0;
    FOREACH part IN ARRAY string_to_array(t.steps, ', ') LOOP
        prefix := prefix || CASE WHEN prefix = '' THEN '' ELSE ', ' END || part;
        CONTINUE WHEN part LIKE 'NOT %';
        n := n + 1;
        IF cdp_segment_contains('sequence(' || prefix || coalesce(', within => ' || quote_literal(t.within), '') || CASE WHEN t.same THEN ', by => sku' ELSE '' END || ')', who) THEN longest := n; END IF;
    END LOOP;
END $$;
SELECT count(*) > 500 AS told, count(*) FILTER (WHERE x.steps = x.longest) = count(*) AS so, count(DISTINCT x.steps) AS lengths FROM tried t, cdp.profiles p, told(t, p.profile_id) x WHERE t.n % 5 = 2 AND p.profile_id % 3 = 0;
CREATE FUNCTION turns(expression text, who bigint, as_of timestamptz, OUT said text, OUT turned boolean, OUT less boolean) LANGUAGE plpgsql SET TimeZone = 'America/New_York' AS $$
DECLARE was boolean; steps text[]; sku text; now_is boolean;
BEGIN
    SELECT w.result, substring(w.reason FROM '([^;]*) would turn it$') INTO was, said FROM cdp_segment_why(expression, who, as_of) w;
    IF said IS NULL THEN RETURN; END IF;
    sku := coalesce(substring(said FROM ' with the sku (\w+)'), 'hat');
    steps := string_to_array(regexp_replace(ltrim(said), ' (with|by|or) .*', ''), ', then ');
    FOR skipped IN 0..1 LOOP
        BEGIN
            INSERT INTO cdp.event (event_type_id, source_id, node_id, at, key, properties)
            SELECT t.event_type_id, 1, (SELECT min(n.node_id) FROM cdp.node n WHERE n.profile_id = who), as_of, 'turn' || s.i, jsonb_build_object('sku', sku)
            FROM unnest(steps) WITH ORDINALITY s(step, i) JOIN cdp.event_type t ON t.name = s.step WHERE s.i > skipped ORDER BY s.i;
            now_is := cdp_segment_contains(expression, who, as_of);
            RAISE EXCEPTION 'undone';
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
        IF skipped = 0 THEN turned := was <> now_is; ELSE less := was <> now_is; END IF;
    END LOOP;
END $$;
SELECT count(t.said) > 300 AS said, count(*) FILTER (WHERE t.turned) = count(t.said) AS so, count(*) FILTER (WHERE t.less) AS with_less, count(*) FILTER (WHERE t.said IS NULL) > 50 AS nothing_turns
FROM unnest(ARRAY['view, cart, buy', 'view, cart, within => ''2 hours''', 'view, NOT view, cart, NOT view, buy, within => ''3 hours''', 'view, cart, NOT buy, within => ''90 minutes''', 'view, NOT cart, buy, NOT view, NOT cart', 'buy, view, by => sku', 'view, cart, NOT buy, within => ''9 hours'', by => sku', 'buy, buy, buy, buy, buy']) e, cdp.profiles p,
    turns('sequence(' || e || ')', p.profile_id, '2024-03-10 06:00-04') t WHERE t.said IS NULL OR t.said NOT LIKE '%each of%';

DROP FUNCTION ask, chains, told, turns;
DROP VIEW scored;
DROP TABLE deed, asked, tried;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
