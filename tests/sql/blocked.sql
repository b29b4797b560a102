-- Blocked values and patterns: what is refused is what PostgreSQL's own operators say, whatever first look spares most values of it.
\pset format unaligned
SET client_min_messages = warning;
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
-- Values near and far from the shipped entries and those below.
CREATE TABLE tried AS
SELECT row_number() OVER () AS id, v AS user_id FROM (
    SELECT DISTINCT left(x, 60) AS v FROM (
        SELECT s || t AS x FROM unnest(ARRAY['tmp-', 'tmp_', 'tmp', 'abcd', 'cdx', 'xabab', 'xaba', 'qa', 'qz', ']x-', 'zzzz', 'zzzzz', '1-', '12-a', 'ü', 'Ü', 'root', 'rooT', 'aaaa', 'aaaaz', 'aaaaaaaa', '0000-', '---', '__A__', '{{b}}', '${c}', '%%d%%', '{e_f}', 'null', 'N/A', '无', ''])
            s CROSS JOIN unnest(ARRAY['', '1', '123', 'ab', 'b', 'z', '-', 'é', ' ', E'\n', '0', '{', 'null']) t
        UNION ALL SELECT substr(md5(i::text), 1, 1 + i % 12) FROM generate_series(1, 3000) i
        UNION ALL SELECT repeat(chr(97 + i % 3), i % 11) || chr(97 + i % 5) FROM generate_series(1, 300) i
        UNION ALL SELECT translate(substr(md5('x' || i), 1, i % 7), '0123456789abcdef', 'abcdabx-]_11qz%{') FROM generate_series(1, 4000) i) y) z;
CREATE TABLE tried_later AS SELECT id, user_id || 'q' AS user_id FROM tried UNION ALL SELECT -id, 'q' || user_id FROM tried UNION ALL SELECT 100000 + id, 'x' || user_id || user_id FROM tried;
SELECT cdp_source_create(s, s, $${"key": "id::text", "identifiers": {"user_id": "user_id", "cookie": "'c' || id"}}$$) IS NOT NULL AS created FROM unnest(ARRAY['tried', 'tried_later']) s;
-- The twin: the operators over the table of blocked values. Nothing that matches is an identifier, everything else is; and each is told with its reason.
CREATE FUNCTION judged(source regclass) RETURNS TABLE (raw text, value text, reason text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT t.user_id, n.value, (SELECT min(b.reason) FROM cdp.blocked_value b WHERE (b.type_id IS NULL OR b.type_id = y.type_id)
            AND (b.value = lower(n.value) OR lower(n.value) ~ b.pattern)) FROM %s t CROSS JOIN cdp.identifier_type y CROSS JOIN LATERAL (SELECT _cdp_normalise(y.normaliser, t.user_id, %L) AS value) n
            WHERE y.name = %L AND n.value IS NOT NULL', source, 'CN', 'user_id');
END $$;
CREATE FUNCTION wrong(source regclass) RETURNS TABLE (what text, value text) LANGUAGE sql AS $$
    WITH j AS MATERIALIZED (SELECT * FROM judged(source)), t AS (SELECT type_id FROM cdp.identifier_type WHERE name = 'user_id'),
         r AS MATERIALIZED (SELECT r.payload ->> 'value' AS raw, r.reason FROM cdp.reject r JOIN cdp.source s USING (source_id) WHERE s.name = source::text AND r.reason LIKE 'identifier user_id is blocked: %')
    SELECT 'an identifier, though blocked: ' || j.reason, j.value FROM j, t WHERE j.reason IS NOT NULL AND EXISTS (SELECT FROM cdp.node n WHERE n.type_id = t.type_id AND n.value = j.value)
    UNION ALL SELECT 'refused', j.value FROM j, t WHERE j.reason IS NULL AND NOT EXISTS (SELECT FROM cdp.node n WHERE n.type_id = t.type_id AND n.value = j.value)
    UNION ALL SELECT 'not told', j.value FROM j WHERE j.reason IS NOT NULL AND NOT EXISTS (SELECT FROM r WHERE r.raw = j.raw AND r.reason = 'identifier user_id is blocked: ' || j.reason)
    UNION ALL SELECT 'told', r.raw FROM r WHERE NOT EXISTS (SELECT FROM j WHERE j.raw = r.raw AND j.reason IS NOT NULL)
$$;
-- Patterns that the first look can read.
SELECT cdp_identifier_type_alter('user_id', $${"blocked": [
    {"pattern": "^tmp[-_][0-9]{3,}$", "reason": "temporary"}, {"pattern": "^(?:ab|cd)+$", "reason": "syllables"}, {"pattern": "^[]x-]+$", "reason": "bracket"},
    {"pattern": "^(.)\\1{3}z", "reason": "run"}, {"pattern": "^\\d+-\\w$", "reason": "class"}, {"pattern": "^ü", "reason": "letter"}, {"value": "ROOT", "reason": "system"}]}$$) IS NOT NULL AS altered;
CALL cdp_sync('tried');
SELECT count(*) > 4000 AS many, count(reason) > 150 AS many_blocked, count(DISTINCT reason) AS reasons FROM judged('tried');
SELECT * FROM wrong('tried');
-- Patterns that only PostgreSQL understands.
SELECT cdp_identifier_type_alter('user_id', $${"blocked": [{"pattern": "^x(.+)\\1$", "reason": "echo"}, {"pattern": "^q(?=[a-f])", "reason": "ahead"}, {"pattern": "(?i)QQ", "reason": "option"}]}$$) IS NOT NULL AS altered;
CALL cdp_sync('tried_later');
SELECT count(*) > 12000 AS many, count(reason) FILTER (WHERE reason = 'echo') > 1000 AS echoes, count(DISTINCT reason) AS reasons FROM judged('tried_later');
SELECT * FROM wrong('tried_later') w WHERE NOT EXISTS (SELECT FROM judged('tried') j WHERE j.value = w.value);
DROP FUNCTION wrong, judged;
DROP TABLE tried, tried_later;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
