-- Question :n: how many profiles are in one answer and not in the other. A profile that the plain SQL gives twice, or a
-- cdp_segment_count() that is another number, is a difference too.

\set ON_ERROR_STOP on
SELECT set_config('timezone', time_zone, false) FROM cdp.workspace \g /dev/null
SELECT expression, as_of, cdp_segment_sql(expression, as_of) AS plain FROM bench.question WHERE n = :n \gset
CREATE TEMP TABLE plain AS :plain;
CREATE TEMP TABLE segment AS SELECT cdp_members(cdp_segment(:'expression', :'as_of')) AS profile_id;
ANALYZE plain, segment;
INSERT INTO bench.result (n, differing, matches)
SELECT :n,
       (SELECT count(*) FROM plain p FULL JOIN segment s USING (profile_id) WHERE p.profile_id IS NULL OR s.profile_id IS NULL)
       + (SELECT count(*) - count(DISTINCT profile_id) FROM plain) + (SELECT count(*) - count(DISTINCT profile_id) FROM segment)
       + abs(cdp_segment_count(:'expression', :'as_of') - (SELECT count(*) FROM segment)),
       (SELECT count(*) FROM segment);
