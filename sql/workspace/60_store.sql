-- The column store. A column holds cells: for a key and a profile, how many facts stand behind it (n) and their sum (v).
-- Changes are additive and append to pending; readers add them to the chunks; cdp_flush() folds them in.
CREATE TABLE @workspace@.segment (
    segment_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity text NOT NULL DEFAULT 'person',
    name text NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('dynamic', 'static')),
    expression text,
    description text,
    profiles bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    refreshed_at timestamptz,
    refreshed_as_of timestamptz,
    CHECK ((kind = 'dynamic') = (expression IS NOT NULL))
);
COMMENT ON TABLE @workspace@.segment IS 'named sets of profiles';
COMMENT ON COLUMN @workspace@.segment.segment_id IS 'number of the segment';
COMMENT ON COLUMN @workspace@.segment.entity IS 'what it is a set of';
COMMENT ON COLUMN @workspace@.segment.name IS 'its name';
COMMENT ON COLUMN @workspace@.segment.kind IS 'dynamic: by an expression; static: frozen';
COMMENT ON COLUMN @workspace@.segment.expression IS 'the expression of a dynamic segment';
COMMENT ON COLUMN @workspace@.segment.description IS 'what it means';
COMMENT ON COLUMN @workspace@.segment.profiles IS 'members at the last refresh';
COMMENT ON COLUMN @workspace@.segment.created_at IS 'when it was created';
COMMENT ON COLUMN @workspace@.segment.refreshed_at IS 'when it was last refreshed';
COMMENT ON COLUMN @workspace@.segment.refreshed_as_of IS 'the moment it was last refreshed as of';

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
