-- Components as a warehouse model does it that is run a fixed number of times: each pass hands the smallest label on by three hops, and after six passes, which "is usually
-- sufficient", what there is is taken for the answer. Reads the table edge (a, b), makes the table passed (node, component).
CREATE PROCEDURE six_passes() LANGUAGE plpgsql AS $$
BEGIN
    CREATE UNLOGGED TABLE passed AS SELECT a AS node, a AS component FROM edge UNION SELECT b, b FROM edge;
    FOR hop IN 1..6 * 3 LOOP
        ANALYZE passed;
        CREATE UNLOGGED TABLE next_passed AS SELECT node, min(component) AS component FROM (
            SELECT node, component FROM passed
            UNION ALL SELECT e.b, p.component FROM edge e JOIN passed p ON p.node = e.a
            UNION ALL SELECT e.a, p.component FROM edge e JOIN passed p ON p.node = e.b) s GROUP BY node;
        DROP TABLE passed;
        ALTER TABLE next_passed RENAME TO passed;
    END LOOP;
END $$;
