"""S9: the same rows in other orders and other batches give the same people, and no number changes that need not.

ORDERS random orders (100) of the rows of a small graph with kiosks, each cut into batches at random and synchronised batch by batch into a workspace of its own
under the shipped rules and a limit. In the end the partition has to be the same for all. After each batch the numbers that were given up are counted beside the least that can be: of the
profiles that become one all but one. Where a batch splits profiles too, because a device turned out to be a kiosk, numbers may come back instead, so those batches are only told.
"""

import os
import time

import numpy
import psycopg

import generate
from stitch import TYPES

SIZE = 1000
MAPPING = '{"key": "id::text", "updated_at": "at", "identifiers": {' + ", ".join(f'"{name}": "{name}"' for name in TYPES) + "}}"
RULES = "SELECT cdp_identifier_type_alter('cookie', '{\"max_per_profile\": 2}'), cdp_identifier_type_alter('device_id', '{\"degree_cap\": 50}')"


def bench():
    orders = int(os.environ.get("ORDERS", "100"))
    graph = generate.graph(SIZE)
    begin = time.perf_counter()
    partitions, given_up, least, split = set(), 0, 0, 0
    with psycopg.connect(autocommit=True) as db:
        db.execute("SET client_min_messages = warning")
        db.execute("CREATE EXTENSION IF NOT EXISTS pg_cdp")
        db.execute("DROP SCHEMA IF EXISTS orders CASCADE; CREATE SCHEMA orders")
        columns = ", ".join(f"CASE {k} WHEN ka THEN x WHEN kb THEN y END AS {name}" for k, name in enumerate(TYPES))
        db.execute("CREATE TABLE orders.edge (id int, a int, ka int, b int, kb int)")
        with db.cursor().copy("COPY orders.edge FROM STDIN") as copy:
            for i, row in enumerate(zip(graph["a"], graph["kind_a"], graph["b"], graph["kind_b"])):
                copy.write_row([i, *map(int, row)])
        db.execute(f"CREATE TABLE orders.row AS SELECT id, timestamptz '2024-01-01 00:00+00' + id * interval '1 min' AS at, {columns} "
                   f"FROM (SELECT id, ka, kb, {generate.value('ka', 'a')} AS x, {generate.value('kb', 'b')} AS y FROM orders.edge OFFSET 0) s")
        db.execute("CREATE TABLE orders.seen (LIKE orders.row)")
        db.execute("ALTER TABLE orders.seen ADD PRIMARY KEY (id)")
        for n in range(orders):
            rng = numpy.random.Generator(numpy.random.PCG64(n))
            rows = rng.permutation(len(graph["a"])).tolist()
            cuts = sorted(rng.choice(len(rows), size=rng.integers(0, 12), replace=False).tolist())
            db.execute("DROP SCHEMA IF EXISTS cdp CASCADE")
            db.execute("SELECT cdp_init(time_zone => 'UTC')")
            db.execute(RULES)
            db.execute("SELECT cdp_source_create('seen', 'orders.seen', %s)", [MAPPING])
            before = {}
            for low, high in zip([0, *cuts], [*cuts, len(rows)]):
                db.execute("TRUNCATE orders.seen")
                db.execute("UPDATE cdp.source SET watermark = NULL")
                db.execute("INSERT INTO orders.seen SELECT * FROM orders.row WHERE id = ANY (%s)", [rows[low:high]])
                db.execute("CALL cdp_sync()")
                after = dict(db.execute("SELECT type || ' ' || value, profile_id FROM cdp.identifiers WHERE profile_id IS NOT NULL").fetchall())
                became = {(before[x], after[x]) for x in before}
                if len({old for old, _ in became}) < len(became):
                    split += 1
                else:
                    given_up += len(set(before.values()) - set(after.values()))
                    least += len({old for old, _ in became}) - len({new for _, new in became})
                before = after
            people = {}
            for x, profile in before.items():
                people.setdefault(profile, []).append(x)
            partitions.add(frozenset(frozenset(p) for p in people.values()))
            bad = db.execute("SELECT count(*) FROM cdp_identity_verify() v WHERE NOT v.ok").fetchone()[0]
            if bad:
                print(f"S9: order {n}: what is kept is not what the edges say", flush=True)
                return False
        refused = db.execute("SELECT count(*) FROM cdp.edges WHERE state = 'suspended' AND reason LIKE 'limit%'").fetchone()[0]
        hubs = db.execute("SELECT count(*) FROM cdp.quarantine").fetchone()[0]
        db.execute("DROP SCHEMA cdp CASCADE; DROP SCHEMA orders CASCADE")
    met = len(partitions) == 1 and given_up == least
    print(f"\nS9: {orders} orders and batchings of {len(graph['a']):,} edges, {hubs} kiosks, {refused} edges over a limit: {len(partitions)} partition{'s' if len(partitions) > 1 else ''} (must: 1); "
          f"numbers given up {given_up:,}, the least that can be {least:,}, {split} batches that split too not counted: {'met' if met else 'MISSED'}; {time.perf_counter() - begin:.0f} s", flush=True)
    return met
