"""Stitching of text identifiers from a heap table, and what it comes to against the generator's truth."""

import time

import numpy
import psycopg

import generate
from measure import Backend, copy_in, verdict

TYPES = ["cookie", "device_id", "email", "phone", "user_id", "wechat_openid", "wechat_unionid"]
MUST, AIM = 90, 40  # seconds, at ten million
ROW = 600  # bytes of memory for a row of two identifiers
PRECISION, RECALL = 0.99, 0.995

MAPPING = "{" + '"key": "id::text", "identifiers": {' + ", ".join(f'"{name}": "{name}"' for name in TYPES) + "}}"

# The values of cdp.identifiers are normalised: a device is in lower case, a phone number has its country.
PAIRS = """
    WITH member AS (SELECT i.profile_id, t.owner FROM cdp.identifiers i JOIN truth t ON t.type = i.type AND t.value = i.value WHERE i.profile_id IS NOT NULL),
    known AS (SELECT * FROM member WHERE owner <> 0),
    both_same AS (SELECT sum(n::numeric * (n - 1) / 2) AS pairs FROM (SELECT count(*) AS n FROM known GROUP BY profile_id, owner) x),
    together AS (SELECT sum(n::numeric * (n - 1) / 2) AS pairs FROM (SELECT count(*) AS n FROM known GROUP BY profile_id) x),
    of_one AS (SELECT sum(n::numeric * (n - 1) / 2) AS pairs FROM (SELECT count(*) AS n FROM truth WHERE owner <> 0 GROUP BY owner) x)
    SELECT (SELECT pairs FROM both_same) / (SELECT pairs FROM together), (SELECT pairs FROM both_same) / (SELECT pairs FROM of_one),
           (SELECT max(n) FROM (SELECT count(*) AS n FROM member GROUP BY profile_id) x), (SELECT count(*) FROM truth) - (SELECT count(*) FROM member),
           (SELECT count(DISTINCT profile_id) FROM member)"""

CHAINS = """
    SELECT count(*), count(*) FILTER (WHERE profiles = 1) FROM (SELECT count(DISTINCT i.profile_id) AS profiles FROM truth t JOIN cdp.identifiers i ON i.type = t.type AND i.value = t.value
    WHERE t.owner > %s GROUP BY t.owner) x"""


def load(graph):
    """The table seen: a row for each edge, the two identifiers in the columns of their types. The table truth: whose each identifier that was
    seen is."""
    node = numpy.unique(numpy.concatenate([graph["a"], graph["b"]]))
    with psycopg.connect(autocommit=True) as db:
        db.execute("SET client_min_messages = warning")
        db.execute("DROP TABLE IF EXISTS raw_edge, raw_node, seen, truth")
        db.execute("CREATE UNLOGGED TABLE raw_edge (id int, a int, ka smallint, b int, kb smallint)")
        copy_in(db, "raw_edge", numpy.arange(1, len(graph["a"]) + 1).astype(">i4"), graph["a"].astype(">i4"), graph["kind_a"].astype(">i2"),
                graph["b"].astype(">i4"), graph["kind_b"].astype(">i2"))
        columns = ", ".join(f"CASE {k} WHEN ka THEN x WHEN kb THEN y END AS {name}" for k, name in enumerate(TYPES))
        db.execute(f"CREATE TABLE seen AS SELECT id, {columns} FROM (SELECT id, ka, kb, {generate.value('ka', 'a')} AS x, {generate.value('kb', 'b')} AS y FROM raw_edge OFFSET 0) s")
        db.execute("ALTER TABLE seen ADD PRIMARY KEY (id)")
        db.execute("CREATE UNLOGGED TABLE raw_node (id int, kind smallint, owner int)")
        copy_in(db, "raw_node", node.astype(">i4"), graph["kind"][node - 1].astype(">i2"), graph["owner"][node - 1].astype(">i4"))
        names = "(ARRAY['" + "', '".join(TYPES) + "'])[kind + 1]"
        db.execute(f"CREATE UNLOGGED TABLE truth AS SELECT {names} AS type, CASE kind WHEN 1 THEN lower(v) WHEN 3 THEN '+86' || v ELSE v END AS value, owner "
                   f"FROM (SELECT kind, owner, {generate.value('kind', 'id')} AS v FROM raw_node OFFSET 0) s")
        db.execute("DROP TABLE raw_edge, raw_node")
        for table in ("seen", "truth"):
            db.execute(f"VACUUM ANALYZE {table}")
        return db.execute("SELECT pg_size_pretty(pg_table_size('seen'))").fetchone()[0]


def ours(rows):
    """(seconds, processor seconds, peak MB, peak of its own MB) of cdp_sync() of the whole table, with the memory that docs/operations.md tells a first load to have."""
    with psycopg.connect(autocommit=True) as db:
        db.execute("SET client_min_messages = warning")
        db.execute("CREATE EXTENSION IF NOT EXISTS pg_cdp")
        db.execute("DROP SCHEMA IF EXISTS cdp CASCADE")
        db.execute("SELECT cdp_init(time_zone => 'UTC')")
        db.execute("SELECT cdp_source_create('seen', 'seen', %s)", [MAPPING])
        db.execute("CHECKPOINT")
    backend = Backend()
    backend.db.execute("SELECT set_config('maintenance_work_mem', greatest(pg_size_bytes(current_setting('maintenance_work_mem')) / 1024, %s)::text, false)", [rows * ROW // 1024])
    return *backend.timed("CALL cdp_sync('seen')"), *backend.close()


def peer():
    """Numbers for text identifiers by SQL, components by pgRouting: [(step, seconds, processor seconds, peak MB, its own)]."""
    present = ", ".join(f"({k}::smallint, {name})" for k, name in enumerate(TYPES))
    with psycopg.connect(autocommit=True) as db:
        db.execute("SET client_min_messages = warning")
        db.execute("DROP TABLE IF EXISTS text_edge, dictionary, number_edge, member")
        # Its own best form: both ends beside each other.
        db.execute(f"CREATE TABLE text_edge AS SELECT s.id, x.kind[1] AS ka, x.value[1] AS a, x.kind[2] AS kb, x.value[2] AS b FROM seen s CROSS JOIN LATERAL "
                   f"(SELECT array_agg(v.kind) AS kind, array_agg(v.value) AS value FROM (VALUES {present}) v(kind, value) WHERE v.value IS NOT NULL) x")
        db.execute("VACUUM ANALYZE text_edge")
        try:
            db.execute("CREATE EXTENSION IF NOT EXISTS pgrouting CASCADE")
            routing = True
        except psycopg.Error:
            routing = False
    steps = [
        ("dictionary", "SET work_mem = '512MB'; CREATE TABLE dictionary AS SELECT row_number() OVER () AS id, kind, value FROM (SELECT ka AS kind, a AS value FROM text_edge UNION SELECT kb, b FROM text_edge) s;"
                       " ALTER TABLE dictionary ADD UNIQUE (kind, value); ANALYZE dictionary"),
        ("numbers", "SET work_mem = '512MB'; CREATE TABLE number_edge AS SELECT e.id, x.id AS a, y.id AS b FROM text_edge e JOIN dictionary x ON x.kind = e.ka AND x.value = e.a"
                    " JOIN dictionary y ON y.kind = e.kb AND y.value = e.b; ANALYZE number_edge"),
    ]
    if routing:
        steps.append(("pgRouting", "CREATE TABLE member AS SELECT node, component FROM pgr_connectedComponents('SELECT id, a AS source, b AS target, 1::float8 AS cost FROM number_edge')"))
    out = []
    for name, sql in steps:
        backend = Backend()
        out.append((name, *backend.timed(sql), *backend.close()))
    return out, routing


def line(name, figures):
    print(f"{name:44}{figures[0]:9.1f}{figures[1]:9.1f}{figures[2]:9.0f}{figures[3]:9.0f}", flush=True)


def bench(graph, scale):
    begin = time.perf_counter()
    size = load(graph)
    print(f"\nStitching of {len(graph['a']):,} rows with two text identifiers each ({size}); loaded in {time.perf_counter() - begin:.0f} s\n\n"
          f"{'':44}{'seconds':>9}{'CPU':>9}{'peak MB':>9}{'its own':>9}", flush=True)
    figures = ours(len(graph["a"]))
    seconds = figures[0]
    line("pg_cdp: cdp_sync()", figures)
    steps, routing = peer()
    for name, *figures in steps:
        line("   peer: " + name, figures)
    columns = list(zip(*(figures for _, *figures in steps)))
    total = sum(columns[0])
    line("peer: SQL and pgRouting" if routing else "peer: SQL only, pgRouting is missing", [total, sum(columns[1]), max(columns[2]), max(columns[3])])
    with psycopg.connect() as db:
        db.execute("SET work_mem = '256MB'")
        precision, recall, largest, missing, people = db.execute(PAIRS).fetchone()
        chains, whole = db.execute(CHAINS, [graph["people"] - graph["chains"]]).fetchone()
    print(f"\nS3: {seconds:.1f} s against {total:.1f} s" + (f": {verdict(seconds, MUST, AIM)}" if scale == 10_000_000 else ""))
    good = precision >= PRECISION and recall >= RECALL and missing == 0
    print(f"S8: pair precision {precision:.4f} (at least {PRECISION}), pair recall {recall:.4f} (at least {RECALL}): {'met' if good else 'MISSED'}; "
          f"{people:,} profiles, the largest has {largest:,} identifiers; {missing} identifiers have none")
    print(f"S7: {whole} of {chains} stitched chains of up to 200 are whole: {'met' if whole == chains else 'MISSED'}")
    return good and whole == chains
