-- Attributes: traits by survivorship from what sources observed, tags computed. The observations are the facts; the wide
-- table holds what they come to, one row a live profile, and is what cdp.profiles shows.
CREATE SEQUENCE @workspace@.dictionary_id_seq AS integer;
COMMENT ON SEQUENCE @workspace@.dictionary_id_seq IS 'numbers of the dictionaries of attributes and properties';

CREATE TABLE @workspace@.attribute (
    attribute_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity text NOT NULL DEFAULT 'person',
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('trait', 'tag')),
    type text NOT NULL CHECK (type IN ('boolean', 'bigint', 'numeric', 'text', 'text[]', 'date', 'timestamptz')),
    rule text CHECK (rule IN ('most_recent', 'oldest', 'source_trust', 'most_frequent', 'longest', 'min', 'max', 'sum', 'union')),
    class text NOT NULL DEFAULT 'descriptive' CHECK (class IN ('identity', 'descriptive', 'behavioural', 'qualitative')),
    indexed boolean NOT NULL DEFAULT true,
    dictionary_id integer NOT NULL UNIQUE DEFAULT pg_catalog.nextval('@workspace_literal@.dictionary_id_seq'::pg_catalog.regclass),
    expression text,
    description text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    tag_kind text CHECK (tag_kind IN ('statistical', 'rule', 'imported', 'manual')),
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('draft', 'active', 'retired')),
    version integer NOT NULL DEFAULT 1,
    owner text,
    path text,
    sensitivity text NOT NULL DEFAULT 'internal' CHECK (sensitivity IN ('public', 'internal', 'personal', 'sensitive')),
    allowed text[],
    refreshed_at timestamptz,
    refreshed_as_of timestamptz,
    refresh_ms double precision,
    profiles bigint,
    people bigint,
    distinct_values bigint,
    changed bigint,
    unit text,
    pii boolean NOT NULL DEFAULT false,
    validation text NOT NULL DEFAULT 'off' CHECK (validation IN ('off', 'warn', 'reject')),
    minimum text,
    maximum text,
    pattern text,
    origin text NOT NULL DEFAULT 'declared' CHECK (origin IN ('declared', 'mapped', 'inferred')),
    UNIQUE (name),
    CHECK ((kind = 'trait') = (rule IS NOT NULL)),
    CHECK ((kind = 'tag') = (tag_kind IS NOT NULL)),
    CHECK ((tag_kind IN ('statistical', 'rule')) = (expression IS NOT NULL))
);
COMMENT ON TABLE @workspace@.attribute IS 'named typed values of a profile';
COMMENT ON COLUMN @workspace@.attribute.attribute_id IS 'number of the attribute';
COMMENT ON COLUMN @workspace@.attribute.entity IS 'what it describes: person, or an entity type';
COMMENT ON COLUMN @workspace@.attribute.name IS 'its name in expressions and its column in the profiles view, or that of its entity type; nothing else has it';
COMMENT ON COLUMN @workspace@.attribute.kind IS 'trait: observed by sources; tag: computed from an expression';
COMMENT ON COLUMN @workspace@.attribute.type IS 'type of its values';
COMMENT ON COLUMN @workspace@.attribute.rule IS 'how the value of a trait is found: most_recent, oldest, source_trust, most_frequent, longest, min, max, sum or union';
COMMENT ON COLUMN @workspace@.attribute.class IS 'identity, descriptive, behavioural or qualitative';
COMMENT ON COLUMN @workspace@.attribute.indexed IS 'whether it has a column of bits';
COMMENT ON COLUMN @workspace@.attribute.dictionary_id IS 'the dictionary of its values';
COMMENT ON COLUMN @workspace@.attribute.expression IS 'the expression of a tag';
COMMENT ON COLUMN @workspace@.attribute.description IS 'what it means';
COMMENT ON COLUMN @workspace@.attribute.created_at IS 'when it was created';
COMMENT ON COLUMN @workspace@.attribute.tag_kind IS 'statistical: from events; rule: from attributes; imported, manual: set by cdp_tag_set(); null for a trait';
COMMENT ON COLUMN @workspace@.attribute.state IS 'of a tag: draft: refreshed only by name; active; retired: keeps its values, not refreshed';
COMMENT ON COLUMN @workspace@.attribute.version IS 'number of the present definition of a tag';
COMMENT ON COLUMN @workspace@.attribute.owner IS 'who answers for a tag';
COMMENT ON COLUMN @workspace@.attribute.path IS 'place of a tag in a taxonomy, such as value/spend';
COMMENT ON COLUMN @workspace@.attribute.sensitivity IS 'public, internal, personal or sensitive';
COMMENT ON COLUMN @workspace@.attribute.allowed IS 'texts of the values that it may have; null: any';
COMMENT ON COLUMN @workspace@.attribute.refreshed_at IS 'when the tag was last refreshed';
COMMENT ON COLUMN @workspace@.attribute.refreshed_as_of IS 'the moment it was last refreshed as of';
COMMENT ON COLUMN @workspace@.attribute.refresh_ms IS 'milliseconds the last refresh took';
COMMENT ON COLUMN @workspace@.attribute.profiles IS 'profiles with a value at the last refresh';
COMMENT ON COLUMN @workspace@.attribute.people IS 'live profiles at the last refresh';
COMMENT ON COLUMN @workspace@.attribute.distinct_values IS 'different values at the last refresh';
COMMENT ON COLUMN @workspace@.attribute.changed IS 'values that the last refresh changed';
COMMENT ON COLUMN @workspace@.attribute.unit IS 'unit of its values';
COMMENT ON COLUMN @workspace@.attribute.pii IS 'whether it tells who somebody is';
COMMENT ON COLUMN @workspace@.attribute.validation IS 'what happens to a value of a trait that breaks its rules: off: nothing is looked at; warn: it is counted and kept; reject: it goes to the rejects';
COMMENT ON COLUMN @workspace@.attribute.minimum IS 'text of the smallest value of a trait; null: none';
COMMENT ON COLUMN @workspace@.attribute.maximum IS 'text of the largest value of a trait; null: none';
COMMENT ON COLUMN @workspace@.attribute.pattern IS 'regular expression that texts of a trait match; null: none';
COMMENT ON COLUMN @workspace@.attribute.origin IS 'declared: somebody made it; mapped: the mapping of a source names it; inferred: a message brought it';

-- Apart from the registry: what changes with every batch would have every session read that anew.
CREATE TABLE @workspace@.trait_seen (
    attribute_id integer PRIMARY KEY,
    observations bigint NOT NULL,
    first_seen timestamptz,
    last_seen timestamptz
);
COMMENT ON TABLE @workspace@.trait_seen IS 'how often sources told a value of each trait';
COMMENT ON COLUMN @workspace@.trait_seen.attribute_id IS 'the trait';
COMMENT ON COLUMN @workspace@.trait_seen.observations IS 'how often, the same value again counted too';
COMMENT ON COLUMN @workspace@.trait_seen.first_seen IS 'earliest time that a value was observed at';
COMMENT ON COLUMN @workspace@.trait_seen.last_seen IS 'latest time that a value was observed at';

CREATE TABLE @workspace@.trait_seen_one (
    attribute_ids integer[] NOT NULL,
    at timestamptz NOT NULL
);
COMMENT ON TABLE @workspace@.trait_seen_one IS 'messages with traits that came one at a time and are not counted in trait_seen yet: cdp_flush() does';
COMMENT ON COLUMN @workspace@.trait_seen_one.attribute_ids IS 'the traits that it gives a value';
COMMENT ON COLUMN @workspace@.trait_seen_one.at IS 'when that was so';

CREATE TABLE @workspace@.trait_observation (
    node_id bigint NOT NULL,
    source_id integer NOT NULL,
    observed_at timestamptz NOT NULL,
    traits jsonb NOT NULL,
    PRIMARY KEY (node_id, source_id, observed_at)
);
COMMENT ON TABLE @workspace@.trait_observation IS 'the latest value of each trait by identifier and source, the latest clear, and for the rule oldest the earliest value since that; what was observed at the same time shares a row';
COMMENT ON COLUMN @workspace@.trait_observation.node_id IS 'the identifier it was observed on';
COMMENT ON COLUMN @workspace@.trait_observation.source_id IS 'the source that observed it';
COMMENT ON COLUMN @workspace@.trait_observation.observed_at IS 'when';
COMMENT ON COLUMN @workspace@.trait_observation.traits IS 'object of attribute_id to the text of the value; null: a clear, which takes back what the source observed before';

-- Values that somebody gave: facts, so they hang on an identifier too, the one that founded the profile.
CREATE TABLE @workspace@.tag_value (
    attribute_id integer NOT NULL REFERENCES @workspace@.attribute ON DELETE CASCADE,
    node_id bigint NOT NULL,
    value text,
    reason text,
    author text NOT NULL DEFAULT SESSION_USER,
    set_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    expires_at timestamptz,
    PRIMARY KEY (attribute_id, node_id)
);
CREATE INDEX tag_value_node ON @workspace@.tag_value (node_id);
COMMENT ON TABLE @workspace@.tag_value IS 'what cdp_tag_set() was told last; of a profile that was merged the value set last counts';
COMMENT ON COLUMN @workspace@.tag_value.attribute_id IS 'the tag';
COMMENT ON COLUMN @workspace@.tag_value.node_id IS 'the identifier that founded the profile';
COMMENT ON COLUMN @workspace@.tag_value.value IS 'text of the value; null: none, which beats what was set before';
COMMENT ON COLUMN @workspace@.tag_value.reason IS 'why';
COMMENT ON COLUMN @workspace@.tag_value.author IS 'the session user that set it';
COMMENT ON COLUMN @workspace@.tag_value.set_at IS 'when';
COMMENT ON COLUMN @workspace@.tag_value.expires_at IS 'from when on it does not count: it is gone with the first refresh after';

CREATE TABLE @workspace@.group_tag_value (
    attribute_id integer NOT NULL REFERENCES @workspace@.attribute ON DELETE CASCADE,
    group_id bigint NOT NULL,
    value text,
    reason text,
    author text NOT NULL DEFAULT SESSION_USER,
    set_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    expires_at timestamptz,
    PRIMARY KEY (attribute_id, group_id)
);
COMMENT ON TABLE @workspace@.group_tag_value IS 'what cdp_tag_set() was told last of groups; of a group that went into another the value set last counts';
COMMENT ON COLUMN @workspace@.group_tag_value.attribute_id IS 'the tag, of an entity type';
COMMENT ON COLUMN @workspace@.group_tag_value.group_id IS 'the group, by its number at the time';
COMMENT ON COLUMN @workspace@.group_tag_value.value IS 'text of the value; null: none, which beats what was set before';
COMMENT ON COLUMN @workspace@.group_tag_value.reason IS 'why';
COMMENT ON COLUMN @workspace@.group_tag_value.author IS 'the session user that set it';
COMMENT ON COLUMN @workspace@.group_tag_value.set_at IS 'when';
COMMENT ON COLUMN @workspace@.group_tag_value.expires_at IS 'from when on it does not count: it is gone with the first refresh after';

CREATE TABLE @workspace@.attribute_history (
    attribute_id integer NOT NULL,
    profile_id bigint NOT NULL,
    from_at timestamptz NOT NULL,
    value text,
    PRIMARY KEY (attribute_id, profile_id, from_at)
);
CREATE INDEX attribute_history_from ON @workspace@.attribute_history (attribute_id, from_at);
COMMENT ON TABLE @workspace@.attribute_history IS 'values of attributes that have changed: one row a change. Who has no row has always had the present value';
COMMENT ON COLUMN @workspace@.attribute_history.attribute_id IS 'the trait or tag';
COMMENT ON COLUMN @workspace@.attribute_history.profile_id IS 'the profile, or group of the entity type, by its number at the time';
COMMENT ON COLUMN @workspace@.attribute_history.from_at IS 'from when on: when a trait was observed, the moment a tag was refreshed as of; -infinity: the earliest value kept';
COMMENT ON COLUMN @workspace@.attribute_history.value IS 'text of the value; null: none';

CREATE TABLE @workspace@.tag_refresh (
    attribute_id integer NOT NULL REFERENCES @workspace@.attribute ON DELETE CASCADE,
    at timestamptz NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    version integer NOT NULL,
    profiles bigint NOT NULL,
    changed bigint NOT NULL,
    ms double precision NOT NULL,
    PRIMARY KEY (attribute_id, at)
);
COMMENT ON TABLE @workspace@.tag_refresh IS 'the moments that tags were refreshed as of';
COMMENT ON COLUMN @workspace@.tag_refresh.attribute_id IS 'the tag';
COMMENT ON COLUMN @workspace@.tag_refresh.at IS 'the moment';
COMMENT ON COLUMN @workspace@.tag_refresh.refreshed_at IS 'when it was refreshed as of that moment last';
COMMENT ON COLUMN @workspace@.tag_refresh.version IS 'the definition it was computed from';
COMMENT ON COLUMN @workspace@.tag_refresh.profiles IS 'profiles with a value';
COMMENT ON COLUMN @workspace@.tag_refresh.changed IS 'values that changed';
COMMENT ON COLUMN @workspace@.tag_refresh.ms IS 'milliseconds it took';

CREATE TABLE @workspace@.profile_value (
    profile_id bigint PRIMARY KEY
) WITH (fillfactor = 90);
COMMENT ON TABLE @workspace@.profile_value IS 'one row a live profile, one column an attribute: what the observations and tags come to';
COMMENT ON COLUMN @workspace@.profile_value.profile_id IS 'the live profile';
