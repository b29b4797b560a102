-- The benchmark's questions, over the attributes and events of generate.sql, asked as of 2017-12-01.

CREATE TEMP TABLE bench_expression (n int PRIMARY KEY, name text NOT NULL UNIQUE, expression text NOT NULL);
INSERT INTO bench_expression VALUES
(1, 'two tags', $$ gender = 'female' AND tier = 'gold' $$),
(2, 'five tags', $$ gender = 'female' AND value_level IN ('high', 'mid') AND region IN ('region 1', 'region 2', 'region 3')
     AND app_user = true AND channel <> 'phone' $$),
(3, 'number range and tags', $$ spend_total BETWEEN 50 AND 200 AND age >= 25 AND age < 45 AND tier <> 'bronze' $$),
(4, 'viewed, not bought, in 30 days', $$ kids_count >= 1 AND value_level = 'high'
     AND count(view) FILTER (WHERE department = 'PASTRY' AND at >= now() - interval '30 days') > 0
     AND count(purchase) FILTER (WHERE department = 'PASTRY' AND at >= now() - interval '30 days') = 0 $$),
(5, 'spent over 100 in 90 days', $$ sum(purchase.amount) FILTER (WHERE at >= now() - interval '90 days') > 100 $$),
(6, 'any of ten', $$ city = 'city 7' OR city = 'city 11' OR city = 'city 23' OR store = 'store 5' OR store = 'store 250'
     OR churn_risk = true OR points >= 60000 OR nps <= 1 OR balance > 100 OR birthday >= '2000-01-01' $$);
