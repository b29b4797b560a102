-- A small company for the life-cycle tests, the same every time: people, purchases, visits. psql variables: people (rows of customer),
-- from (first number of these rows), so that later rows can follow.
INSERT INTO shop.customer
SELECT i, CASE WHEN i % 11 <> 0 THEN 'c' || i || '@example.com' END, 'M' || i, 'K' || i % (i / 2 + 1), CASE i % 5 WHEN 0 THEN '上海' WHEN 1 THEN 'O''Hare' WHEN 2 THEN 'Paris' WHEN 3 THEN '' END,
       i * 7 % 90, (i * 37 % 5000) / 10.0, i % 3 = 0, date '1950-01-01' + i * 97 % 20000, timestamptz '2024-01-01 00:00+00' + i * interval '1 minute'
FROM generate_series(:from, :from + :people - 1) i;
INSERT INTO shop.sale
SELECT i, 'K' || i % 97, CASE WHEN i % 13 = 0 THEN 'C' || i % 89 || '@Example.com ' END, (i * 53 % 900) / 4.0, i % 4, CASE WHEN i % 6 <> 0 THEN 'cat ' || i % 9 END,
       timestamptz '2024-03-30 00:00+00' + i * interval '97 minutes'
FROM generate_series(:from, :from + 3 * :people - 1) i;
INSERT INTO shop.visit
SELECT i, 'ck' || i % 120, CASE WHEN i % 9 = 0 THEN 'c' || i % 120 || '@example.com' END, CASE WHEN i % 3 = 0 THEN 'click' ELSE 'view' END, '/p' || i % 17, i % 300,
       timestamptz '2024-03-01 00:00+00' + i * interval '51 minutes', i
FROM generate_series(:from, :from + 4 * :people - 1) i;
