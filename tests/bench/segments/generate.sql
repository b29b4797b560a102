-- People, a year of events that ends today, and the definitions of a hundred segments. Integer arithmetic only: the same rows on every machine.
--
--   psql -v profiles=1000000 -f tests/bench/segments/generate.sql

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA bench;
COMMENT ON SCHEMA bench IS 'Generated people, events and segments for the benchmark of refreshes';

CREATE UNLOGGED TABLE bench.person AS
SELECT i AS id,
       'city ' || (i * 2654435761 >> 12) % 50 AS city,
       (ARRAY['gold', 'silver', 'bronze', 'none'])[1 + (i * 40503 >> 7) % 4] AS tier,
       (i * 2246822519 >> 9) % 1000 AS points,
       (i * 3266489917 >> 11) % 100000 / 100.0 AS spend,
       (i * 668265263 >> 13) % 3 = 0 AS opted_in,
       timestamptz '2024-01-01 00:00+00' + i * interval '1 millisecond' AS changed
  FROM generate_series(1, :profiles::bigint) i;
ALTER TABLE bench.person ADD PRIMARY KEY (id);
CREATE UNLOGGED TABLE bench.event AS
SELECT i AS id, 1 + (i * 2654435761 >> 8) % :profiles::bigint AS person, (ARRAY['view', 'purchase'])[1 + (i * 40503 >> 5) % 2] AS event,
       date_trunc('day', now()) - (i * 2246822519 >> 6) % (365 * 86400) * interval '1 second' AS at, (i * 668265263 >> 9) % 20000 / 100.0 AS amount
  FROM generate_series(1, :profiles::bigint) i;
ALTER TABLE bench.event ADD PRIMARY KEY (id);
ANALYZE bench.person, bench.event;

CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC') \g /dev/null
SELECT cdp_source_create('person', 'bench.person', $${"key": "id", "updated_at": "changed", "identifiers": {"user_id": "id::text"},
    "traits": {"city": "city", "tier": "tier", "points": "points", "spend": "spend", "opted_in": "opted_in"}}$$) \g /dev/null
SELECT cdp_source_create('event', 'bench.event', $${"key": "id", "updated_at": "at", "identifiers": {"user_id": "person::text"},
    "event": {"name": "event", "at": "at", "id": "id", "properties": {"amount": "amount"}}}$$) \g /dev/null

-- What a marketing team keeps: attributes, two and three of them, windows of events, segments of segments.
CREATE TABLE bench.definition AS
SELECT n, 'segment ' || n AS name,
       CASE WHEN n <= 20 THEN format('points >= %s', n * 45)
            WHEN n <= 40 THEN format('city IN (''city %s'', ''city %s'') AND opted_in', n, n + 5)
            WHEN n <= 60 THEN format('tier = ''%s'' AND (points < %s OR spend > %s)', (ARRAY['gold', 'silver', 'bronze', 'none'])[1 + n % 4], n * 10, n * 8)
            WHEN n <= 75 THEN format('count(view) FILTER (WHERE at > now() - interval ''%s days'') > 0', n)
            WHEN n <= 90 THEN format('sum(purchase.amount) FILTER (WHERE at > now() - interval ''%s days'') > %s AND NOT opted_in', n, n)
            ELSE format('in_segment(''segment %s'') AND NOT in_segment(''segment %s'')', n - 90, n - 50) END AS expression
  FROM generate_series(1, 100) n;
