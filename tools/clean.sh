#!/usr/bin/env bash
# Stops the private servers and deletes what was built, theirs included. The cache stays.
. "$(dirname "$0")/lib.sh"
tools/cluster.sh stop
run_dir
rm -rf "$RUN" "$TARGET"
