-- What live.py times, in the server: each call by itself, so that neither the client nor the commit counts.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS live CASCADE;
CREATE SCHEMA live;
-- The peer's graph: the same identifiers as numbers, with the label of their component.
CREATE TABLE live.label AS SELECT node_id AS id, profile_id AS label FROM cdp.node WHERE profile_id IS NOT NULL;
ALTER TABLE live.label ADD PRIMARY KEY (id);
CREATE INDEX ON live.label (label);
CREATE SEQUENCE live.fresh START 100000000;

-- An edge: the smaller component is relabelled into the larger.
CREATE FUNCTION live.edge(a bigint, b bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE la bigint; lb bigint; na bigint; nb bigint;
BEGIN
    SELECT label INTO la FROM live.label WHERE id = a;
    SELECT label INTO lb FROM live.label WHERE id = b;
    IF la IS NULL AND lb IS NULL THEN INSERT INTO live.label VALUES (a, a), (b, a) ON CONFLICT DO NOTHING; RETURN; END IF;
    IF la IS NULL THEN INSERT INTO live.label VALUES (a, lb); RETURN; END IF;
    IF lb IS NULL THEN INSERT INTO live.label VALUES (b, la); RETURN; END IF;
    IF la = lb THEN RETURN; END IF;
    SELECT count(*) INTO na FROM live.label WHERE label = la;
    SELECT count(*) INTO nb FROM live.label WHERE label = lb;
    IF na < nb THEN UPDATE live.label SET label = lb WHERE label = la; ELSE UPDATE live.label SET label = la WHERE label = lb; END IF;
END $$;

-- The edges of live.batch by sets, as a careful author writes it: new identifiers are labelled, the labels that edges tie take the smallest of them.
CREATE FUNCTION live.batch_of_edges() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE pair ON COMMIT DROP AS SELECT a, b FROM live.batch WHERE b IS NOT NULL;
    INSERT INTO live.label SELECT x.id, x.id FROM (SELECT a AS id FROM pair UNION SELECT b FROM pair) x LEFT JOIN live.label l USING (id) WHERE l.id IS NULL;
    CREATE TEMP TABLE tie ON COMMIT DROP AS SELECT DISTINCT least(x.label, y.label) AS a, greatest(x.label, y.label) AS b FROM pair p JOIN live.label x ON x.id = p.a JOIN live.label y ON y.id = p.b WHERE x.label <> y.label;
    CREATE TEMP TABLE part ON COMMIT DROP AS SELECT label, label AS least FROM (SELECT a AS label FROM tie UNION SELECT b FROM tie) x;
    ANALYZE tie, part;
    LOOP
        UPDATE part p SET least = s.least FROM (SELECT t.label, min(o.least) AS least FROM (SELECT a AS label, b AS other FROM tie UNION ALL SELECT b, a FROM tie) t JOIN part o ON o.label = t.other GROUP BY 1) s
            WHERE s.label = p.label AND s.least < p.least;
        EXIT WHEN NOT FOUND;
    END LOOP;
    UPDATE live.label l SET label = p.least FROM part p WHERE l.label = p.label AND p.least <> p.label;
END $$;

-- Known identifiers to draw from.
CREATE TABLE live.known AS SELECT row_number() OVER () AS i, n.node_id, t.name AS type, n.value, n.profile_id
    FROM cdp.node n JOIN cdp.identifier_type t USING (type_id) WHERE n.profile_id IS NOT NULL AND n.quarantine IS NULL AND n.node_id % greatest((SELECT count(*) FROM cdp.node) / 200000, 1) = 0;
ALTER TABLE live.known ADD PRIMARY KEY (i);
CREATE TABLE live.time (what text, us double precision);

-- Events of two to four identifiers: `known` an edge that is there, `new` one known and one to three new, `join` two known of different people.
CREATE FUNCTION live.events(kind text, events int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t timestamptz; top bigint := (SELECT max(i) FROM live.known); k record; o record; e record; message jsonb; n int;
BEGIN
    FOR n IN 1..events LOOP
        SELECT * INTO k FROM live.known WHERE i = 1 + (n::bigint * 7919) % top;
        IF kind = 'known' THEN
            SELECT f.type_id, ft.name AS type, f.value, f.node_id INTO o FROM cdp.edge x JOIN cdp.node f ON f.node_id = x.to_node JOIN cdp.identifier_type ft USING (type_id) WHERE x.from_node = k.node_id LIMIT 1;
            CONTINUE WHEN NOT FOUND OR o.type = k.type;
            message := jsonb_build_object(k.type, k.value, o.type, o.value);
        ELSIF kind = 'new' THEN
            message := jsonb_build_object(k.type, k.value) || CASE WHEN k.type <> 'cookie' THEN jsonb_build_object('cookie', 'live' || n) ELSE '{}' END
                || CASE WHEN n % 2 = 0 OR k.type = 'cookie' THEN jsonb_build_object('idfa', 'live' || n) ELSE '{}' END || CASE WHEN n % 6 = 0 THEN jsonb_build_object('oaid', 'live' || n) ELSE '{}' END;
        ELSE
            SELECT * INTO o FROM live.known WHERE i = 1 + (n::bigint * 104729 + 17) % top;
            CONTINUE WHEN o.type = k.type;
            message := jsonb_build_object(k.type, k.value, o.type, o.value);
        END IF;
        t := clock_timestamp();
        PERFORM cdp_identify(message, 'live', CASE WHEN kind = 'known' THEN NULL ELSE clock_timestamp() END);
        INSERT INTO live.time VALUES ('event: ' || kind, extract(epoch FROM clock_timestamp() - t) * 1e6);
        t := clock_timestamp();
        PERFORM live.edge(k.node_id, CASE kind WHEN 'new' THEN nextval('live.fresh') ELSE o.node_id END);
        INSERT INTO live.time VALUES ('peer: ' || kind, extract(epoch FROM clock_timestamp() - t) * 1e6);
    END LOOP;
END $$;

-- Unmerge: an edge of a profile of 5 to 15 identifiers is unlinked, beside a search of both sides by plain SQL.
CREATE FUNCTION live.unmerge(times int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t timestamptz; e record; side bigint[];
BEGIN
    FOR e IN SELECT x.from_node, x.to_node, f.value AS fv, ft.name AS ft, g.value AS gv, gt.name AS gt FROM (
                SELECT DISTINCT ON (n.profile_id) d.from_node, d.to_node FROM (SELECT n.profile_id FROM cdp.node n WHERE n.profile_id IN (SELECT k.profile_id FROM live.known k WHERE i % 7 = 0 LIMIT 20000)
                    GROUP BY 1 HAVING count(*) BETWEEN 5 AND 15 LIMIT 2000) p JOIN cdp.node n USING (profile_id) JOIN cdp.edge d ON d.from_node = n.node_id WHERE d.state = 'accepted' ORDER BY n.profile_id, d.from_node DESC, d.to_node LIMIT times) x
             JOIN cdp.node f ON f.node_id = x.from_node JOIN cdp.identifier_type ft ON ft.type_id = f.type_id JOIN cdp.node g ON g.node_id = x.to_node JOIN cdp.identifier_type gt ON gt.type_id = g.type_id LOOP
        t := clock_timestamp();
        WITH RECURSIVE reach AS (SELECT e.from_node AS node UNION SELECT CASE WHEN y.from_node = r.node THEN y.to_node ELSE y.from_node END FROM reach r
            JOIN cdp.edge y ON (y.from_node = r.node OR y.to_node = r.node) AND y.state = 'accepted' AND (y.from_node, y.to_node) <> (e.from_node, e.to_node))
            SELECT array_agg(node) INTO side FROM reach;
        INSERT INTO live.time VALUES ('peer: unmerge', extract(epoch FROM clock_timestamp() - t) * 1e6);
        t := clock_timestamp();
        PERFORM cdp_unlink(e.ft, e.fv, e.gt, e.gv, 'bench');
        INSERT INTO live.time VALUES ('unmerge', extract(epoch FROM clock_timestamp() - t) * 1e6);
    END LOOP;
END $$;
