-- The tables of company.sql.
CREATE SCHEMA shop;
CREATE TABLE shop.customer (id int PRIMARY KEY, email text, member_no text, card text, city text, age int, income numeric, vip boolean, birthday date, updated_at timestamptz);
CREATE TABLE shop.sale (id int PRIMARY KEY, card text, email text, amount numeric, qty int, category text, at timestamptz);
CREATE TABLE shop.visit (id int PRIMARY KEY, cookie text, email text, event text, page text, seconds bigint, at timestamptz, version int);
