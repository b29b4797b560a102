-- The service card: recent views, open cart, last orders, open tickets, health; shaped by roles of event types and properties, whatever their names.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'Asia/Shanghai');
CREATE TABLE log (id int PRIMARY KEY, who text, what text, sku text, n int, price numeric, bill text, call text, how text, at timestamptz);
SELECT cdp_source_create('log', 'log', '{"identifiers": {"user_id": "who"}, "event": {"name": "what", "at": "at", "properties": {"sku": "sku", "n": "n", "price": "price", "bill": "bill", "call": "call", "how": "how"}}}');
-- Moments are told in days and hours before now, so that health can be compared with now.
CREATE FUNCTION ago(days numeric) RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT now() - days * interval '1 day' $$;
INSERT INTO log VALUES
    (1, 'ann', '浏览', 'shoe', NULL, NULL, NULL, NULL, NULL, ago(3)), (2, 'ann', '浏览', 'hat', NULL, NULL, NULL, NULL, NULL, ago(2)), (3, 'ann', '浏览', 'shoe', NULL, NULL, NULL, NULL, NULL, ago(1)), (4, 'ann', '浏览', NULL, NULL, NULL, NULL, NULL, NULL, ago(2.5)),
    (10, 'ann', 'put', 'old', 1, 1, NULL, NULL, NULL, ago(40)), (11, 'ann', 'buy', 'sock', 2, 10, 'B1', NULL, 'paid', ago(30)), (12, 'ann', 'buy', 'tie', 1, 5.5, 'B1', NULL, 'paid', ago(30)), (13, 'ann', 'buy', 'belt', 1, 20, 'B2', NULL, 'paid', ago(20)), (14, 'ann', 'buy', NULL, NULL, NULL, 'B2', NULL, 'sent', ago(19)),
    (20, 'ann', 'put', 'shoe', 2, 30, NULL, NULL, NULL, ago(5)), (21, 'ann', 'put', 'shoe', NULL, 29.5, NULL, NULL, NULL, ago(4)), (22, 'ann', 'take', 'shoe', 1, NULL, NULL, NULL, NULL, ago(3.5)), (23, 'ann', 'put', 'hat', 1, 9, NULL, NULL, NULL, ago(3)), (24, 'ann', 'take', 'hat', 1, NULL, NULL, NULL, NULL, ago(2)),
    (30, 'ann', 'asks', NULL, NULL, NULL, NULL, 'T1', 'angry', ago(9)), (31, 'ann', 'asks', NULL, NULL, NULL, NULL, 'T2', 'calm', ago(8)), (32, 'ann', 'settled', NULL, NULL, NULL, NULL, 'T1', NULL, ago(7)), (33, 'ann', 'asks', NULL, NULL, NULL, NULL, NULL, 'no number', ago(6)),
    (40, 'ann', 'later', 'x', NULL, NULL, NULL, NULL, NULL, now() + interval '2 days'), (41, 'bob', 'asks', NULL, NULL, NULL, NULL, NULL, 'once', ago(50)), (42, 'bob', 'settled', NULL, NULL, NULL, NULL, NULL, NULL, ago(49));
CALL cdp_sync();
SELECT cdp_profile_id('user_id', 'ann') AS ann, cdp_profile_id('user_id', 'bob') AS bob \gset
-- Times as days before now, so that the answer is the same every day.
CREATE FUNCTION card(profile bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE text text := jsonb_pretty(cdp_service_card(profile) - 'profile_id' - 'as_of' - 'health'); moment text;
BEGIN
    FOR moment IN SELECT DISTINCT (regexp_matches(text, '"(20[0-9-]+T[^"]+)"', 'g'))[1] LOOP
        text := replace(text, '"' || moment || '"', round((extract(epoch FROM now() - moment::timestamptz) / 86400)::numeric, 1) || ' days ago');
    END LOOP;
    RETURN text;
END $$;
-- Without roles there is nothing to show but health.
SELECT cdp_service_card(:ann) - 'as_of' - 'health' = jsonb_build_object('profile_id', :ann, 'recent_views', '[]'::jsonb, 'open_cart', '{"items": [], "amount": null}'::jsonb, 'orders', '{"count": 0, "amount": null, "last": []}'::jsonb, 'open_tickets', '[]'::jsonb) AS empty;
UPDATE cdp.event_type t SET role = r.role FROM (VALUES ('浏览', 'view'), ('put', 'cart_add'), ('take', 'cart_remove'), ('buy', 'order'), ('asks', 'ticket_open'), ('settled', 'ticket_close')) r(name, role) WHERE t.name = r.name;
UPDATE cdp.property p SET role = r.role FROM (VALUES ('sku', 'item'), ('n', 'quantity'), ('price', 'amount'), ('bill', 'order'), ('call', 'ticket'), ('how', 'status')) r(name, role) WHERE p.name = r.name;
SELECT card(:ann) \gx
SELECT card(:bob) \gx
SELECT cdp_service_card(:ann) ->> 'profile_id' = cdp_resolve(:ann)::text AS own, (cdp_service_card(:ann) ->> 'as_of')::timestamptz = now() AS now, cdp_service_card(99) AS never, cdp_service_card(NULL) AS nothing;

-- Health against the own past, by days of the workspace: usual gap by days since, active days by usual active days.
INSERT INTO log SELECT 1000 + i, 'steady', 'ping', NULL, NULL, NULL, NULL, NULL, NULL, ago(i * 3) FROM generate_series(0, 60) i;
INSERT INTO log SELECT 2000 + i, 'gone', 'ping', NULL, NULL, NULL, NULL, NULL, NULL, ago(45 + i * 3) FROM generate_series(0, 60) i;
INSERT INTO log SELECT 3000 + i, 'slipping', 'ping', NULL, NULL, NULL, NULL, NULL, NULL, ago(CASE WHEN i < 2 THEN 8 + i * 6 ELSE 30 + i * 3 END) FROM generate_series(0, 60) i;
INSERT INTO log SELECT 4000 + i, 'new', 'ping', NULL, NULL, NULL, NULL, NULL, NULL, ago(i * 2) FROM generate_series(0, 4) i;
INSERT INTO log VALUES (5000, 'once', 'ping', NULL, NULL, NULL, NULL, NULL, NULL, ago(100)), (5001, 'never', 'later', NULL, NULL, NULL, NULL, NULL, NULL, now() + interval '1 day');
CALL cdp_sync();
SELECT who, cdp_service_card(cdp_profile_id('user_id', who)) -> 'health' AS health FROM unnest(ARRAY['steady', 'gone', 'slipping', 'new', 'once', 'never']) who;
-- The same, in plain SQL.
CREATE VIEW day AS SELECT DISTINCT i.value AS who, (e.at AT TIME ZONE 'Asia/Shanghai')::date AS day FROM cdp.events e JOIN cdp.identifiers i USING (profile_id) WHERE e.at <= now();
SELECT count(*) AS asked, count(*) FILTER (WHERE (h ->> 'score')::numeric IS DISTINCT FROM CASE WHEN length >= 30 THEN round(100 * (recency + frequency) / 2) END) AS wrong
FROM (SELECT who, cdp_service_card(cdp_profile_id('user_id', who)) -> 'health' AS h, CASE WHEN gap IS NOT NULL THEN least(1, gap / nullif(since, 0)) END AS recency, least(1, present / nullif(30.0 * past / nullif(length, 0), 0)) AS frequency, length FROM (
    SELECT who, (max(day) - min(day))::numeric / nullif(count(*) - 1, 0) AS gap, today - max(day) AS since, count(*) FILTER (WHERE day > today - 30) AS present, count(*) FILTER (WHERE day <= today - 30 AND day > today - 210) AS past, today - 30 - greatest(min(day), today - 209) + 1 AS length
    FROM day CROSS JOIN (SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date AS today) t GROUP BY who, today) x) y;

-- Two people who turn out to be one: cart, orders and tickets of both.
SELECT cdp_link('user_id', 'ann', 'user_id', 'bob', 'test') ->> 'merged' IS NOT NULL AS merged;
SELECT cdp_service_card(:ann) - 'as_of' = cdp_service_card(:bob) - 'as_of' AS same, jsonb_array_length(cdp_service_card(:bob) -> 'open_tickets') AS tickets;

DROP VIEW day;
DROP FUNCTION card(bigint), ago(numeric);
DROP TABLE log;
DROP SCHEMA cdp CASCADE;
DROP EXTENSION pg_cdp;
