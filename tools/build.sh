#!/usr/bin/env bash
# build.sh [release|dev|suites]: compiles the extension for the PostgreSQL of PG_CONFIG and lays its files
# out, under the paths they have on a system, in target/package/pgNN-PROFILE. Needs no root.
. "$(dirname "$0")/lib.sh"

profile=${1:-release}
major=$(pg_major)
out=$TARGET/package/pg$major-$profile
# Without this variable the bindings would be generated for whatever `cargo pgrx init` registered.
export PGRX_PG_CONFIG_PATH=$PG_CONFIG
say "building the extension for PostgreSQL $major ($profile)"
rm -rf "$out"
logged "build-pg$major-$profile" cargo pgrx package --profile "$profile" --pg-config "$PG_CONFIG" --out-dir "$out"
