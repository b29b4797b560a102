-- The benchmark's tables as sources. Runs after generate.sql and CREATE EXTENSION pg_cdp.

\set ON_ERROR_STOP on
SET timezone = 'UTC';
SELECT cdp_init();
SELECT cdp_source_create('person', 'bench.person', $${
  "key": "user_id",
  "updated_at": "updated_at",
  "identifiers": {
    "user_id": "user_id",
    "email": "email"
  },
  "traits": {
    "gender": "gender",
    "tier": "tier",
    "value_level": "value_level",
    "channel": "channel",
    "region": "region",
    "city": "city",
    "store": "store",
    "opted_in": "opted_in",
    "app_user": "app_user",
    "newsletter": "newsletter",
    "churn_risk": "churn_risk",
    "age": "age",
    "kids_count": "kids_count",
    "points": "points",
    "nps": "nps",
    "spend_total": "spend_total",
    "balance": "balance",
    "birthday": "birthday",
    "first_order_on": "first_order_on",
    "last_login_at": "last_login_at"
  }
}$$);
SELECT cdp_source_create('event', 'bench.event', $${
  "key": "event_id",
  "updated_at": "at",
  "identifiers": {
    "user_id": "user_id"
  },
  "event": {
    "name": "event",
    "at": "at",
    "id": "event_id",
    "properties": {
      "department": "department",
      "amount": "amount"
    }
  }
}$$);
