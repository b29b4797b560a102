-- Connected components by contraction in plain SQL, as a careful author writes them: each round every node takes its smallest neighbour as
-- its parent, and the edges between the parents are the next, smaller graph. Some 13 rounds whatever the length of chains. Reads the table
-- edge (a, b), makes the table contracted (node, component).
CREATE PROCEDURE contract() LANGUAGE plpgsql AS $$
DECLARE
    round int := 0;
    rest bigint;
BEGIN
    CREATE UNLOGGED TABLE contracted AS SELECT a AS node, a AS component FROM edge UNION SELECT b, b FROM edge;
    CREATE UNLOGGED TABLE link AS SELECT least(a, b) AS a, greatest(a, b) AS b FROM edge WHERE a <> b GROUP BY 1, 2;
    LOOP
        ANALYZE link;
        SELECT count(*) INTO rest FROM link;
        EXIT WHEN rest = 0;
        round := round + 1;
        -- Each node's smallest neighbour, or itself; two steps up at once.
        CREATE UNLOGGED TABLE parent AS
            SELECT node, min(label) AS label FROM (SELECT a AS node, least(a, b) AS label FROM link UNION ALL SELECT b, least(a, b) FROM link) s GROUP BY node;
        ANALYZE parent;
        CREATE UNLOGGED TABLE above AS SELECT p.node, coalesce(q.label, p.label) AS label FROM parent p LEFT JOIN parent q ON q.node = p.label;
        ANALYZE above;
        CREATE UNLOGGED TABLE next_contracted AS
            SELECT c.node, coalesce(p.label, c.component) AS component FROM contracted c LEFT JOIN above p ON p.node = c.component;
        DROP TABLE contracted;
        ALTER TABLE next_contracted RENAME TO contracted;
        CREATE UNLOGGED TABLE next_link AS
            SELECT least(x.label, y.label) AS a, greatest(x.label, y.label) AS b FROM link l JOIN above x ON x.node = l.a JOIN above y ON y.node = l.b
            WHERE x.label <> y.label GROUP BY 1, 2;
        DROP TABLE link, parent, above;
        ALTER TABLE next_link RENAME TO link;
    END LOOP;
    DROP TABLE link;
    RAISE NOTICE '% rounds', round;
END $$;
