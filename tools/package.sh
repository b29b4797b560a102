#!/usr/bin/env bash
# A tarball of the release build for the PostgreSQL of PG_CONFIG, with paths from the root, in target/package.
. "$(dirname "$0")/lib.sh"

tools/build.sh release
major=$(pg_major)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=pg_cdp-$version-pg$major-linux-$(uname -m).tar.gz
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp -R "$TARGET/package/pg$major-release/." "$tree"
mkdir -p "$tree/usr/share/doc/postgresql-$major-pg-cdp"
for file in LICENSE README.md; do [ ! -f $file ] || cp $file "$tree/usr/share/doc/postgresql-$major-pg-cdp/"; done
tar -C "$tree" --sort=name --owner=0 --group=0 --numeric-owner -czf "$TARGET/package/$name" .
tar -tzf "$TARGET/package/$name" | grep -v '/$'
say "$TARGET/package/$name"
