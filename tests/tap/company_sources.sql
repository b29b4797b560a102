-- The sources over the tables of company.sql, and a few definitions. The workspace is there.
SELECT cdp_source_create('crm', 'shop.customer', '{"key": "id", "updated_at": "updated_at", "identifiers": {"email": "email", "member_no": "member_no", "loyalty_card": "card"},
  "traits": {"city": "city", "age": "age", "income": "income", "vip": "vip", "birthday": "birthday"}}');
SELECT cdp_source_create('pos', 'shop.sale', '{"identifiers": {"loyalty_card": "card", "email": "email"},
  "event": {"name": "''purchase''", "at": "at", "properties": {"amount": "amount", "qty": "qty", "category": "category"}}}');
SELECT cdp_source_create('web', 'shop.visit', '{"key": "id", "updated_at": "version", "identifiers": {"cookie": "cookie", "email": "email"},
  "event": {"name": "event", "at": "at", "properties": {"page": "page", "seconds": "seconds"}}}');
