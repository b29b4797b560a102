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
SELECT n.profile_id, t.name AS type, n.value, coalesce(s.name, 'operator') AS source, n.first_seen, n.last_seen
FROM @workspace@.node n
JOIN @workspace@.identifier_type t USING (type_id)
LEFT JOIN @workspace@.source s USING (source_id);
COMMENT ON VIEW @workspace@.identifiers IS 'every identifier and the live profile it belongs to';
COMMENT ON COLUMN @workspace@.identifiers.profile_id IS 'the live profile; null for a weak identifier';
COMMENT ON COLUMN @workspace@.identifiers.type IS 'identifier type';
COMMENT ON COLUMN @workspace@.identifiers.value IS 'normalised value';
COMMENT ON COLUMN @workspace@.identifiers.source IS 'the source that first saw it';
COMMENT ON COLUMN @workspace@.identifiers.first_seen IS 'earliest time it was seen';
COMMENT ON COLUMN @workspace@.identifiers.last_seen IS 'latest time it was seen';

CREATE VIEW @workspace@.edges AS
SELECT ft.name AS from_type, f.value AS from_value, tt.name AS to_type, t.value AS to_value,
       coalesce(s.name, 'operator') AS source, e.trust, e.state, e.reason, e.first_seen, e.last_seen
FROM @workspace@.edge e
JOIN @workspace@.node f ON f.node_id = e.from_node JOIN @workspace@.identifier_type ft ON ft.type_id = f.type_id
JOIN @workspace@.node t ON t.node_id = e.to_node JOIN @workspace@.identifier_type tt ON tt.type_id = t.type_id
LEFT JOIN @workspace@.source s ON s.source_id = e.source_id;
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
SELECT m.retired_id, m.survivor_id, ft.name AS from_type, f.value AS from_value, tt.name AS to_type, t.value AS to_value, coalesce(s.name, 'operator') AS source, m.operation_id, m.at
FROM @workspace@.profile_merge m
JOIN @workspace@.node f ON f.node_id = m.from_node JOIN @workspace@.identifier_type ft ON ft.type_id = f.type_id
JOIN @workspace@.node t ON t.node_id = m.to_node JOIN @workspace@.identifier_type tt ON tt.type_id = t.type_id
LEFT JOIN @workspace@.source s ON s.source_id = m.source_id;
COMMENT ON VIEW @workspace@.merges IS 'merges and the identifiers that caused them';
COMMENT ON COLUMN @workspace@.merges.retired_id IS 'the profile that was taken over';
COMMENT ON COLUMN @workspace@.merges.survivor_id IS 'the profile that took it over at the time';
COMMENT ON COLUMN @workspace@.merges.from_type IS 'type of one identifier that was seen with the other';
COMMENT ON COLUMN @workspace@.merges.from_value IS 'its value';
COMMENT ON COLUMN @workspace@.merges.to_type IS 'type of the other identifier';
COMMENT ON COLUMN @workspace@.merges.to_value IS 'its value';
COMMENT ON COLUMN @workspace@.merges.source IS 'the source of the row';
COMMENT ON COLUMN @workspace@.merges.operation_id IS 'the operation that did it; see identity_operations';
COMMENT ON COLUMN @workspace@.merges.at IS 'when they were merged';

CREATE VIEW @workspace@.splits AS
SELECT s.profile_id, s.from_id, s.created, coalesce(x.name, 'operator') AS source, s.operation_id, s.at
FROM @workspace@.profile_split s LEFT JOIN @workspace@.source x ON x.source_id = s.source_id;
COMMENT ON VIEW @workspace@.splits IS 'profiles that were split off others';
COMMENT ON COLUMN @workspace@.splits.profile_id IS 'the profile that was split off';
COMMENT ON COLUMN @workspace@.splits.from_id IS 'the profile it was part of';
COMMENT ON COLUMN @workspace@.splits.created IS 'true: it got a new number; false: its retired number lives again';
COMMENT ON COLUMN @workspace@.splits.source IS 'the source whose rows showed it';
COMMENT ON COLUMN @workspace@.splits.operation_id IS 'the operation that did it; see identity_operations';
COMMENT ON COLUMN @workspace@.splits.at IS 'when';

CREATE VIEW @workspace@.quarantine AS
SELECT t.name AS type, n.value, n.quarantine AS reason, d.neighbours, t.degree_cap, d.persons, t.person_cap, n.profile_id, n.first_seen, n.last_seen
FROM @workspace@.node n JOIN @workspace@.identifier_type t USING (type_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS neighbours, count(*) FILTER (WHERE ot.level = 'person') AS persons
    FROM (SELECT e.to_node AS other FROM @workspace@.edge e WHERE e.from_node = n.node_id AND e.state <> 'weak' AND e.source_id <> 0
              AND NOT EXISTS (SELECT FROM @workspace@.identity_override u WHERE u.kind = 'unlink' AND u.node_id = e.from_node AND u.other_id = e.to_node)
          UNION SELECT e.from_node FROM @workspace@.edge e WHERE e.to_node = n.node_id AND e.state <> 'weak' AND e.source_id <> 0
              AND NOT EXISTS (SELECT FROM @workspace@.identity_override u WHERE u.kind = 'unlink' AND u.node_id = e.from_node AND u.other_id = e.to_node)) x
    JOIN @workspace@.node o ON o.node_id = x.other JOIN @workspace@.identifier_type ot ON ot.type_id = o.type_id) d
WHERE n.quarantine IS NOT NULL;
COMMENT ON VIEW @workspace@.quarantine IS 'identifiers that link nobody, with the rule and the numbers';
COMMENT ON COLUMN @workspace@.quarantine.type IS 'identifier type';
COMMENT ON COLUMN @workspace@.quarantine.value IS 'normalised value';
COMMENT ON COLUMN @workspace@.quarantine.reason IS 'blocked, or a hub';
COMMENT ON COLUMN @workspace@.quarantine.neighbours IS 'distinct strong identifiers it was seen with, without those that an operator unlinked from it';
COMMENT ON COLUMN @workspace@.quarantine.degree_cap IS 'how many its type allows; null: any number';
COMMENT ON COLUMN @workspace@.quarantine.persons IS 'those of them that name persons';
COMMENT ON COLUMN @workspace@.quarantine.person_cap IS 'how many of those its type allows';
COMMENT ON COLUMN @workspace@.quarantine.profile_id IS 'the profile that holds what was seen on it alone';
COMMENT ON COLUMN @workspace@.quarantine.first_seen IS 'earliest time it was seen';
COMMENT ON COLUMN @workspace@.quarantine.last_seen IS 'latest time it was seen';

CREATE VIEW @workspace@.blocked_values AS
SELECT t.name AS type, b.value, b.pattern, b.reason FROM @workspace@.blocked_value b LEFT JOIN @workspace@.identifier_type t USING (type_id);
COMMENT ON VIEW @workspace@.blocked_values IS 'values that are never identifiers, by list; what an operator blocked is in quarantine';
COMMENT ON COLUMN @workspace@.blocked_values.type IS 'the identifier type; null: all';
COMMENT ON COLUMN @workspace@.blocked_values.value IS 'the value, in lower case';
COMMENT ON COLUMN @workspace@.blocked_values.pattern IS 'or a regular expression for values in lower case';
COMMENT ON COLUMN @workspace@.blocked_values.reason IS 'why';

CREATE VIEW @workspace@.refused_merges AS
SELECT DISTINCT least(f.profile_id, t.profile_id) AS profile_id, greatest(f.profile_id, t.profile_id) AS other_id,
       ft.name AS from_type, f.value AS from_value, tt.name AS to_type, t.value AS to_value, e.reason
FROM @workspace@.edge e
JOIN @workspace@.node f ON f.node_id = e.from_node JOIN @workspace@.identifier_type ft ON ft.type_id = f.type_id
JOIN @workspace@.node t ON t.node_id = e.to_node JOIN @workspace@.identifier_type tt ON tt.type_id = t.type_id
WHERE e.state = 'suspended' AND f.profile_id <> t.profile_id;
COMMENT ON VIEW @workspace@.refused_merges IS 'profiles that were seen together and are kept apart, with the rule and the numbers';
COMMENT ON COLUMN @workspace@.refused_merges.profile_id IS 'one profile';
COMMENT ON COLUMN @workspace@.refused_merges.other_id IS 'the other';
COMMENT ON COLUMN @workspace@.refused_merges.from_type IS 'type of one identifier that was seen with the other';
COMMENT ON COLUMN @workspace@.refused_merges.from_value IS 'its value';
COMMENT ON COLUMN @workspace@.refused_merges.to_type IS 'type of the other identifier';
COMMENT ON COLUMN @workspace@.refused_merges.to_value IS 'its value';
COMMENT ON COLUMN @workspace@.refused_merges.reason IS 'the rule that keeps them apart';

CREATE VIEW @workspace@.identity_operations AS
SELECT o.operation_id, o.kind, o.arguments, o.reason, o.actor, o.at, o.changed, o.reverted_by, o.reverted_by IS NULL AND o.kind <> 'revert' AS holds
FROM @workspace@.identity_operation o;
COMMENT ON VIEW @workspace@.identity_operations IS 'what people decided about identities';
COMMENT ON COLUMN @workspace@.identity_operations.operation_id IS 'number to give to cdp_identity_revert()';
COMMENT ON COLUMN @workspace@.identity_operations.kind IS 'link, unlink, cannot_link, block, split, rule, policy or revert';
COMMENT ON COLUMN @workspace@.identity_operations.arguments IS 'what it was about';
COMMENT ON COLUMN @workspace@.identity_operations.reason IS 'why';
COMMENT ON COLUMN @workspace@.identity_operations.actor IS 'who';
COMMENT ON COLUMN @workspace@.identity_operations.at IS 'when';
COMMENT ON COLUMN @workspace@.identity_operations.changed IS 'what changed';
COMMENT ON COLUMN @workspace@.identity_operations.reverted_by IS 'the operation that took it back';
COMMENT ON COLUMN @workspace@.identity_operations.holds IS 'whether it still counts';

CREATE VIEW @workspace@.entity_members AS
SELECT DISTINCT e.name AS entity, m.group_id, coalesce(p.merged_into, p.profile_id) AS profile_id
FROM @workspace@.entity_member m JOIN @workspace@.entity e USING (entity_id) JOIN @workspace@.profile p USING (profile_id);
COMMENT ON VIEW @workspace@.entity_members IS 'which people belong to which household or other group';
COMMENT ON COLUMN @workspace@.entity_members.entity IS 'entity type';
COMMENT ON COLUMN @workspace@.entity_members.group_id IS 'stable number of the group within its entity type';
COMMENT ON COLUMN @workspace@.entity_members.profile_id IS 'the person, as of now';

CREATE VIEW @workspace@.events AS
SELECT e.event_id, n.profile_id, t.name AS event, e.at, s.name AS source, e.properties, e.received_at, e.original_at
FROM @workspace@.event_facts e
JOIN @workspace@.node n USING (node_id)
JOIN @workspace@.event_type t USING (event_type_id)
JOIN @workspace@.source s ON s.source_id = e.source_id;
COMMENT ON VIEW @workspace@.events IS 'what every live profile did';
COMMENT ON COLUMN @workspace@.events.event_id IS 'number of the event';
COMMENT ON COLUMN @workspace@.events.profile_id IS 'the live profile it belongs to';
COMMENT ON COLUMN @workspace@.events.event IS 'event type';
COMMENT ON COLUMN @workspace@.events.at IS 'when it happened; past the retention of its type the beginning of that day';
COMMENT ON COLUMN @workspace@.events.source IS 'the source it came from';
COMMENT ON COLUMN @workspace@.events.properties IS 'its properties; past the retention of its type tracked ones and measures';
COMMENT ON COLUMN @workspace@.events.received_at IS 'when its message was received; null for rows of tables';
COMMENT ON COLUMN @workspace@.events.original_at IS 'when it happened by the clock of the client, when that was corrected';

CREATE VIEW @workspace@.attributes AS
SELECT a.name, a.entity, a.kind, a.type, a.rule, a.class, a.indexed, a.expression, a.description, a.created_at, a.refreshed_at,
       a.unit, a.pii, a.validation, a.minimum, a.maximum, pg_catalog.to_jsonb(a.allowed) AS allowed, a.pattern,
       a.origin, CASE WHEN a.kind = 'trait' THEN coalesce(s.observations, 0) + o.observations END AS observations,
       least(s.first_seen, o.first_seen) AS first_seen, greatest(s.last_seen, o.last_seen) AS last_seen
FROM @workspace@.attribute a LEFT JOIN @workspace@.trait_seen s USING (attribute_id)
CROSS JOIN LATERAL (SELECT count(*) AS observations, min(o.at) AS first_seen, max(o.at) AS last_seen FROM @workspace@.trait_seen_one o WHERE a.attribute_id = ANY (o.attribute_ids)) o;
COMMENT ON VIEW @workspace@.attributes IS 'the attributes of profiles: traits and tags';
COMMENT ON COLUMN @workspace@.attributes.name IS 'name in expressions and column of profiles, or of the view of its entity type';
COMMENT ON COLUMN @workspace@.attributes.entity IS 'what it describes: person, or an entity type';
COMMENT ON COLUMN @workspace@.attributes.kind IS 'trait or tag';
COMMENT ON COLUMN @workspace@.attributes.type IS 'type of its values';
COMMENT ON COLUMN @workspace@.attributes.rule IS 'which observation wins';
COMMENT ON COLUMN @workspace@.attributes.class IS 'identity, descriptive, behavioural or qualitative';
COMMENT ON COLUMN @workspace@.attributes.indexed IS 'whether it has a column of bits';
COMMENT ON COLUMN @workspace@.attributes.expression IS 'the expression of a tag';
COMMENT ON COLUMN @workspace@.attributes.description IS 'what it means';
COMMENT ON COLUMN @workspace@.attributes.created_at IS 'when it was created';
COMMENT ON COLUMN @workspace@.attributes.refreshed_at IS 'when the tag was last refreshed';
COMMENT ON COLUMN @workspace@.attributes.unit IS 'unit of its values';
COMMENT ON COLUMN @workspace@.attributes.pii IS 'whether it tells who somebody is';
COMMENT ON COLUMN @workspace@.attributes.validation IS 'what happens to a value of a trait that breaks its rules: off, warn or reject';
COMMENT ON COLUMN @workspace@.attributes.minimum IS 'smallest value of a trait; null: none';
COMMENT ON COLUMN @workspace@.attributes.maximum IS 'largest value of a trait; null: none';
COMMENT ON COLUMN @workspace@.attributes.allowed IS 'array of the values that it may have; null: any';
COMMENT ON COLUMN @workspace@.attributes.pattern IS 'regular expression that texts of a trait match; null: none';
COMMENT ON COLUMN @workspace@.attributes.origin IS 'declared: somebody made it; mapped: the mapping of a source names it; inferred: a message brought it';
COMMENT ON COLUMN @workspace@.attributes.observations IS 'how often sources told a value of a trait, the same again counted too; null: it is a tag';
COMMENT ON COLUMN @workspace@.attributes.first_seen IS 'earliest time that a value of a trait was observed at';
COMMENT ON COLUMN @workspace@.attributes.last_seen IS 'latest time that a value of a trait was observed at';

CREATE VIEW @workspace@.attribute_changes AS
SELECT coalesce(p.merged_into, p.profile_id) AS profile_id, a.name AS attribute, a.kind, a.type, b.value AS before, h.value AS after, h.from_at AS at, h.profile_id AS recorded_profile_id
FROM @workspace@.attribute_history h
JOIN @workspace@.attribute a USING (attribute_id)
JOIN @workspace@.profile p ON p.profile_id = h.profile_id
LEFT JOIN LATERAL (SELECT b.value FROM @workspace@.attribute_history b WHERE b.attribute_id = h.attribute_id AND b.profile_id = h.profile_id AND b.from_at < h.from_at
                   ORDER BY b.from_at DESC LIMIT 1) b ON true
WHERE h.from_at > '-infinity';
COMMENT ON VIEW @workspace@.attribute_changes IS 'every change of a value of a trait or tag: what profiles showed over time. A first value is no change';
COMMENT ON COLUMN @workspace@.attribute_changes.profile_id IS 'the live profile';
COMMENT ON COLUMN @workspace@.attribute_changes.attribute IS 'name of the attribute';
COMMENT ON COLUMN @workspace@.attribute_changes.kind IS 'trait or tag';
COMMENT ON COLUMN @workspace@.attribute_changes.type IS 'type of its values';
COMMENT ON COLUMN @workspace@.attribute_changes.before IS 'text of the value before; null: none';
COMMENT ON COLUMN @workspace@.attribute_changes.after IS 'text of the value from then on; null: none';
COMMENT ON COLUMN @workspace@.attribute_changes.at IS 'since when: when a trait was observed, the moment a tag was refreshed as of';
COMMENT ON COLUMN @workspace@.attribute_changes.recorded_profile_id IS 'the number the profile had then';

CREATE VIEW @workspace@.event_types AS
SELECT t.name, t.origin, t.role, t.description, coalesce(s.events, 0) + o.events AS events, least(s.first_seen, o.first_seen) AS first_seen, greatest(s.last_seen, o.last_seen) AS last_seen, t.retention::text AS retention, t.keep_days, t.kept_from, t.created_at
FROM @workspace@.event_type t LEFT JOIN @workspace@.event_seen s ON s.event_type_id = t.event_type_id AND s.property_id = 0
CROSS JOIN LATERAL (SELECT count(*) AS events, min(o.at) AS first_seen, max(o.at) AS last_seen FROM @workspace@.event_seen_one o WHERE o.event_type_id = t.event_type_id) o;
COMMENT ON VIEW @workspace@.event_types IS 'the kinds of event';
COMMENT ON COLUMN @workspace@.event_types.name IS 'name in expressions';
COMMENT ON COLUMN @workspace@.event_types.origin IS 'declared: a property of it was declared first; mapped: the mapping of a source names it; inferred: data brought it';
COMMENT ON COLUMN @workspace@.event_types.role IS 'what it is to a service card, such as view, cart, order or ticket';
COMMENT ON COLUMN @workspace@.event_types.description IS 'what it means';
COMMENT ON COLUMN @workspace@.event_types.events IS 'events there are, those counted that are kept by day only';
COMMENT ON COLUMN @workspace@.event_types.first_seen IS 'earliest time that an event had';
COMMENT ON COLUMN @workspace@.event_types.last_seen IS 'latest time that an event had';
COMMENT ON COLUMN @workspace@.event_types.retention IS 'how long events are kept whole; null: for ever';
COMMENT ON COLUMN @workspace@.event_types.keep_days IS 'whether what day columns count is kept longer';
COMMENT ON COLUMN @workspace@.event_types.kept_from IS 'events before are no longer kept whole, and are taken no more; null: all are';
COMMENT ON COLUMN @workspace@.event_types.created_at IS 'when it was entered';

CREATE VIEW @workspace@.properties AS
SELECT t.name AS event, p.name, p.type, p.origin, p.role, p.unit, p.pii, p.description, p.tracked, p.measure,
       p.validation, p.required, p.minimum, p.maximum, pg_catalog.to_jsonb(p.allowed) AS allowed, p.pattern, coalesce(s.events, 0) + o.events AS events, least(s.first_seen, o.first_seen) AS first_seen, greatest(s.last_seen, o.last_seen) AS last_seen, p.created_at
FROM @workspace@.property p JOIN @workspace@.event_type t USING (event_type_id)
LEFT JOIN @workspace@.event_seen s ON s.event_type_id = p.event_type_id AND s.property_id = p.property_id
CROSS JOIN LATERAL (SELECT count(*) AS events, min(o.at) AS first_seen, max(o.at) AS last_seen FROM @workspace@.event_seen_one o
                    WHERE o.event_type_id = p.event_type_id AND p.name = ANY (o.properties)) o;
COMMENT ON VIEW @workspace@.properties IS 'the properties of events: the data dictionary';
COMMENT ON COLUMN @workspace@.properties.event IS 'the event type';
COMMENT ON COLUMN @workspace@.properties.name IS 'name in expressions';
COMMENT ON COLUMN @workspace@.properties.type IS 'type of its values';
COMMENT ON COLUMN @workspace@.properties.origin IS 'declared: by cdp_property_create(); mapped: its type is that of an expression of a source; inferred: its type was read off a value';
COMMENT ON COLUMN @workspace@.properties.role IS 'what it is to a service card, such as amount, status or item';
COMMENT ON COLUMN @workspace@.properties.unit IS 'unit of its values';
COMMENT ON COLUMN @workspace@.properties.pii IS 'whether it tells who somebody is';
COMMENT ON COLUMN @workspace@.properties.description IS 'what it means';
COMMENT ON COLUMN @workspace@.properties.tracked IS 'whether each of its values has day columns';
COMMENT ON COLUMN @workspace@.properties.measure IS 'whether its sums are kept by day';
COMMENT ON COLUMN @workspace@.properties.validation IS 'what happens to an event that breaks its rules: off, warn or reject';
COMMENT ON COLUMN @workspace@.properties.required IS 'whether every event has to have it';
COMMENT ON COLUMN @workspace@.properties.minimum IS 'smallest value; null: none';
COMMENT ON COLUMN @workspace@.properties.maximum IS 'largest value; null: none';
COMMENT ON COLUMN @workspace@.properties.allowed IS 'array of the values it may have; null: any';
COMMENT ON COLUMN @workspace@.properties.pattern IS 'regular expression that texts match; null: none';
COMMENT ON COLUMN @workspace@.properties.events IS 'events that have it';
COMMENT ON COLUMN @workspace@.properties.first_seen IS 'earliest time that an event with it had';
COMMENT ON COLUMN @workspace@.properties.last_seen IS 'latest time that an event with it had';
COMMENT ON COLUMN @workspace@.properties.created_at IS 'when it was entered';

CREATE VIEW @workspace@.dependencies AS
SELECT d.kind, coalesce(a.name, g.name) AS name, CASE d.used_kind WHEN 'attribute' THEN u.kind ELSE d.used_kind END AS needs_kind, coalesce(u.name, e.name, s.name, i.name) AS needs
FROM @workspace@.dependency d
LEFT JOIN @workspace@.attribute a ON d.kind = 'tag' AND a.attribute_id = d.object_id
LEFT JOIN @workspace@.segment g ON d.kind = 'segment' AND g.segment_id = d.object_id
LEFT JOIN @workspace@.attribute u ON d.used_kind = 'attribute' AND u.attribute_id = d.used_id
LEFT JOIN @workspace@.event_type e ON d.used_kind = 'event' AND e.event_type_id = d.used_id
LEFT JOIN @workspace@.segment s ON d.used_kind = 'segment' AND s.segment_id = d.used_id
LEFT JOIN @workspace@.identifier_type i ON d.used_kind = 'identifier' AND i.type_id = d.used_id;
COMMENT ON VIEW @workspace@.dependencies IS 'what the expression of each tag and segment names';
COMMENT ON COLUMN @workspace@.dependencies.kind IS 'tag or segment';
COMMENT ON COLUMN @workspace@.dependencies.name IS 'the tag or segment';
COMMENT ON COLUMN @workspace@.dependencies.needs_kind IS 'trait, tag, event, segment or identifier';
COMMENT ON COLUMN @workspace@.dependencies.needs IS 'what its expression names';

CREATE VIEW @workspace@.tags AS
SELECT a.name, a.entity, a.type, a.expression, a.description, a.created_at, a.refreshed_at, a.refreshed_as_of,
       a.tag_kind AS kind, a.state, a.version, a.owner, a.path, a.sensitivity, pg_catalog.to_jsonb(a.allowed) AS allowed, a.profiles, pg_catalog.round(a.profiles::numeric / nullif(a.people, 0), 4) AS coverage,
       a.distinct_values, a.changed, pg_catalog.round(a.refresh_ms::numeric, 3) AS refresh_ms,
       (SELECT pg_catalog.string_agg(d.kind || ' "' || d.name || '"', ', ' ORDER BY d.kind, d.name) FROM @workspace@.dependencies d WHERE d.needs_kind = 'tag' AND d.needs = a.name) AS dependants
FROM @workspace@.attribute a WHERE a.kind = 'tag';
COMMENT ON VIEW @workspace@.tags IS 'attributes that are computed or set';
COMMENT ON COLUMN @workspace@.tags.name IS 'name in expressions and column of profiles, or of the view of its entity type';
COMMENT ON COLUMN @workspace@.tags.entity IS 'what it describes: person, or an entity type';
COMMENT ON COLUMN @workspace@.tags.type IS 'type of its values';
COMMENT ON COLUMN @workspace@.tags.expression IS 'how it is computed; null when it is set';
COMMENT ON COLUMN @workspace@.tags.description IS 'what it means';
COMMENT ON COLUMN @workspace@.tags.created_at IS 'when it was created';
COMMENT ON COLUMN @workspace@.tags.refreshed_at IS 'when it was last refreshed';
COMMENT ON COLUMN @workspace@.tags.refreshed_as_of IS 'the moment it was last refreshed as of';
COMMENT ON COLUMN @workspace@.tags.kind IS 'statistical: from events; rule: from attributes; imported, manual: set by cdp_tag_set()';
COMMENT ON COLUMN @workspace@.tags.state IS 'draft: refreshed only by name; active; retired: keeps its values, not refreshed';
COMMENT ON COLUMN @workspace@.tags.version IS 'number of its present definition';
COMMENT ON COLUMN @workspace@.tags.owner IS 'who answers for it';
COMMENT ON COLUMN @workspace@.tags.path IS 'its place in a taxonomy';
COMMENT ON COLUMN @workspace@.tags.sensitivity IS 'public, internal, personal or sensitive';
COMMENT ON COLUMN @workspace@.tags.allowed IS 'the values it may have; null: any';
COMMENT ON COLUMN @workspace@.tags.profiles IS 'profiles, or groups, with a value at the last refresh';
COMMENT ON COLUMN @workspace@.tags.coverage IS 'their share of all live profiles, or groups';
COMMENT ON COLUMN @workspace@.tags.distinct_values IS 'different values at the last refresh';
COMMENT ON COLUMN @workspace@.tags.changed IS 'values that the last refresh changed';
COMMENT ON COLUMN @workspace@.tags.refresh_ms IS 'milliseconds the last refresh took';
COMMENT ON COLUMN @workspace@.tags.dependants IS 'the tags and segments whose expression names it; null: none';

CREATE VIEW @workspace@.tag_refreshes AS
SELECT a.name AS tag, r.at, r.refreshed_at, r.version, r.profiles, r.changed, pg_catalog.round(r.ms::numeric, 3) AS ms
FROM @workspace@.tag_refresh r JOIN @workspace@.attribute a USING (attribute_id);
COMMENT ON VIEW @workspace@.tag_refreshes IS 'the moments that tags were refreshed as of';
COMMENT ON COLUMN @workspace@.tag_refreshes.tag IS 'name of the tag';
COMMENT ON COLUMN @workspace@.tag_refreshes.at IS 'the moment';
COMMENT ON COLUMN @workspace@.tag_refreshes.refreshed_at IS 'when it was refreshed as of that moment last';
COMMENT ON COLUMN @workspace@.tag_refreshes.version IS 'the definition it was computed from';
COMMENT ON COLUMN @workspace@.tag_refreshes.profiles IS 'profiles with a value';
COMMENT ON COLUMN @workspace@.tag_refreshes.changed IS 'values that changed';
COMMENT ON COLUMN @workspace@.tag_refreshes.ms IS 'milliseconds it took';

CREATE VIEW @workspace@.tag_values AS
SELECT a.name AS tag, n.profile_id, v.value, v.reason, v.author, v.set_at, v.expires_at
FROM @workspace@.tag_value v JOIN @workspace@.attribute a USING (attribute_id) JOIN @workspace@.node n USING (node_id)
UNION ALL
SELECT a.name, coalesce(g.merged_into, g.group_id), v.value, v.reason, v.author, v.set_at, v.expires_at
FROM @workspace@.group_tag_value v JOIN @workspace@.attribute a USING (attribute_id) JOIN @workspace@.entity e ON e.name = a.entity JOIN @workspace@.entity_group g USING (entity_id, group_id);
COMMENT ON VIEW @workspace@.tag_values IS 'the values that cdp_tag_set() was told, who set them and why';
COMMENT ON COLUMN @workspace@.tag_values.tag IS 'name of the tag';
COMMENT ON COLUMN @workspace@.tag_values.profile_id IS 'the live profile, or the live group of the entity type that the tag is of';
COMMENT ON COLUMN @workspace@.tag_values.value IS 'text of the value; null: cleared';
COMMENT ON COLUMN @workspace@.tag_values.reason IS 'why';
COMMENT ON COLUMN @workspace@.tag_values.author IS 'the session user that set it';
COMMENT ON COLUMN @workspace@.tag_values.set_at IS 'when';
COMMENT ON COLUMN @workspace@.tag_values.expires_at IS 'from when on it does not count';

CREATE VIEW @workspace@.versions AS
SELECT v.kind, coalesce(a.name, g.name) AS name, v.version, v.expression, v.author, v.at
FROM @workspace@.definition_version v
LEFT JOIN @workspace@.attribute a ON v.kind = 'tag' AND a.attribute_id = v.object_id
LEFT JOIN @workspace@.segment g ON v.kind = 'segment' AND g.segment_id = v.object_id;
COMMENT ON VIEW @workspace@.versions IS 'every definition that a tag or segment has had';
COMMENT ON COLUMN @workspace@.versions.kind IS 'tag or segment';
COMMENT ON COLUMN @workspace@.versions.name IS 'the tag or segment';
COMMENT ON COLUMN @workspace@.versions.version IS 'number of the version, from 1 up';
COMMENT ON COLUMN @workspace@.versions.expression IS 'the expression; null for a static segment and a tag whose values are set';
COMMENT ON COLUMN @workspace@.versions.author IS 'the session user that wrote it';
COMMENT ON COLUMN @workspace@.versions.at IS 'when';

CREATE VIEW @workspace@.segments AS
SELECT g.name, g.entity, g.kind, g.expression, g.description, t.profiles, g.created_at, t.refreshed_at, t.refreshed_as_of,
       g.state, g.version, r.added, r.removed, t.profiles - w.profiles AS change_7_days, pg_catalog.round(r.ms::numeric, 3) AS refresh_ms,
       (SELECT pg_catalog.string_agg(d.kind || ' "' || d.name || '"', ', ' ORDER BY d.kind, d.name) FROM @workspace@.dependencies d WHERE d.needs_kind = 'segment' AND d.needs = g.name) AS dependants
FROM @workspace@.segment g JOIN @workspace@.segment_state t USING (segment_id)
LEFT JOIN @workspace@.segment_refresh r ON r.segment_id = g.segment_id AND r.refresh = t.refresh
LEFT JOIN LATERAL (SELECT w.profiles FROM @workspace@.segment_refresh w WHERE w.segment_id = g.segment_id AND w.at <= pg_catalog.now() - interval '7 days'
                   ORDER BY w.at DESC, w.refresh DESC LIMIT 1) w ON true;
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
COMMENT ON COLUMN @workspace@.segments.state IS 'draft: refreshed only by name; active; retired: keeps its members, not refreshed';
COMMENT ON COLUMN @workspace@.segments.version IS 'number of its present definition';
COMMENT ON COLUMN @workspace@.segments.added IS 'members that came with the last refresh';
COMMENT ON COLUMN @workspace@.segments.removed IS 'members that went with the last refresh';
COMMENT ON COLUMN @workspace@.segments.change_7_days IS 'members now less members seven days ago; null when there was no refresh before that';
COMMENT ON COLUMN @workspace@.segments.refresh_ms IS 'milliseconds the last refresh took';
COMMENT ON COLUMN @workspace@.segments.dependants IS 'the tags and segments whose expression names it; null: none';

CREATE VIEW @workspace@.segment_refreshes AS
SELECT g.name AS segment, r.refresh, r.at, r.refreshed_at, r.version, r.added, r.removed, r.profiles, pg_catalog.round(r.ms::numeric, 3) AS ms
FROM @workspace@.segment_refresh r JOIN @workspace@.segment g USING (segment_id);
COMMENT ON VIEW @workspace@.segment_refreshes IS 'every refresh of every segment';
COMMENT ON COLUMN @workspace@.segment_refreshes.segment IS 'name of the segment';
COMMENT ON COLUMN @workspace@.segment_refreshes.refresh IS 'number of the refresh, from 1 up';
COMMENT ON COLUMN @workspace@.segment_refreshes.at IS 'the moment it was as of';
COMMENT ON COLUMN @workspace@.segment_refreshes.refreshed_at IS 'when it ran';
COMMENT ON COLUMN @workspace@.segment_refreshes.version IS 'the definition it was computed from';
COMMENT ON COLUMN @workspace@.segment_refreshes.added IS 'members that came';
COMMENT ON COLUMN @workspace@.segment_refreshes.removed IS 'members that went';
COMMENT ON COLUMN @workspace@.segment_refreshes.profiles IS 'members after it';
COMMENT ON COLUMN @workspace@.segment_refreshes.ms IS 'milliseconds it took';

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
SELECT r.reject_id, s.name AS source, r.key, r.payload, r.kind, r.code, r.reason, r.at
FROM @workspace@.reject r JOIN @workspace@.source s USING (source_id);
COMMENT ON VIEW @workspace@.rejects IS 'what could not be used, and why';
COMMENT ON COLUMN @workspace@.rejects.reject_id IS 'number to give to cdp_reject_replay()';
COMMENT ON COLUMN @workspace@.rejects.source IS 'where it came from';
COMMENT ON COLUMN @workspace@.rejects.key IS 'key of the row';
COMMENT ON COLUMN @workspace@.rejects.payload IS 'the row or identifier as it came';
COMMENT ON COLUMN @workspace@.rejects.kind IS 'what the payload is: a row of the relation of the source, a message, or a single value';
COMMENT ON COLUMN @workspace@.rejects.code IS 'the reason as a word that stays the same';
COMMENT ON COLUMN @workspace@.rejects.reason IS 'why it could not be used';
COMMENT ON COLUMN @workspace@.rejects.at IS 'when it was rejected';

CREATE VIEW @workspace@.data_quality AS
SELECT s.name AS source, d.day, d.rows, d.rejected, d.events, d.repeated,
       pg_catalog.round(d.repeated::numeric / nullif(d.events, 0), 4) AS duplicate_rate, r.rejects, r.warnings, coalesce(r.outliers, 0) AS outliers,
       f.null_rates, d.newest, pg_catalog.round(extract(epoch FROM d.updated_at - d.newest)::numeric) AS lag_seconds, d.updated_at
FROM @workspace@.data_quality_days d JOIN @workspace@.source s USING (source_id)
LEFT JOIN LATERAL (
    SELECT pg_catalog.jsonb_object_agg(x.code, x.times) FILTER (WHERE x.level = 'reject') AS rejects, pg_catalog.jsonb_object_agg(x.code, x.times) FILTER (WHERE x.level = 'warn') AS warnings,
           pg_catalog.sum(x.times) FILTER (WHERE x.code IN ('below_minimum', 'above_maximum', 'not_allowed', 'pattern_mismatch'))::bigint AS outliers
    FROM @workspace@.data_quality_reasons x WHERE x.source_id = d.source_id AND x.day = d.day) r ON true
LEFT JOIN LATERAL (
    SELECT pg_catalog.jsonb_object_agg(x.kind || ' ' || CASE WHEN x.event = '' THEN '' ELSE x.event || '.' END || x.name, pg_catalog.round(1 - x.present::numeric / nullif(x.rows, 0), 4)) AS null_rates
    FROM @workspace@.data_quality_field x WHERE x.source_id = d.source_id AND x.day = d.day) f ON true;
COMMENT ON VIEW @workspace@.data_quality IS 'what came from each source on each day, and how good it was';
COMMENT ON COLUMN @workspace@.data_quality.source IS 'the source';
COMMENT ON COLUMN @workspace@.data_quality.day IS 'the day it arrived, in the time zone of the workspace';
COMMENT ON COLUMN @workspace@.data_quality.rows IS 'rows or messages that were looked at';
COMMENT ON COLUMN @workspace@.data_quality.rejected IS 'those that went to the rejects, or whose event did';
COMMENT ON COLUMN @workspace@.data_quality.events IS 'events among them that could be used';
COMMENT ON COLUMN @workspace@.data_quality.repeated IS 'events that said nothing new';
COMMENT ON COLUMN @workspace@.data_quality.duplicate_rate IS 'their share of the events';
COMMENT ON COLUMN @workspace@.data_quality.rejects IS 'object of reasons to how often something was rejected for it: a row, an event or a value; null: nothing was';
COMMENT ON COLUMN @workspace@.data_quality.warnings IS 'object of reasons to how often a value was kept that breaks a rule; null: none was';
COMMENT ON COLUMN @workspace@.data_quality.outliers IS 'values outside declared ranges, lists and patterns, kept or not';
COMMENT ON COLUMN @workspace@.data_quality.null_rates IS 'object of identifiers, traits and properties to the share of rows without a value';
COMMENT ON COLUMN @workspace@.data_quality.newest IS 'latest time that a row which could be used speaks of';
COMMENT ON COLUMN @workspace@.data_quality.lag_seconds IS 'how many seconds after it the last batch was counted';
COMMENT ON COLUMN @workspace@.data_quality.updated_at IS 'when the last batch was counted';

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

CREATE VIEW @workspace@.source_drift AS
SELECT s.name AS source, c.name AS column_name, c.change, c.before, c.after, c.at
FROM @workspace@.source_change c JOIN @workspace@.source s USING (source_id);
COMMENT ON VIEW @workspace@.source_drift IS 'how the columns of the tables that data comes from changed from one sync to the next';
COMMENT ON COLUMN @workspace@.source_drift.source IS 'the source';
COMMENT ON COLUMN @workspace@.source_drift.column_name IS 'the column; of a renamed one the name it had';
COMMENT ON COLUMN @workspace@.source_drift.change IS 'added, dropped, renamed or retyped';
COMMENT ON COLUMN @workspace@.source_drift.before IS 'its type, or of a renamed one its name, before';
COMMENT ON COLUMN @workspace@.source_drift.after IS 'its type, or of a renamed one its name, after';
COMMENT ON COLUMN @workspace@.source_drift.at IS 'when a sync saw it';

-- What others' backends do is hidden from most roles: a backend that cannot be looked at counts as alive.
CREATE VIEW @workspace@.jobs AS
SELECT j.job_id, j.kind, s.name AS source,
       CASE WHEN j.state = 'running' AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.pid = j.backend_pid AND (a.backend_start <= j.started_at) IS NOT FALSE AND a.state IS DISTINCT FROM 'idle')
            THEN 'interrupted' ELSE j.state END AS state,
       j.rows_done, j.rows_total, j.rows_rejected, j.rows_gone,
       pg_catalog.round((j.rows_done / nullif(extract(epoch FROM coalesce(j.finished_at, j.updated_at) - j.started_at), 0))::numeric) AS rows_per_second,
       j.message, j.started_at, j.updated_at, j.finished_at
FROM @workspace@.job j LEFT JOIN @workspace@.source s USING (source_id);
COMMENT ON VIEW @workspace@.jobs IS 'progress of cdp_sync(), visible while it runs, and what cdp_reject_replay() and cdp_retain() did';
COMMENT ON COLUMN @workspace@.jobs.job_id IS 'number of the run';
COMMENT ON COLUMN @workspace@.jobs.kind IS 'what ran';
COMMENT ON COLUMN @workspace@.jobs.source IS 'over which source';
COMMENT ON COLUMN @workspace@.jobs.state IS 'running, done, failed, or interrupted when its backend is gone';
COMMENT ON COLUMN @workspace@.jobs.rows_done IS 'rows taken and committed';
COMMENT ON COLUMN @workspace@.jobs.rows_total IS 'rows to take';
COMMENT ON COLUMN @workspace@.jobs.rows_rejected IS 'rows rejected';
COMMENT ON COLUMN @workspace@.jobs.rows_gone IS 'rows that are not there any more';
COMMENT ON COLUMN @workspace@.jobs.rows_per_second IS 'rate so far';
COMMENT ON COLUMN @workspace@.jobs.message IS 'why it failed';
COMMENT ON COLUMN @workspace@.jobs.started_at IS 'when it began';
COMMENT ON COLUMN @workspace@.jobs.updated_at IS 'when its last batch was committed';
COMMENT ON COLUMN @workspace@.jobs.finished_at IS 'when it ended';
