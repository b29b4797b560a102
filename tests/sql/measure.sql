-- What members come to: distribution, statistics, quantiles, top, overlap. Each is compared with plain SQL over cdp.profiles, read from
-- bits (directly, by a query, with changes pending) and from the tables (columns off).
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE person (id int PRIMARY KEY, city text, vip boolean, points bigint, balance numeric, born date, seen timestamptz, label text, area text, changed timestamptz, grade bigint, club text);
INSERT INTO person
SELECT i, CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN 'Rome' WHEN 2 THEN 'Rome' WHEN 3 THEN '北京' ELSE 'Bern' END, CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END,
       CASE i % 11 WHEN 0 THEN NULL ELSE (i * 7919) % 1000 - 500 END, CASE i % 13 WHEN 0 THEN NULL ELSE ((i * 104729) % 100000 - 30000) / 100.0 END,
       date '1950-01-01' + (i * 31) % 20000, timestamptz '2024-01-01 00:00+00' + i * interval '7 minutes', 'l' || (i * 17) % 700, CASE WHEN i % 9 > 0 THEN 'a' || (i * 31) % 40 END, '2024-01-01 00:00+00',
       CASE i % 4 WHEN 0 THEN NULL ELSE i * 13 % 6 END, (ARRAY['Gold', 'silver', 'it''s "new"'])[i % 5]
FROM generate_series(1, 3000) i;
SELECT cdp_source_create('person', 'person', '{"updated_at": "changed", "identifiers": {"user_id": "id::text"}, "traits": {"city": "city", "vip": "vip", "points": "points", "balance": "balance", "born": "born", "seen": "seen", "label": "label", "area": "area", "城市等级": "grade", "Club Level": "club"}}');
CALL cdp_sync();

-- 1. By example.
SELECT * FROM cdp_segment_distribution($$ vip $$, 'city');
SELECT * FROM cdp_segment_distribution($$ city = 'Rome' AND points > 480 $$, 'vip');
SELECT * FROM cdp_segment_distribution($$ points IN (499, 498) $$, 'points') WHERE profiles > 0;
SELECT * FROM cdp_segment_distribution($$ points = 499 $$, 'born') WHERE profiles > 0;
SELECT * FROM cdp_segment_distribution($$ points = 499 $$, 'seen') WHERE profiles > 0;
SELECT * FROM cdp_segment_distribution($$ points = 499 $$, 'label') WHERE profiles > 0;
SELECT * FROM cdp_segment_distribution($$ points = 499 $$, 'balance') WHERE profiles > 0;
SELECT * FROM cdp_segment_statistics($$ vip $$, 'balance');
SELECT * FROM cdp_segment_statistics($$ vip $$, 'points');
SELECT * FROM cdp_segment_statistics($$ false $$, 'points');
SELECT cdp_segment_quantiles($$ vip $$, 'balance'), cdp_segment_quantiles($$ vip $$, 'points', '{0,1}'), cdp_segment_quantiles($$ false $$, 'points');
SELECT value FROM cdp_segment_top($$ vip $$, 'balance', 3);
SELECT count(*) AS ties, count(DISTINCT value) AS "values" FROM cdp_segment_top('true', 'points', 7);
SELECT * FROM cdp_segment_top($$ vip $$, 'balance', 0);
-- Names of any letters.
SELECT * FROM cdp_segment_distribution($$ "城市等级" > 3 $$, 'Club Level');
SELECT * FROM cdp_segment_statistics($$ "Club Level" = 'Gold' $$, '城市等级');
SELECT cdp_segment_quantiles($$ "Club Level" = 'Gold' $$, '城市等级'), (SELECT array_agg(value) FROM cdp_segment_top($$ "Club Level" IS NOT NULL $$, '城市等级', 3));
SELECT * FROM cdp_segment_statistics('vip', 'club level');
SELECT cdp_segment_create('romans', $$ city = 'Rome' $$);
SELECT a, b, a_profiles, b_profiles, shared, combined, round(jaccard::numeric, 4) AS jaccard, round(lift::numeric, 4) AS lift FROM cdp_segment_overlap('{romans,vip,points > 0,false}');
SELECT * FROM cdp_segment_overlap('{}');
SELECT a, b, shared, combined FROM cdp_segment_overlap('{romans,vip}');
SELECT shared, combined, jaccard, lift FROM cdp_segment_overlap('{false,false,false}') WHERE a IS NULL;

-- 2. Against plain SQL, in every way of reading.
CREATE FUNCTION compared(question text, attribute text, OUT distribution boolean, OUT statistics boolean, OUT quantiles boolean, OUT top boolean) LANGUAGE plpgsql AS $$
DECLARE
    inside text := format('SELECT p.profile_id, p.%1$I AS v FROM cdp.profiles p WHERE p.profile_id IN (SELECT profile_id FROM (%2$s) s)', attribute, cdp_segment_sql(question));
    number boolean := attribute IN ('points', 'balance', '城市等级');
BEGIN
    EXECUTE format($q$
        WITH plain AS (SELECT %1$s AS value, count(s.profile_id) AS profiles, count(*) AS total FROM cdp.profiles p LEFT JOIN (%2$s) s USING (profile_id) GROUP BY 1)
        SELECT NOT EXISTS ((TABLE plain EXCEPT ALL SELECT * FROM cdp_segment_distribution($1, $2)) UNION ALL (SELECT * FROM cdp_segment_distribution($1, $2) EXCEPT ALL TABLE plain))
        $q$, CASE WHEN attribute = 'balance' THEN 'trim_scale(p.balance)::text' ELSE format('p.%I::text', attribute) END, cdp_segment_sql(question))
        INTO distribution USING question, attribute;
    IF number THEN
        EXECUTE format('SELECT (count(*), count(v), sum(v), trim_scale(round(sum(v) / nullif(count(v), 0), 6)), min(v)::numeric, max(v)::numeric) IS NOT DISTINCT FROM (SELECT (s.profiles, s.known, s.sum, s.avg, s.min, s.max) FROM cdp_segment_statistics($1, $2) s) FROM (%s) i', inside)
            INTO statistics USING question, attribute;
        EXECUTE format('SELECT percentile_disc(ARRAY[0, 0.1, 0.25, 0.5, 0.9, 1]) WITHIN GROUP (ORDER BY v::numeric) IS NOT DISTINCT FROM CASE WHEN count(v) > 0 THEN cdp_segment_quantiles($1, $2, ARRAY[0, 0.1, 0.25, 0.5, 0.9, 1]) END FROM (%s) i', inside)
            INTO quantiles USING question, attribute;
        EXECUTE format('SELECT ARRAY(SELECT (profile_id, v::numeric) FROM (%s) i WHERE v IS NOT NULL ORDER BY v DESC, profile_id LIMIT 40) = ARRAY(SELECT (profile_id, value) FROM cdp_segment_top($1, $2, 40))', inside)
            INTO top USING question, attribute;
    END IF;
END $$;
CREATE FUNCTION wrong() RETURNS TABLE (question text, attribute text, answers record) LANGUAGE sql AS $$
    SELECT q, a, c FROM unnest(ARRAY['true', 'false', 'vip', 'NOT vip', 'city = ''Rome'' OR points < 0', 'vip IS NULL', 'balance > 100 AND born < ''1980-01-01''', 'city LIKE ''%e%''', '"城市等级" > 3 OR "Club Level" = ''Gold''']) q,
         unnest(ARRAY['city', 'vip', 'points', 'balance', 'born', 'seen', 'label', 'area', '城市等级', 'Club Level']) a, compared(q, a) c
    WHERE NOT (c.distribution AND coalesce(c.statistics, true) AND coalesce(c.quantiles, true) AND coalesce(c.top, true))
$$;
SELECT a.name, c.kind, c.encoding, c.state FROM cdp.store_column c JOIN cdp.attribute a USING (attribute_id) ORDER BY a.name, c.kind;
SELECT * FROM wrong();
SET cdp.direct_read = off;
SELECT * FROM wrong();
RESET cdp.direct_read;
SET cdp.cache_size = 0;
SELECT * FROM wrong();
RESET cdp.cache_size;
UPDATE person SET points = points + 1000, city = 'Oslo', area = 'Oslo', balance = balance * -1, changed = '2024-02-01 00:00+00' WHERE id % 50 = 1;
INSERT INTO person SELECT i, 'Oslo', true, 77, 0.001, '2000-02-29', '2024-02-02 00:00+00', 'new', 'new area', '2024-02-02 00:00+00' FROM generate_series(4001, 4010) i;
CALL cdp_sync();
SELECT * FROM wrong();
-- Pending: moved by hand, as many writers at once leave it.
WITH one AS (SELECT c.column_id FROM cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'points')
INSERT INTO cdp.pending SELECT column_id, 0, 0, _cdp_cells_agg(n.profile_id::int, 0, -5) FROM one, cdp.identifiers n WHERE n.value IN ('4001', '4002') GROUP BY 1;
SELECT sum FROM cdp_segment_statistics('points = 72', 'points');
DELETE FROM cdp.pending;
UPDATE cdp.store_column SET state = 'off' WHERE kind = 'forward';
SELECT * FROM wrong();
UPDATE cdp.store_column SET state = 'off' WHERE kind = 'attribute';
SELECT * FROM wrong();
UPDATE cdp.store_column SET state = 'stale' WHERE kind IN ('attribute', 'forward');
SELECT cdp_flush() > 0 AS rebuilt;
SELECT * FROM wrong();
SELECT (SELECT array_agg(x ORDER BY x.value) FROM cdp_segment_distribution('vip', 'city') x) = (SELECT array_agg(x ORDER BY x.value) FROM cdp_segment_distribution('vip', 'city', now()) x) AS same_as_of_now;

-- 3. Overlap against plain SQL.
WITH sets(name, members) AS (SELECT q, cdp_segment(q) FROM unnest(ARRAY['vip', 'city = ''Rome''', 'points > 0', 'balance IS NULL', 'true']) q)
SELECT count(*) AS pairs, count(*) FILTER (WHERE o.shared = cdp_count(x.members & y.members) AND o.combined = cdp_count(x.members | y.members)
    AND o.a_share = o.shared / cdp_count(x.members)::float8 AND o.b_share = o.shared / cdp_count(y.members)::float8) AS right
FROM cdp_segment_overlap(ARRAY(SELECT name FROM sets)) o JOIN sets x ON x.name = o.a JOIN sets y ON y.name = o.b;
-- All of a list: of its first so many.
WITH RECURSIVE lists(names, everybody, anybody, chance) AS (
    SELECT '{}'::text[], cdp_segment('true'), cdp_bitmap '{}', 1.0::float8
    UNION ALL SELECT names || q, everybody & cdp_segment(q), anybody | cdp_segment(q), chance * cdp_segment_count(q) / cdp_segment_count('true')
    FROM lists, LATERAL (SELECT (ARRAY['vip', 'city = ''Rome''', 'points > -400', 'born < ''2000-01-01''', '"Club Level" IS NOT NULL'])[cardinality(names) + 1]) x(q) WHERE q IS NOT NULL)
SELECT cardinality(names) AS names, o.shared, o.combined, o.shared = cdp_count(everybody) AND o.combined = cdp_count(anybody) AND o.jaccard = o.shared / o.combined::float8
    AND abs(o.lift - o.shared / (chance * cdp_segment_count('true'))) < 1e-9 AND num_nulls(o.a, o.b, o.a_profiles, o.b_profiles, o.a_share, o.b_share) = 6 AS "right"
FROM lists LEFT JOIN LATERAL (SELECT * FROM cdp_segment_overlap(names) WHERE a IS NULL) o ON true ORDER BY 1;

-- 4. Mistakes.
SELECT * FROM cdp_segment_distribution('vip', 'citty');
SELECT * FROM cdp_segment_distribution('vip', NULL);
SELECT * FROM cdp_segment_distribution('vip +', 'city');
SELECT * FROM cdp_segment_statistics('vip', 'city');
SELECT cdp_segment_quantiles('vip', 'points', '{0.5,1.5}');
SELECT cdp_segment_quantiles('vip', 'points', '{NULL}');
SELECT * FROM cdp_segment_top('vip', 'born', 3);
SELECT * FROM cdp_segment_top('vip', 'points', -1);
SELECT * FROM cdp_segment_overlap('{vip,NULL}');
SELECT * FROM cdp_segment_overlap('{vip,nobody knows}');
DROP SCHEMA cdp CASCADE;
DROP FUNCTION wrong, compared;
DROP TABLE person;
DROP EXTENSION pg_cdp;
