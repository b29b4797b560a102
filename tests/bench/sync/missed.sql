-- The questions that miss the target, in one line; NULL when none does.
\i ratio.sql
SELECT string_agg(format('"%s" %s', q.name, round(x.ratio, 1)), ', ' ORDER BY n) FROM ratio x JOIN bench.question q USING (n) WHERE x.ratio < :target;
