-- The walk-through: from the company's own tables to an audience, in one database.
-- Runs after 10_company.sql, in a database where pg_cdp is not created yet.
-- The data ends in 2017, so everything that depends on the time is asked as of 2017-12-01.

\set ON_ERROR_STOP on
\set QUIET on
SET timezone = 'UTC';
\set ECHO queries
\timing on
\set QUIET off

\echo
\echo '==== 1. Install. The workspace is ordinary tables in the schema cdp: yours to dump, grant and index'
\echo
CREATE EXTENSION pg_cdp;
SELECT cdp_init();

\echo
\echo '==== 2. Name the sources. Three tables that are already there; each value is an SQL expression over their columns'
\echo
SELECT cdp_source_create('crm', 'crm.member', $${
  "key": "member_no",
  "updated_at": "updated_at",
  "identifiers": {
    "member_no": "member_no",
    "email": "email",
    "phone": "phone",
    "loyalty_card": "card_no"
  },
  "traits": {
    "age": "age",
    "income": "income",
    "home_ownership": "home_ownership",
    "marital_status": "marital_status",
    "household_size": "household_size",
    "household_comp": "household_comp",
    "kids_count": "kids_count",
    "joined_at": "joined_at"
  }
}$$);
SELECT cdp_source_create('pos', 'pos.sale', $${
  "key": "sale_id",
  "updated_at": "sold_at",
  "identifiers": {
    "loyalty_card": "card_no",
    "email": "email"
  },
  "event": {
    "name": "'purchase'",
    "at": "sold_at",
    "id": "sale_id",
    "properties": {
      "department": "department",
      "category": "category",
      "brand": "brand",
      "store_id": "store_id",
      "basket_id": "basket_id",
      "product_id": "product_id",
      "quantity": "quantity",
      "amount": "amount",
      "discount": "discount"
    },
    "tracked": ["department", "brand"],
    "measures": ["amount", "quantity"]
  }
}$$);
SELECT cdp_source_create('web', 'web.visit', $${
  "key": "visit_id",
  "updated_at": "at",
  "identifiers": {
    "cookie": "cookie",
    "device_id": "device_id",
    "email": "email"
  },
  "event": {
    "name": "event",
    "at": "at",
    "id": "visit_id",
    "properties": {
      "department": "department",
      "page": "page"
    }
  }
}$$);

\echo
\echo '==== 3. Read them. Cookies, devices, cards, e-mails and phones become people; facts become columns of bits'
\echo
CALL cdp_sync();

\echo
\echo '==== 4. Tags: two expressions, the second built on the first'
\echo
SELECT cdp_tag_create('spend_90d', $$ sum(purchase.amount) FILTER (WHERE at >= now() - interval '90 days') $$);
SELECT cdp_tag_create('value_level', $$ CASE WHEN spend_90d >= 40 THEN 'high' WHEN spend_90d >= 12 THEN 'mid' ELSE 'low' END $$);
SELECT * FROM cdp_tag_refresh(as_of => '2017-12-01');

\echo
\echo '==== 5. The question every shop asks: families who spend a lot, looked at pastry this month, and bought none'
\echo '     Members are in crm, looks are in web, purchases are in pos: nobody could answer this before the stitching'
\echo
SELECT cdp_count(cdp_segment($$ kids_count >= 1 AND value_level = 'high'
     AND count(view) FILTER (WHERE department = 'PASTRY' AND at >= now() - interval '30 days') > 0
     AND count(purchase) FILTER (WHERE department = 'PASTRY' AND at >= now() - interval '30 days') = 0 $$, as_of => '2017-12-01'));

\echo
\echo '==== 6. One person, all round: registered twice, with one phone and three spellings of an e-mail'
\echo
SELECT jsonb_pretty(cdp_profile('email', 'ming.zhou2116@example.net')) AS profile
\g (format=unaligned tuples_only=on)

\echo
\echo '==== 7. What a BI tool sees: one row per person, plain types, every trait and tag a column'
\echo
\set QUIET on
\pset null '(unknown)'
\set QUIET off
SELECT income, value_level, count(*) FROM cdp.profiles GROUP BY 1, 2 ORDER BY 1, 2;

\echo
\echo '==== 8. No magic: the plain SQL that question 5 is equal to, over the public views'
\echo
\set QUIET on
\timing off
\set ECHO none
SELECT $$ kids_count >= 1 AND value_level = 'high'
     AND count(view) FILTER (WHERE department = 'PASTRY' AND at >= now() - interval '30 days') > 0
     AND count(purchase) FILTER (WHERE department = 'PASTRY' AND at >= now() - interval '30 days') = 0 $$ AS audience
\gset
\timing on
\set QUIET off
\echo 'SELECT cdp_segment_sql($$ ... question 5 ... $$);'
\echo
SELECT cdp_segment_sql(:'audience')
\g (format=unaligned tuples_only=on)

\echo
\echo '==== 9. Keep the audience under a name, and hand it over'
\echo
\echo 'SELECT cdp_segment_create(''pastry_lookers'', $$ ... question 5 ... $$, ''High-spending families who ...'');'
SELECT cdp_segment_create('pastry_lookers', :'audience', 'High-spending families who looked at pastry in 30 days and bought none');
\set ECHO queries
SELECT * FROM cdp_segment_refresh('pastry_lookers', as_of => '2017-12-01');
SELECT profile_id, age, income, kids_count, spend_90d
  FROM cdp_members('pastry_lookers') AS m(profile_id)
  JOIN cdp.profiles USING (profile_id)
 ORDER BY spend_90d DESC, profile_id
 LIMIT 5;

\echo
\echo '==== 10. How good is the stitching? Beside the truth, which only a demo company has'
\echo '     precision: of all pairs of identifiers said to be one person, how many are. It is below 1 because of shared devices'
\echo '     recall: of all pairs that are one person, how many were found. What nobody ever typed in cannot be known: a cookie that'
\echo '     never logged in, a card without an e-mail'
\echo
SELECT (SELECT count(DISTINCT (type, value)) FROM cdp.identifiers) AS identifiers,
       (SELECT count(*) FROM cdp.profiles) AS became_people,
       (SELECT count(*) FROM truth.identifier) AS identifiers_in_truth,
       (SELECT count(DISTINCT household_id) FROM truth.identifier) AS people_in_truth;

CREATE TEMP TABLE quality AS
WITH both_say AS (          -- a contingency table: how many identifiers of each household each profile holds
  SELECT profile_id, household_id, count(*) AS n
    FROM (SELECT DISTINCT profile_id, type, value FROM cdp.identifiers) i
    JOIN truth.identifier USING (type, value)
   GROUP BY profile_id, household_id
), pairs AS (               -- n things make n(n-1)/2 pairs
  SELECT (SELECT sum(n * (n - 1) / 2) FROM both_say) AS right_pairs,
         (SELECT sum(n * (n - 1) / 2) FROM (SELECT sum(n) AS n FROM both_say GROUP BY profile_id) p) AS found_pairs,
         (SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM truth.identifier GROUP BY household_id) t) AS true_pairs
)
SELECT round(found_pairs) AS found_pairs, round(true_pairs) AS true_pairs, right_pairs,
       round(right_pairs / found_pairs, 4) AS "precision", round(right_pairs / true_pairs, 4) AS recall
  FROM pairs;
SELECT * FROM quality;
-- The demo fails when the stitching gets worse than it was.
DO $$ BEGIN
    ASSERT (SELECT q."precision" >= 0.98 AND q.recall >= 0.775 FROM pg_temp.quality q), 'the stitching has become worse';
END $$;
DROP TABLE pg_temp.quality;

\echo
\echo '==== 11. Nothing is dropped in silence: the rows that could not be used, and why'
\echo
SELECT source, reason, count(*) FROM cdp.rejects GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 10;

\echo
\echo '==== 12. A message comes in from the web shop: who it is, tags and segments are up to date before the call returns'
\echo
SELECT cdp_segment_create('bakery_fans', $$ count(view) FILTER (WHERE department = 'PASTRY') > 0 AND has_identifier('user_id') $$);
SELECT jsonb_pretty(cdp_ingest('{"type": "track", "messageId": "7f3a", "event": "view", "userId": "web-1", "timestamp": "2017-12-01T09:30:00Z",
    "properties": {"department": "PASTRY"}, "context": {"traits": {"email": "ming.zhou2116@example.net"}}}')) AS answer;
SELECT cdp_segment_at('bakery_fans', now()) = cdp_segment($$ count(view) FILTER (WHERE department = 'PASTRY') > 0 AND has_identifier('user_id') $$) AS up_to_date;

\set QUIET on
\timing off
\set ECHO none
\pset null ''
