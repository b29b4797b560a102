#!/usr/bin/env bash
# installcheck.sh [TEST…]: the SQL suites and isolation specs on a private server of PG_CONFIG's version.
# With names: only these (SQL suites). ACCEPT=1 as in regress.sh.
. "$(dirname "$0")/lib.sh"
run_dir
tools/server.sh "${PROFILE:-release}"
cluster=check$(pg_major)
trap 'tools/cluster.sh drop "$cluster"' EXIT
tools/cluster.sh start "$cluster" test
rc=0
tools/regress.sh sql "$cluster" "$@" || rc=1
[ $# -gt 0 ] || tools/regress.sh isolation "$cluster" || rc=1
exit $rc
