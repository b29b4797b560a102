-- Everything there is to ask: facts by md5, answers in full. psql variable: ws, the quoted workspace.
\set ON_ERROR_STOP on
\pset format unaligned
SET timezone = 'UTC';
SELECT 'profiles', count(*), md5(string_agg(p::text, E'\n' ORDER BY profile_id)) FROM :ws.profiles p;
SELECT 'identifiers', count(*), md5(string_agg(concat_ws(' ', profile_id, type, value, source), E'\n' ORDER BY type COLLATE "C", value COLLATE "C")) FROM :ws.identifiers;
SELECT 'edges', count(*), md5(string_agg(concat_ws(' ', from_type, from_value, to_type, to_value, source, state), E'\n' ORDER BY from_type COLLATE "C", from_value COLLATE "C", to_type COLLATE "C", to_value COLLATE "C", source COLLATE "C")) FROM :ws.edges;
SELECT 'merges', count(*), md5(string_agg(concat_ws(' ', retired_id, survivor_id), E'\n' ORDER BY retired_id)) FROM :ws.merges;
SELECT 'events', event, source, count(*), min(at), max(at), md5(string_agg(concat_ws(' ', profile_id, at, properties), E'\n' ORDER BY at, profile_id, properties::text COLLATE "C")) FROM :ws.events GROUP BY 1, 2, 3 ORDER BY event COLLATE "C", source COLLATE "C";
SELECT 'event numbers', count(DISTINCT event_id) = count(*) FROM :ws.events;
SELECT 'tags', name, type, expression FROM :ws.tags ORDER BY name;
SELECT 'segments', name, kind, expression, profiles FROM :ws.segments ORDER BY name;
SELECT 'segment_members', segment, count(*), md5(string_agg(profile_id::text, ' ' ORDER BY profile_id)) FROM :ws.segment_members GROUP BY 2 ORDER BY 2;
SELECT 'cdp_count', name, cdp_count(name) FROM :ws.segments ORDER BY name;
SELECT 'cdp_segment', x, cdp_count(cdp_segment(x, as_of)), cdp_segment_count(x, as_of), md5(cdp_segment(x, as_of)::text) FROM unnest(ARRAY[
  'true', 'age > 30', 'city = ''上海'' OR city IS NULL', 'income < 100.5', 'vip AND birthday >= ''1980-01-01''', 'level = ''high''', 'spend > 10',
  'count(purchase) > 2', 'sum(purchase.amount) FILTER (WHERE at >= now() - interval ''30 days'') > 40', 'count(view) FILTER (WHERE page = ''/p3'' AND at >= ''2024-03-05 12:00+00'') > 0',
  'min(view.seconds) < 10', 'in_segment(''active'') AND NOT in_segment(''third'')', 'did(purchase, category => ''cat 3'', within => ''2 days'')']) x,
  (VALUES (NULL::timestamptz), ('2024-05-01 10:30+00')) a(as_of) ORDER BY as_of NULLS FIRST, x COLLATE "C";
SELECT 'cdp_profile', md5(string_agg(regexp_replace((cdp_profile(profile_id) #- '{segments}')::text, '"refreshed_at": "[^"]*"', '', 'g'), E'\n' ORDER BY profile_id)) FROM (SELECT profile_id FROM :ws.profiles ORDER BY profile_id LIMIT 20) p;
SELECT 'cdp_resolve', count(*), md5(string_agg(concat_ws(' ', profile_id, cdp_resolve(profile_id)), ',' ORDER BY profile_id)) FROM :ws.profile;
SELECT 'rejects', source, reason, count(*) FROM :ws.rejects GROUP BY 2, 3 ORDER BY source COLLATE "C", reason COLLATE "C";
