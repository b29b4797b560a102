"""The engines beside pg_cdp, each with its own best form of the questions. `ask(question)` gives (seconds, answer)."""

import os
import time

import chdb.session
import duckdb
import psycopg

from generate import TAGS

FIRST, LAST = 60, 89  # the days of Q4 and Q5
INTERESTS = range(81, 101)

Q1 = "gender = 2 AND tier = 1 AND ltv >= 200000"
Q2 = "gender = 2 AND (rfm = 1 OR b14 = 1) AND tier = 1 AND b17 = 0"
Q3 = " OR ".join([f"{tag} = 1" for tag in TAGS[:10]] + [f"interest = {i}" for i in INTERESTS])
Q6 = "gender = 2 AND rfm IN (1, 2)"
Q8 = "gender = 2 AND tier IN (1, 2) AND age BETWEEN 25 AND 40"
Q9 = "gender = 2 AND b16 = 1"
PAIRS = [(a, b) for i, a in enumerate(TAGS) for b in TAGS[i:]]


def timed(run):
    begin = time.perf_counter()
    answer = run()
    return time.perf_counter() - begin, answer


class Wide:
    """The questions over one wide table w and the events ev, in SQL that every engine reads."""

    def __init__(self, count_if):
        happened = f"day BETWEEN {FIRST} AND {LAST}"
        q4 = (
            f"tier = 1 AND ltv >= 200000 AND gender = 2 AND id IN (SELECT id FROM ev WHERE kind = 1 AND {happened})"
            f" AND id NOT IN (SELECT id FROM ev WHERE kind = 2 AND {happened})"
        )
        self.sql = {
            "Q1": f"SELECT count(*) FROM w WHERE {Q1}",
            "Q2": f"SELECT count(*) FROM w WHERE {Q2}",
            "Q3": f"SELECT count(*) FROM w WHERE {Q3}",
            "Q4": f"SELECT count(*) FROM w WHERE {q4}",
            "Q5": f"SELECT id FROM w WHERE {q4} ORDER BY id",
            "Q6": f"SELECT city, {count_if(Q6)} AS n, count(*) AS total FROM w GROUP BY city ORDER BY city",
            "Q7": "SELECT " + ", ".join(count_if(f"{a} = 1 AND {b} = 1") for a, b in PAIRS) + " FROM w",
            "Q8": f"SELECT count(*), sum(ltv) FROM w WHERE {Q8}",
            "Q9": f"SELECT city, count(*) AS n FROM w WHERE {Q9} GROUP BY city ORDER BY n DESC, city LIMIT 10",
            "Q10": f"SELECT count(*) FROM w WHERE id IN (SELECT id FROM ids) AND {Q2}",
        }


def plain(question, rows):
    """An answer in the form that all engines share."""
    rows = [tuple(int(x) for x in row) for row in rows]
    if question == "Q7":
        return list(rows[0])
    return rows


class DuckDB:
    name = "duckdb"

    def __init__(self, tables):
        self.db = duckdb.connect(config={"threads": 2})
        for name, columns in tables.items():
            self.db.execute(f"CREATE TABLE {name} AS SELECT * FROM columns")
        self.sql = Wide(lambda c: f"count(*) FILTER (WHERE {c})").sql

    def ask(self, question):
        seconds, rows = timed(lambda: self.db.execute(self.sql[question]).fetchall())
        return seconds, plain(question, rows)

    def export(self, folder):
        for table in ("w", "ev", "ids"):
            self.db.execute(f"COPY {table} TO '{folder}/{table}.parquet'")
            self.db.execute(f"COPY {table} TO '{folder}/{table}.csv' (HEADER false)")


class ClickHouse:
    name = "ch_wide"

    def __init__(self, folder):
        self.session = chdb.session.Session(os.path.join(folder, "chdb"))
        self.run("SET max_threads = 2")
        for table, order in (("w", "id"), ("ev", "(kind, day)"), ("ids", "id")):
            path = os.path.join(folder, f"{table}.parquet")
            self.run(
                f"CREATE TABLE {table} ENGINE = MergeTree ORDER BY {order} SETTINGS allow_nullable_key = 1 AS SELECT * FROM file('{path}', Parquet)"
                f" SETTINGS schema_inference_make_columns_nullable = 0"
            )
        self.sql = Wide(lambda c: f"countIf({c})").sql

    def run(self, sql):
        return self.session.query(sql, "TSV").bytes().decode()

    def ask(self, question):
        # The data are read back as text: a client has to read them somehow, and this is chdb's plainest form.
        seconds, text = timed(lambda: self.run(self.sql[question]))
        return seconds, plain(question, (line.split("\t") for line in text.splitlines()))


class ClickHouseBitmap:
    """groupBitmap states, one row a tag value, for the questions that are set algebra only."""

    name = "ch_bitmap"

    def __init__(self, clickhouse):
        self.run = clickhouse.run
        self.run("CREATE TABLE tb (tag String, bm AggregateFunction(groupBitmap, UInt32)) ENGINE = MergeTree ORDER BY tag SETTINGS index_granularity = 1")
        for tag in TAGS:
            self.run(f"INSERT INTO tb SELECT '{tag}', groupBitmapState(id) FROM w WHERE {tag} = 1")
        for column in ("gender", "tier", "rfm", "interest", "city"):
            self.run(f"INSERT INTO tb SELECT concat('{column}', toString({column})), groupBitmapState(id) FROM w GROUP BY {column}")
        self.run("OPTIMIZE TABLE tb FINAL")
        self.run(f"CREATE TABLE seg (bm AggregateFunction(groupBitmap, UInt32)) ENGINE = MergeTree ORDER BY tuple() AS SELECT groupBitmapState(id) AS bm FROM w WHERE {Q2}")
        one = lambda tag: f"(SELECT groupBitmapMergeState(bm) FROM tb WHERE tag = '{tag}')"
        many = ", ".join(f"'{t}'" for t in [*TAGS[:10], *(f"interest{i}" for i in INTERESTS)])
        tags = ", ".join(f"'{t}'" for t in TAGS)
        self.sql = {
            "Q2": f"SELECT bitmapAndnotCardinality(bitmapAnd(bitmapAnd({one('gender2')}, bitmapOr({one('rfm1')}, {one('b14')})), {one('tier1')}), {one('b17')})",
            "Q3": f"SELECT groupBitmapMerge(bm) FROM tb WHERE tag IN ({many})",
            "Q6": "WITH bitmapAnd((SELECT groupBitmapMergeState(bm) FROM tb WHERE tag = 'gender2'), (SELECT groupBitmapMergeState(bm) FROM tb WHERE tag IN ('rfm1', 'rfm2'))) AS s"
                  " SELECT toUInt32(substring(tag, 5)) AS city, bitmapAndCardinality(bm, s), bitmapCardinality(bm) FROM tb WHERE tag LIKE 'city%' ORDER BY city",
            "Q7": f"SELECT bitmapAndCardinality(a.bm, b.bm) FROM (SELECT tag, bm FROM tb WHERE tag IN ({tags})) a CROSS JOIN (SELECT tag, bm FROM tb WHERE tag IN ({tags})) b WHERE a.tag <= b.tag ORDER BY a.tag, b.tag",
            "Q10": "SELECT bitmapAndCardinality((SELECT groupBitmapMergeState(bm) FROM seg), (SELECT groupBitmapState(toUInt32(id)) FROM ids))",
        }

    def ask(self, question):
        if question not in self.sql:
            return None
        seconds, text = timed(lambda: self.run(self.sql[question]))
        rows = [line.split("\t") for line in text.splitlines()]
        return seconds, [int(r[0]) for r in rows] if question == "Q7" else plain(question, rows)


class PlainPostgres:
    """One wide table, sequential scans, two parallel workers."""

    name = "pg_wide"

    def __init__(self, connection):
        self.connection = connection
        self.sql = Wide(lambda c: f"count(*) FILTER (WHERE {c})").sql

    def ask(self, question):
        seconds, rows = timed(lambda: self.connection.execute(self.sql[question]).fetchall())
        return seconds, plain(question, rows)


def connect():
    connection = psycopg.connect(autocommit=True)
    connection.execute("SET jit = off")
    connection.execute("SET work_mem = '256MB'")
    return connection
