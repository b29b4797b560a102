-- The table.

\set ON_ERROR_STOP on
\i ratio.sql
SELECT q.name AS question, r.matches,
       round(bench.median(r.count_ms), 2) AS "count ms", round((SELECT min(t) FROM unnest(r.count_ms) t)::numeric, 2) AS "count min",
       round(bench.median(r.segment_ms), 2) AS "segment ms", round(r.first_ms::numeric, 2) AS "first call ms",
       round(bench.median(r.plain_ms), 1) AS "plain SQL ms", r.workers, round(x.ratio, 1) AS "plain/cdp",
       CASE WHEN x.ratio >= :target THEN 'met' ELSE 'missed' END AS target, CASE r.differing WHEN 0 THEN 'yes' ELSE 'NO: ' || r.differing END AS equal
  FROM bench.result r JOIN bench.question q USING (n) JOIN ratio x USING (n) ORDER BY n;
\echo 'count, segment: cdp_segment_count(), cdp_segment(), medians of warm runs; first call: cdp_segment_count() in a new session, data in memory;'
\echo 'plain SQL: count(*) over cdp_segment_sql(), median of warm runs, with the parallel workers planned;'
\echo 'plain/cdp: over the slower of count and segment; equal: the two sets of profiles.'
