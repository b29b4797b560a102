"""Run by tests/clients/pyroaring.

pyroaring writes the portable 64-bit format: the number of buckets as u64, then for each bucket, ascending by its high half, that
half as u32 and the portable 32-bit bitmap of the low halves; little-endian. These are the bytes of a cdp_bitmap.
"""
import os
import random
import struct
import subprocess
import sys

from pyroaring import BitMap64

SEED = int(os.environ.get("SEED", "64"))
RANDOM_SETS = 300
LARGEST = 2**63 - 1
COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)


def psql(sql, data=None):
    done = subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql], input=data, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"psql failed: {sql[:200]}")
    return done.stdout


def copy_in(table, rows):
    """Binary COPY of (int, bytes) rows."""
    parts = [COPY_HEAD]
    for number, value in rows:
        parts.append(struct.pack(">hiii", 2, 4, number, len(value)) + value)
    psql(f"COPY {table} FROM STDIN (FORMAT binary)", b"".join(parts) + struct.pack(">h", -1))


def copy_out(query):
    data = psql(f"COPY ({query}) TO STDOUT (FORMAT binary)")
    assert data.startswith(COPY_HEAD[:11])
    at = 19
    while struct.unpack_from(">h", data, at)[0] == 2:
        number, length = struct.unpack_from(">4xii", data, at + 2)
        yield number, data[at + 14:at + 14 + length]
        at += 14 + length


def generated(rng):
    """Sets on every edge of the format, then random ones: sparse, dense and in runs, over several buckets."""
    edges = [0, 1, 65535, 65536, 2**32 - 1, 2**32, 2**33, 2**62, LARGEST - 1, LARGEST]
    yield BitMap64()
    for edge in edges:
        yield BitMap64([edge])
    yield BitMap64(edges)
    for size in (4095, 4096, 4097, 65535, 65536):
        yield BitMap64(range(0, size))
        yield BitMap64(range(2**40, 2**40 + 3 * size, 3))
    for _ in range(RANDOM_SETS):
        values = set()
        for _ in range(rng.randrange(5)):
            base = min(rng.choice([0, 2**16, 2**32 - 500, 2**45, LARGEST - 80000, rng.randrange(2**rng.randrange(1, 63))]), LARGEST - 80000)
            step = rng.choice([1, 1, 2, 7, 50])
            values.update(range(base, base + step * rng.randrange(1, 1500), step))
        bitmap = BitMap64(values)
        if rng.random() < 0.5:
            bitmap.run_optimize()
        yield bitmap


def main():
    rng = random.Random(SEED)
    sets = dict(enumerate(generated(rng)))
    bytes_of = {number: bitmap.serialize() for number, bitmap in sets.items()}
    psql("CREATE EXTENSION pg_cdp")
    psql("CREATE TABLE copied (n int, b cdp_bitmap); CREATE TABLE typed (n int, b cdp_bitmap); CREATE TABLE member (n int, v bigint)")
    copy_in("copied", bytes_of.items())
    psql("COPY typed FROM STDIN", "".join(f"{n}\t\\\\x{data.hex()}\n" for n, data in bytes_of.items()).encode())
    psql("COPY member FROM STDIN", "".join(f"{n}\t{v}\n" for n, bitmap in sets.items() for v in bitmap).encode())

    wrong = []

    def check(name, good):
        if not good:
            wrong.append(name)

    # What PostgreSQL read is what pyroaring meant, by the members as they were written out one by one.
    bad = psql("SELECT n FROM copied c JOIN typed t USING (n) LEFT JOIN (SELECT n, array_agg(v ORDER BY v) AS a FROM member GROUP BY n) m USING (n) "
               "WHERE c.b <> t.b OR c.b::bigint[] <> coalesce(a, '{}') OR cdp_count(c.b) <> cardinality(coalesce(a, '{}'))").decode().split()
    check(f"read by cdp_bitmap: {bad}", not bad)
    check("all were read", int(psql("SELECT count(*) FROM copied JOIN typed USING (n)")) == len(sets))

    # Back: as they came, built from the members, and in runs.
    forms = {
        "as they came": "SELECT n, b FROM copied",
        "built": "SELECT t.n, coalesce(cdp_bitmap_build_agg(v), '{}') FROM typed t LEFT JOIN member m USING (n) GROUP BY 1",
        "in runs": "SELECT n, cdp_bitmap_runoptimize(b) FROM copied",
    }
    for form, query in forms.items():
        back = dict(copy_out(query))
        check(f"{form}: all came back", back.keys() == sets.keys())
        for number, data in back.items():
            bitmap = BitMap64.deserialize(data)
            check(f"{form}: set {number}", bitmap == sets[number] and len(bitmap) == len(sets[number]))
            if form == "as they came":
                check(f"bytes of set {number}", data == bytes_of[number])
    lines = psql("SET cdp.bitmap_output = 'hex'; SELECT n, b FROM typed").decode().split()
    for line in lines:
        number, text = line.split("|")
        check(f"text of set {number}", BitMap64.deserialize(bytes.fromhex(text[2:])) == sets[int(number)])
    check("all were printed", len(lines) == len(sets))

    # The algebra of both sides on neighbours.
    for name, operator, python in (("and", "&", BitMap64.__and__), ("or", "|", BitMap64.__or__), ("xor", "#", BitMap64.__xor__), ("andnot", "-", BitMap64.__sub__)):
        for number, data in copy_out(f"SELECT x.n, x.b {operator} y.b FROM copied x JOIN copied y ON y.n = x.n + 1"):
            check(f"{name} of sets {number} and {number + 1}", BitMap64.deserialize(data) == python(sets[number], sets[number + 1]))

    for name in wrong[:20]:
        print("FAIL", name)
    print(f"{len(sets)} sets, {len(wrong)} wrong, SEED={SEED}")
    sys.exit(1 if wrong else 0)


main()
