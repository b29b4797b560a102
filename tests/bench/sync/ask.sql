-- Question :n, timed: its first call in a session, then :runs warm runs of both functions and :plain_runs of the plain SQL, whose text is
-- that of cdp_segment_sql() inside count(*), under the settings of the server and the workspace's time zone.

\set ON_ERROR_STOP on
SELECT set_config('timezone', time_zone, false) FROM cdp.workspace \g /dev/null
SELECT expression, as_of, clock_timestamp() AS begun FROM bench.question WHERE n = :n \gset
SELECT cdp_segment_count(:'expression', :'as_of') \g /dev/null
SELECT extract(epoch FROM clock_timestamp() - :'begun') * 1000 AS first_ms \gset

SELECT format('SELECT count(*) FROM (%s) q', cdp_segment_sql(:'expression', :'as_of')) AS plain \gset
-- Once unmeasured.
SELECT bench.times('SELECT cdp_segment_count($1, $2)', :'expression', :'as_of', 1), bench.times('SELECT cdp_segment($1, $2)', :'expression', :'as_of', 1),
       bench.times(:'plain', :'expression', :'as_of', 1) \g /dev/null
SELECT bench.times('SELECT cdp_segment_count($1, $2)', :'expression', :'as_of', :runs) AS count_ms \gset
SELECT bench.times('SELECT cdp_segment($1, $2)', :'expression', :'as_of', :runs) AS segment_ms \gset
SELECT bench.times(:'plain', :'expression', :'as_of', :plain_runs) AS plain_ms \gset
UPDATE bench.result SET first_ms = :first_ms, count_ms = :'count_ms', segment_ms = :'segment_ms', plain_ms = :'plain_ms', workers = bench.workers(:'plain')
 WHERE n = :n;
