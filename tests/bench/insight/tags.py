"""The population of tests/bench/bits with six more tags of 100 values: 27 attributes with more than a thousand values."""

import os
import shutil
import tempfile

import cdp
import generate
import peers

# A multiplicative hash of the number of the profile, other bits for each tag.
EXTRA = [(f"x{i}", "text", f"'v' || ((id::bigint * 2654435761 % 4294967296) >> {2 * i + 7}) % 100") for i in range(6)]
TEXTS = ["gender", "tier", "rfm", "city", "interest", *generate.TAGS, *(name for name, _, _ in EXTRA)]


def cells(inside, base):
    """What cdp_segment_insight() counts, by one pass over the wide row and one sort for each attribute: what an analyst would write with
    GROUPING SETS. `inside` and `base` are conditions on the row p."""
    where = f"{inside} OR {base}" if base else "true"
    counts = f"count(*) FILTER (WHERE {inside}), count(*) FILTER (WHERE {base or 'true'})"
    label = "CASE " + " ".join(f"WHEN grouping(p.{name}) = 0 THEN '{name}'" for name in TEXTS) + " END"
    value = "coalesce(" + ", ".join(f"p.{name}::text" for name in TEXTS) + ")"
    sets = ", ".join(f"(p.{name})" for name in TEXTS)
    return f"SELECT {label}, {value}, {counts} FROM cdp.profiles p WHERE {where} GROUP BY GROUPING SETS ({sets})"


def load(connection, scale, traits=(), days=generate.DAYS, **events):
    """Fills an empty database; `traits`, `days` and `events` as cdp.load() has them."""
    folder = tempfile.mkdtemp(prefix="tags-", dir=os.environ.get("SCRATCH"))
    try:
        tables = {"w": generate.profiles(scale), "ev": generate.events(scale, days=days), "ids": {"id": generate.sample(scale)}}
        peers.DuckDB(tables).export(folder)
        cdp.load(connection, folder, [*cdp.TRAITS, *EXTRA, *traits], days=days, **events)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    # Forward columns are built from the sets of the first.
    cdp.step("forward columns", lambda: connection.execute("SELECT cdp_flush()"))
    connection.execute("VACUUM ANALYZE cdp.chunk")
    connection.execute("VACUUM ANALYZE cdp.profile_value")
