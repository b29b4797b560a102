-- Survivorship: every rule, clears, ties; what one message at a time comes to, what batches come to, and plain SQL say the same.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');

-- 1. Which rules there are, and for which types.
SELECT cdp_trait_create('x', 'text', 'loudest');
SELECT cdp_trait_create('x', 'text', 'min');
SELECT cdp_trait_create('x', 'date', 'sum');
SELECT cdp_trait_create('x', 'text', 'union');
SELECT cdp_trait_create('x', 'boolean', 'longest');
SELECT cdp_trait_create('x', 'blob', 'min');
CREATE TABLE trait (name text, type text, rule text);
INSERT INTO trait VALUES
    ('recent', 'text', 'most_recent'), ('first', 'text', 'oldest'), ('trusted', 'text', 'source_trust'), ('often', 'numeric', 'most_frequent'), ('long', 'text', 'longest'),
    ('least', 'numeric', 'min'), ('most', 'bigint', 'max'), ('earliest', 'date', 'min'), ('latest', 'timestamptz', 'max'), ('total', 'numeric', 'sum'), ('points', 'bigint', 'sum'), ('labels', 'text[]', 'union'),
    ('flag', 'boolean', 'most_frequent'), ('price$1', 'numeric', 'source_trust');
SELECT count(cdp_trait_create(name, type, rule)::text) AS made FROM trait;
SELECT name, type, rule FROM cdp.attributes ORDER BY name COLLATE "C";

-- 2. Three sources say different things of one person; what each rule makes of it is written beside it.
CREATE TABLE crm (id int PRIMARY KEY, email text, phone text, recent text, first text, trusted text, often numeric, long text, least numeric, most bigint, earliest date, latest timestamptz, total numeric, points bigint, labels text[], flag boolean, at timestamptz);
CREATE TABLE web (LIKE crm INCLUDING ALL);
CREATE TABLE app (LIKE crm INCLUDING ALL);
SELECT cdp_source_create(s.name, s.name::regclass, jsonb_build_object('updated_at', 'at', 'identifiers', '{"email": "email", "phone": "phone"}'::jsonb,
    'traits', (SELECT jsonb_object_agg(name, name) FROM trait WHERE name !~ '\$')), s.trust) FROM (VALUES ('crm', 90), ('web', 50), ('app', 50)) s(name, trust);
INSERT INTO crm VALUES (1, 'ann@example.com', NULL, 'crm', 'crm', 'crm', 1.0, 'long', 10.50, 3, '2001-02-03', '2024-01-01 00:00+00', 1.10, 5, '{a,b}', true, '2024-01-03');
INSERT INTO web VALUES (1, 'ann@example.com', NULL, 'web', 'web', 'web', 1.00, 'longer', 9.5, 20, '2000-02-29', '2024-01-01 00:00+08', 2.2, 6, '{b,"c d"}', false, '2024-01-02');
INSERT INTO app VALUES (1, 'ann@example.com', NULL, 'app', 'app', 'app', 2, '上海市 ×', 9.50, 20, '2000-03-01', '2023-12-31 23:59+00', -0.3, NULL, '{}', false, '2024-01-01'),
    (2, 'bob@example.com', NULL, 'bob', 'bob', 'bob', 7, 'bob', 1, 1, '1990-01-01', 'infinity', 'NaN', 9223372036854775807, '{z}', true, '2024-01-01');
CALL cdp_sync();
CREATE VIEW golden AS SELECT v.profile_id, t.name, t.rule, to_jsonb(v) ->> t.name AS value FROM cdp.profiles v CROSS JOIN trait t;
SELECT name, rule, value FROM golden WHERE profile_id = cdp_profile_id('email', 'ann@example.com') ORDER BY name COLLATE "C";
-- Older news changes what the rule asks for and nothing else.
INSERT INTO web VALUES (2, NULL, '13912340001', 'late', 'late', 'late', 2, 'the longest', 0.01, 99, '1999-01-01', '2030-01-01', 100, 100, '{late}', true, '2023-06-01'), (3, 'ann@example.com', '13912340001', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2024-02-01');
UPDATE cdp.source SET watermark = NULL WHERE name = 'web';
CALL cdp_sync('web');
SELECT name, rule, value FROM golden WHERE profile_id = cdp_profile_id('email', 'ann@example.com') ORDER BY name COLLATE "C";
-- A sum that the type cannot hold is no value.
INSERT INTO crm VALUES (3, 'bob@example.com', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, '2024-01-05');
CALL cdp_sync('crm');
SELECT total, points FROM cdp.profiles WHERE profile_id = cdp_profile_id('email', 'bob@example.com');

-- 3. The plain SQL of every rule, from the observations that are kept.
CREATE VIEW observed AS
SELECT n.profile_id, a.name, a.type, a.rule, k.value, o.observed_at, s.trust, s.source_id, k.value IS NULL AS clear
FROM cdp.node n JOIN cdp.trait_observation o USING (node_id) JOIN cdp.source s ON s.source_id = o.source_id
CROSS JOIN LATERAL jsonb_each_text(o.traits) k JOIN cdp.attribute a ON a.attribute_id = k.key::int;
CREATE TABLE candidate AS TABLE observed;
CREATE TABLE counted AS TABLE observed;
-- Takes a look at all of them.
CREATE FUNCTION look() RETURNS void LANGUAGE sql AS $$
    DELETE FROM candidate; INSERT INTO candidate TABLE observed;
    DELETE FROM counted; INSERT INTO counted SELECT c.* FROM candidate c WHERE NOT c.clear
        AND NOT EXISTS (SELECT FROM candidate x WHERE x.profile_id = c.profile_id AND x.name = c.name AND x.source_id = c.source_id AND x.clear AND x.observed_at > c.observed_at)
$$;
CREATE FUNCTION plain(profile bigint, trait text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE t trait; result text;
BEGIN
    SELECT a.name, a.type, a.rule INTO t FROM cdp.attribute a WHERE a.name = trait;
    IF t.rule = 'most_recent' THEN
        RETURN (SELECT value FROM candidate WHERE profile_id = profile AND name = trait ORDER BY observed_at DESC, trust DESC, source_id, clear, value COLLATE "C" LIMIT 1);
    ELSIF t.rule = 'sum' THEN
        SELECT sum(value::numeric)::text INTO result FROM counted WHERE profile_id = profile AND name = trait;
        RETURN CASE WHEN t.type <> 'bigint' OR abs(result::numeric) < 9223372036854775808 THEN result END;
    ELSIF t.rule = 'union' THEN
        RETURN (SELECT ARRAY(SELECT DISTINCT u COLLATE "C" FROM counted c, unnest(c.value::text[]) u WHERE c.profile_id = profile AND c.name = trait ORDER BY 1)::text
                FROM counted c WHERE c.profile_id = profile AND c.name = trait LIMIT 1);
    END IF;
    EXECUTE format('SELECT c.value FROM counted c WHERE c.profile_id = $1 AND c.name = $2 ORDER BY %s trust DESC, observed_at DESC, source_id, value COLLATE "C" LIMIT 1',
        CASE t.rule WHEN 'oldest' THEN 'observed_at,' WHEN 'longest' THEN 'length(value) DESC,' WHEN 'min' THEN format('value::%s,', t.type) WHEN 'max' THEN format('value::%s DESC,', t.type)
            WHEN 'most_frequent' THEN format('(SELECT count(*) FROM counted x WHERE x.profile_id = c.profile_id AND CASE WHEN x.name = c.name THEN x.value::%1$s = c.value::%1$s END) DESC,', t.type) ELSE '' END)
        INTO result USING profile, trait;
    RETURN result;
END $$;
-- Numbers that are equal are the same value, however they are written.
CREATE VIEW differing AS
SELECT x.* FROM (SELECT v.profile_id, a.name, a.rule, a.type, x.value, plain(v.profile_id, a.name) AS expected
    FROM cdp.profiles v CROSS JOIN cdp.attribute a CROSS JOIN LATERAL (SELECT CASE a.type WHEN 'text[]' THEN (SELECT ARRAY(SELECT jsonb_array_elements_text(nullif(to_jsonb(v) -> a.name, 'null')))::text WHERE to_jsonb(v) -> a.name <> 'null') ELSE to_jsonb(v) ->> a.name END AS value) x
    WHERE a.kind = 'trait') x
WHERE CASE WHEN type IN ('numeric', 'bigint') THEN value::numeric IS DISTINCT FROM expected::numeric WHEN type = 'timestamptz' THEN value::timestamptz IS DISTINCT FROM expected::timestamptz ELSE value IS DISTINCT FROM expected END;
CREATE FUNCTION wrong() RETURNS SETOF differing LANGUAGE sql AS $$ SELECT look(); SELECT * FROM differing $$;
SELECT * FROM wrong();

-- 4. One message at a time: what changes is told, an empty text says nothing, older news is none, a clear takes back.
-- One message of a source about somebody, and which traits changed. Texts of sets are given as arrays.
CREATE FUNCTION observe(source text, who text, at timestamptz, traits jsonb) RETURNS TABLE (attribute text, before text, after text) LANGUAGE sql VOLATILE AS $$
    SELECT t.key, t.value ->> 'before', t.value ->> 'after' FROM cdp_ingest(jsonb_build_object('type', 'identify', 'timestamp', at, 'traits', CASE WHEN who ~ '@' THEN jsonb_build_object('email', who) ELSE '{}' END
        || (SELECT coalesce(jsonb_object_agg(j.key, CASE WHEN a.type = 'text[]' THEN to_jsonb((j.value #>> '{}')::text[]) ELSE j.value END), '{}') FROM jsonb_each(traits) j LEFT JOIN cdp.attribute a ON a.name = j.key))
        || CASE WHEN who ~ '@' THEN '{}' ELSE jsonb_build_object('userId', who) END, source) m, jsonb_each(m -> 'traits') t WHERE t.key <> 'email' ORDER BY t.key COLLATE "C"
$$;
SELECT * FROM observe('web', 'ann@example.com', '2024-03-01', '{"recent": "new", "trusted": "new", "long": "", "labels": "{d}"}');
SELECT * FROM observe('web', 'ann@example.com', '2024-02-01', '{"recent": "older"}');
SELECT * FROM observe('crm', 'ann@example.com', '2024-03-02', '{"trusted": null, "long": null, "price$1": "9.5"}');
SELECT * FROM observe('web', 'ann@example.com', '2024-03-03', '{"recent": null, "labels": null, "total": "0.05", "flag": "false"}');
SELECT name, rule, value FROM golden WHERE profile_id = cdp_profile_id('email', 'ann@example.com') ORDER BY name COLLATE "C";
SELECT * FROM wrong();
SELECT cdp_attribute_at(cdp_profile_id('email', 'ann@example.com'), 'recent', x::timestamptz) AS recent, cdp_attribute_at(cdp_profile_id('email', 'ann@example.com'), 'trusted', x::timestamptz) AS trusted FROM unnest(ARRAY['2024-01-01', '2024-03-01', '2024-03-02', '2024-03-03', '2024-12-01']) x;

-- 5. A rule that changes: every value is computed anew, as of now in its history.
SELECT cdp_trait_alter('trusted', '{"rule": "most_recent", "class": "qualitative", "owner": "crm team", "sensitivity": "personal"}');
SELECT trusted FROM cdp.profiles WHERE profile_id = cdp_profile_id('email', 'ann@example.com');
SELECT value, from_at = '-infinity' AS ever, from_at > now() - interval '1 hour' AS lately FROM cdp.attribute_history h JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'trusted' ORDER BY from_at;
SELECT rule, class, owner, sensitivity FROM cdp.attribute WHERE name = 'trusted';
SELECT cdp_trait_alter('trusted', '{"rule": "union"}');
SELECT cdp_trait_alter('trusted', '{"rule": 5}');
SELECT cdp_trait_alter('trusted', '{"rules": "min"}');
SELECT cdp_trait_alter('trusted', '{"sensitivity": "secret"}');
SELECT cdp_trait_alter('trusted', '[]');
SELECT cdp_trait_alter('nothing such', '{"rule": "oldest"}');
-- What only `oldest` needs goes with it.
SELECT count(*) AS two_values FROM (SELECT FROM observed WHERE name = 'first' AND NOT clear GROUP BY profile_id, source_id HAVING count(*) > 1) x;
SELECT * FROM observe('web', 'ann@example.com', '2024-04-01', '{"first": "last"}');
SELECT value, observed_at FROM observed WHERE name = 'first' AND value IN ('web', 'last', 'late') ORDER BY observed_at;
SELECT cdp_trait_alter('first', '{"rule": "most_recent"}');
SELECT value, observed_at FROM observed WHERE name = 'first' AND value IN ('web', 'last', 'late') ORDER BY observed_at;
SELECT first FROM cdp.profiles WHERE profile_id = cdp_profile_id('email', 'ann@example.com');
SELECT cdp_trait_alter('first', '{"rule": "oldest"}'), cdp_trait_alter('trusted', '{"rule": "source_trust"}');
SELECT * FROM wrong();

-- 6. Chance: messages, batches, merges and splits; after each round plain SQL, every rule computed anew by batches, and the columns of bits agree.
CREATE FUNCTION chance(n int) RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT floor(random() * n)::int $$;
CREATE FUNCTION pick(type text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT CASE type WHEN 'text' THEN (ARRAY['a', 'b', 'ab', 'ba', '上海', 'é'])[1 + chance(6)] WHEN 'numeric' THEN (ARRAY['0', '0.00', '-1.5', '-1.50', '2', '12.25'])[1 + chance(6)]
        WHEN 'bigint' THEN (ARRAY['-1', '0', '7', '1000'])[1 + chance(4)] WHEN 'boolean' THEN (ARRAY['true', 'false'])[1 + chance(2)] WHEN 'date' THEN (ARRAY['2000-02-29', '1999-12-31', '0044-03-15 BC'])[1 + chance(3)]
        WHEN 'timestamptz' THEN (ARRAY['2024-01-01 00:00:00+00', '2024-01-01 00:00:00.5+00', '1969-12-31 23:59:59+00'])[1 + chance(3)] ELSE (ARRAY['{}', '{a}', '{a,b}', '{"c d"}'])[1 + chance(4)] END
$$;
CREATE FUNCTION some_traits(clears boolean) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(jsonb_object_agg(t.name, x.value), '{}') FROM trait t CROSS JOIN LATERAL (SELECT t.name AS of, CASE WHEN clears AND chance(5) = 0 THEN NULL ELSE pick(t.type) END AS value, chance(3) AS roll OFFSET 0) x WHERE x.roll = 0 AND t.name !~ '\$'
$$;
SELECT setseed(0.42);
SELECT count(cdp_identify(jsonb_build_object('user_id', 'u' || i))) AS people FROM generate_series(1, 12) i;
CREATE TABLE told (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who text, traits jsonb, at timestamptz, moment timestamptz DEFAULT clock_timestamp());
SELECT cdp_source_create('told', 'told', jsonb_build_object('updated_at', 'moment', 'identifiers', '{"user_id": "who"}'::jsonb,
    'traits', (SELECT jsonb_object_agg(name, CASE type WHEN 'text[]' THEN format('(traits ->> %L)::text[]', name) ELSE format('(traits ->> %L)::%s', name, type) END) FROM trait WHERE name !~ '\$')), 60);
CREATE FUNCTION some_messages(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..n LOOP
        PERFORM observe((ARRAY['crm', 'web', 'app'])[1 + chance(3)], 'u' || 1 + chance(12), '2024-01-01'::timestamptz + chance(40) * interval '1 hour', some_traits(true));
    END LOOP;
    INSERT INTO told (who, traits) SELECT 'u' || 1 + chance(12), some_traits(false) FROM generate_series(1, n / 2);
END $$;
-- Every value again by the other way: away from the rule and back.
CREATE FUNCTION recomputed() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE before jsonb; t trait; other text;
BEGIN
    SELECT jsonb_object_agg(p.profile_id, to_jsonb(p)) INTO before FROM cdp.profiles p;
    FOR t IN SELECT * FROM trait WHERE rule NOT IN ('oldest') LOOP
        PERFORM cdp_trait_alter(t.name, jsonb_build_object('rule', CASE t.rule WHEN 'source_trust' THEN 'most_frequent' ELSE 'source_trust' END));
        PERFORM cdp_trait_alter(t.name, jsonb_build_object('rule', t.rule));
    END LOOP;
    RETURN (SELECT count(*) FROM cdp.profiles p WHERE (before -> p.profile_id::text)::text IS DISTINCT FROM to_jsonb(p)::text
        AND (SELECT jsonb_object_agg(k, CASE WHEN jsonb_typeof(v) = 'number' THEN to_jsonb(trim_scale((v #>> '{}')::numeric)) ELSE v END) FROM jsonb_each(before -> p.profile_id::text) j(k, v))
            <> (SELECT jsonb_object_agg(k, CASE WHEN jsonb_typeof(v) = 'number' THEN to_jsonb(trim_scale((v #>> '{}')::numeric)) ELSE v END) FROM jsonb_each(to_jsonb(p)) j(k, v)));
END $$;
CREATE FUNCTION ask(query text, OUT people bigint[]) LANGUAGE plpgsql STABLE SET TimeZone = 'UTC' AS $$ BEGIN EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', query) INTO people; END $$;
CREATE FUNCTION columns_differ() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM (SELECT format('%I IS NULL', name) AS e FROM trait UNION ALL SELECT format('%I = %s', name, x) FROM trait, unnest(ARRAY['0', '-1.5', '7', '2']) x WHERE type IN ('numeric', 'bigint')
        UNION ALL SELECT format('%I = %L', name, x) FROM trait, unnest(ARRAY['a', 'ab', '上海', 'é']) x WHERE type = 'text' UNION ALL SELECT '''a'' = ANY (labels)' UNION ALL SELECT 'flag' UNION ALL SELECT 'earliest < ''2000-01-01''' UNION ALL SELECT 'latest >= ''2024-01-01''') q
    WHERE cdp_segment(q.e)::bigint[] <> ask(cdp_segment_sql(q.e))
$$;
SELECT some_messages(30);
CALL cdp_sync('told');
SELECT (SELECT count(*) FROM wrong()) AS wrong, columns_differ() AS columns_differ;
SELECT count(cdp_link('user_id', 'u' || i, 'user_id', 'u' || i + 1, 'test')) AS merges FROM unnest(ARRAY[1, 2, 5, 8]) i;
SELECT (SELECT count(*) FROM wrong()) AS wrong, columns_differ() AS columns_differ;
SELECT some_messages(30);
SELECT (SELECT count(*) FROM wrong()) AS wrong, columns_differ() AS columns_differ;
CALL cdp_sync('told');
SELECT (SELECT count(*) FROM wrong()) AS wrong, columns_differ() AS columns_differ;
SELECT count(cdp_unlink('user_id', 'u2', 'user_id', 'u3', 'test')) AS splits;
SELECT count(cdp_link('user_id', 'u' || i, 'user_id', 'u' || i + 1, 'test')) AS merges FROM unnest(ARRAY[6, 10]) i;
SELECT some_messages(30);
CALL cdp_sync('told');
SELECT (SELECT count(*) FROM wrong()) AS wrong, recomputed() AS other, columns_differ() AS columns_differ;
SELECT * FROM wrong() LIMIT 3;
SELECT "check", detail FROM cdp_identity_verify() WHERE NOT ok;

-- 7. Columns that a message takes to their limits: more texts than sets are kept of, a number with too many digits, a set of too many elements.
CREATE VIEW columns AS SELECT a.name, c.kind, c.encoding, c.state FROM cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name IN ('recent', 'least', 'labels');
SELECT cdp_flush() >= 0 AS folded;
SELECT count(x) FROM generate_series(1, 30) i, observe('app', 'limits', '2024-06-01'::timestamptz + i * interval '1 minute', jsonb_build_object('recent', 'text ' || i)) x;
SELECT * FROM columns ORDER BY 1, 2;
SELECT columns_differ();
INSERT INTO crm (id, email, recent, at) SELECT 1000 + i, 'many' || i || '@example.com', 'more ' || i, '2024-06-02' FROM generate_series(1, 470) i;
CALL cdp_sync('crm');
SELECT count(x) FROM generate_series(471, 500) i, observe('app', 'limits', '2024-06-02'::timestamptz + i * interval '1 minute', jsonb_build_object('recent', 'more ' || i)) x;
SELECT count(x) FROM observe('app', 'limits', '2024-06-03', jsonb_build_object('least', '-99999.00001', 'labels', (SELECT array_agg('l' || i ORDER BY ('l' || i) COLLATE "C")::text FROM generate_series(1, 1001) i))) x;
SELECT * FROM columns ORDER BY 1, 2;
SELECT columns_differ(), (SELECT count(*) FROM wrong()) AS wrong;
SELECT cdp_flush() > 0 AS rebuilt;
SELECT * FROM columns ORDER BY 1, 2;
SELECT columns_differ(), cdp_segment_count('recent = ''more 500'''), cdp_segment_count('least < -99999'), cdp_segment_count('''l1001'' = ANY (labels)');

DROP FUNCTION observe(text, text, timestamptz, jsonb), some_messages(int), recomputed(), columns_differ(), ask(text), some_traits(boolean), pick(text), chance(int);
DROP FUNCTION wrong(), look();
DROP VIEW columns, differing, golden, observed;
DROP TABLE candidate, counted;
DROP FUNCTION plain(bigint, text);
DROP TABLE trait, crm, web, app, told;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
