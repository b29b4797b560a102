#!/usr/bin/env bash
# The benchmarks, on a private server with the release build. SUITE chooses:
#   bits (default)   tests/bench/bits: questions on the engine, beside DuckDB, ClickHouse and plain PostgreSQL; answers checked equal
#   insight          tests/bench/insight: cdp_segment_insight() over more than a thousand tag values and cdp_segment_lookalike(), beside plain SQL
#   expressions      tests/bench/expressions: expressions over attributes and windows of events, insight and a refresh, beside plain SQL
#   sync             tests/bench/sync: cdp_sync() of generated sources, then questions beside the plain SQL they are equal to
#   segments         tests/bench/segments: refreshes of a hundred segments, beside the plain SQL of their definitions
# SCALE is a number of profiles such as 100k, 1M (the default) or 10M. REUSE=1 asks what an earlier run of the same suite and scale
# has loaded.
. "$(dirname "$0")/lib.sh"
run_dir
suite=${SUITE:-bits}
case $suite in
    bits | insight | expressions) python=yes ;;
    sync | segments) python= ;;
    *) die "SUITE=$suite: give bits, insight, expressions, sync or segments" ;;
esac

if [ -n "$python" ]; then
    tools/setup-debian.sh bench
    tools/setup-python.sh bench
fi
tools/server.sh release
tools/cluster.sh start "bench-$suite" bench
trap 'tools/cluster.sh stop "bench-$suite"' EXIT
use_cluster "bench-$suite"
[ -n "${REUSE:-}" ] || fresh_database bench
export PGDATABASE=bench
if [ -n "$python" ]; then
    # Parquet, CSV and ClickHouse's own files; run.py deletes what it makes there.
    SCRATCH=${SCRATCH:-$TARGET/bench}
    mkdir -p "$SCRATCH"
    SCRATCH=$SCRATCH "$BENCH_VENV/bin/python" "tests/bench/$suite/run.py" </dev/null
else
    "tests/bench/$suite/run.sh" "$@" </dev/null
fi
