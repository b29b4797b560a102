#!/usr/bin/env bash
# server.sh [release|dev|suites]: builds the extension and installs it into a private copy of the
# PostgreSQL of PG_CONFIG, so that tests and the demo leave the system's PostgreSQL alone.
# PostgreSQL finds its files relative to its own binary, so a copy of the tree is a whole server.
. "$(dirname "$0")/lib.sh"

profile=${1:-release}
tools/build.sh "$profile"
run_dir
major=$(pg_major)
root=$(server_root "$major")
bindir=$("$PG_CONFIG" --bindir)
pkglibdir=$("$PG_CONFIG" --pkglibdir)
sharedir=$("$PG_CONFIG" --sharedir)
libdir=$("$PG_CONFIG" --libdir)

stamp="$("$PG_CONFIG" --version) $bindir $(stat -L -c '%Y %s' "$bindir/postgres")"
if [ "$(cat "$root/stamp" 2>/dev/null)" != "$stamp" ]; then
    # Servers of other majors go on.
    for env in "$RUN"/cluster/*/env; do
        if grep -qs "^PGBIN=$root/" "$env"; then tools/cluster.sh stop "$(basename "$(dirname "$env")")"; fi
    done
    say "copying $("$PG_CONFIG" --version) to $root"
    rm -rf "$root"
    for dir in "$bindir" "$pkglibdir" "$sharedir"; do
        mkdir -p "$root$dir"
        cp -a "$dir/." "$root$dir/"
    done
    # A libpq that belongs to this server alone is found relative to it too.
    case $pkglibdir in "$libdir"/*) cp -a "$libdir"/lib{pq,pg}* "$root$libdir/" ;; esac
    # What an installed copy of the extension left behind is not ours to test.
    rm -f "$root$sharedir"/extension/pg_cdp* "$root$pkglibdir"/pg_cdp*
    printf '%s\n' "$stamp" >"$root/stamp"
fi
rm -f "$root$sharedir"/extension/pg_cdp*
# A running server keeps the library it has mapped: the file is replaced, never written over.
cp -R --remove-destination "$TARGET/package/pg$major-$profile/." "$root/"
chmod -R go+rX "$root"
