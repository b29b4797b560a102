-- What sets a segment apart, and who is like its members: cdp_segment_insight, cdp_segment_lookalike, cdp_segment_lookalike_report. Every number
-- is compared with plain SQL over cdp.profiles, read from bits (directly, by a query, without a cache, all of it pending) and from the tables
-- (columns off).
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
SET timezone = 'UTC';
CREATE TABLE person (id int PRIMARY KEY, email text, city text, vip boolean, points bigint, balance numeric, born date, seen timestamptz, label text, area text, changed timestamptz, labels text[], grade text, club bigint);
-- Hashes, so that attributes do not depend on each other, but for points, area and labels, of which there may be several or none, which go with vip.
INSERT INTO person
SELECT i, 'p' || i || '@example.com', CASE h % 7 WHEN 0 THEN NULL WHEN 1 THEN 'Rome' WHEN 2 THEN 'Rome' WHEN 3 THEN '北京' ELSE 'Bern' END, v,
       CASE WHEN h / 7 % 11 > 0 THEN (h / 77 % 1000 - 500) + CASE WHEN v THEN 150 ELSE 0 END END,
       CASE WHEN h / 11 % 13 > 0 THEN (h / 143 % 9 * 1000 - 3000) / 100.0 END,
       date '1950-01-01' + h / 17 % 20000, timestamptz '2024-01-01 00:00+00' + i * interval '7 minutes', 'l' || h / 5 % 700,
       CASE WHEN h / 3 % 9 > 0 THEN 'a' || CASE WHEN v THEN h / 19 % 25 ELSE h / 19 % 40 END END, '2024-01-01 00:00+00',
       CASE h % 17 WHEN 0 THEN NULL WHEN 1 THEN '{}' ELSE array_remove(ARRAY[CASE WHEN h / 2 % 3 = 0 THEN 'gold' END, CASE WHEN v OR h / 9 % 4 = 0 THEN 'new' END, CASE WHEN h / 23 % 2 = 0 THEN 'it''s' END, '标签' || h / 29 % 20], NULL) END,
       CASE h / 31 % 4 WHEN 0 THEN '一线' WHEN 1 THEN '二线' WHEN 2 THEN '三线' END, h / 37 % 50
FROM (SELECT i, h, CASE h / 13 % 5 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END AS v FROM (SELECT i, hashint4(i) & 1073741823 AS h FROM generate_series(1, 3000) i) g) g;
SELECT cdp_source_create('person', 'person', '{"updated_at": "changed", "identifiers": {"user_id": "id::text", "email": "email"}, "traits": {"city": "city", "vip": "vip", "points": "points", "balance": "balance", "born": "born", "seen": "seen", "label": "label", "area": "area", "labels": "labels", "城市等级": "grade", "Club Level": "club"}}');
CALL cdp_sync();
SELECT cdp_segment_create('romans', $$ city = 'Rome' $$);
SELECT a.name, c.kind, c.encoding, c.state FROM cdp.store_column c JOIN cdp.attribute a USING (attribute_id) ORDER BY a.name, c.kind;

-- 1. By example.
SELECT attribute, value, profiles, base_profiles AS base, round(share::numeric, 4) AS share, round(base_share::numeric, 4) AS base_share, round(points::numeric, 2) AS points, round(tgi::numeric, 1) AS tgi,
       round(tgi_low::numeric, 1) AS low, round(tgi_high::numeric, 1) AS high, round(log_odds::numeric, 3) AS log_odds, round(z::numeric, 2) AS z, to_char(p, '9.9EEEE') AS p, to_char(p_adjusted, '9.9EEEE') AS adjusted, test
FROM cdp_segment_insight('vip', attributes => '{city,points,area,vip}') LIMIT 24;
SELECT attribute, value, profiles, base_profiles, round(tgi::numeric, 2) AS tgi, z IS NULL AS no_z, p IS NULL AS no_p, log_odds IS NULL AS no_odds FROM cdp_segment_insight('vip', 'vip', '{city}');
SELECT attribute, value, profiles, base_profiles, share, tgi, z, p FROM cdp_segment_insight('false', NULL, '{city}');
SELECT attribute, value, profiles, base_profiles, tgi, test FROM cdp_segment_insight('romans', 'vip', '{city,vip}', with_unknown => false) ORDER BY 1, 2;
SELECT count(*) AS "rows", count(*) FILTER (WHERE profiles BETWEEN 1 AND 9 OR base_profiles BETWEEN 1 AND 9) AS small FROM cdp_segment_insight('romans');
SELECT count(*) > 700 AS all_labels, min(base_profiles) < 10 AS small FROM cdp_segment_insight('romans', minimum => 0);
-- Of several values each is a row; who has an empty set is known and has none of them. Names of any letters.
SELECT attribute, value, profiles, base_profiles AS base, round(share::numeric, 4) AS share, round(base_share::numeric, 4) AS base_share, round(tgi::numeric, 1) AS tgi FROM cdp_segment_insight('vip', attributes => '{labels}') WHERE value IS NULL OR value !~ '^标签';
SELECT (SELECT round(profiles / share) FROM cdp_segment_insight('vip', attributes => '{labels}', with_unknown => false) WHERE value = 'new') = (SELECT count(*) FROM cdp.profiles WHERE vip AND labels IS NOT NULL) AS of_those_with_a_set;
SELECT attribute, value, profiles, base_profiles AS base FROM cdp_segment_insight($$ "城市等级" = '一线' AND "Club Level" < 5 $$, attributes => '{城市等级,Club Level}') WHERE profiles > 0 ORDER BY 1, 2;
-- Ranges are literals of PostgreSQL.
SELECT bool_and(r.profiles = (SELECT count(*) FROM cdp.profiles p WHERE p.vip AND p.points::numeric <@ r.value::numrange)) AS by_range FROM (SELECT * FROM cdp_segment_insight('vip', attributes => '{points}') WHERE value IS NOT NULL) r;
SELECT bool_and(r.profiles = (SELECT count(*) FROM cdp.profiles p WHERE p.vip AND p.born <@ r.value::daterange)) AS by_range FROM (SELECT * FROM cdp_segment_insight('vip', attributes => '{born}') WHERE value IS NOT NULL) r;
SELECT bool_and(r.profiles = (SELECT count(*) FROM cdp.profiles p WHERE p.vip AND p.seen <@ r.value::tstzrange)) AS by_range FROM (SELECT * FROM cdp_segment_insight('vip', attributes => '{seen}') WHERE value IS NOT NULL) r;

-- 2. The same in plain SQL.
-- Everybody's values; numbers by the tenths of the base. (balance has few values: tenths coincide.)
CREATE FUNCTION fill(segment text, base text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE a record; v text;
BEGIN
    DROP TABLE IF EXISTS who, tagged, known;
    EXECUTE format('CREATE TEMP TABLE who AS SELECT p.*, p.profile_id IN (SELECT profile_id FROM (%s) s) AS in_s, p.profile_id IN (SELECT profile_id FROM (%s) b) AS in_b FROM cdp.profiles p',
        cdp_segment_sql(segment), cdp_segment_sql(coalesce(base, 'true')));
    CREATE TEMP TABLE tagged (profile_id bigint, attribute text, value text);
    CREATE TEMP TABLE known (profile_id bigint, attribute text);
    FOR a IN SELECT name, type, CASE type WHEN 'date' THEN 'daterange' WHEN 'timestamptz' THEN 'tstzrange' ELSE 'numrange' END AS range FROM cdp.attributes LOOP
        v := CASE WHEN a.type IN ('bigint', 'numeric') THEN format('trim_scale(w.%I::numeric)', a.name) ELSE format('w.%I', a.name) END;
        EXECUTE format('INSERT INTO known SELECT w.profile_id, %1$L FROM who w WHERE w.%1$I IS NOT NULL', a.name);
        IF a.type = 'text[]' THEN
            EXECUTE format('INSERT INTO tagged SELECT w.profile_id, %1$L, e FROM who w CROSS JOIN LATERAL unnest(w.%1$I) e UNION ALL SELECT w.profile_id, %1$L, NULL FROM who w WHERE w.%1$I IS NULL', a.name);
        ELSIF a.type IN ('text', 'boolean') THEN
            EXECUTE format('INSERT INTO tagged SELECT w.profile_id, %L, %s::text FROM who w', a.name, v);
        ELSE
            EXECUTE format('INSERT INTO tagged SELECT w.profile_id, %1$L, CASE WHEN %2$s IS NOT NULL THEN (SELECT %3$s(max(c) FILTER (WHERE c < %2$s), min(c) FILTER (WHERE c >= %2$s), ''(]'')::text FROM unnest(k.cuts) c) END
                FROM who w, (SELECT percentile_disc(ARRAY[0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9]) WITHIN GROUP (ORDER BY %2$s) AS cuts FROM who w WHERE w.in_b) k', a.name, v, a.range);
        END IF;
    END LOOP;
END $$;
SET check_function_bodies = off;
CREATE TABLE ln_factorial AS SELECT n, sum(CASE WHEN n > 0 THEN ln(n::float8) ELSE 0 END) OVER (ORDER BY n) AS f FROM generate_series(0, 4000) n;
ALTER TABLE ln_factorial ADD PRIMARY KEY (n);
ANALYZE ln_factorial;
CREATE FUNCTION lf(n bigint) RETURNS float8 LANGUAGE sql STABLE AS 'SELECT f FROM ln_factorial l WHERE l.n = $1::int';
-- The normal tail: a series near zero, a continued fraction beyond.
CREATE FUNCTION tail(z float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE x float8 := abs(z) / sqrt(2::float8); term float8 := x; total float8 := x; f float8 := x;
BEGIN
    IF x > 26 THEN RETURN 0; END IF;
    IF x < 2 THEN
        FOR n IN 1..60 LOOP EXIT WHEN abs(term) < 1e-30; term := -term * x * x / n; total := total + term / (2 * n + 1); END LOOP;
        RETURN 1 - 2 / sqrt(pi()) * total;
    END IF;
    FOR k IN REVERSE 400..1 LOOP f := x + k / 2.0::float8 / f; END LOOP;
    RETURN exp(-x * x) / sqrt(pi()) / f;
END $$;
-- The sum of the hypergeometric probabilities that are no larger.
CREATE FUNCTION fisher(a bigint, n bigint, c bigint, m bigint) RETURNS float8 LANGUAGE sql STABLE AS $$
    WITH w AS (SELECT x, lf(n) - lf(x) - lf(n - x) + lf(m) - lf(a + c - x) - lf(m - (a + c - x)) - lf(n + m) + lf(a + c) + lf(n + m - a - c) AS ln_p
               FROM generate_series(greatest(0, a + c - m), least(n, a + c)) x)
    SELECT least(1, sum(CASE WHEN ln_p > -600 THEN exp(ln_p) ELSE 0 END)) FROM w WHERE ln_p <= (SELECT ln_p FROM w WHERE x = a) + 1e-7
$$;
CREATE FUNCTION expected(minimum bigint, with_unknown boolean)
RETURNS TABLE (attribute text, value text, profiles bigint, base_profiles bigint, share float8, base_share float8, points float8, tgi float8, tgi_low float8, tgi_high float8, log_odds float8, z float8, p float8, p_adjusted float8, test text)
LANGUAGE sql AS $$
    WITH cell AS (
        SELECT t.attribute, t.value, count(*) FILTER (WHERE in_s) AS s, count(*) FILTER (WHERE in_b) AS b, count(*) FILTER (WHERE in_b AND NOT in_s) AS c
        FROM tagged t JOIN who USING (profile_id) WHERE with_unknown OR t.value IS NOT NULL GROUP BY 1, 2),
    whole AS (
        SELECT c.*, n.ns, n.nb, n.m FROM cell c JOIN (
            SELECT a.attribute, count(*) FILTER (WHERE in_s) AS ns, count(*) FILTER (WHERE in_b) AS nb, count(*) FILTER (WHERE in_b AND NOT in_s) AS m
            FROM (SELECT DISTINCT attribute FROM tagged) a CROSS JOIN who LEFT JOIN known k USING (attribute, profile_id) WHERE with_unknown OR k.profile_id IS NOT NULL GROUP BY 1) n USING (attribute)),
    shown AS (
        SELECT w.*, s::float8 / nullif(ns, 0)::float8 AS ps, b::float8 / nullif(nb, 0)::float8 AS pb, least(ns, m)::float8 * least(s + c, ns + m - s - c)::float8 / nullif(ns + m, 0)::float8 AS least_expected,
               (s + c)::float8 / nullif(ns + m, 0)::float8 AS pooled
        FROM whole w WHERE s + b > 0 AND (s = 0 OR s >= minimum) AND (b = 0 OR b >= minimum)),
    tested AS (
        SELECT s.*, CASE WHEN ns > 0 AND m > 0 AND pooled > 0 AND pooled < 1 THEN (ps - c / m::float8) / sqrt(pooled * (1 - pooled) * (1 / nullif(ns, 0)::float8 + 1 / m::float8)) END AS z FROM shown s),
    p AS (
        SELECT t.*, CASE WHEN z IS NULL THEN NULL WHEN least_expected < 5 THEN fisher(s, ns::bigint, c, m::bigint) ELSE tail(z) END AS p FROM tested t),
    ranked AS (SELECT p.*, row_number() OVER (ORDER BY p) AS rank, count(p) OVER () AS tests FROM p)
    SELECT attribute, value, s, b, ps, pb, (ps - pb) * 100, ps / nullif(pb, 0) * 100,
           CASE WHEN ns > 0 THEN greatest(0, (ps + 3.841458820694124 / (2 * nullif(ns, 0)::float8) - 1.959963984540054 * sqrt(ps * (1 - ps) / nullif(ns, 0)::float8 + 3.841458820694124 / (4 * nullif(ns, 0)::float8 * nullif(ns, 0)::float8))) / (1 + 3.841458820694124 / nullif(ns, 0)::float8)) / nullif(pb, 0) * 100 END,
           CASE WHEN ns > 0 THEN least(1, (ps + 3.841458820694124 / (2 * nullif(ns, 0)::float8) + 1.959963984540054 * sqrt(ps * (1 - ps) / nullif(ns, 0)::float8 + 3.841458820694124 / (4 * nullif(ns, 0)::float8 * nullif(ns, 0)::float8))) / (1 + 3.841458820694124 / nullif(ns, 0)::float8)) / nullif(pb, 0) * 100 END,
           CASE WHEN ns > 0 AND m > 0 THEN ln((s + 0.5) * (m - c + 0.5) / ((ns - s + 0.5) * (c + 0.5)))::float8 END,
           z, p, CASE WHEN p IS NOT NULL THEN least(1, min(p * tests / rank) OVER (ORDER BY rank DESC)) END, CASE WHEN z IS NOT NULL THEN CASE WHEN least_expected < 5 THEN 'fisher' ELSE 'z' END END
    FROM ranked
$$;
CREATE FUNCTION near(a float8, b float8) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN a IS NULL OR b IS NULL THEN a IS NULL AND b IS NULL ELSE abs(a - b) <= 1e-12 + 1e-8 * abs(b) END $$;
CREATE FUNCTION alike(a float8, b float8) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN a IS NULL OR b IS NULL THEN a IS NULL AND b IS NULL WHEN greatest(a, b) < 1e-290 THEN true ELSE abs(a - b) <= 1e-7 * b END $$;
CREATE FUNCTION compared(segment text, base text, minimum bigint, with_unknown boolean, as_of timestamptz DEFAULT NULL, OUT "rows" bigint, OUT wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fill(segment, base);
    SELECT count(*), count(*) FILTER (WHERE x.attribute IS NULL OR e.attribute IS NULL OR x.profiles <> e.profiles OR x.base_profiles <> e.base_profiles OR x.test IS DISTINCT FROM e.test
        OR NOT (near(x.share, e.share) AND near(x.base_share, e.base_share) AND near(x.points, e.points) AND near(x.tgi, e.tgi) AND near(x.tgi_low, e.tgi_low) AND near(x.tgi_high, e.tgi_high)
            AND near(x.log_odds, e.log_odds) AND near(x.z, e.z) AND alike(x.p, e.p) AND alike(x.p_adjusted, e.p_adjusted)))
    INTO "rows", wrong
    FROM cdp_segment_insight(segment, base, minimum => minimum, with_unknown => with_unknown, as_of => as_of) x
    FULL JOIN expected(minimum, with_unknown) e ON x.attribute = e.attribute AND coalesce('=' || x.value, '') = coalesce('=' || e.value, '');
END $$;
CREATE TABLE question (n int, segment text, base text, minimum bigint, with_unknown boolean);
INSERT INTO question VALUES (1, 'vip', NULL, 10, true), (2, 'vip', NULL, 0, false), (3, 'romans', 'points > 0 OR vip', 10, true), (4, $$ city = 'Rome' AND points > 0 $$, 'vip', 5, true),
    (5, 'vip', 'NOT vip', 1, true), (6, 'vip', 'vip', 10, true), (7, 'false', NULL, 10, true), (8, 'true', NULL, 10, true), (9, 'vip', 'false', 10, false), (10, 'points > 640', NULL, 0, true),
    (11, 'points IS NULL', 'points IS NULL OR vip', 10, true);
CREATE VIEW wrong AS SELECT q.n, c.* FROM question q, compared(replace(q.segment, 'romans', $$ city = 'Rome' $$), q.base, q.minimum, q.with_unknown) c WHERE c.wrong > 0;
SELECT q.n, q.segment, q.base, c.* FROM question q, compared(replace(q.segment, 'romans', $$ city = 'Rome' $$), q.base, q.minimum, q.with_unknown) c ORDER BY n;
-- A name is its members.
SELECT count(*) = 0 AS same FROM (SELECT * FROM cdp_segment_insight('romans', 'vip') EXCEPT SELECT * FROM cdp_segment_insight($$ city = 'Rome' $$, $$ vip = true $$)) x;
-- Strongest evidence first.
SELECT array_agg(abs(z)) = array_agg(abs(z) ORDER BY abs(z) DESC NULLS LAST) AS ordered FROM cdp_segment_insight('romans', 'vip');

-- 3. Lookalike.
CREATE FUNCTION held_out(profile_id bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT profile_id * 11400714819323198485::numeric % 18446744073709551616 < 3689348814741910323';
-- The weights learned from the members, without those held out or with them.
CREATE FUNCTION learned(whole boolean) RETURNS TABLE (attribute text, value text, a bigint, b bigint, weight int) LANGUAGE sql AS $$
    WITH p AS (SELECT profile_id, in_s AS seed FROM who WHERE whole OR NOT (in_s AND held_out(profile_id))),
    n AS (SELECT count(*) FILTER (WHERE seed) AS ns, count(*) AS nb FROM p),
    v AS (SELECT t.attribute, t.value, count(*) FILTER (WHERE seed) AS a, count(*) AS b FROM tagged t JOIN p USING (profile_id) WHERE t.value IS NOT NULL GROUP BY 1, 2)
    SELECT attribute, value, a, b, round(100 * ln((a + 1)::float8 * (nb - b + 1)::float8 / ((ns - a + 1)::float8 * (b + 1)::float8)))::int FROM v, n WHERE b >= 10 AND attribute NOT IN (SELECT attribute FROM v GROUP BY 1 HAVING count(*) > 512)
$$;
CREATE FUNCTION scored(whole boolean) RETURNS TABLE (profile_id bigint, score bigint, positive boolean) LANGUAGE sql AS $$
    SELECT w.profile_id, coalesce(sum(l.weight), 0), w.in_s FROM who w LEFT JOIN tagged t USING (profile_id) LEFT JOIN learned(whole) l USING (attribute, value)
    WHERE NOT w.in_s OR NOT whole AND held_out(w.profile_id) GROUP BY w.profile_id, w.in_s
$$;
CREATE FUNCTION compared_lookalike(segment text, OUT seed bigint, OUT members bigint[], OUT wrong bigint[], OUT seeds_in bigint, OUT auc numeric, OUT auc_is_right boolean, OUT weights bigint, OUT wrong_weights bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fill(segment, NULL);
    SELECT count(*) FILTER (WHERE in_s) INTO seed FROM who;
    CREATE TEMP TABLE score ON COMMIT DROP AS SELECT s.profile_id, row_number() OVER (ORDER BY s.score DESC, s.profile_id) AS place FROM scored(true) s;
    SELECT array_agg(cdp_count(l.found) ORDER BY size), array_agg(cdp_count(l.found # l.wanted) ORDER BY size), sum(cdp_count(l.found & l.seeds)) INTO members, wrong, seeds_in
    FROM (SELECT size, cdp_segment_lookalike(segment, size) AS found, (SELECT coalesce(cdp_bitmap_build_agg(profile_id), '{}') FROM score WHERE place <= size) AS wanted,
                 (SELECT cdp_bitmap_build_agg(profile_id) FROM who WHERE in_s) AS seeds FROM unnest(ARRAY[0, 1, 17, 500, 100000]) size OFFSET 0) l;
    CREATE TEMP TABLE report ON COMMIT DROP AS SELECT * FROM cdp_segment_lookalike_report(segment);
    WITH ranked AS (SELECT positive, rank() OVER (ORDER BY score) + (count(*) OVER (PARTITION BY score) - 1) / 2.0 AS rank FROM scored(false))
    SELECT (SELECT r.auc FROM report r LIMIT 1), abs((sum(rank) FILTER (WHERE positive) - count(*) FILTER (WHERE positive) * (count(*) FILTER (WHERE positive) + 1) / 2.0)
        / (count(*) FILTER (WHERE positive) * count(*) FILTER (WHERE NOT positive)) - (SELECT r.auc FROM report r LIMIT 1)::numeric) < 1e-12 INTO auc, auc_is_right FROM ranked;
    SELECT count(*), count(*) FILTER (WHERE r.attribute IS NULL OR l.attribute IS NULL OR r.profiles <> l.a OR r.base_profiles <> l.b OR round(r.weight * 100) <> l.weight) INTO weights, wrong_weights
    FROM report r FULL JOIN learned(true) l USING (attribute, value);
    auc := round(auc, 4);
    DROP TABLE score, report;
END $$;
SELECT q, c.* FROM unnest(ARRAY['vip', 'city = ''Rome'' AND points > 0', 'points > 600', 'area IN (''a3'', ''a4'')']) q, compared_lookalike(q) c;
CREATE VIEW wrong_lookalike AS SELECT q, c.* FROM unnest(ARRAY['vip', 'points > 600']) q, compared_lookalike(q) c WHERE c.wrong <> '{0,0,0,0,0}' OR c.seeds_in > 0 OR NOT c.auc_is_right OR c.wrong_weights > 0;
SELECT attribute, value, profiles, base_profiles, weight, round(auc::numeric, 3) AS auc FROM cdp_segment_lookalike_report('vip', '{area,city}') LIMIT 6;
-- Each of several values weighs by itself.
SELECT attribute, value, profiles, base_profiles, weight, round(auc::numeric, 3) AS auc FROM cdp_segment_lookalike_report('vip', '{labels}') WHERE value !~ '^标签';
SELECT attribute, value, weight FROM cdp_segment_lookalike_report('vip', '{城市等级}');
-- Nothing to learn from: everybody is alike, and the smallest numbers come first.
SELECT cdp_segment_lookalike('vip', 3, '{}') = (SELECT cdp_bitmap_build_agg(profile_id) FROM (SELECT profile_id FROM cdp.profiles WHERE vip IS NOT TRUE ORDER BY 1 LIMIT 3) x) AS first_three;
SELECT count(*) FROM cdp_segment_lookalike_report('vip', '{}');

-- 4. In every way of reading, after changes and merges.
SET cdp.direct_read = off;
SELECT * FROM wrong WHERE n IN (1, 3, 4, 5, 11);
SELECT * FROM wrong_lookalike;
RESET cdp.direct_read;
SET cdp.cache_size = 0;
SELECT * FROM wrong WHERE n IN (1, 3, 4);
RESET cdp.cache_size;
UPDATE person SET points = points + 1000, city = 'Oslo', area = 'Oslo', balance = balance * -1, vip = NOT vip, labels = CASE id % 3 WHEN 0 THEN labels || '{moved}'::text[] WHEN 1 THEN '{}' ELSE '{gold,moved}' END, changed = '2024-02-01 00:00+00' WHERE id % 50 = 1;
INSERT INTO person SELECT i, NULL, 'Oslo', true, 77, 0.001, '2000-02-29', '2024-02-02 00:00+00', 'new', 'new area', '2024-02-02 00:00+00' FROM generate_series(4001, 4010) i;
-- Ten people turn out to be others.
UPDATE person p SET email = 'p' || id - 1500 || '@example.com', changed = '2024-02-03 00:00+00' WHERE id BETWEEN 1502 AND 1511;
CALL cdp_sync();
SELECT count(*) AS merges FROM cdp.merges;
SELECT * FROM wrong;
SELECT * FROM wrong_lookalike;
-- Every cell pending, as if no flush had run yet.
INSERT INTO cdp.pending SELECT c.column_id, c.key, c.shard, _cdp_cells_agg((m & 1048575)::int, 1, 0) FROM cdp.chunk c JOIN cdp.store_column s USING (column_id), _cdp_set_members(c.bits, c.shard) m WHERE s.encoding = 'set' GROUP BY 1, 2, 3;
INSERT INTO cdp.pending SELECT c.column_id, c.key, c.shard, _cdp_cells_agg((m.profile_id & 1048575)::int, m.n, m.v) FROM cdp.chunk c JOIN cdp.store_column s USING (column_id), _cdp_number_cells(c.bits, c.shard) m WHERE s.encoding = 'number' GROUP BY 1, 2, 3;
INSERT INTO cdp.pending SELECT c.column_id, c.key, c.shard, _cdp_cells_agg((m.profile_id & 1048575)::int, 1, m.code) FROM cdp.chunk c JOIN cdp.store_column s USING (column_id), _cdp_codes_cells(c.bits, c.shard) m WHERE s.encoding = 'codes' GROUP BY 1, 2, 3;
DELETE FROM cdp.chunk;
SELECT * FROM wrong WHERE n IN (1, 4, 7, 11);
SELECT * FROM wrong_lookalike;
SELECT cdp_flush() > 0 AS flushed;
SELECT * FROM wrong WHERE n IN (1, 4, 7, 11);
-- Few values are left of many: codes that are kept as numbers are learned from.
UPDATE person SET label = 'few' || id % 5, changed = '2024-02-04 00:00+00';
CALL cdp_sync();
SELECT encoding, (SELECT count(DISTINCT attribute || value) FROM cdp_segment_lookalike_report('vip', '{label}')) AS learned FROM cdp.store_column c JOIN cdp.attribute a USING (attribute_id) WHERE a.name = 'label' AND c.kind = 'attribute';
SELECT * FROM wrong_lookalike;
UPDATE cdp.store_column SET state = 'off' WHERE kind = 'forward';
SELECT * FROM wrong WHERE n IN (1, 4, 7, 11);
UPDATE cdp.store_column SET state = 'off' WHERE kind = 'attribute';
SELECT * FROM wrong;
SELECT * FROM wrong_lookalike;
UPDATE cdp.store_column SET state = 'stale' WHERE kind IN ('attribute', 'forward');
SELECT cdp_flush() > 0 AS rebuilt;
SELECT q.n, c.* FROM question q, compared(replace(q.segment, 'romans', $$ city = 'Rome' $$), q.base, q.minimum, q.with_unknown, now()) c WHERE q.n IN (1, 4, 5) ORDER BY n;

-- 5. Mistakes.
\set VERBOSITY default
SELECT * FROM cdp_segment_insight(NULL);
SELECT * FROM cdp_segment_insight('nobody knows');
SELECT * FROM cdp_segment_insight('vip', 'vipp');
SELECT * FROM cdp_segment_insight('vip', attributes => '{city,citty}');
SELECT * FROM cdp_segment_insight('vip', attributes => '{city,NULL}');
SELECT * FROM cdp_segment_insight('vip', minimum => -1);
SELECT * FROM cdp_segment_insight('vip', with_unknown => NULL);
SELECT cdp_segment_lookalike('vip', NULL);
SELECT cdp_segment_lookalike('vip', -5);
SELECT cdp_segment_lookalike('false', 5);
SELECT * FROM cdp_segment_lookalike_report('vip AND NOT vip');
DROP SCHEMA cdp CASCADE;
DROP VIEW wrong, wrong_lookalike;
DROP FUNCTION compared, compared_lookalike, expected, fill, lf, tail, fisher, near, alike, held_out, learned, scored;
DROP TABLE person, question, ln_factorial;
DROP EXTENSION pg_cdp;
