-- As of a moment an expression reads what attributes were then, in every executor: computed tags as of then, everything else as its last value kept
-- from a moment not later, else the earliest kept. Beside cdp_attribute_at(), profile by profile.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'Europe/Berlin');
CREATE TABLE person (id int PRIMARY KEY, city text, points numeric, vip boolean, born date, changed timestamptz);
CREATE TABLE buy (id int PRIMARY KEY, person int, at timestamptz, amount numeric);
INSERT INTO person SELECT i, (ARRAY['Rome', 'Bern', 'Oslo', NULL])[1 + i % 4], CASE WHEN i % 7 > 0 THEN i % 50 + 0.25 END, i % 3 = 0, date '1990-01-01' + i % 100, '2024-01-01 00:00+00' FROM generate_series(1, 200) i;
INSERT INTO buy SELECT i, i % 150, timestamptz '2024-01-01 00:00+00' + i * interval '9 hours', i % 20 FROM generate_series(1, 500) i;
SELECT cdp_source_create('person', 'person', '{"updated_at": "changed", "identifiers": {"user_id": "id::text"}, "traits": {"city": "city", "points": "points", "vip": "vip", "born": "born"}}');
SELECT cdp_source_create('buy', 'buy', '{"key": "id", "identifiers": {"user_id": "person::text"}, "event": {"name": "''buy''", "at": "at", "properties": {"amount": "amount"}}}');
CALL cdp_sync();
SELECT cdp_tag_create('spent', 'sum(buy.amount)');
SELECT cdp_tag_create('rank', $$ CASE WHEN points >= 25 AND city <> 'Rome' THEN 'a' WHEN spent > 40 THEN 'b' END $$);
SELECT cdp_tag_create('care', NULL);
-- Values change at three moments; some come back, some people are new.
UPDATE person SET city = CASE city WHEN 'Rome' THEN 'Bern' ELSE 'Nice' END, points = points + 10, changed = '2024-02-01 12:00+00' WHERE id % 5 = 0;
CALL cdp_sync('person');
UPDATE person SET vip = NOT vip, born = born + 1, points = 7, changed = '2024-03-01 12:00+00' WHERE id % 6 = 0;
INSERT INTO person SELECT i, 'Rome', 30, true, '2000-02-29', '2024-03-02 00:00+00' FROM generate_series(201, 210) i;
CALL cdp_sync('person');
UPDATE person SET city = 'Rome', changed = '2024-04-01 12:00+00' WHERE id % 10 = 0;
CALL cdp_sync('person');
SELECT cdp_tag_set('care', profile_id, 'special') FROM cdp.profiles WHERE profile_id % 50 = 0 ORDER BY profile_id;
SELECT a.name, count(*) AS rows, count(DISTINCT h.profile_id) AS profiles FROM cdp.attribute_history h JOIN cdp.attribute a USING (attribute_id) GROUP BY 1 ORDER BY 1;

-- 1. Moments before, between and after the changes: from columns and from plain SQL, beside cdp_attribute_at().
SET timezone = 'Europe/Berlin';
CREATE TABLE moment AS SELECT unnest('{2023-06-01,2024-02-01 12:59:59.999999,2024-02-01 13:00,2024-02-15,2024-03-01 13:00,2024-03-05,2024-03-20,2024-04-01 14:00,2025-01-01,2100-01-01}'::timestamptz[]) AS at;
CREATE TABLE was AS SELECT m.at, p.profile_id, cdp_attribute_at(p.profile_id, 'city', m.at) AS city, cdp_attribute_at(p.profile_id, 'points', m.at)::numeric AS points, cdp_attribute_at(p.profile_id, 'vip', m.at)::boolean AS vip,
    cdp_attribute_at(p.profile_id, 'born', m.at)::date AS born, cdp_attribute_at(p.profile_id, 'care', m.at) AS care FROM moment m, cdp.profiles p;
CREATE FUNCTION plain(query text) RETURNS cdp_bitmap LANGUAGE plpgsql AS $$
DECLARE answer cdp_bitmap;
BEGIN
    EXECUTE format('SELECT coalesce(cdp_bitmap_build_agg(profile_id), ''{}'') FROM (%s) q', query) INTO answer;
    RETURN answer;
END $$;
SELECT e AS expression, count(*) AS moments, count(*) FILTER (WHERE cdp_segment(e, m.at) = o.members) AS set, count(*) FILTER (WHERE plain(cdp_segment_sql(e, m.at)) = o.members) AS sql,
       count(*) FILTER (WHERE cdp_segment_count(e, m.at) = cdp_count(o.members)) AS counts, min(cdp_count(o.members)) AS fewest, max(cdp_count(o.members)) AS most, count(DISTINCT o.members) AS different
FROM moment m CROSS JOIN unnest(ARRAY['city = ''Bern''', 'city IS NULL', 'points > 20', 'points IS NULL', 'vip', 'NOT vip', 'born = ''1990-01-13''', 'care = ''special''', 'city IN (''Rome'', ''Nice'') AND points BETWEEN 10 AND 40 OR vip IS NOT TRUE',
    'lower(city) LIKE ''%r%'' AND born + 1 > ''1990-02-01''']) e
CROSS JOIN LATERAL (SELECT plain(format('SELECT profile_id FROM was WHERE at = %L AND (%s)', m.at, e)) AS members) o GROUP BY 1 ORDER BY 1;
-- 2. With events, and tags that are computed as of then from what attributes were then.
SELECT m.at, cdp_segment('rank = ''a''', m.at) = plain(format('SELECT profile_id FROM was WHERE at = %L AND points >= 25 AND city <> ''Rome''', m.at)) AS rank,
       cdp_segment('count(buy) > 1 AND city = ''Rome''', m.at) = plain(format('SELECT w.profile_id FROM was w WHERE w.at = %1$L AND w.city = ''Rome'' AND (SELECT count(*) FROM cdp.events e WHERE e.profile_id = w.profile_id AND e.at <= %1$L) > 1', m.at)) AS bought
FROM moment m ORDER BY 1;
-- 3. How they spread, and figures.
SELECT m.at, (SELECT array_agg((d.value, d.total) ORDER BY d.value) FROM cdp_segment_distribution('true', 'city', m.at) d) = (SELECT array_agg((c.city, c.n) ORDER BY c.city) FROM (SELECT city, count(*) AS n FROM was w WHERE w.at = m.at GROUP BY 1) c) AS spread,
       (SELECT s.sum FROM cdp_segment_statistics('vip', 'points', m.at) s) = (SELECT sum(points) FROM was w WHERE w.at = m.at AND vip) AS sums
FROM moment m ORDER BY 1;
-- 4. Without a moment the present; the plain SQL of it reads the view, with one it tells where earlier values are.
SELECT cdp_segment('city = ''Rome''') = plain('SELECT profile_id FROM cdp.profiles WHERE city = ''Rome''') AS present;
SELECT cdp_segment_sql('city = ''Rome'' AND spent > 1', '2024-02-15') \g (format=unaligned tuples_only=on)
-- 5. A segment as of a moment goes by what people were.
SELECT cdp_segment_create('romans', 'city = ''Rome''', state => 'draft');
SELECT added, removed, total FROM cdp_segment_refresh('romans', '2024-01-15');
SELECT added, removed, total FROM cdp_segment_refresh('romans', '2024-03-15');
SELECT m.at, cdp_segment_at('romans', m.at) = cdp_segment('city = ''Rome''', m.at) AS same FROM moment m WHERE m.at BETWEEN '2024-01-15' AND '2024-02-01 12:59:59.999999' OR m.at BETWEEN '2024-03-15' AND '2024-04-01' ORDER BY 1;

DROP FUNCTION plain;
DROP TABLE person, buy, moment, was;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
