-- The little shop of the examples in docs/: five customers, their visits and purchases. For an empty database, as a superuser:
--   psql -d some_empty_database -f docs/shop.sql
SET timezone = 'UTC';
CREATE SCHEMA shop;

CREATE TABLE shop.customer (
    customer_no text PRIMARY KEY, name text, email text, phone text, city text, vip boolean, birthday date, balance numeric,
    updated_at timestamptz NOT NULL);
INSERT INTO shop.customer VALUES
    ('C1', 'Ann',   'Ann@Example.com ', '138 0000 1111',    'Paris', true,  '1990-05-17', 120.50, '2024-01-10 09:00+00'),
    ('C2', 'Bob',   'bob@example.com',  '+8613800002222',   'Lyon',  false, '1985-12-01', -3.00,  '2024-01-11 09:00+00'),
    ('C3', 'Cleo',  NULL,               '0086 13800003333', 'Paris', NULL,  NULL,         NULL,   '2024-01-12 09:00+00'),
    ('C4', 'Dan',   'test@test.com',    NULL,               NULL,    false, '2001-02-03', 0,      '2024-01-13 09:00+00'),
    -- Ann again: the same e-mail under a second number.
    ('C5', 'Annie', 'ann@example.com',  NULL,               'Nice',  NULL,  NULL,         NULL,   '2024-02-01 09:00+00');

CREATE TABLE shop.visit (visit_id bigint PRIMARY KEY, at timestamptz NOT NULL, cookie text, email text, action text, category text);
INSERT INTO shop.visit VALUES
    (1, '2024-02-25 10:00+00', 'k1', NULL,              'view', 'shoes'),
    (2, '2024-02-25 10:05+00', 'k1', 'ann@example.com', 'view', 'shoes'),
    (3, '2024-02-27 23:30+00', 'k2', 'bob@example.com', 'view', 'books'),
    (4, '2024-02-28 08:00+00', 'k3', NULL,              'view', 'shoes'),
    (5, '2024-02-28 08:10+00', '',   NULL,              'view', 'shoes');

CREATE TABLE shop.sale (sale_id bigint PRIMARY KEY, sold_at timestamptz NOT NULL, customer_no text, category text, amount numeric);
INSERT INTO shop.sale VALUES
    (1, '2024-01-15 12:00+00', 'C1', 'shoes', 80.00),
    (2, '2024-02-26 12:00+00', 'C1', 'books', 15.50),
    (3, '2024-02-27 12:00+00', 'C2', 'books', 40.00),
    (4, '2024-02-28 12:00+00', 'C3', 'shoes', NULL);

CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
SELECT cdp_source_create('crm', 'shop.customer', '{
    "updated_at": "updated_at",
    "identifiers": {"member_no": "customer_no", "email": "email", "phone": "phone"},
    "traits": {"name": "name", "city": "city", "vip": "vip", "birthday": "birthday", "balance": "balance"}}');
SELECT cdp_source_create('web', 'shop.visit', '{
    "updated_at": "at",
    "identifiers": {"cookie": "cookie", "email": "email"},
    "event": {"name": "action", "at": "at", "id": "visit_id", "properties": {"category": "category"}}}');
SELECT cdp_source_create('pos', 'shop.sale', $${
    "updated_at": "sold_at",
    "identifiers": {"member_no": "customer_no"},
    "event": {"name": "'purchase'", "at": "sold_at", "id": "sale_id", "properties": {"category": "category", "amount": "amount"}}}$$);
CALL cdp_sync();
