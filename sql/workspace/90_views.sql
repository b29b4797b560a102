-- What people and tools query: plain types only. cdp.profiles is made from the attributes (see profile/view.rs).
-- The members are unpacked by a function of the extension, called late-bound, so that no view depends on the
-- extension and DROP EXTENSION leaves every view in place.
CREATE FUNCTION @workspace@._unpack(bits bytea, changes bytea[], shard integer) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10000 SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    extension_schema name := (SELECT n.nspname FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cdp');
BEGIN
    IF extension_schema IS NULL THEN
        RAISE EXCEPTION 'extension "pg_cdp" is not installed in this database'
            USING ERRCODE = 'undefined_object', HINT = 'Run CREATE EXTENSION pg_cdp; the members are still here.';
    END IF;
    RETURN QUERY EXECUTE pg_catalog.format('SELECT %1$I._cdp_set_members(%1$I._cdp_fold(''set'', $1, $2), $3)', extension_schema)
        USING bits, changes, shard;
END
$function$;
COMMENT ON FUNCTION @workspace@._unpack(bytea, bytea[], integer) IS 'the profiles of a set chunk and its pending changes; reads no table, so that a view can show what it was granted and no more';

CREATE VIEW @workspace@.identifiers AS
SELECT n.profile_id, t.name AS type, n.value, s.name AS source, n.first_seen, n.last_seen
FROM @workspace@.node n
JOIN @workspace@.identifier_type t USING (type_id)
JOIN @workspace@.source s USING (source_id);
COMMENT ON VIEW @workspace@.identifiers IS 'every identifier and the live profile it belongs to';
COMMENT ON COLUMN @workspace@.identifiers.profile_id IS 'the live profile; null for a weak identifier';
COMMENT ON COLUMN @workspace@.identifiers.type IS 'identifier type';
COMMENT ON COLUMN @workspace@.identifiers.value IS 'normalised value';
COMMENT ON COLUMN @workspace@.identifiers.source IS 'the source that first saw it';
COMMENT ON COLUMN @workspace@.identifiers.first_seen IS 'earliest time it was seen';
COMMENT ON COLUMN @workspace@.identifiers.last_seen IS 'latest time it was seen';

CREATE VIEW @workspace@.edges AS
SELECT ft.name AS from_type, f.value AS from_value, tt.name AS to_type, t.value AS to_value,
       s.name AS source, e.trust, e.state, e.reason, e.first_seen, e.last_seen
FROM @workspace@.edge e
JOIN @workspace@.node f ON f.node_id = e.from_node JOIN @workspace@.identifier_type ft ON ft.type_id = f.type_id
JOIN @workspace@.node t ON t.node_id = e.to_node JOIN @workspace@.identifier_type tt ON tt.type_id = t.type_id
JOIN @workspace@.source s ON s.source_id = e.source_id;
COMMENT ON VIEW @workspace@.edges IS 'identifiers that were seen together';
COMMENT ON COLUMN @workspace@.edges.from_type IS 'type of one identifier';
COMMENT ON COLUMN @workspace@.edges.from_value IS 'value of one identifier';
COMMENT ON COLUMN @workspace@.edges.to_type IS 'type of the other';
COMMENT ON COLUMN @workspace@.edges.to_value IS 'value of the other';
COMMENT ON COLUMN @workspace@.edges.source IS 'the source that saw them together';
COMMENT ON COLUMN @workspace@.edges.trust IS '0 to 1';
COMMENT ON COLUMN @workspace@.edges.state IS 'accepted, weak or suspended';
COMMENT ON COLUMN @workspace@.edges.reason IS 'why it is suspended';
COMMENT ON COLUMN @workspace@.edges.first_seen IS 'earliest time they were seen together';
COMMENT ON COLUMN @workspace@.edges.last_seen IS 'latest time they were seen together';

CREATE VIEW @workspace@.merges AS
SELECT m.retired_id, m.survivor_id, ft.name AS from_type, f.value AS from_value, tt.name AS to_type, t.value AS to_value, s.name AS source, m.at
FROM @workspace@.profile_merge m
JOIN @workspace@.node f ON f.node_id = m.from_node JOIN @workspace@.identifier_type ft ON ft.type_id = f.type_id
JOIN @workspace@.node t ON t.node_id = m.to_node JOIN @workspace@.identifier_type tt ON tt.type_id = t.type_id
JOIN @workspace@.source s ON s.source_id = m.source_id;
COMMENT ON VIEW @workspace@.merges IS 'merges and the identifiers that caused them';
COMMENT ON COLUMN @workspace@.merges.retired_id IS 'the profile that was taken over';
COMMENT ON COLUMN @workspace@.merges.survivor_id IS 'the profile that took it over at the time';
COMMENT ON COLUMN @workspace@.merges.from_type IS 'type of one identifier that was seen with the other';
COMMENT ON COLUMN @workspace@.merges.from_value IS 'its value';
COMMENT ON COLUMN @workspace@.merges.to_type IS 'type of the other identifier';
COMMENT ON COLUMN @workspace@.merges.to_value IS 'its value';
COMMENT ON COLUMN @workspace@.merges.source IS 'the source of the row';
COMMENT ON COLUMN @workspace@.merges.at IS 'when they were merged';

CREATE VIEW @workspace@.events AS
SELECT e.event_id, n.profile_id, t.name AS event, e.at, s.name AS source, e.properties
FROM @workspace@.event e
JOIN @workspace@.node n USING (node_id)
JOIN @workspace@.event_type t USING (event_type_id)
JOIN @workspace@.source s ON s.source_id = e.source_id;
COMMENT ON VIEW @workspace@.events IS 'what every live profile did';
COMMENT ON COLUMN @workspace@.events.event_id IS 'number of the event';
COMMENT ON COLUMN @workspace@.events.profile_id IS 'the live profile it belongs to';
COMMENT ON COLUMN @workspace@.events.event IS 'event type';
COMMENT ON COLUMN @workspace@.events.at IS 'when it happened';
COMMENT ON COLUMN @workspace@.events.source IS 'the source it came from';
COMMENT ON COLUMN @workspace@.events.properties IS 'its properties';

CREATE VIEW @workspace@.attributes AS
SELECT a.name, a.entity, a.kind, a.type, a.rule, a.class, a.indexed, a.expression, a.description, a.created_at, a.refreshed_at
FROM @workspace@.attribute a;
COMMENT ON VIEW @workspace@.attributes IS 'the attributes of profiles: traits and tags';
COMMENT ON COLUMN @workspace@.attributes.name IS 'name in expressions and column of profiles';
COMMENT ON COLUMN @workspace@.attributes.entity IS 'what it describes';
COMMENT ON COLUMN @workspace@.attributes.kind IS 'trait or tag';
COMMENT ON COLUMN @workspace@.attributes.type IS 'type of its values';
COMMENT ON COLUMN @workspace@.attributes.rule IS 'which observation wins';
COMMENT ON COLUMN @workspace@.attributes.class IS 'identity, descriptive, behavioural or qualitative';
COMMENT ON COLUMN @workspace@.attributes.indexed IS 'whether it has a column of bits';
COMMENT ON COLUMN @workspace@.attributes.expression IS 'the expression of a tag';
COMMENT ON COLUMN @workspace@.attributes.description IS 'what it means';
COMMENT ON COLUMN @workspace@.attributes.created_at IS 'when it was created';
COMMENT ON COLUMN @workspace@.attributes.refreshed_at IS 'when the tag was last refreshed';

CREATE VIEW @workspace@.tags AS
SELECT a.name, a.entity, a.type, a.expression, a.description, a.created_at, a.refreshed_at, a.refreshed_as_of
FROM @workspace@.attribute a WHERE a.kind = 'tag';
COMMENT ON VIEW @workspace@.tags IS 'computed attributes';
COMMENT ON COLUMN @workspace@.tags.name IS 'name in expressions and column of profiles';
COMMENT ON COLUMN @workspace@.tags.entity IS 'what it describes';
COMMENT ON COLUMN @workspace@.tags.type IS 'type of its values';
COMMENT ON COLUMN @workspace@.tags.expression IS 'how it is computed';
COMMENT ON COLUMN @workspace@.tags.description IS 'what it means';
COMMENT ON COLUMN @workspace@.tags.created_at IS 'when it was created';
COMMENT ON COLUMN @workspace@.tags.refreshed_at IS 'when it was last refreshed';
COMMENT ON COLUMN @workspace@.tags.refreshed_as_of IS 'the moment it was last refreshed as of';

CREATE VIEW @workspace@.segments AS
SELECT g.name, g.entity, g.kind, g.expression, g.description, g.profiles, g.created_at, g.refreshed_at, g.refreshed_as_of
FROM @workspace@.segment g;
COMMENT ON VIEW @workspace@.segments IS 'named audiences';
COMMENT ON COLUMN @workspace@.segments.name IS 'its name';
COMMENT ON COLUMN @workspace@.segments.entity IS 'what it is a set of';
COMMENT ON COLUMN @workspace@.segments.kind IS 'dynamic or static';
COMMENT ON COLUMN @workspace@.segments.expression IS 'the expression of a dynamic segment';
COMMENT ON COLUMN @workspace@.segments.description IS 'what it means';
COMMENT ON COLUMN @workspace@.segments.profiles IS 'members at the last refresh';
COMMENT ON COLUMN @workspace@.segments.created_at IS 'when it was created';
COMMENT ON COLUMN @workspace@.segments.refreshed_at IS 'when it was last refreshed';
COMMENT ON COLUMN @workspace@.segments.refreshed_as_of IS 'the moment it was last refreshed as of';

CREATE VIEW @workspace@.segment_members AS
SELECT g.name AS segment, m.profile_id
FROM @workspace@.segment g JOIN @workspace@.store_column s USING (segment_id)
CROSS JOIN LATERAL (SELECT c.shard FROM @workspace@.chunk c WHERE c.column_id = s.column_id
                    UNION SELECT p.shard FROM @workspace@.pending p WHERE p.column_id = s.column_id) h
CROSS JOIN LATERAL @workspace@._unpack(
    (SELECT c.bits FROM @workspace@.chunk c WHERE c.column_id = s.column_id AND c.key = 0 AND c.shard = h.shard),
    ARRAY(SELECT p.cells FROM @workspace@.pending p WHERE p.column_id = s.column_id AND p.key = 0 AND p.shard = h.shard),
    h.shard) AS m(profile_id);
COMMENT ON VIEW @workspace@.segment_members IS 'who is in which segment, as of its last refresh';
COMMENT ON COLUMN @workspace@.segment_members.segment IS 'name of the segment';
COMMENT ON COLUMN @workspace@.segment_members.profile_id IS 'the member';

CREATE VIEW @workspace@.rejects AS
SELECT s.name AS source, r.key, r.payload, r.reason, r.at
FROM @workspace@.reject r JOIN @workspace@.source s USING (source_id);
COMMENT ON VIEW @workspace@.rejects IS 'what could not be used, and why';
COMMENT ON COLUMN @workspace@.rejects.source IS 'where it came from';
COMMENT ON COLUMN @workspace@.rejects.key IS 'key of the row';
COMMENT ON COLUMN @workspace@.rejects.payload IS 'the row or identifier as it came';
COMMENT ON COLUMN @workspace@.rejects.reason IS 'why it could not be used';
COMMENT ON COLUMN @workspace@.rejects.at IS 'when it was rejected';

CREATE VIEW @workspace@.sources AS
SELECT s.name, s.relation, s.mapping, s.trust, s.watermark, s.created_at, s.synced_at FROM @workspace@.source s;
COMMENT ON VIEW @workspace@.sources IS 'the tables that data comes from';
COMMENT ON COLUMN @workspace@.sources.name IS 'name of the source';
COMMENT ON COLUMN @workspace@.sources.relation IS 'the relation';
COMMENT ON COLUMN @workspace@.sources.mapping IS 'how its rows are read';
COMMENT ON COLUMN @workspace@.sources.trust IS '0 to 100';
COMMENT ON COLUMN @workspace@.sources.watermark IS 'how far it has been taken';
COMMENT ON COLUMN @workspace@.sources.created_at IS 'when it was created';
COMMENT ON COLUMN @workspace@.sources.synced_at IS 'when it was last taken whole';

-- What others' backends do is hidden from most roles: a backend that cannot be looked at counts as alive.
CREATE VIEW @workspace@.jobs AS
SELECT j.job_id, j.kind, s.name AS source,
       CASE WHEN j.state = 'running' AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.pid = j.backend_pid AND (a.backend_start <= j.started_at) IS NOT FALSE AND a.state IS DISTINCT FROM 'idle')
            THEN 'interrupted' ELSE j.state END AS state,
       j.rows_done, j.rows_total, j.rows_rejected,
       pg_catalog.round((j.rows_done / nullif(extract(epoch FROM coalesce(j.finished_at, j.updated_at) - j.started_at), 0))::numeric) AS rows_per_second,
       j.message, j.started_at, j.updated_at, j.finished_at
FROM @workspace@.job j LEFT JOIN @workspace@.source s USING (source_id);
COMMENT ON VIEW @workspace@.jobs IS 'progress of cdp_sync(), visible while it runs';
COMMENT ON COLUMN @workspace@.jobs.job_id IS 'number of the run';
COMMENT ON COLUMN @workspace@.jobs.kind IS 'what ran';
COMMENT ON COLUMN @workspace@.jobs.source IS 'over which source';
COMMENT ON COLUMN @workspace@.jobs.state IS 'running, done, failed, or interrupted when its backend is gone';
COMMENT ON COLUMN @workspace@.jobs.rows_done IS 'rows taken and committed';
COMMENT ON COLUMN @workspace@.jobs.rows_total IS 'rows to take';
COMMENT ON COLUMN @workspace@.jobs.rows_rejected IS 'rows rejected';
COMMENT ON COLUMN @workspace@.jobs.rows_per_second IS 'rate so far';
COMMENT ON COLUMN @workspace@.jobs.message IS 'why it failed';
COMMENT ON COLUMN @workspace@.jobs.started_at IS 'when it began';
COMMENT ON COLUMN @workspace@.jobs.updated_at IS 'when its last batch was committed';
COMMENT ON COLUMN @workspace@.jobs.finished_at IS 'when it ended';
