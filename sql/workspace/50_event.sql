-- Events, kept on the identifier they were observed on, so that a merge rewrites none. Partitioned by month (UTC);
-- partitions are made as months appear; one takes what lies before 1970, one what lies after 2100. There is no default partition: attaching a
-- month would have to lock it against readers.
CREATE TABLE @workspace@.event_type (
    event_type_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    description text,
    role text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    retention interval CHECK (retention >= interval '0'),
    keep_days boolean NOT NULL DEFAULT true,
    kept_from timestamptz,
    origin text NOT NULL DEFAULT 'declared' CHECK (origin IN ('declared', 'mapped', 'inferred'))
);
COMMENT ON TABLE @workspace@.event_type IS 'kinds of event';
COMMENT ON COLUMN @workspace@.event_type.event_type_id IS 'number of the event type';
COMMENT ON COLUMN @workspace@.event_type.name IS 'its name in expressions';
COMMENT ON COLUMN @workspace@.event_type.description IS 'what it means';
COMMENT ON COLUMN @workspace@.event_type.role IS 'what it is to a service card, such as view, cart, order or ticket; null: nothing';
COMMENT ON COLUMN @workspace@.event_type.created_at IS 'when it was entered';
COMMENT ON COLUMN @workspace@.event_type.retention IS 'how long its events are kept whole; null: for ever';
COMMENT ON COLUMN @workspace@.event_type.keep_days IS 'whether cdp_retain() leaves of an event what day columns count: whose it is, the day, tracked properties and measures';
COMMENT ON COLUMN @workspace@.event_type.origin IS 'declared: a property of it was declared first; mapped: the mapping of a source names it; inferred: data brought it';
COMMENT ON COLUMN @workspace@.event_type.kept_from IS 'events before are no longer kept whole, and are taken no more; null: all are';

CREATE TABLE @workspace@.property (
    property_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_type_id integer NOT NULL REFERENCES @workspace@.event_type,
    name text NOT NULL,
    type text NOT NULL CHECK (type IN ('boolean', 'bigint', 'numeric', 'text', 'date', 'timestamptz')),
    tracked boolean NOT NULL,
    measure boolean NOT NULL,
    dictionary_id integer NOT NULL UNIQUE DEFAULT pg_catalog.nextval('@workspace_literal@.dictionary_id_seq'::pg_catalog.regclass),
    description text,
    role text,
    unit text,
    pii boolean NOT NULL DEFAULT false,
    origin text NOT NULL DEFAULT 'mapped' CHECK (origin IN ('declared', 'mapped', 'inferred')),
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    validation text NOT NULL DEFAULT 'off' CHECK (validation IN ('off', 'warn', 'reject')),
    required boolean NOT NULL DEFAULT false,
    minimum text,
    maximum text,
    allowed text[],
    pattern text,
    UNIQUE (event_type_id, name)
);
COMMENT ON TABLE @workspace@.property IS 'properties of events: the data dictionary';
COMMENT ON COLUMN @workspace@.property.property_id IS 'number of the property';
COMMENT ON COLUMN @workspace@.property.event_type_id IS 'the event type it belongs to';
COMMENT ON COLUMN @workspace@.property.name IS 'its name in expressions';
COMMENT ON COLUMN @workspace@.property.type IS 'type of its values';
COMMENT ON COLUMN @workspace@.property.tracked IS 'whether each of its values has day columns';
COMMENT ON COLUMN @workspace@.property.measure IS 'whether its sums are kept by day';
COMMENT ON COLUMN @workspace@.property.dictionary_id IS 'the dictionary of its values';
COMMENT ON COLUMN @workspace@.property.description IS 'what it means';
COMMENT ON COLUMN @workspace@.property.role IS 'what it is to a service card, such as amount, status or item; null: nothing';
COMMENT ON COLUMN @workspace@.property.unit IS 'unit of its values';
COMMENT ON COLUMN @workspace@.property.pii IS 'whether it tells who somebody is';
COMMENT ON COLUMN @workspace@.property.origin IS 'declared: by cdp_property_create(); mapped: its type is that of an expression of a source; inferred: its type was read off a value';
COMMENT ON COLUMN @workspace@.property.created_at IS 'when it was entered';
COMMENT ON COLUMN @workspace@.property.validation IS 'what happens to an event that breaks its rules: off: nothing is looked at; warn: it is counted and kept; reject: it goes to the rejects';
COMMENT ON COLUMN @workspace@.property.required IS 'whether every event has to have it';
COMMENT ON COLUMN @workspace@.property.minimum IS 'text of the smallest value; null: none';
COMMENT ON COLUMN @workspace@.property.maximum IS 'text of the largest value; null: none';
COMMENT ON COLUMN @workspace@.property.allowed IS 'texts of the values it may have; null: any';
COMMENT ON COLUMN @workspace@.property.pattern IS 'regular expression that texts match; null: none';

CREATE TABLE @workspace@.event (
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    event_type_id integer NOT NULL,
    source_id integer NOT NULL,
    node_id bigint NOT NULL,
    at timestamptz NOT NULL,
    key text COLLATE "C" NOT NULL,
    properties jsonb NOT NULL,
    received_at timestamptz,
    original_at timestamptz,
    UNIQUE (source_id, key, at)
) PARTITION BY RANGE (at);
CREATE INDEX event_node ON @workspace@.event (node_id, at);
CREATE INDEX event_type_at ON @workspace@.event (event_type_id, at);
CREATE TABLE @workspace@.event_early PARTITION OF @workspace@.event FOR VALUES FROM (MINVALUE) TO ('1970-01-01 00:00:00+00');
CREATE TABLE @workspace@.event_late PARTITION OF @workspace@.event FOR VALUES FROM ('2101-01-01 00:00:00+00') TO (MAXVALUE);
COMMENT ON TABLE @workspace@.event IS 'what happened';
COMMENT ON TABLE @workspace@.event_early IS 'events before 1970';
COMMENT ON TABLE @workspace@.event_late IS 'events after 2100';
COMMENT ON COLUMN @workspace@.event.event_id IS 'number of the event';
COMMENT ON COLUMN @workspace@.event.event_type_id IS 'its type';
COMMENT ON COLUMN @workspace@.event.source_id IS 'the source it came from';
COMMENT ON COLUMN @workspace@.event.node_id IS 'the identifier it was observed on';
COMMENT ON COLUMN @workspace@.event.at IS 'when it happened';
COMMENT ON COLUMN @workspace@.event.key IS 'its key in the source: the same key is the same event';
COMMENT ON COLUMN @workspace@.event.properties IS 'its properties';
COMMENT ON COLUMN @workspace@.event.received_at IS 'when the message that told it was received; null for rows of tables';
COMMENT ON COLUMN @workspace@.event.original_at IS 'when it happened by the clock of the client, when that was corrected';

-- What is left of events past their retention. They have no key: none can come again, as what is older than kept_from is taken no more.
CREATE TABLE @workspace@.event_day (
    event_id bigint PRIMARY KEY,
    event_type_id integer NOT NULL,
    source_id integer NOT NULL,
    node_id bigint NOT NULL,
    at timestamptz NOT NULL,
    properties jsonb NOT NULL
);
CREATE INDEX event_day_node ON @workspace@.event_day (node_id, at);
CREATE INDEX event_day_type_at ON @workspace@.event_day (event_type_id, at);
COMMENT ON TABLE @workspace@.event_day IS 'events past their retention: what day columns count of them';
COMMENT ON COLUMN @workspace@.event_day.event_id IS 'number of the event';
COMMENT ON COLUMN @workspace@.event_day.event_type_id IS 'its type';
COMMENT ON COLUMN @workspace@.event_day.source_id IS 'the source it came from';
COMMENT ON COLUMN @workspace@.event_day.node_id IS 'the identifier it was observed on';
COMMENT ON COLUMN @workspace@.event_day.at IS 'the beginning of the day of the workspace in which it happened';
COMMENT ON COLUMN @workspace@.event_day.properties IS 'its tracked properties and measures';

CREATE VIEW @workspace@.event_facts AS
SELECT e.event_id, e.event_type_id, e.source_id, e.node_id, e.at, e.properties, e.received_at, e.original_at FROM @workspace@.event e
UNION ALL
SELECT d.event_id, d.event_type_id, d.source_id, d.node_id, d.at, d.properties, NULL, NULL FROM @workspace@.event_day d;
COMMENT ON VIEW @workspace@.event_facts IS 'events, and what is left of those past their retention: what day columns, profiles and expressions are computed from';
COMMENT ON COLUMN @workspace@.event_facts.event_id IS 'number of the event';
COMMENT ON COLUMN @workspace@.event_facts.event_type_id IS 'its type';
COMMENT ON COLUMN @workspace@.event_facts.source_id IS 'the source it came from';
COMMENT ON COLUMN @workspace@.event_facts.node_id IS 'the identifier it was observed on';
COMMENT ON COLUMN @workspace@.event_facts.at IS 'when it happened; past the retention of its type the beginning of that day';
COMMENT ON COLUMN @workspace@.event_facts.properties IS 'its properties; past the retention of its type tracked ones and measures';
COMMENT ON COLUMN @workspace@.event_facts.received_at IS 'when the message that told it was received; null for rows of tables and past the retention of its type';
COMMENT ON COLUMN @workspace@.event_facts.original_at IS 'when it happened by the clock of the client, when that was corrected; null past the retention of its type';

-- Apart from the dictionary: what changes with every batch would have every session read the dictionary anew.
CREATE TABLE @workspace@.event_seen (
    event_type_id integer NOT NULL,
    property_id integer NOT NULL,
    events bigint NOT NULL,
    first_seen timestamptz,
    last_seen timestamptz,
    PRIMARY KEY (event_type_id, property_id)
);
COMMENT ON TABLE @workspace@.event_seen IS 'how many events there are of each type, and with each property';
COMMENT ON COLUMN @workspace@.event_seen.event_type_id IS 'the event type';
COMMENT ON COLUMN @workspace@.event_seen.property_id IS 'the property; 0: all events';
COMMENT ON COLUMN @workspace@.event_seen.events IS 'how many';
COMMENT ON COLUMN @workspace@.event_seen.first_seen IS 'earliest time that an event with it had';
COMMENT ON COLUMN @workspace@.event_seen.last_seen IS 'latest time that an event with it had';

CREATE TABLE @workspace@.event_seen_one (
    event_type_id integer NOT NULL,
    at timestamptz NOT NULL,
    properties text[] NOT NULL
);
COMMENT ON TABLE @workspace@.event_seen_one IS 'events that came one at a time and are not counted in event_seen yet: cdp_flush() does';
COMMENT ON COLUMN @workspace@.event_seen_one.event_type_id IS 'the event type';
COMMENT ON COLUMN @workspace@.event_seen_one.at IS 'when it happened';
COMMENT ON COLUMN @workspace@.event_seen_one.properties IS 'names of its properties';
