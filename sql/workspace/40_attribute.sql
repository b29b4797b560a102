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
    rule text CHECK (rule IN ('most_recent')),
    class text NOT NULL DEFAULT 'descriptive' CHECK (class IN ('identity', 'descriptive', 'behavioural', 'qualitative')),
    indexed boolean NOT NULL DEFAULT true,
    dictionary_id integer NOT NULL UNIQUE DEFAULT pg_catalog.nextval('@workspace_literal@.dictionary_id_seq'::pg_catalog.regclass),
    expression text,
    description text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    refreshed_at timestamptz,
    refreshed_as_of timestamptz,
    UNIQUE (entity, name),
    CHECK ((kind = 'trait') = (rule IS NOT NULL))
);
COMMENT ON TABLE @workspace@.attribute IS 'named typed values of a profile';
COMMENT ON COLUMN @workspace@.attribute.attribute_id IS 'number of the attribute';
COMMENT ON COLUMN @workspace@.attribute.entity IS 'what it describes';
COMMENT ON COLUMN @workspace@.attribute.name IS 'its name in expressions and its column in the profiles view';
COMMENT ON COLUMN @workspace@.attribute.kind IS 'trait: observed by sources; tag: computed from an expression';
COMMENT ON COLUMN @workspace@.attribute.type IS 'type of its values';
COMMENT ON COLUMN @workspace@.attribute.rule IS 'which observation wins: most_recent';
COMMENT ON COLUMN @workspace@.attribute.class IS 'identity, descriptive, behavioural or qualitative';
COMMENT ON COLUMN @workspace@.attribute.indexed IS 'whether it has a column of bits';
COMMENT ON COLUMN @workspace@.attribute.dictionary_id IS 'the dictionary of its values';
COMMENT ON COLUMN @workspace@.attribute.expression IS 'the expression of a tag';
COMMENT ON COLUMN @workspace@.attribute.description IS 'what it means';
COMMENT ON COLUMN @workspace@.attribute.created_at IS 'when it was created';
COMMENT ON COLUMN @workspace@.attribute.refreshed_at IS 'when the tag was last refreshed';
COMMENT ON COLUMN @workspace@.attribute.refreshed_as_of IS 'the moment it was last refreshed as of';

CREATE TABLE @workspace@.trait_observation (
    node_id bigint NOT NULL,
    source_id integer NOT NULL,
    observed_at timestamptz NOT NULL,
    traits jsonb NOT NULL,
    PRIMARY KEY (node_id, source_id, observed_at)
);
COMMENT ON TABLE @workspace@.trait_observation IS 'the latest value of each trait by identifier and source; values observed at the same time share a row';
COMMENT ON COLUMN @workspace@.trait_observation.node_id IS 'the identifier it was observed on';
COMMENT ON COLUMN @workspace@.trait_observation.source_id IS 'the source that observed it';
COMMENT ON COLUMN @workspace@.trait_observation.observed_at IS 'when';
COMMENT ON COLUMN @workspace@.trait_observation.traits IS 'object of attribute_id to the text of the value';

CREATE TABLE @workspace@.profile_value (
    profile_id bigint PRIMARY KEY
) WITH (fillfactor = 90);
COMMENT ON TABLE @workspace@.profile_value IS 'one row a live profile, one column an attribute: what the observations and tags come to';
COMMENT ON COLUMN @workspace@.profile_value.profile_id IS 'the live profile';
