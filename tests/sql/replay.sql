-- Rejects are corrected and replayed: a row by the way it came, whatever it was rejected for.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init();
-- A column of every name that a query of ours might use, and values of many types.
CREATE TABLE deal (id int, part text, email text, u text, k text, rn int, amount text, cells bytea, doc jsonb, ratio float8, at timestamptz, PRIMARY KEY (id, part));
SELECT cdp_source_create('deal', 'deal', '{"updated_at": "at", "identifiers": {"email": "email"}, "traits": {"city": "u", "code": "k"},
    "event": {"name": "''deal''", "at": "at", "properties": {"amount": "amount::numeric", "rn": "rn", "cells": "encode(cells, ''hex'')", "doc": "doc ->> ''a''", "ratio": "ratio"}}}');
INSERT INTO deal SELECT i, 'x', 'p' || i || '@example.com', 'Rome', 'c' || i, i, CASE WHEN i % 10 = 0 THEN 'n/a' ELSE (i * 1.5)::text END, decode(md5(i::text), 'hex'), jsonb_build_object('a', i), i / 3.0,
    timestamptz '2024-01-01 00:00+00' + i * interval '1 day' FROM generate_series(1, 50) i;
CALL cdp_sync();
SELECT reject_id, source, key, kind, code, reason, payload ->> 'amount' AS amount FROM cdp.rejects ORDER BY reject_id;
SELECT count(*) FROM cdp.events;

-- 1. Replayed as it is, it is rejected again, and the entry stays.
SELECT * FROM cdp_reject_replay(reject_id => 1);
SELECT count(*), min(reject_id), max(reject_id) FROM cdp.rejects;
-- 2. Corrected: what the payload leaves out stays as it was. What lands is what a sync of the corrected row lands.
SELECT * FROM cdp_reject_replay(reject_id => 1, payload => '{"amount": "15.0"}');
SELECT e.at, e.properties, (SELECT value FROM cdp.identifiers i WHERE i.profile_id = e.profile_id) FROM cdp.events e WHERE e.at = '2024-01-11 00:00+00';
SELECT city, code FROM cdp.profiles WHERE code = 'c10';
SELECT cdp_segment_count('sum(deal.amount) = 15 AND code = ''c10''');
SELECT count(*) FROM cdp.rejects WHERE reject_id = 1;
-- 3. Corrected wrongly: another reason, another entry; the old one is gone.
SELECT * FROM cdp_reject_replay(reject_id => 2, payload => '{"amount": "30", "email": "nobody"}');
SELECT reject_id > 5 AS new, key, code, payload ->> 'email' AS email FROM cdp.rejects WHERE key = '(20,x)' OR payload ? 'identifier_type' ORDER BY key NULLS LAST;
-- 4. What is refused.
SELECT * FROM cdp_reject_replay(reject_id => 3, payload => '{"amuont": "1"}');
SELECT * FROM cdp_reject_replay(reject_id => 3, payload => '[1]');
SELECT * FROM cdp_reject_replay(reject_id => 3, payload => '{"rn": "many"}');
SELECT * FROM cdp_reject_replay(payload => '{"amount": "1"}');
SELECT * FROM cdp_reject_replay(reject_id => 1);
SELECT * FROM cdp_reject_replay('dael');
SELECT * FROM cdp_reject_replay(reject_id => (SELECT reject_id FROM cdp.rejects WHERE kind = 'value'));
SELECT count(*) FROM cdp.rejects;
-- A single value with its whole row is one.
SELECT r.* FROM deal d, cdp.rejects x, cdp_reject_replay(reject_id => x.reject_id, payload => to_jsonb(d) || '{"email": "p20@example.com", "amount": "30"}') r WHERE d.id = 20 AND x.kind = 'value';
SELECT count(*) FROM cdp.events WHERE properties ->> 'amount' = '30';
-- 5. Under other rules all go in: the source is now read another way. Events that are there already stay one.
SELECT kind, code, count(*) FROM cdp.rejects GROUP BY 1, 2 ORDER BY 1, 2;
UPDATE cdp.source SET mapping = jsonb_set(mapping, '{event,properties,amount}', '"CASE WHEN amount ~ ''^[0-9.]+$'' THEN amount::numeric END"') WHERE name = 'deal';
UPDATE cdp.reject SET payload = payload || '{"email": "p20@example.com"}' WHERE payload ->> 'email' = 'nobody';
SELECT * FROM cdp_reject_replay('deal');
SELECT count(*) FROM cdp.rejects;
SELECT count(*), count(DISTINCT at), count(*) FILTER (WHERE properties ? 'amount') FROM cdp.events;
-- Twin: a workspace that takes the table at once, under the last rules and with what was corrected.
SELECT cdp_init('twin');
SET cdp.workspace = 'twin';
CREATE TABLE corrected AS SELECT id, part, email, u, k, rn, CASE WHEN id = 10 THEN '15.0' WHEN id = 20 THEN '30' ELSE amount END AS amount, cells, doc, ratio, at FROM deal;
SELECT cdp_source_create('deal', 'corrected', jsonb_set(mapping, '{key}', '"id"')) FROM cdp.source WHERE name = 'deal';
CALL cdp_sync();
SELECT count(*) FROM (SELECT at, event, properties FROM cdp.events EXCEPT SELECT at, event, properties FROM twin.events) x;
SELECT count(*) FROM (SELECT at, event, properties FROM twin.events EXCEPT SELECT at, event, properties FROM cdp.events) x;
SELECT count(*) FROM (SELECT city, code FROM twin.profiles EXCEPT SELECT city, code FROM cdp.profiles) x;
RESET cdp.workspace;
-- 6. Rules of the dictionary: the event was taken out, the row's identity stayed.
SELECT cdp_property_alter('deal', 'rn', '{"max": 100, "validation": "reject"}');
INSERT INTO deal SELECT 100 + i, 'y', 'q' || i || '@example.com', 'Rome', NULL, 100 + i, '1', NULL, NULL, NULL, timestamptz '2024-06-01 00:00+00' + i * interval '1 day' FROM generate_series(1, 5) i;
CALL cdp_sync();
SELECT code, count(*), (SELECT count(*) FROM cdp.identifiers WHERE value LIKE 'q%') AS identities, (SELECT count(*) FROM cdp.events WHERE at > '2024-06-01') AS events FROM cdp.rejects GROUP BY 1;
SELECT * FROM cdp_reject_replay();
SELECT * FROM cdp_reject_replay(reject_id => (SELECT min(reject_id) FROM cdp.rejects WHERE code = 'above_maximum'), payload => '{"rn": 7}');
SELECT cdp_property_alter('deal', 'rn', '{"max": 103}');
SELECT * FROM cdp_reject_replay();
SELECT cdp_property_alter('deal', 'rn', '{"max": null}');
SELECT * FROM cdp_reject_replay('deal');
SELECT count(*) AS rejects, (SELECT count(*) FROM cdp.events WHERE at > '2024-06-01') AS events, (SELECT count(*) FROM cdp.events) = (SELECT events FROM cdp.event_types) AS counted FROM cdp.rejects;
SELECT kind, state, rows_done, rows_rejected FROM cdp.jobs WHERE kind = 'replay' ORDER BY job_id;
-- 7. A whole row as its key, and rows that are none any more.
CREATE TABLE bare (email text, at timestamptz, n int);
SELECT cdp_source_create('bare', 'bare', '{"identifiers": {"email": "email"}, "event": {"name": "''bare''", "at": "at", "properties": {"n": "10 / n"}}}');
INSERT INTO bare VALUES ('b1@example.com', '2024-01-01', 0), ('b2@example.com', '2024-01-02', 0), ('b3@example.com', '2024-01-03', 5);
CALL cdp_sync('bare');
SELECT r.key = md5(b::text) AS key FROM cdp.rejects r JOIN bare b ON b.email = r.payload ->> 'email' ORDER BY reject_id;
SELECT * FROM cdp_reject_replay(reject_id => (SELECT min(reject_id) FROM cdp.rejects WHERE source = 'bare'), payload => '{"n": 2}');
UPDATE cdp.reject SET payload = payload || '{"n": "much"}' WHERE payload ? 'n';
SELECT * FROM cdp_reject_replay('bare');
SELECT key = md5('(b1@example.com,"2024-01-01 00:00:00+00",2)') AS key FROM cdp.event WHERE at = '2024-01-01 00:00+00';

-- 8. Messages: each is taken whole, whichever part was rejected; what it said before is replaced.
SELECT cdp_property_create('pay', 'sum', 'numeric', '{"min": 0, "validation": "reject"}');
CREATE FUNCTION sent(id text, properties jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('type', 'track', 'userId', 'u1', 'messageId', id, 'event', 'pay', 'timestamp', '2025-04-01T10:00:00Z', 'properties', properties) $$;
SELECT cdp_ingest(sent('m1', '{"sum": 10, "n": 1}')) -> 'rejected' AS m1, cdp_ingest(sent('m2', '{"sum": -10, "n": 2}')) -> 'rejected' AS m2,
       cdp_ingest(sent('m3', '{"sum": 30, "n": "three"}')) -> 'rejected' AS m3, cdp_ingest('{"type": "track", "event": "pay", "messageId": "m4", "properties": {"sum": 40}}') -> 'rejected' AS m4;
SELECT payload ->> 'messageId' AS message, code, reason FROM cdp.rejects WHERE source = 'api' ORDER BY 1;
SELECT * FROM cdp_reject_replay('api');
SELECT count(*) FROM cdp.rejects WHERE source = 'api';
CREATE FUNCTION reject(message text) RETURNS bigint LANGUAGE sql AS $$ SELECT reject_id FROM cdp.rejects WHERE payload ->> 'messageId' = message $$;
SELECT * FROM cdp_reject_replay(reject_id => reject('m3'), payload => '{"properties": {"sum": 30, "n": "3"}}');
SELECT * FROM cdp_reject_replay(reject_id => reject('m4'), payload => '{"userId": "u2"}');
SELECT * FROM cdp_reject_replay(reject_id => reject('m2'), payload => '5');
SELECT cdp_property_alter('pay', 'sum', '{"min": -20}');
SELECT * FROM cdp_reject_replay();
SELECT e.properties, i.value FROM cdp.events e JOIN cdp.identifiers i USING (profile_id) WHERE event = 'pay' ORDER BY (e.properties ->> 'sum')::numeric;
SELECT cdp_segment_count('sum(pay.sum) = 30 AND sum(pay.n) = 6 AND count(pay) = 3') AS u1, cdp_segment_count('sum(pay.sum) = 40') AS u2, (SELECT events FROM cdp.event_types WHERE name = 'pay') AS events;
-- A message that would be an event no more stays what it was.
INSERT INTO cdp.reject (source_id, key, payload, kind, reason) SELECT source_id, 'm1', sent('m1', '{"sum": -99}'), 'message', 'made up' FROM cdp.source WHERE name = 'api';
SELECT * FROM cdp_reject_replay('api');
SELECT code, reason FROM cdp.rejects WHERE source = 'api';
SELECT count(*) FROM cdp.events WHERE event = 'pay' AND properties ->> 'sum' = '10';

DROP FUNCTION sent, reject;
-- 9. A source that is compared in full and takes back what is gone: what was replayed stays until its row changes or goes.
CREATE TABLE bill (id int PRIMARY KEY, email text, amount text, at timestamptz DEFAULT '2024-04-01 00:00+00');
SELECT cdp_source_create('bill', 'bill', '{"deletions": "retract", "identifiers": {"email": "email"}, "event": {"name": "''bill''", "at": "at", "properties": {"amount": "amount::numeric"}}}');
INSERT INTO bill VALUES (1, 'b1@example.com', '1'), (2, 'b2@example.com', 'two'), (3, 'b3@example.com', '5000');
SELECT cdp_property_alter('bill', 'amount', '{"max": 1000}');
CALL cdp_sync('bill');
SELECT key, code FROM cdp.rejects WHERE source = 'bill' ORDER BY key;
SELECT cdp_property_alter('bill', 'amount', '{"max": null}');
SELECT r.* FROM cdp.rejects x, cdp_reject_replay(reject_id => x.reject_id, payload => '{"amount": "2"}') r WHERE x.source = 'bill' AND x.key = '2';
SELECT * FROM cdp_reject_replay('bill');
CALL cdp_sync('bill');
SELECT properties FROM cdp.events WHERE event = 'bill' ORDER BY properties ->> 'amount';
DELETE FROM bill WHERE id = 2;
UPDATE bill SET amount = '6' WHERE id = 3;
CALL cdp_sync('bill');
SELECT properties FROM cdp.events WHERE event = 'bill' ORDER BY properties ->> 'amount';

DROP TABLE deal, corrected, bare, bill;
DROP SCHEMA cdp, twin CASCADE;
DROP EXTENSION pg_cdp;
