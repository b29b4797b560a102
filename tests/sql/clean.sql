-- The cleaning functions through SQL: their defaults, NULLs, errors, volatility. What they make of values is tested form by form in src/core/norm/golden.txt.
\pset format unaligned
\pset null '-'
SET client_min_messages = warning;
CREATE EXTENSION pg_cdp;
SELECT cdp_norm_email(' ANN@Example.COM '), cdp_norm_email('a@xn--mnchen-3ya.de'), cdp_norm_email('A.nn+x@googlemail.com'), cdp_norm_email('A.nn+x@googlemail.com', true), cdp_norm_email('ann', true);
SELECT cdp_norm_phone('138 0013 8001'), cdp_norm_phone('(650) 253-0000', 'us'), cdp_norm_phone('12');
SELECT cdp_norm_id_card('110105491231002'), cdp_norm_id_card('110105194912310021'), cdp_norm_uscc(' 91350100m000100y43'), cdp_norm_uscc('91350100M000100Y44');
SELECT v, cdp_norm_date(v), cdp_norm_date(v, 'dmy') AS dmy, cdp_norm_date(v, 'mdy') AS mdy
FROM unnest(ARRAY['2024-01-05', '２０２４年１月５日', 'Jan 5, 2024', '05/01/2024', '25/12/2024', '0001-01-01', '9999-12-31', '2023-02-29', '45296', '', NULL]) v;
SELECT v, cdp_norm_address(v) FROM unnest(ARRAY['北京市北京市朝阳区建国路88号', '上海浦东', '内蒙古 呼和浩特', '广西南宁青秀区', '湖北省仙桃市', '朝阳区建国路', '10 Downing St', ' ']) v;
SELECT v, cdp_norm_name(v) FROM unnest(ARRAY['张 三', '阿依古丽•买买提', 'O’BRIEN', '123']) v;
-- A destination hashes its own form.
SELECT d, cdp_hash_email('J.Doe+x@Gmail.com', d), cdp_hash_phone('1(650)555-1212', d, 'US') FROM unnest(ARRAY['meta', 'google', 'tiktok', 'snap', NULL]) d;
SELECT cdp_hash_email('J.Doe+x@Gmail.com', 'google') = encode(sha256('jdoe@gmail.com'), 'hex') AS google, cdp_hash_phone('138 0013 8001', 'meta') = encode(sha256('8613800138001'), 'hex') AS meta,
       cdp_hash_email('ann', 'meta') AS no_email, cdp_hash_phone('12', 'meta') AS no_phone;
DO $$
DECLARE q text; m text; s text;
BEGIN
    FOREACH q IN ARRAY ARRAY['cdp_hash_email(''a@b.co'', ''Meta'')', 'cdp_hash_phone(''1'', ''x'')', 'cdp_norm_date(''2024-01-05'', ''ymd'')', 'cdp_norm_phone(''1'', ''ZZ'')'] LOOP
        BEGIN
            EXECUTE 'SELECT ' || q;
            RAISE EXCEPTION 'no error';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, s = RETURNED_SQLSTATE;
            RAISE WARNING '% %', s, m;
        END;
    END LOOP;
END $$;
SELECT proname, provolatile, proisstrict, proparallel FROM pg_proc WHERE proname ~ '^cdp_(norm_|hash_|divisions)' ORDER BY proname;
-- They may stand in an index and in a generated column.
CREATE TABLE person (raw text, born text, email text GENERATED ALWAYS AS (cdp_norm_email(raw)) STORED, birthday date GENERATED ALWAYS AS (cdp_norm_date(born, 'dmy')) STORED);
CREATE INDEX ON person (cdp_norm_name(raw));
INSERT INTO person VALUES ('Ann@Example.com', '5/1/1990'), ('nobody', 'unknown');
SELECT * FROM person ORDER BY raw;
-- The table of divisions: each city has one tier, and every row is found by its own names.
SELECT tier, count(DISTINCT (province, city)) AS cities FROM cdp_divisions() GROUP BY tier ORDER BY min(array_position(ARRAY['一线', '新一线', '二线', '三线', '四线', '五线'], tier));
SELECT count(*), count(DISTINCT province) AS provinces, count(district) AS districts FROM cdp_divisions();
SELECT d.*, a FROM cdp_divisions() d, cdp_norm_address(province || city || coalesce(district, '') || '某街1号') a
WHERE (a ->> 'province', a ->> 'city', a ->> 'district', a ->> 'tier', a ->> 'rest') IS DISTINCT FROM (d.province, d.city, d.district, d.tier, '某街1号');
SELECT city, district FROM cdp_divisions() WHERE province = '上海市' ORDER BY district COLLATE "C" LIMIT 3;
DROP TABLE person;
DROP EXTENSION pg_cdp;
