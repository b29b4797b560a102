-- Messages: those that came one by one with what was answered, so that a repeat gets the same answer; and those that wait to be taken in bulk.
CREATE TABLE @workspace@.message (
    source_id integer NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    answer jsonb NOT NULL,
    xact bigint NOT NULL DEFAULT pg_catalog.pg_current_xact_id()::pg_catalog.text::bigint,
    PRIMARY KEY (source_id, message_id)
);
CREATE INDEX message_xact ON @workspace@.message (xact);
COMMENT ON TABLE @workspace@.message IS 'messages taken by cdp_ingest() and what was answered';
COMMENT ON COLUMN @workspace@.message.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.message.message_id IS 'its messageId, or one that was made for it';
COMMENT ON COLUMN @workspace@.message.received_at IS 'when it was received';
COMMENT ON COLUMN @workspace@.message.answer IS 'what cdp_ingest() returned';
COMMENT ON COLUMN @workspace@.message.xact IS 'the transaction that took it: whoever cannot see it must not change identities';

CREATE TABLE @workspace@.inbox (
    inbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payload text NOT NULL,
    source text NOT NULL DEFAULT 'inbox',
    received_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    alone boolean NOT NULL DEFAULT false
);
CREATE INDEX inbox_alone ON @workspace@.inbox (inbox_id) WHERE alone;
COMMENT ON TABLE @workspace@.inbox IS 'messages that wait for cdp_process_inbox(): COPY them into the column payload';
COMMENT ON COLUMN @workspace@.inbox.inbox_id IS 'number in order of arrival';
COMMENT ON COLUMN @workspace@.inbox.payload IS 'the message as JSON text, as for cdp_ingest(): one, an array, or a batch';
COMMENT ON COLUMN @workspace@.inbox.source IS 'name of the source it counts for';
COMMENT ON COLUMN @workspace@.inbox.received_at IS 'when it was received';
COMMENT ON COLUMN @workspace@.inbox.alone IS 'a run has found that it says something new of who is who, or brings traits, so that it is taken while nobody else writes';

-- Batches that are written beside each other cannot see what the others are about to commit. Each leaves the keys of its events here, for those that began before it ended.
CREATE TABLE @workspace@.event_batch (
    xact bigint NOT NULL DEFAULT pg_catalog.pg_current_xact_id()::pg_catalog.text::bigint,
    source_id integer NOT NULL,
    keys bytea NOT NULL,
    past_from bigint
);
ALTER TABLE @workspace@.event_batch ALTER COLUMN keys SET STORAGE EXTERNAL;
COMMENT ON TABLE @workspace@.event_batch IS 'batches of the inbox and of sources that were taken beside others: the last one, and those that a run may not have seen';
COMMENT ON COLUMN @workspace@.event_batch.xact IS 'the transaction that took it: whoever cannot see it must not change identities';
COMMENT ON COLUMN @workspace@.event_batch.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.event_batch.keys IS 'hashes of the keys of its messages or events, eight bytes each, ascending';
COMMENT ON COLUMN @workspace@.event_batch.past_from IS 'transactions from this number on began when it was committed; null: not known yet';

CREATE TABLE @workspace@.source_policy (
    source_id integer PRIMARY KEY REFERENCES @workspace@.source ON DELETE CASCADE,
    identifiers text NOT NULL CHECK (identifiers IN ('reject', 'quarantine', 'create')),
    traits text NOT NULL CHECK (traits IN ('reject', 'quarantine', 'create')),
    events text NOT NULL CHECK (events IN ('reject', 'quarantine', 'create')),
    properties text NOT NULL CHECK (properties IN ('reject', 'quarantine', 'create')),
    future interval NOT NULL CHECK (future >= '0'),
    past interval NOT NULL CHECK (past >= '0'),
    beyond text NOT NULL CHECK (beyond IN ('received', 'quarantine'))
);
COMMENT ON TABLE @workspace@.source_policy IS 'what becomes of messages of a source that bring what is not known, or times that cannot be right; without a row the defaults of cdp_source_policy()';
COMMENT ON COLUMN @workspace@.source_policy.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.source_policy.identifiers IS 'an unknown identifier type: reject leaves that part out, quarantine the whole message, create makes it';
COMMENT ON COLUMN @workspace@.source_policy.traits IS 'an unknown trait';
COMMENT ON COLUMN @workspace@.source_policy.events IS 'an unknown event type: reject leaves the event out';
COMMENT ON COLUMN @workspace@.source_policy.properties IS 'an unknown property of an event';
COMMENT ON COLUMN @workspace@.source_policy.future IS 'an event may be so much later than it was received';
COMMENT ON COLUMN @workspace@.source_policy.past IS 'and so much earlier';
COMMENT ON COLUMN @workspace@.source_policy.beyond IS 'beyond that: received counts it at the time of receipt, quarantine leaves the message out';
