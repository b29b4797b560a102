-- Sources, what a run of cdp_sync() did and is doing, and what could not be used.
CREATE TABLE @workspace@.source (
    source_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    relation text NOT NULL,
    mapping jsonb NOT NULL,
    trust integer NOT NULL CHECK (trust BETWEEN 0 AND 100),
    watermark text,
    property_types jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    synced_at timestamptz
);
COMMENT ON TABLE @workspace@.source IS 'where rows come from: a table, view, partitioned or foreign table and the mapping of its columns';
COMMENT ON COLUMN @workspace@.source.source_id IS 'number of the source';
COMMENT ON COLUMN @workspace@.source.name IS 'name given to cdp_source_create()';
COMMENT ON COLUMN @workspace@.source.relation IS 'quoted, schema-qualified name of the relation; empty: rows come by calls';
COMMENT ON COLUMN @workspace@.source.mapping IS 'SQL expressions over a row of the relation: key, updated_at, filter, identifiers, traits, event; and overlap, deletions';
COMMENT ON COLUMN @workspace@.source.trust IS '0 to 100; breaks ties between sources';
COMMENT ON COLUMN @workspace@.source.watermark IS 'highest updated_at taken so far, as text of its own type; null when the source is compared in full';
COMMENT ON COLUMN @workspace@.source.property_types IS 'types of the properties of its events as the mapping gave them: a column that is retyped later is cast';
COMMENT ON COLUMN @workspace@.source.created_at IS 'when the source was created';
COMMENT ON COLUMN @workspace@.source.synced_at IS 'when cdp_sync() last finished this source';

CREATE TABLE @workspace@.source_row (
    source_id integer NOT NULL,
    key text COLLATE "C" NOT NULL,
    hash uuid NOT NULL,
    node_id bigint,
    event_key text COLLATE "C",
    seen timestamptz,
    again boolean NOT NULL DEFAULT false,
    PRIMARY KEY (source_id, key)
);
COMMENT ON TABLE @workspace@.source_row IS 'what was last taken of each row of a source that has no updated_at, so that a full compare takes only what changed';
COMMENT ON COLUMN @workspace@.source_row.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.source_row.key IS 'key of the row';
COMMENT ON COLUMN @workspace@.source_row.hash IS 'MD5 of the text of the row';
COMMENT ON COLUMN @workspace@.source_row.node_id IS 'the identifier its traits and event hang on; only where rows that are gone take back what they said';
COMMENT ON COLUMN @workspace@.source_row.event_key IS 'key of its event; only where rows that are gone take back what they said';
COMMENT ON COLUMN @workspace@.source_row.seen IS 'the time its traits were observed at; only where rows that are gone take back what they said';
COMMENT ON COLUMN @workspace@.source_row.again IS 'the next run takes it though it has not changed: another row took back what was observed on its identifier, or the mapping changed';

CREATE TABLE @workspace@.source_column (
    source_id integer NOT NULL REFERENCES @workspace@.source ON DELETE CASCADE,
    name text NOT NULL,
    type text NOT NULL,
    ordinal integer NOT NULL,
    PRIMARY KEY (source_id, name)
);
COMMENT ON TABLE @workspace@.source_column IS 'the columns of the relation of each source as the last run of cdp_sync() found them';
COMMENT ON COLUMN @workspace@.source_column.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.source_column.name IS 'name of the column';
COMMENT ON COLUMN @workspace@.source_column.type IS 'its type';
COMMENT ON COLUMN @workspace@.source_column.ordinal IS 'its number in the relation, which a column keeps when it is renamed';

CREATE TABLE @workspace@.source_change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id integer NOT NULL REFERENCES @workspace@.source ON DELETE CASCADE,
    name text NOT NULL,
    change text NOT NULL CHECK (change IN ('added', 'dropped', 'renamed', 'retyped')),
    before text,
    after text,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX source_change_source ON @workspace@.source_change (source_id, change_id);
COMMENT ON TABLE @workspace@.source_change IS 'how the columns of the relations of sources changed from one run of cdp_sync() to the next';
COMMENT ON COLUMN @workspace@.source_change.change_id IS 'number of the change';
COMMENT ON COLUMN @workspace@.source_change.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.source_change.name IS 'the column; of a renamed one the name it had';
COMMENT ON COLUMN @workspace@.source_change.change IS 'added, dropped, renamed or retyped';
COMMENT ON COLUMN @workspace@.source_change.before IS 'its type, or of a renamed one its name, before; null: it was not there';
COMMENT ON COLUMN @workspace@.source_change.after IS 'its type, or of a renamed one its name, after; null: it is gone';
COMMENT ON COLUMN @workspace@.source_change.at IS 'when a run saw it';

CREATE TABLE @workspace@.job (
    job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    source_id integer REFERENCES @workspace@.source ON DELETE CASCADE,
    state text NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    rows_done bigint NOT NULL DEFAULT 0,
    rows_total bigint,
    rows_rejected bigint NOT NULL DEFAULT 0,
    rows_gone bigint NOT NULL DEFAULT 0,
    message text,
    backend_pid integer NOT NULL DEFAULT pg_catalog.pg_backend_pid(),
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz
);
COMMENT ON TABLE @workspace@.job IS 'runs of cdp_sync(), one row a source and run, and of cdp_process_inbox(), updated with every batch; of cdp_reject_replay() and cdp_retain()';
COMMENT ON COLUMN @workspace@.job.job_id IS 'number of the run';
COMMENT ON COLUMN @workspace@.job.kind IS 'what ran: sync, inbox, replay or retain';
COMMENT ON COLUMN @workspace@.job.source_id IS 'the source it ran over; null for the inbox and for retain';
COMMENT ON COLUMN @workspace@.job.state IS 'running, done or failed; a running job whose backend is gone was interrupted and is resumed by the next cdp_sync()';
COMMENT ON COLUMN @workspace@.job.rows_done IS 'rows taken and committed';
COMMENT ON COLUMN @workspace@.job.rows_total IS 'rows to take in this run';
COMMENT ON COLUMN @workspace@.job.rows_rejected IS 'rows of this run that went to the rejects';
COMMENT ON COLUMN @workspace@.job.rows_gone IS 'rows that were taken once and are not there any more; they took back what they said';
COMMENT ON COLUMN @workspace@.job.message IS 'why it failed';
COMMENT ON COLUMN @workspace@.job.backend_pid IS 'the backend that runs it';
COMMENT ON COLUMN @workspace@.job.started_at IS 'when it began';
COMMENT ON COLUMN @workspace@.job.updated_at IS 'when its last batch was committed';
COMMENT ON COLUMN @workspace@.job.finished_at IS 'when it ended';

CREATE TABLE @workspace@.reject (
    reject_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id integer NOT NULL REFERENCES @workspace@.source ON DELETE CASCADE,
    key text COLLATE "C",
    payload jsonb NOT NULL,
    kind text NOT NULL DEFAULT 'row' CHECK (kind IN ('row', 'message', 'value')),
    code text NOT NULL DEFAULT 'other',
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    digest uuid NOT NULL GENERATED ALWAYS AS (pg_catalog.md5(coalesce(key, '') || ' ' ||
        CASE WHEN kind = 'message' AND pg_catalog.jsonb_typeof(payload) = 'object' THEN payload - 'receivedAt' ELSE payload END::text || ' ' || reason)::uuid) STORED,
    UNIQUE (source_id, digest)
);
CREATE INDEX reject_source ON @workspace@.reject (source_id, key);
COMMENT ON TABLE @workspace@.reject IS 'rows and values that could not be used, with the reason';
COMMENT ON COLUMN @workspace@.reject.reject_id IS 'number of the reject';
COMMENT ON COLUMN @workspace@.reject.source_id IS 'where it came from';
COMMENT ON COLUMN @workspace@.reject.key IS 'key of the row, when it could be computed';
COMMENT ON COLUMN @workspace@.reject.payload IS 'the row, or the identifier, as it came';
COMMENT ON COLUMN @workspace@.reject.kind IS 'what the payload is: a row of the relation of the source, a message, or a single value';
COMMENT ON COLUMN @workspace@.reject.code IS 'the reason as a word that stays the same';
COMMENT ON COLUMN @workspace@.reject.reason IS 'why it could not be used';
COMMENT ON COLUMN @workspace@.reject.at IS 'when it was first rejected';
COMMENT ON COLUMN @workspace@.reject.digest IS 'of key, payload, but for when a message was received, and reason: the same row is told once, however often it comes';

-- What came, counted by the day of its arrival in the time zone of the workspace: one row a source and day, updated once a batch.
CREATE TABLE @workspace@.data_quality_day (
    source_id integer NOT NULL REFERENCES @workspace@.source ON DELETE CASCADE,
    day date NOT NULL,
    rows bigint NOT NULL,
    rejected bigint NOT NULL,
    events bigint NOT NULL,
    repeated bigint NOT NULL,
    newest timestamptz,
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (source_id, day)
);
COMMENT ON TABLE @workspace@.data_quality_day IS 'what came from each source on each day';
COMMENT ON COLUMN @workspace@.data_quality_day.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.data_quality_day.day IS 'the day it arrived, in the time zone of the workspace';
COMMENT ON COLUMN @workspace@.data_quality_day.rows IS 'rows or messages that were looked at';
COMMENT ON COLUMN @workspace@.data_quality_day.rejected IS 'those that went to the rejects, or whose event did';
COMMENT ON COLUMN @workspace@.data_quality_day.events IS 'events among them that could be used';
COMMENT ON COLUMN @workspace@.data_quality_day.repeated IS 'events that said nothing new';
COMMENT ON COLUMN @workspace@.data_quality_day.newest IS 'latest time that a row which could be used speaks of';
COMMENT ON COLUMN @workspace@.data_quality_day.updated_at IS 'when the last batch was counted';

CREATE TABLE @workspace@.data_quality_reason (
    source_id integer NOT NULL REFERENCES @workspace@.source ON DELETE CASCADE,
    day date NOT NULL,
    level text NOT NULL CHECK (level IN ('warn', 'reject')),
    code text NOT NULL,
    times bigint NOT NULL,
    PRIMARY KEY (source_id, day, level, code)
);
COMMENT ON TABLE @workspace@.data_quality_reason IS 'how often which rule was broken';
COMMENT ON COLUMN @workspace@.data_quality_reason.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.data_quality_reason.day IS 'the day it arrived, in the time zone of the workspace';
COMMENT ON COLUMN @workspace@.data_quality_reason.level IS 'warn: kept all the same; reject: not';
COMMENT ON COLUMN @workspace@.data_quality_reason.code IS 'the reason, as in reject';
COMMENT ON COLUMN @workspace@.data_quality_reason.times IS 'how often';

CREATE TABLE @workspace@.data_quality_field (
    source_id integer NOT NULL REFERENCES @workspace@.source ON DELETE CASCADE,
    day date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('identifier', 'trait', 'property')),
    event text NOT NULL,
    name text NOT NULL,
    rows bigint NOT NULL,
    present bigint NOT NULL,
    PRIMARY KEY (source_id, day, kind, event, name)
);
COMMENT ON TABLE @workspace@.data_quality_field IS 'how often identifiers, traits and properties had a value';
COMMENT ON COLUMN @workspace@.data_quality_field.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.data_quality_field.day IS 'the day it arrived, in the time zone of the workspace';
COMMENT ON COLUMN @workspace@.data_quality_field.kind IS 'identifier, trait or property';
COMMENT ON COLUMN @workspace@.data_quality_field.event IS 'the event type of a property; empty otherwise';
COMMENT ON COLUMN @workspace@.data_quality_field.name IS 'name of the identifier type, trait or property';
COMMENT ON COLUMN @workspace@.data_quality_field.rows IS 'rows that might have had it';
COMMENT ON COLUMN @workspace@.data_quality_field.present IS 'those that had it';

-- Messages that came one at a time: each has a row of its own until cdp_flush(), so that none waits for another to have counted.
CREATE TABLE @workspace@.data_quality_one (
    source_id integer NOT NULL,
    day date NOT NULL,
    rejected boolean NOT NULL,
    event boolean NOT NULL,
    repeated boolean NOT NULL,
    newest timestamptz,
    rejects text[] NOT NULL,
    warnings text[] NOT NULL,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE @workspace@.data_quality_one IS 'messages that came one at a time and are not counted in data_quality_day and data_quality_reason yet: cdp_flush() does';
COMMENT ON COLUMN @workspace@.data_quality_one.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.data_quality_one.day IS 'the day it arrived, in the time zone of the workspace';
COMMENT ON COLUMN @workspace@.data_quality_one.rejected IS 'whether it went to the rejects, or its event did';
COMMENT ON COLUMN @workspace@.data_quality_one.event IS 'whether it tells an event that could be used';
COMMENT ON COLUMN @workspace@.data_quality_one.repeated IS 'whether that said nothing new';
COMMENT ON COLUMN @workspace@.data_quality_one.newest IS 'the time it speaks of; null: it could not be used, or came again';
COMMENT ON COLUMN @workspace@.data_quality_one.rejects IS 'codes of what was rejected';
COMMENT ON COLUMN @workspace@.data_quality_one.warnings IS 'codes of rules that were broken by what is kept';
COMMENT ON COLUMN @workspace@.data_quality_one.at IS 'when it was counted';

CREATE VIEW @workspace@.data_quality_days AS
SELECT x.source_id, x.day, pg_catalog.sum(x.rows)::bigint AS rows, pg_catalog.sum(x.rejected)::bigint AS rejected, pg_catalog.sum(x.events)::bigint AS events, pg_catalog.sum(x.repeated)::bigint AS repeated,
       pg_catalog.max(x.newest) AS newest, pg_catalog.max(x.updated_at) AS updated_at
FROM (SELECT d.source_id, d.day, d.rows, d.rejected, d.events, d.repeated, d.newest, d.updated_at FROM @workspace@.data_quality_day d
      UNION ALL
      SELECT o.source_id, o.day, pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE o.rejected), pg_catalog.count(*) FILTER (WHERE o.event), pg_catalog.count(*) FILTER (WHERE o.repeated),
             pg_catalog.max(o.newest), pg_catalog.max(o.at)
      FROM @workspace@.data_quality_one o GROUP BY o.source_id, o.day) x
GROUP BY x.source_id, x.day;
COMMENT ON VIEW @workspace@.data_quality_days IS 'what came from each source on each day, those messages counted that came one at a time';
COMMENT ON COLUMN @workspace@.data_quality_days.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.data_quality_days.day IS 'the day it arrived, in the time zone of the workspace';
COMMENT ON COLUMN @workspace@.data_quality_days.rows IS 'rows or messages that were looked at';
COMMENT ON COLUMN @workspace@.data_quality_days.rejected IS 'those that went to the rejects, or whose event did';
COMMENT ON COLUMN @workspace@.data_quality_days.events IS 'events among them that could be used';
COMMENT ON COLUMN @workspace@.data_quality_days.repeated IS 'events that said nothing new';
COMMENT ON COLUMN @workspace@.data_quality_days.newest IS 'latest time that a row which could be used speaks of';
COMMENT ON COLUMN @workspace@.data_quality_days.updated_at IS 'when the last of them was counted';

CREATE VIEW @workspace@.data_quality_reasons AS
SELECT x.source_id, x.day, x.level, x.code, pg_catalog.sum(x.times)::bigint AS times
FROM (SELECT r.source_id, r.day, r.level, r.code, r.times FROM @workspace@.data_quality_reason r
      UNION ALL SELECT o.source_id, o.day, 'reject'::text AS level, c.code, 1 AS times FROM @workspace@.data_quality_one o CROSS JOIN LATERAL pg_catalog.unnest(o.rejects) c(code)
      UNION ALL SELECT o.source_id, o.day, 'warn'::text AS level, c.code, 1 AS times FROM @workspace@.data_quality_one o CROSS JOIN LATERAL pg_catalog.unnest(o.warnings) c(code)) x
GROUP BY x.source_id, x.day, x.level, x.code;
COMMENT ON VIEW @workspace@.data_quality_reasons IS 'how often which rule was broken, those messages counted that came one at a time';
COMMENT ON COLUMN @workspace@.data_quality_reasons.source_id IS 'the source';
COMMENT ON COLUMN @workspace@.data_quality_reasons.day IS 'the day it arrived, in the time zone of the workspace';
COMMENT ON COLUMN @workspace@.data_quality_reasons.level IS 'warn: kept all the same; reject: not';
COMMENT ON COLUMN @workspace@.data_quality_reasons.code IS 'the reason, as in reject';
COMMENT ON COLUMN @workspace@.data_quality_reasons.times IS 'how often';
