#!/usr/bin/env bash
# Runs tests/bench/run.sh against a private server with the release build, on an empty database `bench`.
. "$(dirname "$0")/lib.sh"
run_dir
[ -x tests/bench/run.sh ] || die "tests/bench/run.sh does not exist"
tools/server.sh release
tools/cluster.sh start bench
trap 'tools/cluster.sh stop bench' EXIT
use_cluster bench
fresh_database bench
PGDATABASE=bench tests/bench/run.sh "$@" </dev/null
