"""Identity while it lives, on what stitch.py has loaded: single events, batches, unmerges; everything verified afterwards."""

import time
from pathlib import Path

import psycopg

from measure import verdict

HERE = Path(__file__).resolve().parent
EVENTS, UNMERGES, BATCH, CHAIN = 3000, 300, 10_000, 500_000


def bench(scale):
    with psycopg.connect(autocommit=True) as db:
        db.execute((HERE / "live.sql").read_text())
        db.execute("VACUUM ANALYZE live.label")
        db.execute("CHECKPOINT")
        for kind in ("known", "new", "join"):
            db.execute("SELECT live.events(%s, %s)", [kind, EVENTS])
        db.execute("SELECT live.unmerge(%s)", [UNMERGES])
        figures = {what: rest for what, *rest in db.execute(
            "SELECT what, percentile_cont(0.5) WITHIN GROUP (ORDER BY us), percentile_cont(0.99) WITHIN GROUP (ORDER BY us), count(*) FROM live.time GROUP BY 1")}
        print(f"\n{'in one transaction, commit excluded':44}{'p50 us':>9}{'p99 us':>9}{'times':>9}{'peer p50':>10}{'peer p99':>10}", flush=True)
        for name, ours, peer in (("S4 event, nothing new", "event: known", "peer: known"), ("S4 event with new identifiers", "event: new", "peer: new"),
                                 ("S4 event that joins two people", "event: join", "peer: join"), ("S6 unmerge, 5 to 15 identifiers", "unmerge", "peer: unmerge")):
            a, b = figures[ours], figures[peer]
            print(f"{name:44}{a[0]:9.0f}{a[1]:9.0f}{a[2]:9}{b[0]:10.0f}{b[1]:10.0f}", flush=True)
        worst = [max(figures[f"event: {kind}"][i] for kind in ("known", "new", "join")) for i in (0, 1)]
        print(f"S4: the slowest kind, p50 {worst[0]:.0f} us: {verdict(worst[0], 84, 30, 'us')}; p99 {worst[1]:.0f} us: {verdict(worst[1], 1000, 1000, 'us')}")
        print(f"S6: unmerge of 5 to 15, p50 {figures['unmerge'][0]:.0f} us: {verdict(figures['unmerge'][0], 850, 200, 'us')}" + ("" if scale >= 10_000_000 else "; figures are for 10 M identifiers"))
        print("   the peer of an event is one edge in plpgsql: a table of labels, the smaller component relabelled; it keeps no facts and no rules")

        # S5: rows of which seven in ten bring a new identifier and three join two people.
        db.execute("CREATE TABLE live.batch (id int PRIMARY KEY, cookie text, email text, phone text, user_id text, idfa text, a bigint, b bigint)")
        db.execute(f"""INSERT INTO live.batch SELECT n, CASE WHEN k.type = 'cookie' THEN k.value END, CASE WHEN 'email' IN (k.type, o.type) THEN CASE k.type WHEN 'email' THEN k.value ELSE o.value END END,
                CASE WHEN 'phone' IN (k.type, o.type) THEN CASE k.type WHEN 'phone' THEN k.value ELSE o.value END END, CASE WHEN 'user_id' IN (k.type, o.type) THEN CASE k.type WHEN 'user_id' THEN k.value ELSE o.value END END,
                CASE WHEN n % 10 < 7 THEN 'batch' || n END, k.node_id, CASE WHEN n % 10 < 7 THEN 200000000 + n ELSE o.node_id END FROM generate_series(1, {3 * BATCH}) n JOIN live.known k ON k.i = 1 + (n::bigint * 15485863) % (SELECT max(i) FROM live.known)
            LEFT JOIN live.known o ON n % 10 >= 7 AND o.i = 1 + (n::bigint * 32452843 + 5) % (SELECT max(i) FROM live.known) AND o.type <> k.type AND o.type <> 'cookie'
            WHERE k.type IN ('cookie', 'email', 'phone', 'user_id') AND (n % 10 < 7 OR o.node_id IS NOT NULL) LIMIT {BATCH}""")
        rows, edges = db.execute("SELECT count(*), sum((n * (n - 1)) / 2) FROM (SELECT num_nonnulls(cookie, email, phone, user_id, idfa) AS n FROM live.batch) x").fetchone()
        db.execute("VACUUM ANALYZE live.batch")
        db.execute("""SELECT cdp_source_create('batch', 'live.batch', '{"key": "id::text", "identifiers": {"cookie": "cookie", "email": "email", "phone": "phone", "user_id": "user_id", "idfa": "idfa"}}')""")
        begin = time.perf_counter()
        db.execute("CALL cdp_sync('batch')")
        batch = time.perf_counter() - begin
        begin = time.perf_counter()
        db.execute("SELECT live.batch_of_edges()")
        peer = time.perf_counter() - begin
        print(f"S5: cdp_sync() of {rows:,} new rows with {edges:,} edges, commit included: {batch:.2f} s: {verdict(batch, 0.4, 0.15)}; "
              f"peer, sets in plain SQL, no facts and no rules: {peer:.2f} s", flush=True)

        bad = db.execute("SELECT string_agg(v.\"check\" || ': ' || v.detail, '; ') FROM cdp_identity_verify() v WHERE NOT v.ok").fetchone()[0]
        print("everything computed anew from the edges: " + ("equal" if bad is None else bad), flush=True)

        # S6 at length: one component of half a million, cut in the middle.
        db.execute("DROP SCHEMA IF EXISTS chain CASCADE; DROP TABLE IF EXISTS live.chain")
        db.execute("SELECT cdp_init('chain', 'UTC')")
        db.execute("SET cdp.workspace = 'chain'")
        db.execute(f"CREATE TABLE live.chain AS SELECT i AS id, 'u' || i / 2 AS u, 'c' || (i + 1) / 2 AS c FROM generate_series(1, {CHAIN}) i")
        db.execute("""SELECT cdp_source_create('chain', 'live.chain', '{"key": "id::text", "updated_at": "id", "identifiers": {"user_id": "u", "cookie": "c"}}')""")
        db.execute("CALL cdp_sync()")
        size = db.execute("SELECT count(*) FROM chain.node").fetchone()[0]
        begin = time.perf_counter()
        changed = db.execute("SELECT cdp_unlink('user_id', %s, 'cookie', %s, 'bench') ->> 'moved'", [f"u{CHAIN // 4}", f"c{CHAIN // 4}"]).fetchone()[0]
        seconds = time.perf_counter() - begin
        pid = db.info.backend_pid
        peak = next(int(x.split()[1]) for x in open(f"/proc/{pid}/status") if x.startswith("VmHWM")) / 1024
        print(f"S6: unmerge in a component of {size:,}: {seconds:.2f} s, {changed} identifiers moved, peak {peak:.0f} MB: {verdict(seconds, 2, 1)}", flush=True)
        db.execute("DROP SCHEMA chain CASCADE")
        db.execute("DROP SCHEMA live CASCADE")
    return bad is None
