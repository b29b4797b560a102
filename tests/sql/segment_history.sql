-- Segments remember: what was in a segment at a moment and what changed between two, beside plain SQL over what was seen at the time.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE person (id int PRIMARY KEY, email text, points int, changed timestamptz);
CREATE TABLE buy (id int PRIMARY KEY, person int, at timestamptz);
INSERT INTO person SELECT i, 'p' || i || '@example.com', i * 7919 % 1000, '2024-01-01 00:00+00' FROM generate_series(1, 3000) i;
INSERT INTO buy SELECT i, i * 31 % 4000 + 1, timestamptz '2024-01-01 00:00+00' + i * interval '2 hours' FROM generate_series(1, 2000) i;
SELECT cdp_source_create('person', 'person', '{"updated_at": "changed", "identifiers": {"user_id": "id::text", "email": "email"}, "traits": {"points": "points"}}');
SELECT cdp_source_create('buy', 'buy', '{"key": "id", "identifiers": {"user_id": "person::text"}, "event": {"name": "''buy''", "at": "at"}}');
CALL cdp_sync('person');
-- The next numbers lie in two shards.
SELECT setval('cdp.profile_id_seq', 1048576 - 500);
INSERT INTO person SELECT i, 'p' || i || '@example.com', i * 7919 % 1000, '2024-01-02 00:00+00' FROM generate_series(3001, 4000) i;
CALL cdp_sync();
SELECT profile_id >> 20 AS shard, count(*) FROM cdp.profiles GROUP BY 1 ORDER BY 1;

-- What somebody saw who looked after each refresh.
CREATE TABLE seen (at timestamptz, segment text, profile_id bigint);
CREATE TABLE looked (at timestamptz);
CREATE FUNCTION look(ts timestamptz) RETURNS TABLE (segment text, added bigint, removed bigint, total bigint) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO looked VALUES (ts);
    RETURN QUERY SELECT r.name, r.added, r.removed, r.total FROM cdp.segments s, cdp_segment_refresh(s.name, ts) r WHERE s.kind = 'dynamic' ORDER BY 1;
    INSERT INTO seen SELECT ts, m.* FROM cdp.segment_members m JOIN cdp.segments s ON s.name = m.segment AND s.kind = 'dynamic';
    -- Who is in only for a time leaves when plain SQL says so.
    IF (SELECT array_agg(m ORDER BY m) FROM cdp_members('buyers') m) IS DISTINCT FROM
       (SELECT array_agg(DISTINCT e.profile_id ORDER BY e.profile_id) FROM cdp.events e WHERE e.at > ts - interval '30 days' AND e.at <= ts) THEN
        RAISE EXCEPTION 'as of %: other buyers than plain SQL finds', ts;
    END IF;
END $$;
-- The same with the numbers of today.
CREATE TABLE seen_today (segment text, at timestamptz, profile_id bigint, PRIMARY KEY (segment, at, profile_id));
CREATE FUNCTION today() RETURNS void LANGUAGE sql AS $$
    TRUNCATE seen_today;
    INSERT INTO seen_today SELECT DISTINCT s.segment, s.at, coalesce(p.merged_into, p.profile_id) FROM seen s JOIN cdp.profile p USING (profile_id) $$;
-- Every moment that was looked at, an hour later, and a moment before all: the log says what was seen.
CREATE FUNCTION compare() RETURNS TABLE (segment text, moments bigint, equal bigint, "an hour later" bigint) LANGUAGE sql AS $$
    SELECT today();
    SELECT s.name, count(*), count(*) FILTER (WHERE cdp_segment_at(s.name, l.at) = o.members), count(*) FILTER (WHERE cdp_segment_at(s.name, l.at + interval '1 hour') = o.members)
    FROM cdp.segments s CROSS JOIN looked l CROSS JOIN LATERAL (SELECT coalesce(cdp_bitmap_build_agg(t.profile_id), '{}') AS members FROM seen_today t WHERE t.segment = s.name AND t.at = l.at) o
    WHERE s.kind = 'dynamic' GROUP BY 1 ORDER BY 1 $$;
-- Every two moments: net entries and exits, and the look since which it has been so.
CREATE FUNCTION compare_deltas() RETURNS TABLE (segment text, pairs bigint, changes bigint, missing bigint, surplus bigint) LANGUAGE sql AS $$
    SELECT today();
    WITH pair AS MATERIALIZED (SELECT s.name, a.at AS a, b.at AS b FROM cdp.segments s, looked a, looked b WHERE s.kind = 'dynamic' AND a.at <= b.at),
    told AS MATERIALIZED (SELECT p.*, d.profile_id, d.change, d.at FROM pair p CROSS JOIN LATERAL cdp_segment_delta(p.name, p.a, p.b) d),
    net AS (SELECT p.*, t.profile_id, 'enter' AS change FROM pair p JOIN seen_today t ON t.segment = p.name AND t.at = p.b
                WHERE NOT EXISTS (SELECT FROM seen_today o WHERE o.segment = p.name AND o.at = p.a AND o.profile_id = t.profile_id)
            UNION ALL SELECT p.*, t.profile_id, 'exit' FROM pair p JOIN seen_today t ON t.segment = p.name AND t.at = p.a
                WHERE NOT EXISTS (SELECT FROM seen_today o WHERE o.segment = p.name AND o.at = p.b AND o.profile_id = t.profile_id)),
    -- The last look at which it was the other way round; what follows that one is the moment.
    plain AS MATERIALIZED (SELECT n.*, (SELECT min(l.at) FROM looked l WHERE l.at > (SELECT max(l.at) FROM looked l WHERE l.at < n.b
                AND (n.change = 'enter') <> EXISTS (SELECT FROM seen_today o WHERE o.segment = n.name AND o.at = l.at AND o.profile_id = n.profile_id))) AS at FROM net n)
    SELECT s.name, (SELECT count(*) FROM pair p WHERE p.name = s.name), (SELECT count(*) FROM told t WHERE t.name = s.name),
           (SELECT count(*) FROM (SELECT * FROM plain p WHERE p.name = s.name EXCEPT SELECT * FROM told) x),
           (SELECT count(*) FROM (SELECT * FROM told t WHERE t.name = s.name EXCEPT SELECT * FROM plain) x)
    FROM cdp.segments s WHERE s.kind = 'dynamic' ORDER BY 1 $$;

-- 1. A draft is not filled; refreshed by name it begins its history.
SELECT cdp_segment_create('rich', 'points >= 500', state => 'draft');
SELECT cdp_segment_create('buyers', $$ count(buy) FILTER (WHERE at > now() - interval '30 days') > 0 $$, state => 'draft');
SELECT cdp_segment_create('all', 'true', state => 'draft');
SELECT name, state, profiles, refreshed_at IS NULL AS never FROM cdp.segments ORDER BY name;
SELECT count(*) FROM cdp_segment_refresh();
SELECT cdp_segment_at('rich', now()) AS nobody, (SELECT count(*) FROM cdp_segment_delta('rich', '-infinity', 'infinity')) AS changes;
SELECT * FROM look('2024-02-01 00:00+00');
-- Nothing happened; and what changes only because time passes.
SELECT * FROM look('2024-02-02 00:00+00');
SELECT * FROM look('2024-03-01 00:00+00');

-- 2. Only what changed is written: here one shard of one segment.
CREATE TABLE before AS SELECT c.ctid AS place, c.column_id, c.shard FROM cdp.chunk c JOIN cdp.store_column s USING (column_id) WHERE s.kind = 'segment';
UPDATE person SET points = 999, changed = '2024-03-01 06:00+00' WHERE id = 3990 AND points < 500;
UPDATE person SET points = 0, changed = '2024-03-01 06:00+00' WHERE id IN (3991, 3992, 3993);
CALL cdp_sync('person');
SELECT * FROM look('2024-03-01 12:00+00');
SELECT g.name, c.shard, c.ctid = b.place AS untouched FROM cdp.chunk c JOIN cdp.store_column s USING (column_id) JOIN cdp.segment g USING (segment_id) LEFT JOIN before b USING (column_id, shard) ORDER BY 1, 2;
SELECT g.name, d.refresh, d.step, d.shard, d.at, ARRAY(SELECT p.points FROM _cdp_set_members(d.added, d.shard) m JOIN cdp.profiles p ON p.profile_id = m) AS added, (SELECT count(*) FROM _cdp_set_members(d.removed, d.shard)) AS removed
FROM cdp.segment_delta d JOIN cdp.segment g USING (segment_id) WHERE d.at = '2024-03-01 12:00+00' ORDER BY 1, 2, 3, 4;
SELECT * FROM compare();

-- 3. A hundred people change; some change back.
UPDATE person SET points = 999 - points, changed = '2024-03-05 00:00+00' WHERE id % 40 = 7;
CALL cdp_sync('person');
SELECT * FROM look('2024-03-05 00:00+00');
UPDATE person SET points = 999 - points, changed = '2024-03-06 00:00+00' WHERE id % 80 = 7;
CALL cdp_sync('person');
SELECT * FROM look('2024-03-06 00:00+00');
SELECT * FROM compare();

-- 4. Merges: 20 and 10 into one, 3990 (in the other shard) into 12, three at once; members and their history follow.
UPDATE person SET email = 'p' || CASE id WHEN 20 THEN 10 WHEN 3990 THEN 12 WHEN 101 THEN 100 WHEN 102 THEN 100 ELSE id - 1 END || '@example.com', changed = '2024-03-07 00:00+00'
WHERE id IN (20, 3990, 101, 102) OR id % 200 = 48;
CALL cdp_sync('person');
SELECT count(*) AS merged FROM cdp.merges;
SELECT segment, count(*) AS members, count(*) FILTER (WHERE NOT EXISTS (SELECT FROM cdp.profiles p WHERE p.profile_id = m.profile_id)) AS retired FROM cdp.segment_members m GROUP BY 1 ORDER BY 1;
SELECT g.name, d.refresh, d.step, count(*) AS shards FROM cdp.segment_delta d JOIN cdp.segment g USING (segment_id) WHERE d.step > 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT * FROM compare();
SELECT * FROM compare_deltas();
SELECT * FROM look('2024-03-08 00:00+00');
-- And once more before the next look, in two steps.
UPDATE person SET email = 'p' || id - 1 || '@example.com', changed = '2024-03-09 00:00+00' WHERE id % 200 = 50;
CALL cdp_sync('person');
UPDATE person SET email = 'p' || id - 2 || '@example.com', changed = '2024-03-10 00:00+00' WHERE id % 200 = 53;
CALL cdp_sync('person');
SELECT count(*) AS merged FROM cdp.merges;
SELECT * FROM look('2024-03-10 00:00+00');
SELECT * FROM compare();
SELECT * FROM compare_deltas();

-- 5. A moment in the past is filled in later: the moment counts, not when it was refreshed.
SELECT * FROM look('2024-02-20 00:00+00');
SELECT * FROM look('2024-05-01 00:00+00');
SELECT * FROM compare();
SELECT * FROM compare_deltas();
-- What the log holds comes to what is there: who is in has been added once more than removed, who is not as often.
SELECT g.name, (SELECT cdp_bitmap_build_agg(x.id) FROM (
    SELECT x.id FROM cdp.segment_delta d CROSS JOIN LATERAL (SELECT 1 AS n, _cdp_set_members(d.added, d.shard) AS id UNION ALL SELECT -1, _cdp_set_members(d.removed, d.shard)) x
    WHERE d.segment_id = g.segment_id GROUP BY 1 HAVING sum(x.n) = 1) x) = cdp_segment(format('in_segment(%L)', g.name)) AS sums_up,
    (SELECT max(abs(x.n - 0.5)) FROM (SELECT sum(x.n) AS n FROM cdp.segment_delta d CROSS JOIN LATERAL (SELECT 1 AS n, _cdp_set_members(d.added, d.shard) AS id UNION ALL SELECT -1, _cdp_set_members(d.removed, d.shard)) x
    WHERE d.segment_id = g.segment_id GROUP BY x.id) x) AS half_when_each_0_or_1
FROM cdp.segment g ORDER BY 1;

-- 6. A frozen segment has a history of one moment.
SELECT cdp_segment_freeze('frozen', cdp_segment('points >= 900'));
SELECT cdp_segment_at('frozen', now() - interval '1 day') AS before, cdp_bitmap_cardinality(cdp_segment_at('frozen', now())) = cdp_count('frozen') AS now;
-- A retired number is frozen as the profile that took it over.
SELECT cdp_segment_freeze('merged', (SELECT cdp_bitmap_build_agg(retired_id) FROM cdp.merges));
SELECT cdp_count('merged') = (SELECT count(DISTINCT cdp_resolve(retired_id)) FROM cdp.merges) AS survivors, (SELECT bool_and(cdp_resolve(m) = m) FROM cdp_members('merged') m) AS live;
SELECT cdp_segment_freeze('strangers', '{1,99999999}');

-- 7. Versions, states, trend.
SELECT cdp_segment_alter('rich', state => 'active');
SELECT cdp_segment_alter('rich', 'points >= 600', 'Six hundred and more');
SELECT cdp_segment_alter('rich', ' points >= 600 ');
SELECT name, kind, state, version, expression, description, profiles, added, removed, change_7_days, refresh_ms >= 0 AS timed, dependants FROM cdp.segments ORDER BY name;
SELECT kind, name, version, expression, author = session_user AS mine FROM cdp.versions ORDER BY name, version;
SELECT version, added, removed FROM cdp.segment_refreshes WHERE segment = 'rich' ORDER BY refresh DESC LIMIT 3;
-- A definition that would come back to itself.
SELECT cdp_segment_create('richer', $$ in_segment('rich') AND points > 800 $$);
SELECT cdp_tag_create('is_richer', $$ in_segment('richer') $$);
SELECT cdp_segment_create('richest', 'is_richer');
SELECT cdp_segment_alter('rich', $$ in_segment('richest') OR points > 500 $$);
SELECT cdp_segment_alter('rich', $$ in_segment('rich') $$);
SELECT kind, name, needs_kind, needs FROM cdp.dependencies ORDER BY 1, 2, 3, 4;
SELECT name, dependants FROM cdp.segments WHERE dependants IS NOT NULL ORDER BY name;
SELECT version, expression FROM cdp.versions WHERE name = 'rich' ORDER BY version DESC LIMIT 1;
-- Retired: not refreshed, still readable; taken up again it is brought up to date.
SELECT cdp_segment_alter('richer', state => 'retired');
SELECT name FROM cdp_segment_refresh() ORDER BY name;
SELECT cdp_segment_refresh('richer');
SELECT cdp_count('richer') > 0 AS readable;
SELECT cdp_segment_alter('richer', state => 'active');
SELECT cdp_segment_alter('frozen', 'true');
SELECT cdp_segment_alter('frozen', description => 'A list');
SELECT cdp_segment_alter('rich', 'pionts > 1');
SELECT cdp_segment_alter('rich', state => 'asleep');
SELECT cdp_segment_create('asleep', 'true', state => 'asleep');
SELECT cdp_segment_alter('rihc', 'true');
-- Segments of segments are refreshed after those they name, whatever was made first.
SELECT cdp_segment_create('tiny', 'points < 5');
SELECT cdp_segment_alter('all', $$ in_segment('tiny') $$, state => 'active');
UPDATE person SET points = 1, changed = '2024-05-02 00:00+00' WHERE id = 2007;
CALL cdp_sync('person');
SELECT name, added FROM cdp_segment_refresh() WHERE name IN ('all', 'tiny');

-- 8. What is refused.
SELECT cdp_segment_at('rihc', now());
SELECT cdp_segment_at('rich', NULL);
SELECT cdp_segment_delta('rich', '2024-03-01', '2024-02-01');
SELECT cdp_segment_delta('rich', NULL, '2024-02-01');
-- Older refreshes may be deleted; what they knew is then not told wrong.
DELETE FROM cdp.segment_delta WHERE at < '2024-03-05 00:00+00';
DELETE FROM cdp.segment_refresh WHERE at < '2024-03-05 00:00+00';
SELECT cdp_segment_at('buyers', '2024-03-01 00:00+00');
SELECT cdp_segment_delta('buyers', '2024-03-01 00:00+00', 'infinity');
SELECT cdp_segment_at('buyers', '2024-05-01 00:00+00') = (SELECT cdp_bitmap_build_agg(profile_id) FROM seen_today WHERE segment = 'buyers' AND at = '2024-05-01 00:00+00') AS still;
-- Dropped, nothing is left.
SELECT cdp_segment_drop('buyers');
SELECT (SELECT count(*) FROM cdp.segment_refresh r WHERE NOT EXISTS (SELECT FROM cdp.segment g WHERE g.segment_id = r.segment_id)) AS refreshes,
       (SELECT count(*) FROM cdp.segment_delta r WHERE NOT EXISTS (SELECT FROM cdp.segment g WHERE g.segment_id = r.segment_id)) AS deltas,
       (SELECT count(*) FROM cdp.versions WHERE name IS NULL) AS versions, (SELECT count(*) FROM cdp.dependencies WHERE name IS NULL OR needs IS NULL) AS dependencies;

DROP FUNCTION look, compare, compare_deltas, today;
DROP TABLE person, buy, seen, seen_today, looked, before;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
