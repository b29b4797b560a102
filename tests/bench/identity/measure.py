"""Running a statement in a backend of its own, timed, with the backend's peak memory; tables in and out."""

import os
import re
import statistics
import sys
import threading
import time

import numpy
import psycopg


def number(text):
    match = re.fullmatch(r"([1-9]\d*)([kKmM]?)", text)
    if not match:
        sys.exit(f"error: SCALE={text}: give a number of identifiers such as 100k, 1M, 5M or 10M")
    return int(match[1]) * {"": 1, "k": 1000, "m": 1_000_000}[match[2].lower()]


def verdict(figure, must, aim, unit="s"):
    """What was asked for, and whether it is met."""
    met = "met, and the aim" if figure <= aim else "met" if figure < must else "MISSED"
    return f"must < {must} {unit}, aim {aim}: {met}"


def memory(pid, field):
    """A field of /proc/PID/status in MB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field + ":")) / 1024


def processor(pid):
    """The processor seconds a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Backend:
    """A connection with its own backend, whose own memory is looked at every 20 ms."""

    def __init__(self):
        self.db = psycopg.connect(autocommit=True)
        self.pid = self.db.info.backend_pid
        self.own, self.over = 0.0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.over.wait(0.02):
            self.own = max(self.own, memory(self.pid, "RssAnon"))

    def timed(self, sql):
        """(seconds, processor seconds)"""
        begin, used = time.perf_counter(), processor(self.pid)
        self.db.execute(sql)
        return time.perf_counter() - begin, processor(self.pid) - used

    def close(self):
        """(peak, peak of its own) in MB."""
        self.over.set()
        self.thread.join()
        peak = memory(self.pid, "VmHWM")
        self.db.close()
        return peak, max(self.own, 0.0)


def run(sql, before):
    """(seconds, processor seconds, peak MB, peak of its own MB): the median of three runs when the first takes less than ten seconds, each in a
    new backend."""
    times, peaks = [], []
    while not times or (len(times) < 3 and times[0][0] < 10):
        with psycopg.connect(autocommit=True) as db:
            db.execute("SET client_min_messages = warning")
            db.execute(before)
        backend = Backend()
        times.append(backend.timed(sql))
        peaks.append(backend.close())
    return *statistics.median_low(times), max(p for p, _ in peaks), max(o for _, o in peaks)


def copy_in(db, table, *columns):
    """COPY of big-endian columns of equal length without NULLs."""
    fields = [("n", ">i2")]
    for i, column in enumerate(columns):
        fields += [(f"l{i}", ">i4"), (f"v{i}", column.dtype)]
    step = 1_000_000
    with db.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for at in range(0, len(columns[0]), step):
            part = numpy.empty(len(columns[0][at:at + step]), dtype=fields)
            part["n"] = len(columns)
            for i, column in enumerate(columns):
                part[f"l{i}"], part[f"v{i}"] = column.itemsize, column[at:at + step]
            copy.write(part.tobytes())
        copy.write(b"\xff\xff")


def rows(sql):
    """The rows of a query of two integers (int4) as two arrays."""
    parts = []
    with psycopg.connect() as db, db.cursor().copy(f"COPY ({sql}) TO STDOUT (FORMAT binary)") as copy:
        parts.extend(bytes(part) for part in copy)
    body = b"".join(parts)[19:-2]
    found = numpy.frombuffer(body, dtype=[("n", ">i2"), ("l0", ">i4"), ("v0", ">i4"), ("l1", ">i4"), ("v1", ">i4")])
    return numpy.array([found["v0"], found["v1"]], dtype=numpy.int64)
