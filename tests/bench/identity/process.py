"""A process of its own for an engine that lives in the client's process: its peak memory is then its own.

process.py ENGINE FOLDER: reads edges.npy and nodes.npy of the folder, writes labels.npy (node, label), prints the seconds, the processor
seconds and the peak in MB.
"""

import os
import sys
import time

import duckdb
import numpy


def clocks():
    return time.perf_counter(), time.process_time()


def since(begin):
    return [now - then for now, then in zip(clocks(), begin)]


def connect(folder):
    """DuckDB with the edges and nodes as tables of its own."""
    db = duckdb.connect(config={"threads": 2, "memory_limit": "8GB", "temp_directory": os.path.join(folder, "duckdb")})
    edges = numpy.load(os.path.join(folder, "edges.npy"))
    columns = {"a": numpy.ascontiguousarray(edges[0]), "b": numpy.ascontiguousarray(edges[1])}  # noqa: F841 (read by name)
    db.execute("CREATE TABLE edge AS SELECT a, b FROM columns")
    n = numpy.load(os.path.join(folder, "nodes.npy"))
    columns = {"id": n}  # noqa: F841
    db.execute("CREATE TABLE node AS SELECT id FROM columns")
    return db


def splink(db):
    from splink import DuckDBAPI
    from splink.clustering import cluster_pairwise_predictions_at_threshold

    api = DuckDBAPI(connection=db)
    begin = clocks()
    found = cluster_pairwise_predictions_at_threshold(
        nodes="node", edges="edge", db_api=api, node_id_column_name="id", edge_id_column_name_left="a", edge_id_column_name_right="b"
    )
    db.execute(f"CREATE TABLE label AS SELECT id AS node, cluster_id AS label FROM {found.physical_name}")
    return since(begin)


def using_key(db):
    begin = clocks()
    db.execute("""
        CREATE TABLE label AS
        WITH RECURSIVE link AS MATERIALIZED (SELECT a, b FROM edge UNION ALL SELECT b, a FROM edge),
        reach(node, label) USING KEY (node) AS (
            SELECT id, id FROM node
            UNION
            (SELECT l.b, min(r.label) FROM reach r JOIN link l ON l.a = r.node JOIN recurring.reach k ON k.node = l.b AND k.label > r.label GROUP BY l.b))
        SELECT node, label FROM reach""")
    return since(begin)


def main():
    engine, folder = sys.argv[1:]
    db = connect(folder)
    seconds = {"splink": splink, "duckdb": using_key}[engine](db)
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    found = db.execute("SELECT node, label FROM label").fetchnumpy()
    numpy.save(os.path.join(folder, "labels.npy"), numpy.array([found["node"], found["label"]]))
    print(*seconds, peak / 1024)


if __name__ == "__main__":
    main()
