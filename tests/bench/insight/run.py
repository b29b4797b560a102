"""make bench SUITE=insight: cdp_segment_insight() over more than a thousand tag values, and cdp_segment_lookalike(), beside plain SQL.

Connects as libpq's environment says, to an empty database. SCALE profiles (100k, 1M, 10M); SCRATCH, a folder for files; REUSE=1 asks the
database that an earlier run of the same scale has filled. The population is that of tests/bench/bits with six more tags of 100 values.
Every time is a client's, the median (and least) of warm runs. Exit 1 when an answer differs from the plain SQL's.
"""

import os
import pathlib
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bits"))

import peers
from run import number
from tags import TEXTS, cells, load

SEGMENT = "gender = 'g2' AND b14"
INSIDE = "(p.gender = 'g2' AND p.b14) IS TRUE"
BASE = "tier IN ('t1', 't2', 't3')"
SIZE = {"small": 0.001, "large": 0.1}
TARGET = 300  # milliseconds, at 10M


def insight(base):
    given = "NULL" if base is None else f"$b${BASE}$b$"
    return (f"SELECT attribute, value, profiles, base_profiles FROM cdp_segment_insight($s${SEGMENT}$s$, {given},"
            f" ARRAY{TEXTS!r}, minimum => 0)")


def lookalike(size):
    return f"SELECT cdp_members(cdp_segment_lookalike($s${SEGMENT}$s$, {size}, ARRAY{TEXTS!r}))"


def plain_lookalike(size):
    """Weights and scores from the wide row, one join an attribute."""
    label = "CASE " + " ".join(f"WHEN grouping(p.{name}) = 0 THEN '{name}'" for name in TEXTS) + " END"
    value = "coalesce(" + ", ".join(f"p.{name}::text" for name in TEXTS) + ")"
    sets = ", ".join(f"(p.{name})" for name in TEXTS)
    joins = " ".join(f"LEFT JOIN w w_{name} ON w_{name}.attribute = '{name}' AND w_{name}.value = p.{name}::text" for name in TEXTS)
    score = " + ".join(f"coalesce(w_{name}.weight, 0)" for name in TEXTS)
    return (
        f"WITH n AS (SELECT count(*) AS nb, count(*) FILTER (WHERE {INSIDE}) AS ns FROM cdp.profiles p),"
        f" c AS (SELECT {label} AS attribute, {value} AS value, count(*) FILTER (WHERE {INSIDE}) AS a, count(*) AS b FROM cdp.profiles p GROUP BY GROUPING SETS ({sets})),"
        " w AS MATERIALIZED (SELECT attribute, value, round(100 * ln((a + 1)::float8 * (nb - b + 1)::float8 / ((ns - a + 1)::float8 * (b + 1)::float8)))::int AS weight FROM c, n WHERE b >= 10 AND value IS NOT NULL)"
        f" SELECT profile_id FROM (SELECT p.profile_id, {score} AS score FROM cdp.profiles p {joins} WHERE NOT ({INSIDE})) s ORDER BY score DESC, profile_id LIMIT {size}"
    )


def measure(connection, sql):
    """(median ms, least ms, rows) of warm runs within about two seconds; of what takes longer than five, one."""
    seconds, rows = peers.timed(lambda: connection.execute(sql).fetchall())
    runs = 1 if seconds > 5 else max(3, min(31, int(2 / max(seconds, 1e-4))))
    times = [peers.timed(lambda: connection.execute(sql).fetchall())[0] * 1000 for _ in range(runs)]
    return statistics.median(times), min(times), sorted(rows, key=str)


def main():
    scale = number(os.environ.get("SCALE", "1M"))
    print(f"-- {scale:,} profiles", flush=True)
    plain = peers.connect()
    if not os.environ.get("REUSE"):
        load(plain, scale)
    plain.execute("SET work_mem = '256MB'")
    engines = [peers.connect(), peers.connect()]
    engines[0].execute("SET cdp.cache_size = 0")
    engines[1].execute("SET cdp.cache_size = '2GB'")
    questions = [("insight, everybody", insight(None), cells(INSIDE, None)), ("insight, a base", insight(BASE), cells(INSIDE, f"({BASE}) IS TRUE"))]
    for name, share in SIZE.items():
        size = int(scale * share)
        questions.append((f"lookalike of {size:,}", lookalike(size), plain_lookalike(size)))
    same, missed = True, []
    print(f"\nmilliseconds, median (least); {len(TEXTS)} attributes\n\n{'':24}{'rows':>9}{'plain SQL':>22}{'pool':>20}{'cached':>20}{'times':>8}")
    for name, sql, twin in questions:
        reference = measure(plain, twin)
        found = [measure(engine, sql) for engine in engines]
        for _, _, rows in found:
            if rows != reference[2]:
                same = False
                differing = set(map(str, rows)) ^ set(map(str, reference[2]))
                print(f"   {name}: differs from the plain SQL, for example {sorted(differing)[:4]}")
        columns = "".join(f"{median:11.1f} ({least:6.1f})" for median, least, _ in found)
        print(f"{name:24}{len(reference[2]):9,}{reference[0]:12.1f} ({reference[1]:7.1f}){columns}{reference[0] / found[0][0]:8.0f}", flush=True)
        if name == "insight, everybody":
            missed = [kind for kind, (median, _, _) in zip(("pool", "cached"), found) if median > TARGET]
    # Without what defines the segment nothing is left to learn: the columns of the population do not depend on each other.
    others = [name for name in TEXTS if name not in ("gender", "b14")]
    report = f"SELECT auc, count(*) FROM cdp_segment_lookalike_report($s${SEGMENT}$s$, ARRAY{others!r}) GROUP BY 1"
    median, least, [(auc, weights)] = measure(engines[0], report)
    print(f"\nlookalike report without gender and b14: {median:.1f} ms ({least:.1f}) from the pool, {weights:,} weights, AUC {auc:.4f}")
    if scale >= 10_000_000:
        print(f"insight over {TARGET} ms: {', '.join(missed) or 'no, PASS'}")
    print("the same answers as plain SQL" if same else "FAIL: answers differ")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
