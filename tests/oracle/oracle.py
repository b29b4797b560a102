"""What the oracle tests share: psql, SQL text, and a made-up company whose tables are the sources."""
import json
import os
import random
import subprocess
import sys
import time

# Zones by how they treat midnight, with the days on which their clocks change. Havana and Cairo change at midnight, so that a day
# begins at one o'clock or midnight comes twice; Lord Howe changes by half an hour; Apia left out 2011-12-30 altogether.
ZONES = {
    "UTC": ["2024-02-29", "2024-12-31"],
    "Europe/Berlin": ["2024-03-31", "2024-10-27", "2025-03-30"],
    "America/New_York": ["2024-03-10", "2024-11-03", "2025-03-09"],
    "America/Havana": ["2024-03-10", "2024-11-03", "2025-03-09"],
    "Africa/Cairo": ["2024-04-26", "2024-10-31", "2024-11-01"],
    "Australia/Lord_Howe": ["2024-04-07", "2024-10-06", "2025-04-06"],
    "Pacific/Apia": ["2011-12-29", "2011-12-30", "2011-12-31"],
    "Asia/Shanghai": ["2024-02-29", "2024-11-11"],
}


def start(name):
    """Prints and returns the seed, and the random numbers it begins."""
    seed = int(os.environ.get("ORACLE_SEED") or time.time())
    print(f"{name}: ORACLE_SEED={seed}", flush=True)
    return random.Random(seed)


# Without daylight saving: only where they are asked for.
STEADY = {"UTC", "Asia/Shanghai"}


def zone(rng):
    """The workspace's time zone: one whose clocks change."""
    return os.environ.get("ORACLE_TIME_ZONE") or rng.choice(sorted(set(ZONES) - STEADY))


def numbering(rng):
    """SQL that lets the numbers of people begin where they will cross a block of 2^16 or a shard of 2^20, now and then far up."""
    first = rng.choice([1, 2 ** 16 - 300, 2 ** 20 - 300, 2 ** 20 - 300, 2 ** 33 - 300])
    print(f"people are numbered from {first}", flush=True)
    return f"ALTER SEQUENCE cdp.profile_id_seq RESTART {first};\n"


def psql(sql, check=True):
    """Runs SQL text; returns what it prints, unaligned. Notices stay out of the way."""
    run = subprocess.run(
        ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"],
        input="SET client_min_messages = warning;\n" + sql,
        capture_output=True, text=True, encoding="utf-8", check=False,
        env={**os.environ, "PGCLIENTENCODING": "UTF8"},
    )
    if check and (run.returncode != 0 or run.stderr):
        fail(f"psql ended with {run.returncode}\n{run.stderr[-4000:]}\n{run.stdout[-2000:]}")
    return run.stdout if check else run


def rows(sql, after=""):
    """Runs one query before and after which SQL may do more; gives its rows as dictionaries. The query stands behind `---`."""
    before, _, query = sql.rpartition("---")
    query = query.strip().rstrip(";")
    out = psql(f"{before}\nSELECT to_jsonb(q) FROM ({query}) q;\n{after}")
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def fail(message):
    print(f"FAILED: {message}", flush=True)
    sys.exit(1)


def quote(text):
    """A string literal; NULL for None."""
    return "NULL" if text is None else "'" + str(text).replace("'", "''") + "'"


def lit(value):
    """A value of a row as SQL: raw SQL when it is wrapped by `sql()`."""
    if isinstance(value, Sql):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return quote(value)


class Sql:
    """SQL text that is no string."""

    def __init__(self, text):
        self.text = text


CITIES = ["Paris", "paris", "上海", "北京 市", "O'Hare", 'Say "hi"', "São Paulo", "a_b", "100%", "back\\slash", "Zürich", " lead", "z" * 300]
LABELS = ["vip", "new", "上海", "it's", "a,b", "{x}", "", None]
TIERS = ["gold", "silver", "bronze", "没有", "$tier$"]
CATEGORIES = ["shoes", "鞋子", "it's", "", "a_b", "100%", "Hats", "hats", 'q"q', "{}", "books"]

SCHEMA = """
CREATE SCHEMA shop;
CREATE FUNCTION shop.t(day date, shift interval) RETURNS timestamptz LANGUAGE sql STABLE AS
  $$ SELECT (day::timestamp AT TIME ZONE {zone}) + shift $$;
CREATE TABLE shop.customer (id bigint PRIMARY KEY, member_no text, email text, phone text, card text, city text, nick text, age int, income numeric,
  ratio numeric, balance bigint, vip boolean, birthday date, expiry date, joined timestamptz, "Tier 级" text, labels text[], updated_at timestamptz);
CREATE TABLE shop.sale (sale_id bigint PRIMARY KEY, card text, email text, amount numeric, qty int, category text, gift boolean, note text, due date,
  price numeric, sold_at timestamptz);
CREATE TABLE shop.visit (visit_id bigint, cookie text, device text, email text, event text, page text, ref text, category text, seconds bigint,
  score numeric, bot boolean, seen timestamptz, at timestamptz, updated_at timestamptz);
CREATE TABLE shop.old_member (id int PRIMARY KEY, email text, member_no text, phone text, city text, age smallint, income numeric, since timestamptz);
"""

SOURCES = r"""
SELECT cdp_source_create('crm', 'shop.customer', $j${"key": "id", "updated_at": "updated_at",
  "identifiers": {"member_no": "member_no", "email": "email", "phone": "phone", "loyalty_card": "card"},
  "traits": {"city": "city", "nick": "nick", "age": "age", "income": "income", "ratio": "ratio", "balance": "balance", "vip": "vip",
             "birthday": "birthday", "expiry": "expiry", "joined": "joined", "Tier 级": "\"Tier 级\"", "labels": "labels"}}$j$, 60);
SELECT cdp_source_create('pos', 'shop.sale', $j${"identifiers": {"loyalty_card": "card", "email": "email"},
  "event": {"name": "'purchase'", "at": "sold_at", "properties": {"amount": "amount", "qty": "qty", "category": "category", "gift": "gift",
            "note": "note", "due": "due", "Unit Price": "price"}, "tracked": ["category", "gift"], "measures": ["amount", "qty", "Unit Price"]}}$j$);
SELECT cdp_source_create('web', 'shop.visit', $j${"key": "visit_id", "updated_at": "updated_at",
  "identifiers": {"cookie": "cookie", "device_id": "device", "email": "email"},
  "event": {"name": "event", "at": "at", "id": "visit_id", "properties": {"page": "page", "ref": "ref", "category": "category",
            "seconds": "seconds", "score": "score", "bot": "bot", "seen": "seen"}}}$j$);
SELECT cdp_source_create('legacy', 'shop.old_member', $j${"key": "id", "updated_at": "since",
  "identifiers": {"email": "email", "member_no": "member_no", "phone": "phone"},
  "traits": {"city": "city", "age": "age", "income": "income"}}$j$, 80);
"""

# The same loop as in cdp_sync(), without folding what is pending at its end.
SYNC_WITHOUT_FOLD = """
CREATE FUNCTION shop.sync_without_fold() RETURNS void LANGUAGE plpgsql AS $$
DECLARE source_id int; job_id bigint; reached bigint;
BEGIN
  FOR source_id IN SELECT s FROM _cdp_sync_sources(NULL) s LOOP
    job_id := _cdp_sync_begin(source_id);
    reached := 0;
    WHILE reached IS NOT NULL LOOP reached := _cdp_sync_batch(job_id, reached); END LOOP;
    PERFORM _cdp_sync_end(job_id, NULL);
  END LOOP;
END $$;
"""


class Company:
    """Writes the SQL that fills and changes the tables of `SCHEMA`."""

    def __init__(self, rng, time_zone):
        self.rng = rng
        self.zone = time_zone
        self.days = []
        for day in ZONES.get(time_zone, ["2024-03-31"]):
            self.days += [day] * 3
        self.year = self.days[0][:4]
        self.days += [f"{self.year}-06-15", f"{self.year}-06-16", f"{self.year}-12-31"]
        self.customers = self.sales = self.visits = self.members = 0
        self.clock = 0
        self.moments = []
        # Later values need more digits than the first.
        self.late = False

    def setup(self):
        return SCHEMA.format(zone=quote(self.zone)) + SYNC_WITHOUT_FOLD

    def maybe(self, value, share=0.85):
        """The value, or NULL now and then."""
        return value if self.rng.random() < share else None

    def moment(self):
        """A time: often on the edge of a day, often one that was there before, sometimes to come."""
        rng = self.rng
        if self.moments and rng.random() < 0.15:
            return rng.choice(self.moments)
        kind = rng.random()
        if kind < 0.5:
            shift = rng.choice(["0", "-1 microsecond", "1 microsecond", "12 hours", "30 minutes", "59 minutes", "1 hour", "2 hours", "3 hours",
                                "23 hours", "24 hours -1 microsecond", "24 hours", "25 hours -1 microsecond", "-1 hour"])
            text = f"shop.t({quote(rng.choice(self.days))}, {quote(shift)})"
        elif kind < 0.8:
            text = f"shop.t('{self.year}-03-01', '{rng.randrange(240 * 86400)} seconds {rng.randrange(1000000)} microseconds')"
        elif kind < 0.95:
            text = f"(date_trunc('day', now()) - interval '{rng.randrange(45)} days {rng.randrange(86400)} seconds')"
        elif kind < 0.98:
            text = f"(now() + interval '{1 + rng.randrange(50)} days')"
        else:
            text = rng.choice(["'1960-02-03 04:05:06.789+00'::timestamptz", "'2155-01-01 00:00+00'::timestamptz",
                               "'1999-12-31 23:59:59.999999+00'::timestamptz"])
        moment = Sql(text)
        if len(self.moments) < 200:
            self.moments.append(moment)
        return moment

    def now(self):
        """When a row was changed: later than anything before."""
        self.clock += 1
        return Sql(f"('{self.year}-01-01 00:00+00'::timestamptz + interval '{self.clock} seconds')")

    def person(self):
        return self.rng.randrange(max(1, self.customers))

    def customer_values(self, i):
        rng = self.rng
        return {
            "member_no": f"M{i}", "email": self.maybe(f"c{i}@example.com"), "phone": self.maybe(f"+86139{10000000 + i * 7:08d}", 0.6),
            "card": self.maybe(f"K{i}", 0.7), **self.traits(i),
        }

    def traits(self, i):
        rng = self.rng
        return {
            "city": self.maybe(rng.choice(CITIES + [""])), "nick": self.maybe(f"Nick {rng.randrange(10 ** 6)}" if rng.random() < 0.95 else "Nick"),
            "age": self.maybe(rng.choice([0, -1, 18, 30, 30, 65, 120, rng.randrange(-5, 99)])),
            "income": self.maybe(Sql(f"{rng.choice([0, rng.randrange(-20000, 900000) / 100, rng.randrange(100) * 10, 12.5, 0.12345 if self.late else 1])}::numeric")),
            "ratio": self.maybe(Sql(rng.choice(["'NaN'::numeric", "0.5", "1.000000000001", "-3", "1e-9", "2.50"]))),
            "balance": self.maybe(Sql(rng.choice(["9223372036854775807", "(-9223372036854775807 - 1)", "0", "-1", str(rng.randrange(10 ** 12))]))),
            "vip": self.maybe(rng.random() < 0.4),
            "birthday": self.maybe(rng.choice(["1970-01-01", "1999-12-31", "2000-01-01", "2004-02-29", f"{1930 + rng.randrange(80)}-07-04"])),
            "expiry": self.maybe(rng.choice(["infinity", "-infinity", "2030-01-01", "0044-03-15 BC"]), 0.5),
            "joined": self.maybe(self.moment()), "Tier 级": self.maybe(rng.choice(TIERS)),
            "labels": self.maybe(Sql("ARRAY[" + ", ".join(quote(rng.choice(LABELS)) for _ in range(rng.choice([0, 1, 1, 2, 3, 5]))) + "]::text[]"), 0.8),
        }

    def insert(self, table, some):
        """One INSERT of rows given as dictionaries with the same keys."""
        if not some:
            return ""
        names = ", ".join('"' + n + '"' for n in some[0])
        values = ",\n".join("(" + ", ".join(lit(v) for v in row.values()) + ")" for row in some)
        return f"INSERT INTO {table} ({names}) VALUES\n{values};\n"

    def more_customers(self, n):
        out = []
        for _ in range(n):
            i = self.customers
            self.customers += 1
            out.append({"id": i, **self.customer_values(i), "updated_at": self.now()})
        return self.insert("shop.customer", out)

    def sale_values(self, i):
        rng = self.rng
        return {
            "card": f"K{i}" if rng.random() < 0.9 else None, "email": self.maybe(f" C{i}@Example.com ", 0.2),
            "amount": self.maybe(Sql(rng.choice(["0", "-12.34", "99.99", "100", "0.01", str(rng.randrange(-1000, 50000) / 100)]))),
            "qty": self.maybe(rng.randrange(-2, 6)), "category": self.maybe(rng.choice(CATEGORIES)), "gift": self.maybe(rng.random() < 0.3, 0.7),
            "note": self.maybe(rng.choice(["fast", "Fast", "slow", ""]), 0.5), "due": self.maybe(f"{self.year}-06-{1 + rng.randrange(28):02d}", 0.5),
            "price": self.maybe(Sql(rng.choice(["1.5", "0.125", "-7", "19.99"]))), "sold_at": self.moment(),
        }

    def more_sales(self, n):
        out = []
        for _ in range(n):
            out.append({"sale_id": self.sales, **self.sale_values(self.person())})
            self.sales += 1
        return self.insert("shop.sale", out)

    def visit_values(self, i):
        rng = self.rng
        cookie = rng.randrange(max(2, self.customers // 2))
        return {
            "cookie": f"ck{cookie}", "device": self.maybe(f"DEV{cookie // 2}", 0.1),
            # A cookie belongs mostly to one person.
            "email": f"c{cookie}@example.com" if rng.random() < 0.15 else (f"c{i}@example.com" if rng.random() < 0.02 else None),
            "event": rng.choice(["view", "view", "click"]), "page": self.maybe(f"/p{rng.randrange(40)}"), "ref": f"https://x/{self.visits}",
            "category": self.maybe(rng.choice(CATEGORIES)), "seconds": self.maybe(rng.choice([0, 1, -5, 60, rng.randrange(4000)])),
            "score": self.maybe(Sql(str(rng.randrange(-500, 500) / 100)), 0.6), "bot": self.maybe(rng.random() < 0.1, 0.8),
            "seen": self.maybe(self.moment(), 0.3), "at": self.moment(),
        }

    def more_visits(self, n):
        out = []
        for _ in range(n):
            out.append({"visit_id": self.visits, **self.visit_values(self.person()), "updated_at": self.now()})
            self.visits += 1
        return self.insert("shop.visit", out)

    def more_members(self, n):
        out = []
        rng = self.rng
        for _ in range(n):
            i = self.person()
            out.append({"id": self.members, "email": self.maybe(f"c{i}@example.com"), "member_no": self.maybe(f"M{i}", 0.5),
                        "phone": self.maybe(f"139{10000000 + i * 7:08d}", 0.3), "city": self.maybe(rng.choice(CITIES)),
                        "age": self.maybe(rng.randrange(10, 90)), "income": self.maybe(Sql(str(rng.randrange(10 ** 5) / 10))), "since": self.moment()})
            self.members += 1
        return self.insert("shop.old_member", out)

    def update(self, table, key, number, values):
        columns = ", ".join(f'"{n}" = {lit(v)}' for n, v in values.items())
        return f"UPDATE {table} SET {columns} WHERE {key} = {number};\n"

    def change_customers(self, n):
        out = ""
        for _ in range(n):
            i = self.person()
            values = self.traits(i)
            kept = {k: v for k, v in values.items() if self.rng.random() < 0.5}
            out += self.update("shop.customer", "id", i, {**kept, "updated_at": self.now()})
        return out

    def change_sales(self, n):
        out = ""
        for _ in range(n):
            values = self.sale_values(self.person())
            kept = {k: v for k, v in values.items() if k not in ("card", "email") and self.rng.random() < 0.5}
            # A row that loses its identifiers is rejected, and what it said before stays: not what is looked at here.
            if values["card"] and self.rng.random() < 0.2:
                kept = values
            if kept:
                out += self.update("shop.sale", "sale_id", self.rng.randrange(max(1, self.sales)), kept)
        return out

    def change_visits(self, n):
        out = ""
        for _ in range(n):
            values = {k: v for k, v in self.visit_values(self.person()).items() if k not in ("cookie", "device", "email", "ref")}
            kept = {k: v for k, v in values.items() if self.rng.random() < 0.5}
            out += self.update("shop.visit", "visit_id", self.rng.randrange(max(1, self.visits)), {**kept, "updated_at": self.now()})
        return out

    def merge(self, n):
        """People who turn out to be one: a customer takes over the e-mail of another, a sale shows the card of one and the e-mail of another."""
        out, rng = "", self.rng
        for _ in range(n):
            a, b = self.person(), self.person()
            if rng.random() < 0.5:
                out += self.update("shop.customer", "id", a, {"email": f"c{b}@example.com", "updated_at": self.now()})
            else:
                row = {"sale_id": self.sales, **self.sale_values(a), "card": f"K{a}"}
                row["email"] = f"c{b}@example.com"
                self.sales += 1
                out += self.insert("shop.sale", [row])
        return out
