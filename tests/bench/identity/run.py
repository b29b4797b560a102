"""make bench SUITE=identity: connected components and stitching beside peers, in one run, answers checked equal.

Connects as libpq's environment says, to an empty database. SCALE identifiers (100k, 1M, 5M, 10M); SCRATCH, a folder for files; ONLY, what
to measure: components, stitch, live (on what stitch has loaded) or several of them (all is the default). FLOOR names the built example of the core.

Components: integer edges in a table, the smallest node of each node's component written to a table. Stitching: text identifiers in a heap
table; dictionary, edges, components and profiles written. Times are a client's; the median of three where one run takes less than ten
seconds. Memory is the peak of the backend, or of the client for engines that live there: all of it, shared buffers that the backend has
touched included, and the part that is its own. Peers that are not installed are said to be missing. Exit 1 when an answer differs.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import psycopg

sys.dont_write_bytecode = True

import generate  # noqa: E402
import live  # noqa: E402
import orders  # noqa: E402
import stitch  # noqa: E402
from measure import copy_in, number, rows, run, verdict  # noqa: E402

HERE = Path(__file__).resolve().parent
# The figures to meet: (identifiers, must s, aim s); memory at ten million, MB.
TARGETS = {100_000: (0.2, 0.08), 1_000_000: (1.8, 0.8), 5_000_000: (6, 4), 10_000_000: (21, 10)}
MEMORY = (1024, 512)


def main():
    scale = number(os.environ.get("SCALE", "1M"))
    only = os.environ.get("ONLY", "components stitch live orders").split()
    begin = time.perf_counter()
    graph = generate.graph(scale)
    print(f"-- {scale:,} identifiers of {graph['people']:,} people, {len(graph['a']):,} edges, {graph['hubs']} devices in public places, "
          f"{graph['chains']} chains of 50 to 200; generated in {time.perf_counter() - begin:.0f} s", flush=True)
    folder = tempfile.mkdtemp(prefix="identity-", dir=os.environ.get("SCRATCH"))
    good = True
    try:
        if "components" in only:
            good &= components(graph, scale, folder)
        if "stitch" in only:
            good &= stitch.bench(graph, scale)
        if "live" in only:
            good &= live.bench(scale)
        if "orders" in only:
            good &= orders.bench()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


def components(graph, scale, folder):
    with psycopg.connect(autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS edge, label, contracted")
        db.execute("CREATE TABLE edge (id integer, a integer, b integer)")
        copy_in(db, "edge", numpy.arange(1, len(graph["a"]) + 1).astype(">i4"), graph["a"].astype(">i4"), graph["b"].astype(">i4"))
        db.execute("VACUUM ANALYZE edge")
        db.execute("CHECKPOINT")
    truth, floor = memory_floor(graph, scale, folder)
    print(f"\nComponents of {len(graph['a']):,} edges: {len(numpy.unique(truth)):,}; the largest has {numpy.bincount(truth).max():,} identifiers")
    print(f"\n{'':44}{'seconds':>9}{'CPU':>9}{'peak MB':>9}{'its own':>9}   answer", flush=True)
    line("in memory: union-find (the floor)", floor[0], None, floor[1], floor[1], "")
    line("in memory: edges of unknown ids, dense", floor[2], None, None, None, "")
    line("in memory: edges of unknown ids, scattered", floor[3], None, None, None, "")
    good, ours = True, None
    for name, engine in (
        ("pg_cdp: cdp_components()", lambda: ours_on("SELECT a, b FROM edge", "")),
        ("pg_cdp: scattered ids", lambda: ours_on("SELECT a * 800000000003, b * 800000000003 FROM edge", " / 800000000003")),
        ("pgRouting: pgr_connectedComponents()", pgrouting),
        ("Splink: clustering on DuckDB", lambda: process("splink", graph, scale, folder)),
        ("DuckDB: recursion USING KEY", lambda: process("duckdb", graph, scale, folder) if scale <= 1_000_000 else "minutes, not run"),
        ("PostgreSQL: contraction in SQL", contraction),
    ):
        try:
            found = engine()
        except Missing as why:
            found = str(why)
        if isinstance(found, str):
            print(f"{name:44}{'':36}   {found}", flush=True)
            continue
        *figures, labels = found
        same = numpy.array_equal(smallest(labels, scale), truth)
        good &= same
        line(name, *figures, "equal" if same else "DIFFERS")
        ours = ours or found
    chains = graph["owner"] > graph["people"] - graph["chains"]
    whole = graph["chains"] - broken(graph, smallest(ours[4], scale), chains)
    print(f"\nS7: {whole} of {graph['chains']} chains of up to 200 are whole: {'met' if whole == graph['chains'] else 'MISSED'}")
    if scale <= 1_000_000:
        labels = smallest(six_passes(), scale)
        print(f"S7: six passes of three hops, as a warehouse model runs: {broken(graph, labels, chains)} of {graph['chains']} chains in pieces, "
              f"{len(numpy.unique(labels)):,} components, not {len(numpy.unique(truth)):,}")
    precision, recall, largest = pairs(truth, graph["owner"])
    print(f"S8: components without any rule: pair precision {precision:.4f}, pair recall {recall:.4f}, largest {largest:,}")
    if scale in TARGETS:
        must, aim = TARGETS[scale]
        print(f"S1/S2: {ours[0]:.2f} s: {verdict(ours[0], must, aim)}", end="")
        print(f"; {ours[2]:.0f} MB, {ours[3]:.0f} of its own (must < {MEMORY[0]}, aim {MEMORY[1]})" if scale == 10_000_000 else "")
    return bool(good and whole == graph["chains"])


def broken(graph, labels, chains):
    """How many chains are in more than one component."""
    of_chain = numpy.unique(numpy.stack([graph["owner"][chains], labels[chains]]), axis=1)
    return int((numpy.bincount(of_chain[0])[graph["people"] - graph["chains"] + 1:] > 1).sum())


class Missing(Exception):
    """An engine that is not here."""


def line(name, seconds, cpu, peak, own, answer):
    cells = [f"{seconds:.2f}", *("" if x is None else f"{x:{form}}" for x, form in ((cpu, ".2f"), (peak, ".0f"), (own, ".0f")))]
    print(f"{name:44}" + "".join(f"{cell:>9}" for cell in cells) + f"   {answer}", flush=True)


def pairs(label, owner):
    """(precision, recall, largest group) of pairs of identifiers with an owner: in one group, of one owner."""
    known = owner != generate.NOBODY
    two = lambda x: (x.astype(numpy.float64) * (x - 1) / 2).sum()  # noqa: E731
    both = numpy.unique(numpy.stack([label[known], owner[known]]), axis=1, return_counts=True)[1]
    together = two(numpy.unique(label[known], return_counts=True)[1])
    return two(both) / together, two(both) / two(numpy.bincount(owner[known])), numpy.bincount(label).max()


def smallest(labels, scale):
    """The labels of nodes 1, 2, … as the smallest node of each group; a node without edges is its own."""
    node, label = labels
    names, place = numpy.unique(label, return_inverse=True)
    least = numpy.full(len(names), scale + 1)
    numpy.minimum.at(least, place, node)
    out = numpy.arange(1, scale + 1)
    out[node - 1] = least[place]
    return out


def memory_floor(graph, scale, folder):
    edges, labels = os.path.join(folder, "edges"), os.path.join(folder, "labels")
    numpy.stack([graph["a"], graph["b"]], axis=1).astype("<u4").tofile(edges)
    answers = [subprocess.run([os.environ["FLOOR"], edges, labels, str(scale)], check=True, capture_output=True, text=True).stdout.split() for _ in range(3)]
    return numpy.fromfile(labels, dtype="<u4").astype(numpy.int64), [statistics.median(float(a[i]) for a in answers) for i in range(4)]


def ours_on(query, back):
    with psycopg.connect(autocommit=True) as db:
        db.execute("CREATE EXTENSION IF NOT EXISTS pg_cdp")
    found = run(f"CREATE TABLE label AS SELECT node, component FROM cdp_components('{query}')", "DROP TABLE IF EXISTS label")
    return *found, rows(f"SELECT (node{back})::int, (component{back})::int FROM label")


def pgrouting():
    with psycopg.connect(autocommit=True) as db:
        try:
            db.execute("CREATE EXTENSION IF NOT EXISTS pgrouting CASCADE")
        except psycopg.Error as error:
            raise Missing(f"missing: {str(error).splitlines()[0]}") from None
    found = run("CREATE TABLE label AS SELECT node, component FROM pgr_connectedComponents('SELECT id, a AS source, b AS target, 1::float8 AS cost FROM edge')",
                "DROP TABLE IF EXISTS label")
    return *found, rows("SELECT node::int, component::int FROM label")


def contraction():
    with psycopg.connect(autocommit=True) as db:
        db.execute("DROP PROCEDURE IF EXISTS contract")
        db.execute((HERE / "contraction.sql").read_text())
    found = run("CALL contract()", "DROP TABLE IF EXISTS contracted, link, parent, above, next_contracted, next_link")
    return *found, rows("SELECT node::int, component::int FROM contracted")


def six_passes():
    with psycopg.connect(autocommit=True) as db:
        db.execute("DROP PROCEDURE IF EXISTS six_passes; DROP TABLE IF EXISTS passed, next_passed")
        db.execute((HERE / "passes.sql").read_text())
        db.execute("CALL six_passes()")
    labels = rows("SELECT node::int, component::int FROM passed")
    with psycopg.connect(autocommit=True) as db:
        db.execute("DROP TABLE passed; DROP PROCEDURE six_passes")
    return labels


def process(engine, graph, scale, folder):
    numpy.save(os.path.join(folder, "edges.npy"), numpy.stack([graph["a"], graph["b"]]))
    numpy.save(os.path.join(folder, "nodes.npy"), numpy.arange(1, scale + 1, dtype=numpy.int32))
    done = subprocess.run([sys.executable, str(HERE / "process.py"), engine, folder], capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"missing: {done.stderr.strip().splitlines()[-1]}")
    seconds, cpu, peak = map(float, done.stdout.split()[-3:])
    return seconds, cpu, peak, peak, numpy.load(os.path.join(folder, "labels.npy")).astype(numpy.int64)


if __name__ == "__main__":
    main()
