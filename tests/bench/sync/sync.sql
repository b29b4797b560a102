-- One source, :source, taken in, and the floor below which nothing that keeps its rows can go.

\set ON_ERROR_STOP on
SET timezone = 'UTC';
SELECT 'bench.' || :'source' AS relation \gset
SELECT clock_timestamp() AS begun \gset
CALL cdp_sync(:'source');
SELECT extract(epoch FROM clock_timestamp() - :'begun') AS call_s \gset

CREATE TABLE bench.floor (LIKE :relation);
SELECT clock_timestamp() AS begun \gset
INSERT INTO bench.floor SELECT * FROM :relation;
SELECT extract(epoch FROM clock_timestamp() - :'begun') AS floor_s \gset
DROP TABLE bench.floor;

INSERT INTO bench.sync_result (source, rows, call_s, job_rate, floor_s)
SELECT source, rows_done, :call_s, rows_per_second, :floor_s FROM cdp.jobs WHERE source = :'source' ORDER BY job_id DESC LIMIT 1;
