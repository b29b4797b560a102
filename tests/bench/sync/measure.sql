-- What the benchmark measures with. Runs after sources.sql.

CREATE TABLE bench.sync_result (n int GENERATED ALWAYS AS IDENTITY, source text, rows bigint, call_s numeric, job_rate numeric, floor_s numeric);

-- Milliseconds of each of `runs` executions of a query, planned anew each time as a client's would be. Its rows are fetched and dropped: no
-- value is turned into text.
CREATE FUNCTION bench.times(query text, expression text, as_of timestamptz, runs int) RETURNS float8[]
LANGUAGE plpgsql AS $$
DECLARE
    begun timestamptz;
    times float8[] := '{}';
BEGIN
    FOR i IN 1..runs LOOP
        begun := clock_timestamp();
        EXECUTE query USING expression, as_of;
        times := times || extract(epoch FROM clock_timestamp() - begun)::float8 * 1000;
    END LOOP;
    RETURN times;
END
$$;

CREATE FUNCTION bench.median(float8[]) RETURNS numeric LANGUAGE sql IMMUTABLE AS
$$ SELECT (percentile_cont(0.5) WITHIN GROUP (ORDER BY t))::numeric FROM unnest($1) t $$;

-- How many parallel workers the planner gives a query.
CREATE FUNCTION bench.workers(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN coalesce((SELECT max(w::text::int) FROM jsonb_path_query(plan::jsonb, 'strict $.**."Workers Planned"') w), 0);
END
$$;

-- What is kept, and how large it is, indexes and out-of-line values included. Partitions are counted with their table.
CREATE FUNCTION bench.sizes() RETURNS TABLE (kept text, "table" text, "rows" bigint, size text) LANGUAGE plpgsql AS $$
DECLARE
    t record;
BEGIN
    FOR t IN
        SELECT k.part, c.oid, c.relname, coalesce((SELECT sum(pg_total_relation_size(p.relid)) FROM pg_partition_tree(c.oid) p), pg_total_relation_size(c.oid)) AS bytes
          FROM pg_class c JOIN (VALUES
               (1, 'sources', 'person'), (2, 'sources', 'event'), (3, 'facts', 'event'), (4, 'facts', 'trait_observation'), (5, 'facts', 'node'),
               (6, 'facts', 'edge'), (7, 'facts', 'profile'), (8, 'wide rows', 'profile_value'), (9, 'bits', 'chunk'), (10, 'bits', 'pending'),
               (11, 'bits', 'dictionary')) AS k(i, part, name)
            ON c.oid = to_regclass(CASE k.part WHEN 'sources' THEN 'bench.' ELSE 'cdp.' END || k.name)
         ORDER BY k.i
    LOOP
        kept := t.part;
        "table" := t.relname;
        size := pg_size_pretty(t.bytes);
        EXECUTE format('SELECT count(*) FROM %s', t.oid::regclass) INTO "rows";
        RETURN NEXT;
    END LOOP;
END
$$;
