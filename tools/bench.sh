#!/usr/bin/env bash
# The benchmarks, on a private server with the release build. SUITE chooses:
#   bits (default)   tests/bench/bits: questions on the engine, beside DuckDB, ClickHouse and plain PostgreSQL; answers checked equal
#   identity         tests/bench/identity: components of edges in a table, and stitching of text identifiers, beside pgRouting, Splink, DuckDB and plain
#                    SQL; answers checked equal. SCALE is a number of identifiers; ONLY=components, stitch, "stitch live" or orders measures a part
#   insight          tests/bench/insight: cdp_segment_insight() over more than a thousand tag values and cdp_segment_lookalike(), beside plain SQL
#   expressions      tests/bench/expressions: expressions over attributes and windows of events, insight and a refresh, beside plain SQL
#   ingest           tests/bench/ingest: messages through the inbox, rows through cdp_sync(), single messages through cdp_ingest(), beside bare rows
#   sync             tests/bench/sync: cdp_sync() of generated sources, then questions beside the plain SQL they are equal to
#   segments         tests/bench/segments: refreshes of a hundred segments, beside the plain SQL of their definitions
# SCALE is a number of profiles such as 100k, 1M (the default) or 10M. REUSE=1 asks what an earlier run of the same suite and scale
# has loaded.
. "$(dirname "$0")/lib.sh"
run_dir
suite=${SUITE:-bits}
case $suite in
    bits | insight | expressions) python=yes ;;
    identity | ingest | sync | segments) python= ;;
    *) die "SUITE=$suite: give bits, identity, ingest, insight, expressions, sync or segments" ;;
esac

if [ -n "$python" ]; then
    tools/setup-debian.sh bench
    tools/setup-python.sh bench
fi
if [ "$suite" = identity ]; then
    tools/setup-debian.sh bench
    tools/setup-python.sh identity
    # The benchmark says so when it is missing.
    [ "$PG_CONFIG" != "$DEBIAN_PG_CONFIG" ] || tools/setup-debian.sh peers || say "no pgRouting for PostgreSQL $(pg_major) from the package manager"
    logged bench-floor cargo build --release --example components -p pg_cdp_core
    export FLOOR=$TARGET/release/examples/components
fi
tools/server.sh release
if [ "$suite" = identity ]; then
    # Extensions that came after the copy was made.
    root=$(server_root "$(pg_major)")
    for dir in "$("$PG_CONFIG" --pkglibdir)" "$("$PG_CONFIG" --sharedir)/extension"; do
        find "$dir" -maxdepth 1 \( -name '*pgrouting*' -o -name 'postgis*' -o -name '*pgr-*' \) -exec cp -a {} "$root$dir/" \;
    done
fi
# Huge pages for the shared buffers, as docs/operations.md advises, where the kernel lets us; given back at the end. PostgreSQL takes them when they are there.
pages=/proc/sys/vm/nr_hugepages
if [ -w "$pages" ]; then
    before=$(cat "$pages")
    enough=$(awk '/^MemTotal/ { mb = $2 / 6144; mb = mb < 512 ? 512 : mb > 4096 ? 4096 : mb } /^Hugepagesize/ { kb = $2 } END { if (kb) print int((mb * 1.1 + 128) * 1024 / kb) }' /proc/meminfo)
    if [ "${enough:-0}" -gt "$before" ] && echo "$enough" >"$pages"; then say "$(cat "$pages") huge pages for shared buffers"; fi
fi
finish() {
    tools/cluster.sh stop "bench-$suite"
    [ -z "${before:-}" ] || echo "$before" >"$pages" || true
}
trap finish EXIT
tools/cluster.sh start "bench-$suite" bench
use_cluster "bench-$suite"
[ -n "${REUSE:-}" ] || fresh_database bench
export PGDATABASE=bench
if [ -n "$python" ]; then
    # Parquet, CSV and ClickHouse's own files; run.py deletes what it makes there.
    SCRATCH=${SCRATCH:-$TARGET/bench}
    mkdir -p "$SCRATCH"
    SCRATCH=$SCRATCH "$BENCH_VENV/bin/python" "tests/bench/$suite/run.py" </dev/null
elif [ "$suite" = identity ]; then
    SCRATCH=${SCRATCH:-$TARGET/bench}
    mkdir -p "$SCRATCH"
    SCRATCH=$SCRATCH "$IDENTITY_VENV/bin/python" tests/bench/identity/run.py </dev/null
else
    "tests/bench/$suite/run.sh" "$@" </dev/null
fi
