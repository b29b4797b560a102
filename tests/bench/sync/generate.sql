-- Generated people and events for the benchmarks.
--
--   psql -X -v profiles=1000000 -v events=5000000 -f tests/bench/sync/generate.sql
--
-- Integer arithmetic only, no random(): the same rows on every machine and every version. A row's number goes through a 32-bit mixer
-- (multiply, fold the high half into the low, twice); its output is dealt out to the columns by further multiplications.
-- OFFSET 0 keeps the planner from expanding the mixer once per use.

\set ON_ERROR_STOP on
\if :{?profiles}
\else
\set profiles 1000000
\endif
\if :{?events}
\else
\set events 5000000
\endif

SET client_min_messages = warning;
SET timezone = 'UTC';
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;
COMMENT ON SCHEMA bench IS 'Generated people and events for the benchmarks';

-- Unlogged: the data can be generated again, and the time of generating it is of no interest.
CREATE UNLOGGED TABLE bench.person AS
SELECT 'u' || i AS user_id,
       'user' || i || '@example.com' AS email,
       -- few-valued texts: 2, 3, 3, 5, 11, 50 and 300 values, from even to steep
       CASE WHEN a & 1023 < 532 THEN 'female' WHEN a & 1023 < 993 THEN 'male' END AS gender,
       CASE WHEN a >> 10 & 1023 < 102 THEN 'gold' WHEN a >> 10 & 1023 < 358 THEN 'silver' ELSE 'bronze' END AS tier,
       CASE WHEN a >> 20 & 1023 < 205 THEN 'high' WHEN a >> 20 & 1023 < 512 THEN 'mid' ELSE 'low' END AS value_level,
       (ARRAY['app', 'web', 'store', 'partner', 'phone'])[1 + ((b & 2047) * (b & 2047) * 5 >> 22)] AS channel,
       'region ' || 1 + ((b >> 11 & 2047) * 11 >> 11) AS region,
       'city ' || 1 + (c * c * 50 >> 48) AS city,
       CASE WHEN b >> 22 & 1023 < 870 THEN 'store ' || 1 + (d * 300 >> 24) END AS store,
       -- booleans of 50, 30, 10 and 1 in a hundred
       c & 1 = 0 AS opted_in,
       c >> 1 & 1023 < 307 AS app_user,
       c >> 11 & 1023 < 102 AS newsletter,
       d & 1023 < 10 AS churn_risk,
       -- integers
       CASE WHEN d >> 10 & 1023 < 922 THEN (18 + ((e & 255) + (e >> 8 & 255)) * 63 / 511)::int END AS age,
       greatest(0, (e >> 16 & 7) - 3)::int AS kids_count,
       ((f & 65535) * (f & 65535) >> 16)::int AS points,
       CASE WHEN d >> 20 < 6 THEN (f >> 16 & 1023) * 11 >> 10 END::int AS nps,
       -- money: a binary exponent that is a sum of four dice, so bell-shaped on the scale of logarithms; three in ten have none
       CASE WHEN g & 1023 < 307 THEN 0.00
            ELSE ((1024 + (g >> 10 & 1023) << ((h & 3) + (h >> 2 & 3) + (h >> 4 & 3) + (h >> 6 & 3))::int) >> 5)::numeric / 100 END
         ::numeric(12,2) AS spend_total,
       CASE WHEN h >> 8 & 1023 < 307 THEN 0.00
            ELSE ((1024 + (h >> 14 & 1023) << ((g >> 12 & 3) + (g >> 14 & 3) + (g >> 16 & 3) + (g >> 18 & 3))::int) >> 7)::numeric / 100 END
         ::numeric(12,2) AS balance,
       -- times
       CASE WHEN f & 1023 >= 102 THEN date '1935-01-01' + ((e >> 4 & 65535) * 26000 >> 16)::int END AS birthday,
       CASE WHEN h >> 16 & 1023 >= 410 THEN date '2014-01-01' + ((f >> 4 & 65535) * 1400 >> 16)::int END AS first_order_on,
       CASE WHEN g >> 2 & 1023 >= 154
            THEN timestamptz '2017-12-01 00:00+00'
              - interval '1 second' * (((a & 4095) * (a & 4095) + (b & 8191)) * (1 + (h >> 8 & 1))) END AS last_login_at,
       timestamptz '2017-01-01 00:00+00' + interval '1 second' * (b * 28857600 >> 32) AS updated_at
  FROM (SELECT i, a, b,
               (a # b) * 1274126177 >> 16 & 16777215 AS c, (a & 1048575) * 3266489917 >> 18 & 16777215 AS d,
               (b & 1048575) * 668265263 >> 17 & 16777215 AS e, (a >> 6) * 374761393 >> 20 & 67108863 AS f,
               (b >> 5) * 3432918353 >> 21 & 67108863 AS g, ((a >> 3) # (b << 1)) * 461845907 >> 19 & 67108863 AS h
          FROM (SELECT i, (a # (a >> 16)) AS a, (b # (b >> 16)) AS b
                  FROM (SELECT i, (a # (a >> 16)) * 73244475 & 4294967295 AS a, (b # (b >> 16)) * 73244475 & 4294967295 AS b
                          FROM (SELECT i, (a # (a >> 16)) * 73244475 & 4294967295 AS a, (b # (b >> 16)) * 73244475 & 4294967295 AS b
                                  FROM (SELECT i, i * 2654435761 & 4294967295 AS a, (i * 2246822519 + 1013904223) & 4294967295 AS b
                                          FROM generate_series(1, :profiles::bigint) i OFFSET 0) s1 OFFSET 0) s2 OFFSET 0) s3 OFFSET 0) s4
        OFFSET 0) s5;
COMMENT ON TABLE bench.person IS 'Generated people with 20 attributes';

-- Events come in the order of time, evenly over the 365 days that end on 2017-12-01. Some people do much more than others: the person's
-- number is the square of an even one, spread over the table by a prime.
CREATE UNLOGGED TABLE bench.event AS
SELECT i AS event_id,
       'u' || 1 + (((a >> 1) * (a >> 1) >> 31) * :profiles >> 31) * 7368787 % :profiles AS user_id,
       CASE WHEN b & 1023 < 717 THEN 'view' WHEN b & 1023 < 840 THEN 'add_cart' WHEN b & 1023 < 942 THEN 'purchase' ELSE 'search' END AS event,
       timestamptz '2016-12-01 00:00+00' + interval '1 microsecond' * (i * (31536000000000 / :events)) AS at,
       (ARRAY['GROCERY', 'PRODUCE', 'DRUG GM', 'MEAT', 'DELI', 'DAIRY', 'PASTRY', 'MEAT-PCKGD', 'NUTRITION', 'COSMETICS', 'FLORAL',
              'SEAFOOD', 'SPIRITS', 'SALAD BAR', 'FROZEN GROCERY', 'SEAFOOD-PCKGD', 'MISCELLANEOUS', 'FUEL', 'CHEF SHOPPE', 'PHARMACY',
              'GARDEN CENTER', 'RESTAURANT', 'TOYS', 'BOOKS', 'COUPON', 'AUTOMOTIVE', 'GM MERCH EXP', 'TRAVEL & LEISURE',
              'PHOTO & VIDEO', 'CNTRL/STORE SUP'])[1 + ((b >> 10 & 2047) * (b >> 10 & 2047) * 30 >> 22)] AS department,
       CASE WHEN b & 1023 >= 840 AND b & 1023 < 942
            THEN (((1024 + (c & 1023) << ((c >> 10 & 3) + (c >> 12 & 3) + (c >> 14 & 3) + (c >> 16 & 3))::int) >> 6)::numeric / 100)::numeric(10,2)
            END AS amount
  FROM (SELECT i, a, b, (a # b) * 668265263 >> 17 & 16777215 AS c
          FROM (SELECT i, a # (a >> 16) AS a, (a # (a >> 16)) * 1274126177 >> 13 & 4294967295 AS b
                  FROM (SELECT i, (a # (a >> 16)) * 73244475 & 4294967295 AS a
                          FROM (SELECT i, (a # (a >> 16)) * 73244475 & 4294967295 AS a
                                  FROM (SELECT i, i * 2654435761 & 4294967295 AS a FROM generate_series(1, :events::bigint) i OFFSET 0) s1
                                OFFSET 0) s2 OFFSET 0) s3 OFFSET 0) s4 OFFSET 0) s5;
COMMENT ON TABLE bench.event IS 'Generated events over 365 days that end on 2017-12-01';

ALTER TABLE bench.person ADD PRIMARY KEY (user_id);
ALTER TABLE bench.event ADD PRIMARY KEY (event_id);
ANALYZE bench.person, bench.event;
RESET client_min_messages;
