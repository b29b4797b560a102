-- The demo company: a supermarket with loyalty cards, a member list, a web shop and coupon campaigns.
--
--   psql -v data=tests/data -f tests/demo/10_company.sql        (from the root of the repository)
--
-- Sales, products, demographics and campaigns are real (see tests/data/README.md). E-mails, phones, cookies, devices and web visits are
-- generated from md5 of the household's number: the same on every machine and on every version of PostgreSQL.
-- Schemas crm, pos, web, ads, truth and raw are dropped and built anew; raw is dropped again at the end.

\set ON_ERROR_STOP on
\if :{?data}
\else
\set data tests/data
\endif
\setenv DEMO_DATA :data

SET client_min_messages = warning;
SET search_path = pg_catalog;
SELECT format('ALTER DATABASE %I SET timezone = %L', current_database(), 'UTC') \gexec
SET timezone = 'UTC';

DROP SCHEMA IF EXISTS crm, pos, web, ads, truth, raw CASCADE;
CREATE SCHEMA raw;
CREATE SCHEMA crm;
CREATE SCHEMA pos;
CREATE SCHEMA web;
CREATE SCHEMA ads;
CREATE SCHEMA truth;
COMMENT ON SCHEMA crm IS 'Demo company: the member list, with its typos and people registered twice';
COMMENT ON SCHEMA pos IS 'Demo company: the tills. What was sold, by loyalty card';
COMMENT ON SCHEMA web IS 'Demo company: the web shop. Visits by cookie and device, some with a log-in e-mail';
COMMENT ON SCHEMA ads IS 'Demo company: coupon campaigns, whom they were sent to, what was redeemed';
COMMENT ON SCHEMA truth IS 'Which household is behind each identifier. A real company does not have this; here it measures the stitching';

-- ---------------------------------------------------------------------------------------------------------------------------------
-- The real files
-- ---------------------------------------------------------------------------------------------------------------------------------
CREATE UNLOGGED TABLE raw.transactions (household_id int, store_id int, basket_id bigint, product_id int, quantity int,
  sales_value numeric, retail_disc numeric, coupon_disc numeric, coupon_match_disc numeric, week int, transaction_timestamp timestamptz);
-- The file writes product 900000 as 9e+05: hence a numeric.
CREATE UNLOGGED TABLE raw.products (product_id numeric, manufacturer_id int, department text, brand text, product_category text,
  product_type text, package_size text);
CREATE UNLOGGED TABLE raw.demographics (household_id int, age text, income text, home_ownership text, marital_status text,
  household_size text, household_comp text, kids_count text);
CREATE UNLOGGED TABLE raw.campaigns (campaign_id int, household_id int);
CREATE UNLOGGED TABLE raw.campaign_descriptions (campaign_id int, campaign_type text, start_date date, end_date date);
CREATE UNLOGGED TABLE raw.coupon_redemptions (household_id int, coupon_upc text, campaign_id int, redemption_date date);

\copy raw.transactions FROM PROGRAM 'gzip -dc "$DEMO_DATA/completejourney/transactions_sample.csv.gz"' WITH (FORMAT csv, HEADER)
\copy raw.products FROM PROGRAM 'gzip -dc "$DEMO_DATA/completejourney/products.csv.gz"' WITH (FORMAT csv, HEADER)
\copy raw.demographics FROM PROGRAM 'gzip -dc "$DEMO_DATA/completejourney/demographics.csv.gz"' WITH (FORMAT csv, HEADER)
\copy raw.campaigns FROM PROGRAM 'gzip -dc "$DEMO_DATA/completejourney/campaigns.csv.gz"' WITH (FORMAT csv, HEADER)
\copy raw.campaign_descriptions FROM PROGRAM 'gzip -dc "$DEMO_DATA/completejourney/campaign_descriptions.csv.gz"' WITH (FORMAT csv, HEADER)
\copy raw.coupon_redemptions FROM PROGRAM 'gzip -dc "$DEMO_DATA/completejourney/coupon_redemptions.csv.gz"' WITH (FORMAT csv, HEADER)
ANALYZE raw.transactions;

-- ---------------------------------------------------------------------------------------------------------------------------------
-- The dice: every generated value is one of these, of a household's number and a word that says what is being decided
-- ---------------------------------------------------------------------------------------------------------------------------------
-- A number 0 .. sides - 1, equally likely.
CREATE FUNCTION raw.dice(what text, sides int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (('x' || substr(md5(what), 1, 8))::bit(32)::bigint % sides)::int;

-- The same address as people type it: mostly clean, sometimes in capitals or with spaces around.
CREATE FUNCTION raw.typed_email(email text, what text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE raw.dice(what, 12)
  WHEN 0 THEN upper(email)
  WHEN 1 THEN ' ' || email
  WHEN 2 THEN upper(left(email, 1)) || substr(email, 2) || '  '
  ELSE email END;

-- A slip of the finger in the name before the household's number, so that it never becomes somebody else's address.
CREATE FUNCTION raw.mistyped_email(email text, slip int) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE slip
  WHEN 0 THEN left(email, 1) || substr(email, 3)
  WHEN 1 THEN left(email, 2) || substr(email, 2)
  ELSE left(email, 1) || 'w' || substr(email, 2) END;

-- Eleven digits in the ways in which a mobile number is written down.
CREATE FUNCTION raw.written_phone(digits text, what text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE raw.dice(what, 10)
  WHEN 0 THEN '+86' || digits
  WHEN 1 THEN '+86 ' || left(digits, 3) || ' ' || substr(digits, 4, 4) || ' ' || right(digits, 4)
  WHEN 2 THEN '0086' || digits
  WHEN 3 THEN '86' || digits
  WHEN 4 THEN left(digits, 3) || '-' || substr(digits, 4, 4) || '-' || right(digits, 4)
  ELSE digits END;

-- ---------------------------------------------------------------------------------------------------------------------------------
-- Households and what identifies them
-- ---------------------------------------------------------------------------------------------------------------------------------
CREATE UNLOGGED TABLE raw.household AS
SELECT h.household_id,
       'C' || lpad(household_id::text, 6, '0') AS card_no,
       'M' || lpad((household_id::bigint * 7919 % 1000003)::text, 7, '0') AS member_no,
       'M' || lpad(((household_id + 10000)::bigint * 7919 % 1000003)::text, 7, '0') AS second_member_no,
       given || '.' || family || household_id || '@' || (ARRAY['example.com', 'mail.example.com', 'example.net', 'example.org'])
         [1 + raw.dice('domain' || household_id, 4)] AS email,
       -- an address at work, used for log-in by some
       CASE WHEN raw.dice('work' || household_id, 100) < 15 THEN given || household_id || '@work.example.com' END AS work_email,
       -- an odd multiplier that 5 does not divide makes the last eight digits unique
       mobile[1 + raw.dice('mobile' || household_id, 12)] || lpad(((household_id * 2) * 48271631::bigint % 100000000)::text, 8, '0') AS phone,
       mobile[1 + raw.dice('mobile2' || household_id, 12)] || lpad(((household_id * 2 + 1) * 48271631::bigint % 100000000)::text, 8, '0')
         AS second_phone,
       raw.dice('slip' || household_id, 3) AS slip,
       -- everyone with known demographics is a member, and half of the others
       d.household_id IS NOT NULL OR raw.dice('member' || household_id, 100) < 50 AS is_member,
       raw.dice('twice' || household_id, 1000) AS twice,          -- < 35 and < 55: registered twice, in two ways
       raw.dice('receipt' || household_id, 100) < 40 AS takes_receipts,
       raw.dice('web' || household_id, 100) < 85 AS is_visitor,
       (ARRAY[0,0,1,1,1,1,1,2,2,3])[1 + raw.dice('devices' || household_id, 10)] AS devices,
       (ARRAY[1,1,2,2,2,3,3,4,4,5])[1 + raw.dice('cookies' || household_id, 10)] AS cookies
  FROM (SELECT household_id FROM raw.transactions UNION SELECT household_id FROM raw.demographics UNION SELECT household_id FROM raw.campaigns) h
  LEFT JOIN raw.demographics d USING (household_id)
 CROSS JOIN LATERAL (SELECT
       (ARRAY['mei','lan','jun','wei','fang','xin','hao','yan','tao','jing','ming','hui','lei','ting','bo','anna','david','grace','kevin','lucy'])
         [1 + raw.dice('given' || household_id, 20)] AS given,
       (ARRAY['wang','li','zhang','liu','chen','yang','huang','zhao','wu','zhou','xu','sun','ma','zhu','hu','lin','guo','he','gao','luo'])
         [1 + raw.dice('family' || household_id, 20)] AS family,
       ARRAY['138','139','137','136','150','151','158','159','182','186','187','188'] AS mobile) names;
ALTER TABLE raw.household ADD PRIMARY KEY (household_id);

CREATE UNLOGGED TABLE raw.device AS
SELECT household_id, n, md5('device' || household_id || '/' || n)::uuid::text AS device_id
  FROM raw.household, generate_series(1, devices) n
 WHERE is_visitor;

-- About one household in a hundred lends its first device to the household with the next number that visits the web shop.
CREATE UNLOGGED TABLE raw.shared_device AS
SELECT next_id AS household_id, device_id
  FROM (SELECT household_id, lead(household_id) OVER (ORDER BY household_id) AS next_id FROM raw.household WHERE is_visitor) v
  JOIN raw.device d USING (household_id)
 WHERE d.n = 1 AND next_id IS NOT NULL AND raw.dice('shares' || household_id, 100) < 2;

-- A cookie lives in one browser: of one of the household's devices (three in four), or of a computer that tells no device id.
CREATE UNLOGGED TABLE raw.cookie AS
SELECT h.household_id, c.n, substr(md5('cookie' || key), 1, 24) AS cookie,
       CASE WHEN c.n = 1 AND s.device_id IS NOT NULL THEN s.device_id ELSE d.device_id END AS device_id,
       CASE WHEN raw.dice('login' || key, 100) < 75
            THEN CASE WHEN raw.dice('which' || key, 2) = 0 THEN coalesce(h.work_email, h.email) ELSE h.email END END AS email
  FROM raw.household h
 CROSS JOIN LATERAL (SELECT n, h.household_id || '/' || n AS key FROM generate_series(1, h.cookies) n) c
  LEFT JOIN raw.shared_device s ON s.household_id = h.household_id
  LEFT JOIN raw.device d ON d.household_id = h.household_id AND d.n = 1 + raw.dice('on' || key, greatest(1, h.devices))
        AND raw.dice('has' || key, 4) > 0
 WHERE h.is_visitor;
ALTER TABLE raw.cookie ADD PRIMARY KEY (household_id, n);
ANALYZE raw.household, raw.device, raw.cookie;

-- ---------------------------------------------------------------------------------------------------------------------------------
-- crm
-- ---------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE crm.member (
  member_no      text PRIMARY KEY,
  email          text,
  phone          text,
  card_no        text,
  age            text,
  income         text,
  home_ownership text,
  marital_status text,
  household_size int,
  household_comp text,
  kids_count     int,
  joined_at      timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL
);
COMMENT ON TABLE crm.member IS 'Members as they registered, some of them twice. Demographics are real where they are known';
COMMENT ON COLUMN crm.member.email IS 'As typed: capitals, spaces, typos, placeholders';
COMMENT ON COLUMN crm.member.phone IS 'As written: national, +86, 0086, 86, with spaces or dashes, placeholders';
COMMENT ON COLUMN crm.member.card_no IS 'Loyalty card, where the member gave it';
COMMENT ON COLUMN crm.member.household_size IS '5 means five or more';
COMMENT ON COLUMN crm.member.kids_count IS '3 means three or more';

INSERT INTO crm.member
SELECT h.member_no,
       CASE WHEN once AND dice_email < 50 THEN NULL
            WHEN once AND dice_email < 55 THEN 'unknown'
            WHEN once AND dice_email < 60 THEN 'test@test.com'
            WHEN once AND dice_email < 63 THEN ''
            ELSE raw.typed_email(email, 'crm email' || household_id) END,
       CASE WHEN once AND dice_phone < 80 THEN NULL
            WHEN once AND dice_phone < 90 THEN '00000000000'
            ELSE raw.written_phone(phone, 'crm phone' || household_id) END,
       CASE WHEN raw.dice('card' || household_id, 100) < 93 THEN card_no END,
       age, income, home_ownership, marital_status, rtrim(household_size, '+')::int, household_comp, rtrim(kids_count, '+')::int,
       joined_at, least(joined_at + interval '1 second' * raw.dice('updated' || household_id, 400 * 86400), '2017-12-31 12:00+00')
  FROM raw.household h
  LEFT JOIN raw.demographics d USING (household_id)
 CROSS JOIN LATERAL (SELECT twice >= 55 AS once, raw.dice('crm email?' || household_id, 1000) AS dice_email,
       raw.dice('crm phone?' || household_id, 1000) AS dice_phone,
       timestamptz '2014-01-01 09:00+00' + interval '1 second' * raw.dice('joined' || household_id, 1100 * 86400) AS joined_at) g
 WHERE h.is_member
 ORDER BY joined_at, household_id;

-- Registered twice: the same phone with a mistyped e-mail, or the same e-mail with another phone.
INSERT INTO crm.member (member_no, email, phone, joined_at, updated_at)
SELECT second_member_no,
       CASE WHEN twice < 35 THEN raw.mistyped_email(email, slip) ELSE raw.typed_email(email, 'crm email 2' || household_id) END,
       CASE WHEN twice < 35 THEN raw.written_phone(phone, 'crm phone 2' || household_id)
            ELSE raw.written_phone(second_phone, 'crm phone 2' || household_id) END,
       at, at
  FROM raw.household h
 CROSS JOIN LATERAL (SELECT timestamptz '2017-01-01 09:00+00' + interval '1 second' * raw.dice('joined 2' || household_id, 330 * 86400) AS at) g
 WHERE h.is_member AND twice < 55
 ORDER BY at, household_id;

-- ---------------------------------------------------------------------------------------------------------------------------------
-- pos
-- ---------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE pos.product (
  product_id      int PRIMARY KEY,
  manufacturer_id int,
  department      text,
  brand           text,
  category        text,
  product_type    text,
  package_size    text
);
COMMENT ON TABLE pos.product IS 'The product tree (real)';
INSERT INTO pos.product SELECT * FROM raw.products ORDER BY product_id;
ANALYZE pos.product;

CREATE TABLE pos.sale (
  sale_id    bigint PRIMARY KEY,
  card_no    text NOT NULL,
  email      text,
  sold_at    timestamptz NOT NULL,
  store_id   int NOT NULL,
  basket_id  bigint NOT NULL,
  product_id int NOT NULL,
  department text,
  category   text,
  brand      text,
  quantity   int NOT NULL,
  amount     numeric(10,2) NOT NULL,
  discount   numeric(10,2) NOT NULL
);
COMMENT ON TABLE pos.sale IS 'Sales lines (real), joined to the product tree';
COMMENT ON COLUMN pos.sale.email IS 'As typed for an e-receipt (generated)';
COMMENT ON COLUMN pos.sale.department IS 'NULL for the few products that the product tree does not have';

INSERT INTO pos.sale
SELECT row_number() OVER (ORDER BY transaction_timestamp, basket_id, product_id), card_no,
       CASE WHEN takes_receipts AND raw.dice('receipt?' || basket_id, 100) < 12
            THEN CASE WHEN raw.dice('receipt typo' || basket_id, 25) = 0 THEN raw.mistyped_email(email, (slip + 1) % 3)
                      ELSE raw.typed_email(email, 'receipt' || basket_id) END END,
       transaction_timestamp, store_id, basket_id, product_id, p.department, p.category, p.brand, quantity,
       sales_value, retail_disc + coupon_disc + coupon_match_disc
  FROM raw.transactions t
  JOIN raw.household USING (household_id)
  LEFT JOIN pos.product p USING (product_id)
 ORDER BY transaction_timestamp, basket_id, product_id;
ANALYZE pos.sale;

-- ---------------------------------------------------------------------------------------------------------------------------------
-- web
-- ---------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE web.visit (
  visit_id   bigint PRIMARY KEY,
  at         timestamptz NOT NULL,
  cookie     text NOT NULL,
  device_id  text,
  email      text,
  event      text NOT NULL,
  page       text NOT NULL,
  department text
);
COMMENT ON TABLE web.visit IS 'What happened in the web shop (generated over what the households really bought)';
COMMENT ON COLUMN web.visit.cookie IS 'First-party cookie; empty when the visitor refused cookies';
COMMENT ON COLUMN web.visit.device_id IS 'Device id where the app or the browser tells it; all zeros when the visitor forbade tracking';
COMMENT ON COLUMN web.visit.email IS 'As typed at log-in';
COMMENT ON COLUMN web.visit.event IS 'session_start, search, view or add_cart';

-- Kind 1: looked at a product in the three days before it was bought. 2: put it in the cart. 3: browsed a department the household buys
-- from, in any month. 4: searched first. 5: opened the home page.
CREATE UNLOGGED TABLE raw.visit AS
WITH bought AS MATERIALIZED (
  SELECT s.sale_id, h.household_id, s.sold_at, s.product_id, s.department
    FROM pos.sale s JOIN raw.household h USING (card_no)
   WHERE h.is_visitor AND s.department IS NOT NULL
), viewed AS MATERIALIZED (
  SELECT household_id, sale_id, product_id, department, n,
         sold_at - interval '10 minutes' - interval '1 second' * raw.dice('before' || sale_id || '/' || n, 3 * 86400) AS at
    FROM bought, generate_series(1, (ARRAY[0,0,0,0,1,1,1,2,2,3])[1 + raw.dice('views' || sale_id, 10)]) n
), browsed AS MATERIALIZED (
  SELECT household_id, department, month, n, row_number() OVER (ORDER BY household_id, department COLLATE "C", month, n)::int AS key,
         timestamptz '2017-01-01 06:00+00' + interval '1 month' * month
           + interval '1 second' * raw.dice('browse at' || household_id || department || month || '/' || n, 28 * 86400) AS at
    FROM (SELECT DISTINCT household_id, department FROM bought) b, generate_series(0, 11) month,
         generate_series(1, (ARRAY[0,0,0,0,1,1,1,1,2,2])[1 + raw.dice('browse' || household_id || department || month, 10)]) n
)
SELECT 1 AS kind, household_id, sale_id::int AS key, n, at, 'view' AS event, '/product/' || product_id AS page, department FROM viewed
UNION ALL
SELECT 2, household_id, sale_id::int, n, at + interval '1 second' * (20 + raw.dice('cart at' || sale_id || '/' || n, 300)),
       'add_cart', '/product/' || product_id, department
  FROM viewed WHERE raw.dice('cart' || sale_id || '/' || n, 100) < 18
UNION ALL
SELECT 3, household_id, key, n, at, 'view', '/department/' || lower(regexp_replace(department, '[^A-Za-z]+', '-', 'g')), department FROM browsed
UNION ALL
SELECT 4, household_id, key, n, at - interval '1 second' * (5 + raw.dice('search at' || key, 90)), 'search',
       '/search?q=' || lower(regexp_replace(department, '[^A-Za-z]+', '+', 'g')), department
  FROM browsed WHERE raw.dice('search' || key, 100) < 30
UNION ALL
SELECT 5, household_id, week, 1, timestamptz '2017-01-01 06:00+00' + interval '7 days' * week
         + interval '1 second' * raw.dice('home at' || household_id || '/' || week, 7 * 86400), 'session_start', '/', NULL
  FROM raw.household, generate_series(0, 51) week
 WHERE is_visitor AND raw.dice('home' || household_id || '/' || week, 100) < 30;

INSERT INTO web.visit
SELECT visit_id, at, CASE WHEN refused THEN '' ELSE c.cookie END,
       CASE WHEN refused THEN NULL
            WHEN c.device_id IS NOT NULL AND raw.dice('no tracking' || visit_id, 100) < 2 THEN '00000000-0000-0000-0000-000000000000'
            ELSE c.device_id END,
       CASE WHEN NOT refused AND raw.dice('logged in' || visit_id, 100) < 25 THEN raw.typed_email(c.email, 'login' || visit_id) END,
       event, page, department
  FROM (SELECT v.*, row_number() OVER (ORDER BY at, household_id, kind, key, n) AS visit_id
          FROM raw.visit v WHERE at >= '2017-01-01' AND at < '2018-01-01') v
  JOIN raw.household h USING (household_id)
  JOIN raw.cookie c ON c.household_id = v.household_id
       AND c.n = 1 + raw.dice('by' || v.household_id || '/' || v.kind || '/' || v.key, h.cookies)
 CROSS JOIN LATERAL (SELECT raw.dice('refused' || visit_id, 1000) = 0 AS refused) r
 ORDER BY visit_id;

-- ---------------------------------------------------------------------------------------------------------------------------------
-- ads
-- ---------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE ads.campaign (campaign_id int PRIMARY KEY, campaign_type text NOT NULL, start_date date NOT NULL, end_date date NOT NULL);
CREATE TABLE ads.targeting (campaign_id int NOT NULL REFERENCES ads.campaign, card_no text NOT NULL, PRIMARY KEY (campaign_id, card_no));
CREATE TABLE ads.redemption (redemption_id bigint PRIMARY KEY, campaign_id int NOT NULL REFERENCES ads.campaign, card_no text NOT NULL,
  coupon_upc text NOT NULL, redeemed_on date NOT NULL);
COMMENT ON TABLE ads.campaign IS 'Coupon campaigns (real)';
COMMENT ON TABLE ads.targeting IS 'Which card was sent which campaign (real; the targeting was not random)';
COMMENT ON TABLE ads.redemption IS 'Coupons redeemed (real)';
INSERT INTO ads.campaign SELECT * FROM raw.campaign_descriptions ORDER BY campaign_id;
INSERT INTO ads.targeting SELECT campaign_id, card_no FROM raw.campaigns JOIN raw.household USING (household_id) ORDER BY 1, 2;
INSERT INTO ads.redemption
SELECT row_number() OVER (ORDER BY redemption_date, household_id, campaign_id, coupon_upc COLLATE "C"), campaign_id, card_no, coupon_upc,
       redemption_date
  FROM raw.coupon_redemptions JOIN raw.household USING (household_id);

-- ---------------------------------------------------------------------------------------------------------------------------------
-- truth
-- ---------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE truth.identifier (
  type         text NOT NULL,
  value        text NOT NULL,
  household_id int NOT NULL,
  PRIMARY KEY (type, value)
);
COMMENT ON TABLE truth.identifier IS
  'The household behind every identifier that crm.member, pos.sale and web.visit hold. A household is one customer';
COMMENT ON COLUMN truth.identifier.value IS 'Normalised: e-mail in lower case, phone as E.164';
COMMENT ON COLUMN truth.identifier.household_id IS 'A shared device is its first household''s; a mistyped e-mail is the household''s that typed it';

INSERT INTO truth.identifier
WITH known (type, value, household_id) AS (
  SELECT 'member_no', member_no, household_id FROM raw.household
  UNION ALL SELECT 'member_no', second_member_no, household_id FROM raw.household
  UNION ALL SELECT 'loyalty_card', card_no, household_id FROM raw.household
  UNION ALL SELECT 'email', email, household_id FROM raw.household
  UNION ALL SELECT 'email', work_email, household_id FROM raw.household WHERE work_email IS NOT NULL
  UNION ALL SELECT 'email', raw.mistyped_email(email, s), household_id FROM raw.household, generate_series(0, 2) s
  UNION ALL SELECT 'phone', '+86' || phone, household_id FROM raw.household
  UNION ALL SELECT 'phone', '+86' || second_phone, household_id FROM raw.household
  UNION ALL SELECT 'cookie', cookie, household_id FROM raw.cookie
  UNION ALL SELECT 'device_id', device_id, household_id FROM raw.device
), seen (type, value) AS (
  SELECT 'member_no', member_no FROM crm.member
  UNION SELECT 'loyalty_card', card_no FROM crm.member
  UNION SELECT 'loyalty_card', card_no FROM pos.sale
  UNION SELECT 'email', lower(btrim(email)) FROM crm.member
  UNION SELECT 'email', lower(btrim(email)) FROM pos.sale
  UNION SELECT 'email', lower(btrim(email)) FROM web.visit
  UNION SELECT 'phone', '+86' || right(regexp_replace(phone, '[^0-9]', '', 'g'), 11) FROM crm.member
  UNION SELECT 'cookie', cookie FROM web.visit
  UNION SELECT 'device_id', device_id FROM web.visit
)
SELECT type, value, household_id FROM known JOIN seen USING (type, value);

DROP SCHEMA raw CASCADE;
ANALYZE crm.member, pos.product, pos.sale, web.visit, ads.campaign, ads.targeting, ads.redemption, truth.identifier;
RESET search_path;
RESET client_min_messages;

SELECT relation, rows, what FROM (VALUES
  (1, 'crm.member',       (SELECT count(*) FROM crm.member),       'people as they registered, some twice; demographics real'),
  (2, 'pos.product',      (SELECT count(*) FROM pos.product),      'product tree, real'),
  (3, 'pos.sale',         (SELECT count(*) FROM pos.sale),         'sales lines by loyalty card, real'),
  (4, 'web.visit',        (SELECT count(*) FROM web.visit),        'web shop by cookie and device, generated'),
  (5, 'ads.targeting',    (SELECT count(*) FROM ads.targeting),    'who was sent which campaign, real'),
  (6, 'ads.redemption',   (SELECT count(*) FROM ads.redemption),   'coupons redeemed, real'),
  (7, 'truth.identifier', (SELECT count(*) FROM truth.identifier), 'who is really behind each identifier')) t (n, relation, rows, what)
 ORDER BY n;
