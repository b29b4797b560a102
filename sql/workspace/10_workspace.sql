-- The workspace itself: one row of settings. Writers update this row, so that at most one transaction at a time
-- changes identities, attributes or events of a workspace; readers never wait.
CREATE SCHEMA @workspace@;
COMMENT ON SCHEMA @workspace@ IS 'customer data platform workspace: ordinary tables and views, owned by whoever made them; made by cdp_init()';

CREATE TABLE @workspace@.workspace (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version text NOT NULL,
    time_zone text NOT NULL,
    phone_region text NOT NULL,
    identity_policy text NOT NULL DEFAULT 'judged' CHECK (identity_policy IN ('judged', 'arrival')),
    arrival_max_merges integer DEFAULT 100 CHECK (arrival_max_merges >= 0),
    arrival_max_identifiers integer DEFAULT 1000 CHECK (arrival_max_identifiers > 0),
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE @workspace@.workspace IS 'settings of this workspace; exactly one row';
COMMENT ON COLUMN @workspace@.workspace.only_row IS 'always true: keeps the table at one row';
COMMENT ON COLUMN @workspace@.workspace.version IS 'version of pg_cdp that this workspace was made or migrated for';
COMMENT ON COLUMN @workspace@.workspace.time_zone IS 'time zone in which days begin and literals are read';
COMMENT ON COLUMN @workspace@.workspace.phone_region IS 'ISO 3166 region of phone numbers written without a country code';
COMMENT ON COLUMN @workspace@.workspace.identity_policy IS 'judged: what links is a function of all edges; arrival: each row is settled as it comes, and stays so';
COMMENT ON COLUMN @workspace@.workspace.arrival_max_merges IS 'in order of arrival: profiles that one may have taken over; null: any number';
COMMENT ON COLUMN @workspace@.workspace.arrival_max_identifiers IS 'in order of arrival: identifiers that a profile may hold; null: any number';
COMMENT ON COLUMN @workspace@.workspace.created_at IS 'when cdp_init() made this workspace';
