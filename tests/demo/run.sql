-- The whole demo, in an empty database, from the root of the repository:
--   psql -X -v data=tests/data -f tests/demo/run.sql
\set ON_ERROR_STOP on
\set QUIET on
\echo
\echo '==== A supermarket: members, tills, web shop and coupon campaigns'
\echo
\ir 10_company.sql
\ir 20_cdp.sql
