-- Events, kept on the identifier they were observed on, so that a merge rewrites none. Partitioned by month (UTC);
-- partitions are made as months appear; one takes what lies before 1970, one what lies after 2100. There is no default partition: attaching a
-- month would have to lock it against readers.
CREATE TABLE @workspace@.event_type (
    event_type_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    description text,
    role text
);
COMMENT ON TABLE @workspace@.event_type IS 'kinds of event';
COMMENT ON COLUMN @workspace@.event_type.event_type_id IS 'number of the event type';
COMMENT ON COLUMN @workspace@.event_type.name IS 'its name in expressions';
COMMENT ON COLUMN @workspace@.event_type.description IS 'what it means';
COMMENT ON COLUMN @workspace@.event_type.role IS 'what it is to a service card, such as view, cart, order or ticket; null: nothing';

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

CREATE TABLE @workspace@.event (
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    event_type_id integer NOT NULL,
    source_id integer NOT NULL,
    node_id bigint NOT NULL,
    at timestamptz NOT NULL,
    key text NOT NULL,
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
