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
    max_window interval CHECK (max_window > '0'),
    scope_separator text CHECK (scope_separator <> ''),
    shared text NOT NULL DEFAULT 'last' CHECK (shared IN ('last', 'first', 'nobody')),
    degree_cap integer CHECK (degree_cap >= 0),
    person_cap integer CHECK (person_cap >= 0),
    pii boolean NOT NULL,
    storage text NOT NULL DEFAULT 'plain' CHECK (storage IN ('plain', 'hmac')),
    description text NOT NULL,
    CHECK (max_window IS NULL OR max_per_profile IS NOT NULL)
);
COMMENT ON TABLE @workspace@.identifier_type IS 'kinds of identifier and how each takes part in stitching';
COMMENT ON COLUMN @workspace@.identifier_type.type_id IS 'number of the type';
COMMENT ON COLUMN @workspace@.identifier_type.name IS 'name used in mappings and look-ups';
COMMENT ON COLUMN @workspace@.identifier_type.normaliser IS 'how a value is cleaned before it is compared';
COMMENT ON COLUMN @workspace@.identifier_type.strength IS 'strong: a shared value merges people; weak: it never merges by itself';
COMMENT ON COLUMN @workspace@.identifier_type.priority IS 'lower is more telling; decides on which identifier of a row its facts are kept';
COMMENT ON COLUMN @workspace@.identifier_type.level IS 'person: names somebody; device: names something people hold';
COMMENT ON COLUMN @workspace@.identifier_type.max_per_profile IS 'most values one profile may hold; null: no limit';
COMMENT ON COLUMN @workspace@.identifier_type.max_window IS 'counts only values first seen within a span of this length; null: all there ever were';
COMMENT ON COLUMN @workspace@.identifier_type.scope_separator IS 'what comes before it in a value, such as an app, is the scope the limit counts by; null: one scope';
COMMENT ON COLUMN @workspace@.identifier_type.shared IS 'whose a shared value is when a limit keeps its people apart: the last one it was seen with, the first, or nobody';
COMMENT ON COLUMN @workspace@.identifier_type.degree_cap IS 'distinct neighbours of any type beyond which a value is a hub; null: any number';
COMMENT ON COLUMN @workspace@.identifier_type.person_cap IS 'distinct neighbours of person-level types beyond which a value is a hub; null: any number';
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
    merged_into bigint,
    contested boolean NOT NULL DEFAULT false
);
CREATE INDEX profile_merged_into ON @workspace@.profile (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX profile_contested ON @workspace@.profile (profile_id) WHERE contested;
CREATE SEQUENCE @workspace@.profile_id_seq OWNED BY @workspace@.profile.profile_id;
COMMENT ON SEQUENCE @workspace@.profile_id_seq IS 'profile numbers: dense, never reused';
COMMENT ON TABLE @workspace@.profile IS 'every profile there ever was; a retired one redirects for ever';
COMMENT ON COLUMN @workspace@.profile.profile_id IS 'stable number of the profile';
COMMENT ON COLUMN @workspace@.profile.entity IS 'what it is a profile of';
COMMENT ON COLUMN @workspace@.profile.founding_node IS 'the identifier that founded it: the side that holds it keeps the number when a profile is split';
COMMENT ON COLUMN @workspace@.profile.created_at IS 'when it was created; the older profile survives a merge';
COMMENT ON COLUMN @workspace@.profile.merged_into IS 'the live profile that took it over; null while it lives';
COMMENT ON COLUMN @workspace@.profile.contested IS 'a rule keeps one of its identifiers from linking: what is seen next is judged with all that hangs together';

CREATE TABLE @workspace@.node (
    node_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type_id integer NOT NULL,
    value text COLLATE "C" NOT NULL,
    profile_id bigint,
    source_id integer NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    entered_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    quarantine text,
    UNIQUE (type_id, value)
) WITH (fillfactor = 70);
CREATE INDEX node_profile ON @workspace@.node (profile_id);
CREATE INDEX node_quarantine ON @workspace@.node (type_id) WHERE quarantine IS NOT NULL;
COMMENT ON TABLE @workspace@.node IS 'identifiers: a type and a normalised value';
COMMENT ON COLUMN @workspace@.node.node_id IS 'number of the identifier';
COMMENT ON COLUMN @workspace@.node.type_id IS 'its type';
COMMENT ON COLUMN @workspace@.node.value IS 'its normalised value';
COMMENT ON COLUMN @workspace@.node.profile_id IS 'the live profile it belongs to; null for weak identifiers, which belong to nobody';
COMMENT ON COLUMN @workspace@.node.source_id IS 'the source that first saw it';
COMMENT ON COLUMN @workspace@.node.first_seen IS 'earliest time it was seen';
COMMENT ON COLUMN @workspace@.node.last_seen IS 'latest time it was seen';
COMMENT ON COLUMN @workspace@.node.entered_at IS 'when it became known here';
COMMENT ON COLUMN @workspace@.node.quarantine IS 'why it links nobody: blocked, or a hub with its numbers; null: it links';

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
CREATE INDEX edge_suspended ON @workspace@.edge (reason) WHERE state = 'suspended';
COMMENT ON TABLE @workspace@.edge IS 'two identifiers that one row of one source showed together';
COMMENT ON COLUMN @workspace@.edge.from_node IS 'the identifier with the smaller number';
COMMENT ON COLUMN @workspace@.edge.to_node IS 'the identifier with the larger number';
COMMENT ON COLUMN @workspace@.edge.source_id IS 'the source that saw them; 0: an operator links them';
COMMENT ON COLUMN @workspace@.edge.trust IS '0 to 1: how far the source is trusted';
COMMENT ON COLUMN @workspace@.edge.state IS 'accepted: it links; weak: one end is a weak identifier; suspended: a rule keeps it from linking';
COMMENT ON COLUMN @workspace@.edge.reason IS 'the rule that suspended it';
COMMENT ON COLUMN @workspace@.edge.first_seen IS 'earliest time they were seen together';
COMMENT ON COLUMN @workspace@.edge.last_seen IS 'latest time they were seen together';

-- What operators decided. An override counts until its operation is reverted; then its row is gone, the operation stays.
CREATE TABLE @workspace@.identity_operation (
    operation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('link', 'unlink', 'cannot_link', 'block', 'split', 'rule', 'policy', 'revert')),
    arguments jsonb NOT NULL,
    reason text,
    actor text NOT NULL DEFAULT SESSION_USER,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    changed jsonb,
    reverted_by bigint
);
COMMENT ON TABLE @workspace@.identity_operation IS 'what people decided about identities: links, blocks, splits, changes of rules, and what took them back';
COMMENT ON COLUMN @workspace@.identity_operation.operation_id IS 'number of the operation';
COMMENT ON COLUMN @workspace@.identity_operation.kind IS 'link, unlink, cannot_link, block, split, rule, policy or revert';
COMMENT ON COLUMN @workspace@.identity_operation.arguments IS 'what it was about';
COMMENT ON COLUMN @workspace@.identity_operation.reason IS 'why';
COMMENT ON COLUMN @workspace@.identity_operation.actor IS 'the session user who did it';
COMMENT ON COLUMN @workspace@.identity_operation.at IS 'when';
COMMENT ON COLUMN @workspace@.identity_operation.changed IS 'what changed';
COMMENT ON COLUMN @workspace@.identity_operation.reverted_by IS 'the operation that took it back; null: it holds';

CREATE TABLE @workspace@.identity_override (
    operation_id bigint NOT NULL REFERENCES @workspace@.identity_operation,
    kind text NOT NULL CHECK (kind IN ('link', 'unlink', 'cannot_link', 'block')),
    node_id bigint NOT NULL,
    other_id bigint NOT NULL,
    PRIMARY KEY (kind, node_id, other_id, operation_id),
    CHECK (CASE kind WHEN 'block' THEN node_id = other_id ELSE node_id < other_id END)
);
CREATE INDEX identity_override_other ON @workspace@.identity_override (other_id);
CREATE INDEX identity_override_operation ON @workspace@.identity_override (operation_id);
COMMENT ON TABLE @workspace@.identity_override IS 'decisions that hold: pairs to link, not to link, to keep in different profiles, identifiers to block';
COMMENT ON COLUMN @workspace@.identity_override.operation_id IS 'the operation that decided';
COMMENT ON COLUMN @workspace@.identity_override.kind IS 'link: they are one; unlink: seeing them together means nothing; cannot_link: never one profile; block: it links nobody';
COMMENT ON COLUMN @workspace@.identity_override.node_id IS 'the identifier with the smaller number, or the blocked one';
COMMENT ON COLUMN @workspace@.identity_override.other_id IS 'the other one; the blocked one again';

CREATE TABLE @workspace@.profile_merge (
    merge_id bigint GENERATED ALWAYS AS IDENTITY,
    retired_id bigint NOT NULL,
    survivor_id bigint NOT NULL,
    from_node bigint NOT NULL,
    to_node bigint NOT NULL,
    source_id integer NOT NULL,
    operation_id bigint,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (survivor_id, merge_id)
);
COMMENT ON TABLE @workspace@.profile_merge IS 'every merge with the edge that caused it';
COMMENT ON COLUMN @workspace@.profile_merge.merge_id IS 'number of the merge';
COMMENT ON COLUMN @workspace@.profile_merge.retired_id IS 'the profile that was taken over';
COMMENT ON COLUMN @workspace@.profile_merge.survivor_id IS 'the profile that took it over';
COMMENT ON COLUMN @workspace@.profile_merge.from_node IS 'one end of the edge that joined them';
COMMENT ON COLUMN @workspace@.profile_merge.to_node IS 'the other end';
COMMENT ON COLUMN @workspace@.profile_merge.source_id IS 'the source of the row that joined them; 0: an operation';
COMMENT ON COLUMN @workspace@.profile_merge.operation_id IS 'the operation that joined them; null: rows of a source';
COMMENT ON COLUMN @workspace@.profile_merge.at IS 'when';

CREATE TABLE @workspace@.profile_split (
    split_id bigint GENERATED ALWAYS AS IDENTITY,
    profile_id bigint NOT NULL,
    from_id bigint NOT NULL,
    created boolean NOT NULL,
    source_id integer NOT NULL,
    operation_id bigint,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (from_id, split_id)
);
COMMENT ON TABLE @workspace@.profile_split IS 'every split: who came back, or came to be, out of whom';
COMMENT ON COLUMN @workspace@.profile_split.split_id IS 'number of the split';
COMMENT ON COLUMN @workspace@.profile_split.profile_id IS 'the profile that was split off';
COMMENT ON COLUMN @workspace@.profile_split.from_id IS 'the profile it was part of';
COMMENT ON COLUMN @workspace@.profile_split.created IS 'true: a new number; false: a retired number lives again';
COMMENT ON COLUMN @workspace@.profile_split.source_id IS 'the source whose rows showed it; 0: an operation';
COMMENT ON COLUMN @workspace@.profile_split.operation_id IS 'the operation that split them; null: rows of a source';
COMMENT ON COLUMN @workspace@.profile_split.at IS 'when';

CREATE TABLE @workspace@.node_move (
    move_id bigint GENERATED ALWAYS AS IDENTITY,
    node_id bigint NOT NULL,
    from_profile bigint NOT NULL,
    to_profile bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- One index for both: nobody asks for a move by its number alone.
    PRIMARY KEY (node_id, move_id)
);
COMMENT ON TABLE @workspace@.node_move IS 'identifiers that went from one profile to another; who has no row has always been where it is';
COMMENT ON COLUMN @workspace@.node_move.move_id IS 'number of the move';
COMMENT ON COLUMN @workspace@.node_move.node_id IS 'the identifier';
COMMENT ON COLUMN @workspace@.node_move.from_profile IS 'the profile it left';
COMMENT ON COLUMN @workspace@.node_move.to_profile IS 'the profile it went to';
COMMENT ON COLUMN @workspace@.node_move.at IS 'when';

-- What only refreshes can compute is put away when profiles merge, and is there again when they part.
CREATE TABLE @workspace@.profile_shelf (
    profile_id bigint PRIMARY KEY,
    tags jsonb NOT NULL,
    segments jsonb NOT NULL
);
COMMENT ON TABLE @workspace@.profile_shelf IS 'tags and segments of the profiles that went into one, as they were before';
COMMENT ON COLUMN @workspace@.profile_shelf.profile_id IS 'the profile, retired or surviving';
COMMENT ON COLUMN @workspace@.profile_shelf.tags IS 'object of attribute_id to the text of the value';
COMMENT ON COLUMN @workspace@.profile_shelf.segments IS 'segments that the profile it is part of is in and it is not on its own: object of segment_id to the refresh that holds for';

-- Other entity types over the same identifiers, such as households: people who share an address. They read who is a person and never change it.
CREATE TABLE @workspace@.entity (
    entity_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> 'person'),
    rules jsonb NOT NULL,
    description text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    refreshed_at timestamptz
);
COMMENT ON TABLE @workspace@.entity IS 'entity types that people belong to, such as households';
COMMENT ON COLUMN @workspace@.entity.entity_id IS 'number of the entity type';
COMMENT ON COLUMN @workspace@.entity.name IS 'its name';
COMMENT ON COLUMN @workspace@.entity.rules IS 'the identifier types that join people, each with its settings; "person" limits how many';
COMMENT ON COLUMN @workspace@.entity.description IS 'what it is';
COMMENT ON COLUMN @workspace@.entity.created_at IS 'when it was created';
COMMENT ON COLUMN @workspace@.entity.refreshed_at IS 'when its groups were last computed';

CREATE TABLE @workspace@.entity_group (
    entity_id integer NOT NULL REFERENCES @workspace@.entity ON DELETE CASCADE,
    group_id bigint NOT NULL,
    founding_node bigint NOT NULL,
    created_at timestamptz NOT NULL,
    merged_into bigint,
    PRIMARY KEY (entity_id, group_id)
);
COMMENT ON TABLE @workspace@.entity_group IS 'every group there ever was of an entity type; a retired one redirects for ever';
COMMENT ON COLUMN @workspace@.entity_group.entity_id IS 'the entity type';
COMMENT ON COLUMN @workspace@.entity_group.group_id IS 'stable number of the group';
COMMENT ON COLUMN @workspace@.entity_group.founding_node IS 'the identifier that founded the person that founded it: the side that holds it keeps the number';
COMMENT ON COLUMN @workspace@.entity_group.created_at IS 'when it was created; the older group survives a merge';
COMMENT ON COLUMN @workspace@.entity_group.merged_into IS 'the live group that took it over; null while it lives';

CREATE TABLE @workspace@.entity_member (
    entity_id integer NOT NULL REFERENCES @workspace@.entity ON DELETE CASCADE,
    profile_id bigint NOT NULL,
    group_id bigint NOT NULL,
    PRIMARY KEY (entity_id, profile_id)
);
CREATE INDEX entity_member_group ON @workspace@.entity_member (entity_id, group_id);
COMMENT ON TABLE @workspace@.entity_member IS 'which people belong to which group, as of the last refresh';
COMMENT ON COLUMN @workspace@.entity_member.entity_id IS 'the entity type';
COMMENT ON COLUMN @workspace@.entity_member.profile_id IS 'the person';
COMMENT ON COLUMN @workspace@.entity_member.group_id IS 'the group';
