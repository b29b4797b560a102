-- The column store. A column holds cells: for a key and a profile, how many facts stand behind it (n) and their sum (v).
-- Changes are additive and append to pending; readers add them to the chunks; cdp_flush() folds them in.
CREATE TABLE @workspace@.segment (
    segment_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity text NOT NULL DEFAULT 'person',
    name text NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('dynamic', 'static')),
    expression text,
    description text,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('draft', 'active', 'retired')),
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CHECK ((kind = 'dynamic') = (expression IS NOT NULL))
);
COMMENT ON TABLE @workspace@.segment IS 'named sets of profiles';
COMMENT ON COLUMN @workspace@.segment.segment_id IS 'number of the segment';
COMMENT ON COLUMN @workspace@.segment.entity IS 'what it is a set of';
COMMENT ON COLUMN @workspace@.segment.name IS 'its name';
COMMENT ON COLUMN @workspace@.segment.kind IS 'dynamic: by an expression; static: frozen';
COMMENT ON COLUMN @workspace@.segment.expression IS 'the expression of a dynamic segment';
COMMENT ON COLUMN @workspace@.segment.description IS 'what it means';
COMMENT ON COLUMN @workspace@.segment.state IS 'draft: refreshed only by name; active; retired: keeps its members, not refreshed';
COMMENT ON COLUMN @workspace@.segment.version IS 'number of its present definition';
COMMENT ON COLUMN @workspace@.segment.created_at IS 'when it was created';

-- Apart from the definition: sessions keep what they have worked out from definitions until one of those rows changes, and an event that somebody enters a segment by is
-- no change of its definition.
CREATE TABLE @workspace@.segment_state (
    segment_id integer PRIMARY KEY REFERENCES @workspace@.segment ON DELETE CASCADE,
    profiles bigint NOT NULL DEFAULT 0,
    refresh integer NOT NULL DEFAULT 0,
    refreshed_at timestamptz,
    refreshed_as_of timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE @workspace@.segment_state IS 'how far each segment is';
COMMENT ON COLUMN @workspace@.segment_state.segment_id IS 'the segment';
COMMENT ON COLUMN @workspace@.segment_state.profiles IS 'members now';
COMMENT ON COLUMN @workspace@.segment_state.refresh IS 'number of the last refresh, or change by an event';
COMMENT ON COLUMN @workspace@.segment_state.refreshed_at IS 'when that was';
COMMENT ON COLUMN @workspace@.segment_state.refreshed_as_of IS 'the moment it was as of';

-- Who was a member when: what every refresh found, and what it changed. The present members with the later differences undone are the members
-- at any refresh. The differences hold the numbers that profiles had at the time; a merge that moves members from one number to
-- another is a difference too.
CREATE TABLE @workspace@.segment_refresh (
    segment_id integer NOT NULL REFERENCES @workspace@.segment ON DELETE CASCADE,
    refresh integer NOT NULL CHECK (refresh > 0),
    at timestamptz NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    version integer NOT NULL,
    added bigint NOT NULL,
    removed bigint NOT NULL,
    profiles bigint NOT NULL,
    ms double precision NOT NULL,
    PRIMARY KEY (segment_id, refresh)
);
CREATE INDEX segment_refresh_at ON @workspace@.segment_refresh (segment_id, at, refresh);
COMMENT ON TABLE @workspace@.segment_refresh IS 'every refresh of every segment';
COMMENT ON COLUMN @workspace@.segment_refresh.segment_id IS 'the segment';
COMMENT ON COLUMN @workspace@.segment_refresh.refresh IS 'number of the refresh, from 1 up';
COMMENT ON COLUMN @workspace@.segment_refresh.at IS 'the moment it was as of';
COMMENT ON COLUMN @workspace@.segment_refresh.refreshed_at IS 'when it ran';
COMMENT ON COLUMN @workspace@.segment_refresh.version IS 'the definition it was computed from';
COMMENT ON COLUMN @workspace@.segment_refresh.added IS 'members that came';
COMMENT ON COLUMN @workspace@.segment_refresh.removed IS 'members that went';
COMMENT ON COLUMN @workspace@.segment_refresh.profiles IS 'members after it';
COMMENT ON COLUMN @workspace@.segment_refresh.ms IS 'milliseconds it took';

CREATE TABLE @workspace@.segment_delta (
    segment_id integer NOT NULL REFERENCES @workspace@.segment ON DELETE CASCADE,
    refresh integer NOT NULL,
    step integer NOT NULL CHECK (step >= 0),
    shard integer NOT NULL,
    at timestamptz NOT NULL,
    added bytea,
    removed bytea,
    PRIMARY KEY (segment_id, refresh, step, shard)
);
ALTER TABLE @workspace@.segment_delta ALTER COLUMN added SET STORAGE EXTERNAL;
ALTER TABLE @workspace@.segment_delta ALTER COLUMN removed SET STORAGE EXTERNAL;
COMMENT ON TABLE @workspace@.segment_delta IS 'what changed in segments, shard by shard';
COMMENT ON COLUMN @workspace@.segment_delta.segment_id IS 'the segment';
COMMENT ON COLUMN @workspace@.segment_delta.refresh IS 'the refresh that found the change, or after which profiles were merged';
COMMENT ON COLUMN @workspace@.segment_delta.step IS '0: found by the refresh; from 1: profiles merged after it, one step a batch of cdp_sync()';
COMMENT ON COLUMN @workspace@.segment_delta.shard IS 'profile_id >> 20';
COMMENT ON COLUMN @workspace@.segment_delta.at IS 'the moment the refresh was as of; of a merge: when';
COMMENT ON COLUMN @workspace@.segment_delta.added IS 'who came: portable 32-bit Roaring of the low 20 bits of the profile number; null: nobody';
COMMENT ON COLUMN @workspace@.segment_delta.removed IS 'who went, in the same form';

-- Definitions of tags and segments as they were, and what each needs. An object_id is an attribute_id or a segment_id.
CREATE TABLE @workspace@.definition_version (
    kind text NOT NULL CHECK (kind IN ('tag', 'segment')),
    object_id integer NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    expression text,
    author text NOT NULL DEFAULT SESSION_USER,
    at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (kind, object_id, version)
);
COMMENT ON TABLE @workspace@.definition_version IS 'every definition of every tag and segment';
COMMENT ON COLUMN @workspace@.definition_version.kind IS 'tag or segment';
COMMENT ON COLUMN @workspace@.definition_version.object_id IS 'number of the tag or segment';
COMMENT ON COLUMN @workspace@.definition_version.version IS 'number of the version, from 1 up';
COMMENT ON COLUMN @workspace@.definition_version.expression IS 'the expression; null for a static segment and a tag whose values are set';
COMMENT ON COLUMN @workspace@.definition_version.author IS 'the session user that wrote it';
COMMENT ON COLUMN @workspace@.definition_version.at IS 'when';

CREATE TABLE @workspace@.dependency (
    kind text NOT NULL CHECK (kind IN ('tag', 'segment')),
    object_id integer NOT NULL,
    used_kind text NOT NULL CHECK (used_kind IN ('attribute', 'event', 'segment', 'identifier')),
    used_id integer NOT NULL,
    PRIMARY KEY (kind, object_id, used_kind, used_id)
);
CREATE INDEX dependency_used ON @workspace@.dependency (used_kind, used_id);
COMMENT ON TABLE @workspace@.dependency IS 'what the expressions of tags and segments name';
COMMENT ON COLUMN @workspace@.dependency.kind IS 'tag or segment';
COMMENT ON COLUMN @workspace@.dependency.object_id IS 'number of the tag or segment';
COMMENT ON COLUMN @workspace@.dependency.used_kind IS 'attribute, event, segment or identifier';
COMMENT ON COLUMN @workspace@.dependency.used_id IS 'attribute_id, event_type_id, segment_id or type_id of what it names';

CREATE TABLE @workspace@.store_column (
    column_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('universe', 'attribute', 'forward', 'day', 'segment')),
    encoding text NOT NULL CHECK (encoding IN ('set', 'number', 'codes')),
    attribute_id integer REFERENCES @workspace@.attribute ON DELETE CASCADE,
    segment_id integer UNIQUE REFERENCES @workspace@.segment ON DELETE CASCADE,
    event_type_id integer REFERENCES @workspace@.event_type,
    property_id integer REFERENCES @workspace@.property,
    measure_id integer REFERENCES @workspace@.property,
    scale integer NOT NULL DEFAULT 0 CHECK (scale BETWEEN 0 AND 12),
    state text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'stale', 'off')),
    UNIQUE (attribute_id, kind),
    CHECK ((kind IN ('attribute', 'forward')) = (attribute_id IS NOT NULL)),
    CHECK ((kind = 'forward') = (encoding = 'codes'))
);
CREATE UNIQUE INDEX store_column_day ON @workspace@.store_column
    (event_type_id, (coalesce(property_id, 0)), (coalesce(measure_id, 0))) WHERE kind = 'day';
COMMENT ON TABLE @workspace@.store_column IS 'columns of bits: which facts each holds and how';
COMMENT ON COLUMN @workspace@.store_column.column_id IS 'number of the column';
COMMENT ON COLUMN @workspace@.store_column.kind IS 'universe: live profiles; attribute; forward: the value of each profile, beside sets of many values; day: events by day; segment: members';
COMMENT ON COLUMN @workspace@.store_column.encoding IS 'set: one bitmap a key; number: presence and bit slices; codes: a code for each profile';
COMMENT ON COLUMN @workspace@.store_column.attribute_id IS 'the attribute';
COMMENT ON COLUMN @workspace@.store_column.segment_id IS 'the segment';
COMMENT ON COLUMN @workspace@.store_column.event_type_id IS 'the event type of a day column';
COMMENT ON COLUMN @workspace@.store_column.property_id IS 'the tracked property of a day column; null: all events';
COMMENT ON COLUMN @workspace@.store_column.measure_id IS 'the property whose sums it keeps; null: counts only';
COMMENT ON COLUMN @workspace@.store_column.scale IS 'decimal digits kept after the point';
COMMENT ON COLUMN @workspace@.store_column.state IS 'ready; stale: rebuilt by the next cdp_flush(), not read until then; off: its values cannot be kept in bits, not read';

CREATE TABLE @workspace@.dictionary (
    dictionary_id integer NOT NULL,
    code integer NOT NULL CHECK (code >= 0),
    value text NOT NULL,
    PRIMARY KEY (dictionary_id, code)
);
-- A hash index takes values of any length; the workspace lock keeps pairs unique.
CREATE INDEX dictionary_value ON @workspace@.dictionary USING hash (value);
COMMENT ON TABLE @workspace@.dictionary IS 'codes of text values';
COMMENT ON COLUMN @workspace@.dictionary.dictionary_id IS 'whose values';
COMMENT ON COLUMN @workspace@.dictionary.code IS 'the code, from 0 up';
COMMENT ON COLUMN @workspace@.dictionary.value IS 'the value';

-- chunk and pending are derived and hot: no foreign key is checked for their rows; whoever drops a column clears it first.
CREATE TABLE @workspace@.chunk (
    column_id integer NOT NULL,
    key bigint NOT NULL,
    shard integer NOT NULL,
    bits bytea NOT NULL,
    PRIMARY KEY (column_id, key, shard)
);
ALTER TABLE @workspace@.chunk ALTER COLUMN bits SET STORAGE EXTERNAL;
COMMENT ON TABLE @workspace@.chunk IS 'the cells of one key of one column for 2^20 consecutive profiles';
COMMENT ON COLUMN @workspace@.chunk.column_id IS 'the column';
COMMENT ON COLUMN @workspace@.chunk.key IS 'attribute: code of the value, or 0; day: code << 32 | day since 2000-01-01 + 2^31';
COMMENT ON COLUMN @workspace@.chunk.shard IS 'profile_id >> 20';
COMMENT ON COLUMN @workspace@.chunk.bits IS 'set: portable 32-bit Roaring of the low 20 bits; number: number chunk; codes: codes chunk';

CREATE TABLE @workspace@.pending (
    column_id integer NOT NULL,
    key bigint NOT NULL,
    shard integer NOT NULL,
    cells bytea NOT NULL
);
-- Cells are varints already: trying to compress them costs more than it saves.
ALTER TABLE @workspace@.pending ALTER COLUMN cells SET STORAGE EXTERNAL;
CREATE INDEX pending_column ON @workspace@.pending (column_id, key, shard);
COMMENT ON TABLE @workspace@.pending IS 'changes not yet folded into chunks';
COMMENT ON COLUMN @workspace@.pending.column_id IS 'the column';
COMMENT ON COLUMN @workspace@.pending.key IS 'as in chunk';
COMMENT ON COLUMN @workspace@.pending.shard IS 'as in chunk';
COMMENT ON COLUMN @workspace@.pending.cells IS 'delta cells: offset, change of n, change of v';
INSERT INTO @workspace@.store_column (kind, encoding) VALUES ('universe', 'set');
