"""pg_cdp: the facts are written straight into a workspace, cdp_flush() builds the columns from them."""

import datetime
import json
import os
import time

from generate import DAYS, TAGS
from peers import FIRST, INTERESTS, LAST, timed

Q1 = "gender = 'g2' AND tier = 't1' AND ltv >= 200000"
Q2 = "gender = 'g2' AND (rfm = 'r1' OR b14) AND tier = 't1' AND NOT b17"
Q3 = " OR ".join([*TAGS[:10], "interest IN (" + ", ".join(f"'i{i}'" for i in INTERESTS) + ")"])
WINDOW = f"category = 'c5' AND at >= timestamptz '2026-01-01 00:00+00' + interval '{FIRST} days' AND at < timestamptz '2026-01-01 00:00+00' + interval '{LAST + 1} days'"
Q4 = (
    f"count(view) FILTER (WHERE {WINDOW}) > 0 AND count(purchase) FILTER (WHERE {WINDOW}) = 0"
    " AND tier = 't1' AND ltv >= 200000 AND gender = 'g2'"
)
Q6 = "gender = 'g2' AND rfm IN ('r1', 'r2')"
Q8 = "gender = 'g2' AND tier IN ('t1', 't2') AND age BETWEEN 25 AND 40"
Q9 = "gender = 'g2' AND b16"

TRAITS = [("gender", "text", "'g' || gender"), ("tier", "text", "'t' || tier"), ("rfm", "text", "'r' || rfm"),
          ("city", "text", "'c' || city"), ("interest", "text", "'i' || interest"),
          ("ltv", "bigint", "ltv"), ("age", "bigint", "age"), *((tag, "boolean", f"{tag} = 1") for tag in TAGS)]

# Event types, in the order of their kinds, and their properties as SQL over ev.
EVENTS = {"view": {"category": "'c5'"}, "purchase": {"category": "'c5'"}}

SQL = {
    "Q1": f"SELECT cdp_segment_count($e${Q1}$e$)",
    "Q2": f"SELECT cdp_segment_count($e${Q2}$e$)",
    "Q3": f"SELECT cdp_segment_count($e${Q3}$e$)",
    "Q4": f"SELECT cdp_segment_count($e${Q4}$e$)",
    "Q5": f"SELECT cdp_members(cdp_segment($e${Q4}$e$))",
    "Q6": f"SELECT substr(value, 2)::integer, profiles, total FROM cdp_segment_distribution($e${Q6}$e$, 'city') WHERE value IS NOT NULL",
    "Q7": "SELECT * FROM cdp_segment_overlap(ARRAY[" + ", ".join(f"'{t}'" for t in TAGS) + "])",
    "Q8": f"SELECT profiles, sum FROM cdp_segment_statistics($e${Q8}$e$, 'ltv')",
    "Q9": f"SELECT substr(value, 2)::integer AS city, profiles FROM cdp_segment_distribution($e${Q9}$e$, 'city') WHERE value IS NOT NULL ORDER BY 2 DESC, 1 LIMIT 10",
    "Q10": "SELECT cdp_bitmap_and_cardinality((SELECT cdp_bitmap_build_agg(id) FROM ids), cdp_segment($$ in_segment('q2') $$))",
}


class Cdp:
    def __init__(self, connection, cache):
        self.name = f"cdp {cache}"
        self.connection = connection
        connection.execute("SET cdp.cache_size = " + ("'1GB'" if cache == "cached" else "0"))

    def ask(self, question):
        seconds, rows = timed(lambda: self.connection.execute(SQL[question]).fetchall())
        if question == "Q7":
            return seconds, [int(row[4]) for row in rows]
        rows = [tuple(int(x) for x in row) for row in rows]
        return seconds, sorted(rows) if question == "Q6" else rows


def step(what, run):
    begin = time.perf_counter()
    run()
    print(f"   {what}: {time.perf_counter() - begin:.1f} s", flush=True)


def copy(connection, table, path):
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as sink, open(path, "rb") as file:
        while block := file.read(1 << 20):
            sink.write(block)


def months(first, days):
    """The months that so many days touch: the first day of each, and of the one after."""
    month = first.replace(day=1)
    while month < first + datetime.timedelta(days):
        following = (month + datetime.timedelta(31)).replace(day=1)
        yield month, following
        month = following


def load(connection, folder, traits=TRAITS, events=EVENTS, first=datetime.date(2026, 1, 1), days=DAYS):
    """Fills the tables w, ev, ids and the workspace cdp of an empty database; day 0 of the events is `first`."""
    run = connection.execute
    at = f"timestamptz '{first} 00:00+00' + day * interval '1 day' + second * interval '1 second'"
    small = ", ".join(f"{tag} smallint" for tag in TAGS)
    run(f"CREATE TABLE w (id integer, gender smallint, tier smallint, rfm smallint, city smallint, interest smallint, age smallint, ltv bigint, {small})")
    run("CREATE TABLE ev (id integer, kind smallint, day smallint, second integer)")
    run("CREATE TABLE ids (id integer)")
    step("COPY of the wide table and the events", lambda: [copy(connection, t, os.path.join(folder, f"{t}.csv")) for t in ("w", "ev", "ids")])
    run("VACUUM ANALYZE w, ev, ids")
    run("CREATE EXTENSION pg_cdp")
    run("SELECT cdp_init(time_zone => 'UTC')")
    # The event types come with a source; its rows are written below, as cdp_sync() would.
    for kind, (event, properties) in enumerate(events.items(), 1):
        run("SELECT cdp_source_create(%s, 'ev', %s)", (event, json.dumps({
            "key": "ctid::text", "filter": f"kind = {kind}", "identifiers": {"user_id": "id::text"},
            "event": {"name": f"'{event}'", "properties": properties, "at": at}})))
    for name, kind, _ in traits:
        run("SELECT cdp_trait_create(%s, %s)", (name, kind))
    step("facts: profiles", lambda: (
        run("INSERT INTO cdp.profile (profile_id, founding_node, created_at) SELECT id, id, '2026-01-01' FROM w"),
        run("INSERT INTO cdp.profile_value (profile_id, " + ", ".join(t[0] for t in traits) + ") SELECT id, " + ", ".join(t[2] for t in traits) + " FROM w"),
        run("INSERT INTO cdp.node (node_id, type_id, value, profile_id, source_id, first_seen, last_seen) OVERRIDING SYSTEM VALUE"
            " SELECT id, (SELECT type_id FROM cdp.identifier_type WHERE name = 'user_id'), id::text, id, 1, '2026-01-01', '2026-01-01' FROM w")))
    for month, following in months(first, days):
        run(f"CREATE TABLE cdp.event_y{month:%Y}m{month:%m} PARTITION OF cdp.event FOR VALUES FROM ('{month} 00:00+00') TO ('{following} 00:00+00')")

    def facts():
        for kind, (event, properties) in enumerate(events.items(), 1):
            values = ", ".join(f"'{name}', {value}" for name, value in properties.items())
            run("INSERT INTO cdp.event (event_type_id, source_id, node_id, at, key, properties)"
                f" SELECT t.event_type_id, 1, e.id, {at}, e.ctid::text, jsonb_build_object({values})"
                f" FROM ev e JOIN cdp.event_type t ON t.name = '{event}' WHERE e.kind = {kind}")

    step("facts: events", facts)
    run("VACUUM ANALYZE cdp.profile_value, cdp.node, cdp.event")
    run("INSERT INTO cdp.pending (column_id, key, shard, cells) SELECT c.column_id, 0, (p.profile_id >> 20)::integer, _cdp_cells_agg((p.profile_id & 1048575)::integer, 1, 0)"
        " FROM cdp.profile p, cdp.store_column c WHERE c.kind = 'universe' GROUP BY 1, 3")
    run("UPDATE cdp.store_column SET state = 'stale' WHERE kind IN ('attribute', 'day')")
    step("columns built by cdp_flush()", lambda: run("SELECT cdp_flush()"))
    step("segment q2", lambda: run("SELECT cdp_segment_create('q2', %s)", (Q2,)))
    run("VACUUM ANALYZE cdp.chunk, cdp.pending")


def writes(connection, engines):
    """100,000 changes of boolean tags as writers leave them, in pending; then Q2 with and without them. Undone at the end."""
    run = connection.execute
    values = " ".join(f"WHEN '{tag}' THEN w.{tag} = 1" for tag in TAGS)
    run("CREATE TEMP TABLE flips AS SELECT w.id, f.tag, CASE f.tag " + values + " END AS value"
        " FROM (SELECT DISTINCT t.tag, 1 + (hashint8extended(i, hashtext(t.tag)) & 9007199254740991) %% (SELECT count(*) FROM w) AS id"
        " FROM unnest(%s::text[]) t(tag), generate_series(1, 5000) i) f JOIN w ON w.id = f.id", (list(TAGS),))
    count = run("SELECT count(*) FROM flips").fetchone()[0]
    before = [min(engine.ask("Q2")[0] for _ in range(20)) * 1000 for engine in engines]
    lsn = run("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
    seconds, _ = timed(lambda: run(
        "INSERT INTO cdp.pending SELECT c.column_id, d.code, f.id >> 20, _cdp_cells_agg(f.id & 1048575, CASE WHEN d.value = f.value::text THEN -1 ELSE 1 END, 0)"
        " FROM flips f JOIN cdp.attribute a ON a.name = f.tag JOIN cdp.store_column c ON c.attribute_id = a.attribute_id AND c.kind = 'attribute' JOIN cdp.dictionary d USING (dictionary_id) GROUP BY 1, 2, 3"))
    wal = float(run("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", (lsn,)).fetchone()[0])
    first = [engine.ask("Q2") for engine in engines]
    after = [min(engine.ask("Q2")[0] for _ in range(20)) * 1000 for engine in engines]
    truth = run("SELECT count(*) FROM w WHERE gender = 2 AND tier = 1 AND (rfm = 1 OR (b14 = 1) <> EXISTS (SELECT FROM flips f WHERE f.id = w.id AND f.tag = 'b14'))"
                " AND (b17 = 1) = EXISTS (SELECT FROM flips f WHERE f.id = w.id AND f.tag = 'b17')").fetchone()[0]
    print(f"\n{count:,} changes of boolean tags, pending: {seconds * 1000:.0f} ms, {wal / 1e6:.1f} MB of WAL")
    for engine, ms, (seconds, answer), again in zip(engines, before, first, after):
        print(f"   Q2, {engine.name}: {ms:.2f} ms before, {seconds * 1000:.2f} first after, {again:.2f} again; {'right' if answer == [(truth,)] else 'WRONG'}")
    seconds, _ = timed(lambda: run("SELECT cdp_flush()"))
    print(f"   cdp_flush(): {seconds * 1000:.0f} ms")
    flushed = engines[-1].ask("Q2")[1]
    run("INSERT INTO cdp.pending SELECT c.column_id, d.code, f.id >> 20, _cdp_cells_agg(f.id & 1048575, CASE WHEN d.value = f.value::text THEN 1 ELSE -1 END, 0)"
        " FROM flips f JOIN cdp.attribute a ON a.name = f.tag JOIN cdp.store_column c ON c.attribute_id = a.attribute_id AND c.kind = 'attribute' JOIN cdp.dictionary d USING (dictionary_id) GROUP BY 1, 2, 3")
    run("SELECT cdp_flush()")
    return flushed == [(truth,)] and all(answer == [(truth,)] for _, answer in first)
