#!/usr/bin/env bash
# demo.sh [CLUSTER]: from nothing to the demo on real data: installs what is missing, builds the
# extension, starts a private PostgreSQL and runs tests/demo/run.sql on a new database `demo`.
. "$(dirname "$0")/lib.sh"
cluster=${1:-demo}
begin=$SECONDS

say "checking what is installed"
tools/setup-debian.sh build
tools/setup-rust.sh
tools/server.sh release
tools/cluster.sh start "$cluster"
run_dir
use_cluster "$cluster"
[ -f tests/demo/run.sql ] || die "tests/demo/run.sql does not exist"
say "running tests/demo/run.sql on a new database demo"
fresh_database demo
psql -X -v ON_ERROR_STOP=1 -v data=tests/data -d demo -f tests/demo/run.sql </dev/null 2>&1 | tee "$LOG/demo.log"
say "done in $((SECONDS - begin)) s"
if [ "$cluster" = demo ]; then
    printf '\n%s\n' "The server is still running:" "  make psql   opens psql on the database demo" "  make stop   stops it"
fi
