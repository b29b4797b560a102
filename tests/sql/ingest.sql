-- Messages as client libraries send them: cdp_ingest() one at a time with all that follows, arrays and batches, repeats, what is rejected.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset null -
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'Europe/Berlin');
-- Everything but the moments that change with every run.
CREATE FUNCTION told(answer jsonb) RETURNS text LANGUAGE sql AS $$ SELECT (answer - 'messageId')::text $$;

-- 1. The six calls.
SELECT told(cdp_ingest('{"type": "identify", "messageId": "i1", "userId": "u1", "anonymousId": "a1", "timestamp": "2024-03-01T10:00:00Z",
    "traits": {"firstName": "Ann", "email": "Ann@Example.com", "age": 41, "vip": true, "born": "1983-02-28", "address": {"city": "Ulm", "geo": {"lat": 48.4}}, "likes": ["hats", "coats", "hats"]}}'));
SELECT told(cdp_ingest('{"type": "track", "messageId": "t1", "anonymousId": "a1", "event": "view", "timestamp": "2024-03-01T10:01:00Z", "properties": {"item": "hat", "price": 12.50, "sale": false, "page": {"path": "/"}}}'));
SELECT told(cdp_ingest('{"type": "page", "messageId": "p1", "userId": "u1", "name": "Home", "category": "Docs", "timestamp": "2024-03-01T10:02:00Z", "properties": {"url": "/"}}'));
SELECT told(cdp_ingest('{"type": "screen", "messageId": "s1", "userId": "u1", "name": "Start", "timestamp": "2024-03-01T10:03:00Z"}'));
SELECT told(cdp_ingest('{"type": "group", "messageId": "g1", "userId": "u1", "groupId": 77, "timestamp": "2024-03-01T10:04:00Z", "traits": {"plan": "gold"}}'));
SELECT told(cdp_ingest('{"type": "track", "messageId": "t2", "anonymousId": "a2", "event": "view", "timestamp": "2024-03-02T10:01:00Z", "properties": {"item": "coat", "price": "20"}}'));
SELECT told(cdp_ingest('{"type": "alias", "messageId": "l1", "userId": "u1", "previousId": "a2", "timestamp": "2024-03-02T10:02:00Z"}'));
SELECT * FROM cdp.profiles;
SELECT profile_id, event, at, source, properties FROM cdp.events ORDER BY at;
SELECT type, value, first_seen, last_seen FROM cdp.identifiers ORDER BY type, value;
SELECT name, type, kind FROM cdp.attributes ORDER BY name;

-- 2. A repeat gets the first answer and changes nothing; so does the same message without an id.
CREATE TEMP TABLE before AS SELECT (SELECT count(*) FROM cdp.event) AS events, (SELECT count(*) FROM cdp.pending) AS pending, (SELECT count(*) FROM cdp.message) AS messages;
SELECT cdp_ingest('{"type": "track", "messageId": "t1", "anonymousId": "zzz", "event": "another"}') = (SELECT answer FROM cdp.message WHERE message_id = 't1') AS the_first_answer;
SELECT cdp_ingest(m) = cdp_ingest(m) AS same FROM (SELECT '{"type": "track", "anonymousId": "a1", "event": "view", "timestamp": "2024-03-03T00:00:00Z"}'::jsonb AS m OFFSET 0) x;
SELECT (SELECT count(*) FROM cdp.event) - events AS events, (SELECT count(*) FROM cdp.message) - messages AS messages FROM before;

-- 3. Tags and segments follow at once, in order of what names what.
SELECT cdp_tag_create('views', 'count(view)');
SELECT cdp_tag_create('level', $$CASE WHEN views >= 5 THEN 'high' WHEN views >= 4 THEN 'mid' ELSE 'low' END$$);
SELECT cdp_segment_create('keen', $$level = 'high'$$);
SELECT cdp_segment_create('keen_in_ulm', $$in_segment('keen') AND address_city = 'Ulm'$$);
SELECT cdp_segment_create('not_seen', 'count(view) = 0');
SELECT * FROM cdp_tag_refresh() \g /dev/null
SELECT * FROM cdp_segment_refresh() \g /dev/null
SELECT told(cdp_ingest('{"type": "track", "messageId": "t3", "userId": "u1", "event": "view", "timestamp": "2024-03-04T00:00:00Z"}'));
SELECT told(cdp_ingest('{"type": "track", "messageId": "t4", "userId": "u1", "event": "view", "timestamp": "2024-03-04T00:00:01Z"}'));
SELECT told(cdp_ingest('{"type": "identify", "messageId": "i2", "userId": "u1", "timestamp": "2024-03-05T00:00:00Z", "traits": {"address": {"city": "Bonn"}}}'));
SELECT told(cdp_ingest('{"type": "identify", "messageId": "i3", "userId": "u9", "timestamp": "2024-03-05T00:00:00Z"}'));
-- A value that is older than what is known is no news; an explicit null clears.
SELECT told(cdp_ingest('{"type": "identify", "messageId": "i4", "userId": "u1", "timestamp": "2024-03-04T12:00:00Z", "traits": {"address": {"city": "Rome"}}}'));
SELECT told(cdp_ingest('{"type": "identify", "messageId": "i5", "userId": "u1", "timestamp": "2024-03-06T00:00:00Z", "traits": {"address": {"city": null}, "firstName": ""}}'));
SELECT name, profiles, refreshed_at IS NOT NULL AS refreshed FROM cdp.segments ORDER BY name;
SELECT segment, refresh, added, removed, profiles FROM cdp.segment_refreshes WHERE segment LIKE 'keen%' ORDER BY 1, 2;
SELECT s.name, s.was = s.now AS as_refreshed FROM (SELECT name, ARRAY(SELECT cdp_members(name)) AS was, cdp_segment(expression)::bigint[] AS now FROM cdp.segments) s ORDER BY 1;
SELECT cdp_segment_at('keen_in_ulm', clock_timestamp())::text AS now, (SELECT count(*) FROM cdp_segment_delta('keen_in_ulm', '-infinity', 'infinity')) AS on_balance;
SELECT a.name, h.profile_id, h.value FROM cdp.attribute_history h JOIN cdp.attribute a USING (attribute_id) WHERE a.name IN ('address_city', 'level') ORDER BY 1, h.from_at;
-- What they come to is what a refresh of all finds.
SELECT name, changed FROM cdp_tag_refresh();
SELECT name, added, removed FROM cdp_segment_refresh() ORDER BY name;
-- An expression that fails for somebody keeps no event out.
SELECT cdp_segment_create('broken', '10 / (count(view) - 6) > 1');
SELECT told(cdp_ingest('{"type": "track", "messageId": "t5", "userId": "u1", "event": "view", "timestamp": "2024-03-07T00:00:00Z"}'));
SELECT cdp_segment_drop('broken');

-- 4. Arrays and batches; each message by itself, and what the batch says of all.
SELECT jsonb_array_length(cdp_ingest('[{"type": "track", "messageId": "b1", "userId": "u2", "event": "view", "timestamp": "2024-03-01T00:00:00Z"}, {"type": "nonsense"}, 7,
    {"type": "track", "messageId": "b2", "userId": "u2", "event": "view", "timestamp": "2024-03-01T00:00:01Z"}]')) AS answers;
SELECT told(a) FROM jsonb_array_elements(cdp_ingest('{"batch": [{"type": "page", "messageId": "b3", "userId": "u2", "timestamp": "2024-03-01T11:00:00Z"}, {"type": "page", "messageId": "b4", "anonymousId": "a4"}],
    "sentAt": "2024-03-01T12:00:00Z", "context": {"device": {"id": "D9"}}}')) a;
SELECT count(*) AS joined_by_the_device FROM cdp.identifiers WHERE profile_id = cdp_profile_id('device_id', 'd9');
-- The clock of the client is an hour ahead: sent ten seconds after it happened, received just now.
SELECT told(cdp_ingest(jsonb_build_object('type', 'track', 'messageId', 'c1', 'userId', 'u2', 'event', 'late', 'timestamp', now() + interval '1 hour' - interval '10 seconds', 'sentAt', now() + interval '1 hour')));
SELECT received_at - at AS age, original_at - at AS ahead, received_at <= clock_timestamp() AS received FROM cdp.events WHERE event = 'late';

-- 5. What cannot be used is told to the sender and kept among the rejects.
SELECT told(cdp_ingest('{"type": "track", "messageId": "r1", "event": "view", "context": {"ip": "1.2.3.4"}}'));
SELECT told(cdp_ingest('{"type": "identify", "messageId": "r2", "userId": "null", "traits": {"email": "nonsense", "phone": "+49 171 1234567", "age": "old", "views": 5}, "context": {"externalIds": [{"type": "shoe", "id": "1"}]}}'));
SELECT told(cdp_ingest('{"type": "track", "messageId": "r3", "userId": "u1", "event": "view", "timestamp": "2024-03-01T00:00:00Z", "properties": {"price": "much", "item": 7}}'));
SELECT told(cdp_ingest('{"type": "track", "messageId": "r4", "userId": "u1", "event": "wrong clock", "timestamp": "1970-01-01T00:00:00Z"}'));
SELECT at = received_at AS at_receipt, original_at FROM cdp.events WHERE event = 'wrong clock';
SELECT key, reason, payload ? 'receivedAt' AS complete FROM cdp.rejects ORDER BY reason, key;
-- Errors of the call.
SELECT cdp_ingest(NULL);
SELECT cdp_ingest('5');
SELECT cdp_ingest('{"type": "page", "userId": "u1"}', '');
SELECT cdp_ingest((repeat('[', 200) || repeat(']', 200))::jsonb);

-- 6. The policy of a source.
SELECT cdp_source_policy('strict', '{"events": "quarantine", "traits": "reject", "properties": "reject", "identifiers": "create", "future": "1 hour", "beyond": "quarantine"}');
SELECT told(cdp_ingest('{"type": "track", "messageId": "q1", "userId": "u1", "event": "new kind"}', 'strict'));
SELECT told(cdp_ingest('{"type": "identify", "messageId": "q2", "userId": "u1", "traits": {"shoe": 40, "age": 50}, "context": {"externalIds": [{"type": "club_card", "id": "77"}]}}', 'strict'));
SELECT told(cdp_ingest('{"type": "track", "messageId": "q3", "userId": "u1", "event": "view", "properties": {"item": "bag", "colour": "red"}}', 'strict'));
SELECT told(cdp_ingest(jsonb_build_object('type', 'track', 'messageId', 'q4', 'userId', 'u1', 'event', 'view', 'timestamp', now() + '2 hours'), 'strict'));
SELECT key, reason FROM cdp.rejects WHERE source = 'strict' ORDER BY key;
SELECT cdp_profile_id('club_card', '77') = cdp_profile_id('user_id', 'u1') AS linked;
SELECT cdp_source_policy('strict', '{"colour": "red"}');
SELECT cdp_source_policy('strict', '{"events": "maybe"}');
SELECT cdp_source_policy('strict', '{"future": "soon"}');
SELECT cdp_source_policy('strict', '5');

-- 7. Columns are what the facts say, and identities are what the edges say.
SELECT e, cdp_segment(e)::text AS set FROM unnest('{count(view) > 0, sum(view.price) > 12, count(view) FILTER (WHERE item = ''hat'') > 0, age > 40, vip, address_city IS NULL}'::text[]) e;
SELECT count(*) FILTER (WHERE NOT ok) AS wrong FROM cdp_identity_verify();

-- 8. A message that is rejected comes again: the same answer, told once; under other rules it is taken.
SELECT cdp_ingest(m) = cdp_ingest(m) AS same, cdp_ingest(m) AS answer FROM (SELECT '{"type": "Track", "messageId": "x1", "userId": "null", "event": "view", "timestamp": "2024-03-01T00:00:00Z"}'::jsonb AS m OFFSET 0) x;
SELECT cdp_ingest('{"type": "dance", "messageId": "x2", "userId": "u1"}');
SELECT pg_sleep(0.01);
SELECT cdp_ingest('{"type": "dance", "messageId": "x2", "userId": "u1"}');
SELECT cdp_ingest('{"messageId": 7, "userId": "u1"}');
SELECT key, reason, count(*) FROM cdp.rejects WHERE payload ->> 'messageId' IN ('x1', 'x2', '7') GROUP BY 1, 2 ORDER BY 2;
SELECT cdp_ingest('{"type": "track", "messageId": "q1", "userId": "u1", "event": "new kind"}', 'strict') ->> 'profile' IS NULL AS rejected;
SELECT count(*) FROM cdp.rejects WHERE key = 'q1';
SELECT cdp_source_policy('strict', '{"events": "create"}') ->> 'events' AS events;
SELECT cdp_ingest('{"type": "track", "messageId": "q1", "userId": "u1", "event": "new kind"}', 'strict') ->> 'profile' IS NULL AS rejected;

-- 9. Times that vouch for each other: neither is believed.
SELECT told(cdp_ingest('{"type": "track", "messageId": "w1", "userId": "u1", "event": "far off", "timestamp": "2999-01-01T00:00:00Z", "receivedAt": "2999-01-01T00:00:00Z"}'));
SELECT told(cdp_ingest('{"type": "track", "messageId": "w2", "userId": "u1", "event": "far off", "timestamp": "1901-01-01T00:00:00Z", "receivedAt": "1901-01-01T00:00:00Z"}'));
SELECT told(cdp_ingest('{"type": "track", "messageId": "w3", "userId": "u1", "event": "far off", "receivedAt": "2999-01-01T00:00:00Z"}'));
SELECT told(cdp_ingest(jsonb_build_object('type', 'track', 'messageId', 'w4', 'userId', 'u1', 'event', 'far off', 'timestamp', now() + '40 hours', 'receivedAt', now() + '20 hours')));
SELECT told(cdp_ingest('{"type": "track", "messageId": "w5", "userId": "u1", "event": "far off", "timestamp": "2999-01-01T00:00:00Z", "receivedAt": "2999-01-01T00:00:00Z"}', 'strict'));
SELECT told(cdp_ingest('{"type": "track", "messageId": "w6", "userId": "u1", "event": "near", "timestamp": "2024-03-01T00:00:00Z", "receivedAt": "2024-03-01T00:00:05Z"}'));
SELECT key, at BETWEEN now() - interval '1 minute' AND now() + interval '21 hours' AS now, received_at >= at AS after, original_at > '2500-01-01' AS original_late, original_at < '2000-01-01' AS original_early FROM cdp.event WHERE key LIKE 'w_' ORDER BY key;

-- 10. One message that makes two people one: who is merged, the tags, who enters and who leaves are in its answer. What one of them was in the person stays in.
SELECT cdp_segment_create('keen_of_age', $$level = 'high' AND age = 31$$);
SELECT told(cdp_ingest('{"type": "identify", "messageId": "j1", "userId": "joined", "timestamp": "2024-04-01T00:00:00Z", "traits": {"age": 30}}')) ~ 'not_seen' AS entered;
SELECT count(cdp_ingest(jsonb_build_object('type', 'track', 'messageId', 'j2-' || i, 'anonymousId', 'joining', 'event', 'view', 'timestamp', timestamptz '2024-04-02 00:00+00' + i * interval '1 hour'))) FROM generate_series(1, 5) i;
SELECT cdp_segment_contains($$in_segment('keen')$$, cdp_profile_id('anonymous_id', 'joining')) AS was_keen, cdp_segment_contains($$in_segment('not_seen')$$, cdp_profile_id('user_id', 'joined')) AS was_not_seen;
CREATE TEMP TABLE version AS SELECT profile_id, xmin::text AS version FROM cdp.profile_value;
SELECT told(cdp_ingest('{"type": "identify", "messageId": "j3", "userId": "joined", "anonymousId": "joining", "timestamp": "2024-04-03T00:00:00Z", "traits": {"age": 31}}'));
SELECT views, level, age, cdp_segment_contains($$in_segment('keen')$$, profile_id) AS keen, cdp_segment_contains($$in_segment('not_seen')$$, profile_id) AS not_seen FROM cdp.profiles WHERE profile_id = cdp_profile_id('user_id', 'joined');
-- Of others nothing was computed.
SELECT count(*) AS others FROM version v JOIN cdp.profile_value w USING (profile_id) WHERE v.version <> w.xmin::text AND profile_id <> cdp_profile_id('user_id', 'joined');
SELECT name, changed FROM cdp_tag_refresh();
SELECT name, added, removed FROM cdp_segment_refresh() ORDER BY name;
SELECT attribute, before, after, at, profile_id = recorded_profile_id AS own_number FROM cdp.attribute_changes WHERE profile_id = cdp_profile_id('user_id', 'joined') AND kind = 'trait' ORDER BY 1, at;

-- 11. Late messages, out of order: after every one the columns say what the facts say.
CREATE FUNCTION windows() RETURNS text LANGUAGE plpgsql AS $$
DECLARE q text; plain bigint[]; told text := '';
BEGIN
    FOREACH q IN ARRAY '{count(look) FILTER (WHERE at >= now() - interval ''3 days 5 hours'') > 2, count(look) FILTER (WHERE item = ''hat'' AND at >= now() - interval ''6 days'' AND at < now() - interval ''30 hours'') >= 2}'::text[] LOOP
        EXECUTE format('SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (%s) s', cdp_segment_sql(q, '2024-05-10 08:30+00')) INTO plain;
        told := told || CASE WHEN plain = cdp_segment(q, '2024-05-10 08:30+00')::bigint[] THEN 'right' ELSE 'WRONG' END || ' ' || cardinality(plain) || ' ';
    END LOOP;
    RETURN told;
END $$;
CREATE TEMP TABLE late (i int, told text);
DO $$
BEGIN
    FOR i IN 1 .. 40 LOOP
        PERFORM cdp_ingest(jsonb_build_object('type', 'track', 'messageId', 'late' || i, 'userId', 'l' || i % 3, 'event', 'look', 'timestamp', timestamptz '2024-05-10 09:00+00' - (i * 7919 % 40) * interval '5 hours', 'properties', jsonb_build_object('item', (ARRAY['hat', 'coat'])[1 + i % 2])));
        IF i % 9 = 0 THEN PERFORM cdp_flush(); END IF;
        INSERT INTO late VALUES (i, windows());
    END LOOP;
END $$;
SELECT count(*) FILTER (WHERE told LIKE '%WRONG%') AS wrong, count(DISTINCT told) > 3 AS tells, (SELECT told FROM late WHERE i = 40) AS at_last FROM late;

-- 12. What came one message at a time is counted at once, and the same when it is folded.
CREATE TEMP TABLE figures AS SELECT source, rows, rejected, events, repeated, rejects, warnings, outliers, newest FROM cdp.data_quality;
SELECT source, rows, rejected, events, repeated, rejects FROM figures ORDER BY source;
SELECT name, type, origin, observations, first_seen FROM cdp.attributes WHERE name IN ('age', 'address_city', 'views') ORDER BY name;
CREATE TEMP TABLE told AS SELECT name, observations, first_seen, last_seen FROM cdp.attributes;
SELECT (SELECT count(*) FROM cdp.data_quality_one) > 0 AS apart, cdp_flush() >= 0 AS folded;
SELECT (SELECT count(*) FROM cdp.data_quality_one) AS apart, (SELECT count(*) FROM cdp.trait_seen_one) AS apart_too;
SELECT count(*) AS differences FROM (SELECT source, rows, rejected, events, repeated, rejects, warnings, outliers, newest FROM cdp.data_quality EXCEPT SELECT * FROM figures) x;
SELECT count(*) AS differences FROM (SELECT name, observations, first_seen, last_seen FROM cdp.attributes EXCEPT SELECT * FROM told) x;
SELECT metric, item, value FROM cdp_data_quality('strict') WHERE metric IN ('rows', 'rejected', 'rejects', 'duplicate_rate') ORDER BY 1, 2;

DROP FUNCTION told(jsonb), windows();
DROP EXTENSION pg_cdp CASCADE;
DROP SCHEMA cdp CASCADE;
