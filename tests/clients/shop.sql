-- What the clients read: traits of every type, tags, events, a segment, made-up people.
SET client_min_messages = warning;
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
CREATE TABLE person (id int PRIMARY KEY, email text, name text, tier bigint, spent numeric, born date, member boolean, seen timestamptz, labels text[]);
INSERT INTO person SELECT i, 'p' || i || '@example.com', 'Person ' || i, i % 4, i * 1.25, date '1980-01-01' + i, i % 2 = 0, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour', ARRAY['l' || i % 3, 'all'] FROM generate_series(1, 200) i;
CREATE TABLE visit (id int PRIMARY KEY, email text, page text, amount numeric, at timestamptz);
INSERT INTO visit SELECT i, 'p' || 1 + i % 200 || '@example.com', '/p' || i % 5, i / 10.0, timestamptz '2024-03-01 00:00+00' + i * interval '10 minutes' FROM generate_series(1, 600) i;
SELECT cdp_source_create('crm', 'person', '{"updated_at": "seen", "identifiers": {"email": "email"}, "traits": {"name": "name", "tier": "tier", "spent": "spent", "born": "born", "member": "member", "seen": "seen", "labels": "labels"}}');
SELECT cdp_source_create('web', 'visit', '{"key": "id", "updated_at": "at", "identifiers": {"email": "email"}, "event": {"name": "''visit''", "at": "at", "properties": {"page": "page", "amount": "amount"}}}');
CALL cdp_sync();
SELECT cdp_tag_create('visits', 'count(visit)', 'how often they came');
SELECT cdp_tag_refresh();
SELECT cdp_segment_create('keen', 'visits >= 3');
SELECT cdp_segment_refresh();
