-- Identity: identifiers are nodes, "seen together" is an edge, a profile is a component of accepted strong edges
-- plus a stable id. Facts hang on nodes, never on profiles. These tables grow with the data and only the extension writes them: foreign keys would
-- double the cost of every row, so there are none here; tests compare what they would have promised.
CREATE TABLE @workspace@.identifier_type (
    type_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    normaliser text NOT NULL,
    strength text NOT NULL CHECK (strength IN ('strong', 'weak')),
    priority integer NOT NULL,
    level text NOT NULL CHECK (level IN ('person', 'device')),
    max_per_profile integer CHECK (max_per_profile > 0),
    degree_cap integer NOT NULL CHECK (degree_cap > 0),
    pii boolean NOT NULL,
    storage text NOT NULL DEFAULT 'plain' CHECK (storage IN ('plain', 'hmac')),
    description text NOT NULL
);
COMMENT ON TABLE @workspace@.identifier_type IS 'kinds of identifier and how each takes part in stitching';
COMMENT ON COLUMN @workspace@.identifier_type.type_id IS 'number of the type';
COMMENT ON COLUMN @workspace@.identifier_type.name IS 'name used in mappings and look-ups';
COMMENT ON COLUMN @workspace@.identifier_type.normaliser IS 'how a value is cleaned before it is compared';
COMMENT ON COLUMN @workspace@.identifier_type.strength IS 'strong: a shared value merges people; weak: it never merges by itself';
COMMENT ON COLUMN @workspace@.identifier_type.priority IS 'lower is more telling; decides on which identifier of a row its facts are kept';
COMMENT ON COLUMN @workspace@.identifier_type.level IS 'person: names somebody; device: names something people hold';
COMMENT ON COLUMN @workspace@.identifier_type.max_per_profile IS 'most values one profile may hold; null: no limit';
COMMENT ON COLUMN @workspace@.identifier_type.degree_cap IS 'distinct neighbours beyond which a value is a hub';
COMMENT ON COLUMN @workspace@.identifier_type.pii IS 'personal data';
COMMENT ON COLUMN @workspace@.identifier_type.storage IS 'plain or hmac';
COMMENT ON COLUMN @workspace@.identifier_type.description IS 'what it is';

CREATE TABLE @workspace@.blocked_value (
    blocked_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type_id integer REFERENCES @workspace@.identifier_type,
    value text,
    pattern text,
    reason text NOT NULL,
    CHECK ((value IS NULL) <> (pattern IS NULL))
);
COMMENT ON TABLE @workspace@.blocked_value IS 'values that are never identifiers, such as null, unknown or 00000000-0000-0000-0000-000000000000';
COMMENT ON COLUMN @workspace@.blocked_value.blocked_id IS 'number of the entry';
COMMENT ON COLUMN @workspace@.blocked_value.type_id IS 'the identifier type it applies to; null: all';
COMMENT ON COLUMN @workspace@.blocked_value.value IS 'the blocked value, compared without regard to case';
COMMENT ON COLUMN @workspace@.blocked_value.pattern IS 'or a regular expression, matched without regard to case';
COMMENT ON COLUMN @workspace@.blocked_value.reason IS 'why';

CREATE TABLE @workspace@.profile (
    profile_id bigint PRIMARY KEY CHECK (profile_id > 0),
    entity text NOT NULL DEFAULT 'person',
    founding_node bigint NOT NULL,
    created_at timestamptz NOT NULL,
    merged_into bigint
);
CREATE INDEX profile_merged_into ON @workspace@.profile (merged_into) WHERE merged_into IS NOT NULL;
CREATE SEQUENCE @workspace@.profile_id_seq OWNED BY @workspace@.profile.profile_id;
COMMENT ON SEQUENCE @workspace@.profile_id_seq IS 'profile numbers: dense, never reused';
COMMENT ON TABLE @workspace@.profile IS 'every profile there ever was; a retired one redirects for ever';
COMMENT ON COLUMN @workspace@.profile.profile_id IS 'stable number of the profile';
COMMENT ON COLUMN @workspace@.profile.entity IS 'what it is a profile of';
COMMENT ON COLUMN @workspace@.profile.founding_node IS 'the identifier that founded it: the side that holds it keeps the number when a profile is split';
COMMENT ON COLUMN @workspace@.profile.created_at IS 'when it was created; the older profile survives a merge';
COMMENT ON COLUMN @workspace@.profile.merged_into IS 'the live profile that took it over; null while it lives';

CREATE TABLE @workspace@.node (
    node_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type_id integer NOT NULL,
    value text NOT NULL,
    profile_id bigint,
    source_id integer NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    UNIQUE (type_id, value)
) WITH (fillfactor = 70);
CREATE INDEX node_profile ON @workspace@.node (profile_id);
COMMENT ON TABLE @workspace@.node IS 'identifiers: a type and a normalised value';
COMMENT ON COLUMN @workspace@.node.node_id IS 'number of the identifier';
COMMENT ON COLUMN @workspace@.node.type_id IS 'its type';
COMMENT ON COLUMN @workspace@.node.value IS 'its normalised value';
COMMENT ON COLUMN @workspace@.node.profile_id IS 'the live profile it belongs to; null for weak identifiers, which belong to nobody';
COMMENT ON COLUMN @workspace@.node.source_id IS 'the source that first saw it';
COMMENT ON COLUMN @workspace@.node.first_seen IS 'earliest time it was seen';
COMMENT ON COLUMN @workspace@.node.last_seen IS 'latest time it was seen';

CREATE TABLE @workspace@.edge (
    from_node bigint NOT NULL,
    to_node bigint NOT NULL,
    source_id integer NOT NULL,
    trust real NOT NULL,
    state text NOT NULL CHECK (state IN ('accepted', 'weak', 'suspended')),
    reason text,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (from_node, to_node, source_id),
    CHECK (from_node < to_node)
);
CREATE INDEX edge_to_node ON @workspace@.edge (to_node);
COMMENT ON TABLE @workspace@.edge IS 'two identifiers that one row of one source showed together';
COMMENT ON COLUMN @workspace@.edge.from_node IS 'the identifier with the smaller number';
COMMENT ON COLUMN @workspace@.edge.to_node IS 'the identifier with the larger number';
COMMENT ON COLUMN @workspace@.edge.source_id IS 'the source that saw them';
COMMENT ON COLUMN @workspace@.edge.trust IS '0 to 1: how far the source is trusted';
COMMENT ON COLUMN @workspace@.edge.state IS 'accepted: it links; weak: one end is a weak identifier; suspended: a rule keeps it from linking';
COMMENT ON COLUMN @workspace@.edge.reason IS 'the rule that suspended it';
COMMENT ON COLUMN @workspace@.edge.first_seen IS 'earliest time they were seen together';
COMMENT ON COLUMN @workspace@.edge.last_seen IS 'latest time they were seen together';

CREATE TABLE @workspace@.profile_merge (
    merge_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    retired_id bigint NOT NULL,
    survivor_id bigint NOT NULL,
    from_node bigint NOT NULL,
    to_node bigint NOT NULL,
    source_id integer NOT NULL,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX profile_merge_survivor ON @workspace@.profile_merge (survivor_id);
COMMENT ON TABLE @workspace@.profile_merge IS 'every merge with the edge that caused it';
COMMENT ON COLUMN @workspace@.profile_merge.merge_id IS 'number of the merge';
COMMENT ON COLUMN @workspace@.profile_merge.retired_id IS 'the profile that was taken over';
COMMENT ON COLUMN @workspace@.profile_merge.survivor_id IS 'the profile that took it over';
COMMENT ON COLUMN @workspace@.profile_merge.from_node IS 'one end of the edge that joined them';
COMMENT ON COLUMN @workspace@.profile_merge.to_node IS 'the other end';
COMMENT ON COLUMN @workspace@.profile_merge.source_id IS 'the source of the row that joined them';
COMMENT ON COLUMN @workspace@.profile_merge.at IS 'when';
