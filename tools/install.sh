#!/usr/bin/env bash
# Installs the release build into the PostgreSQL of PG_CONFIG, through sudo where that needs root.
. "$(dirname "$0")/lib.sh"

tools/build.sh release
major=$(pg_major)
package=$TARGET/package/pg$major-release
put() { # FROM TO
    say "installing $(basename "$1") into $2"
    if [ -w "$2" ]; then install -m "$3" "$1" "$2/"; else as_root install -m "$3" "$1" "$2/"; fi
}
libdir=$("$PG_CONFIG" --pkglibdir)
extdir=$("$PG_CONFIG" --sharedir)/extension
put "$package$libdir/pg_cdp.so" "$libdir" 755
for file in "$package$extdir"/pg_cdp*; do put "$file" "$extdir" 644; done
