#!/usr/bin/env bash
# A virtual environment in the cache with what a requirements.txt pins: that of the tests, or with "bench" that of the benchmark.
. "$(dirname "$0")/lib.sh"

venv=$VENV requirements=tools/requirements.txt
if [ "${1:-}" = bench ]; then venv=$BENCH_VENV requirements=tests/bench/bits/requirements.txt; fi

stamp=$venv/installed-requirements.txt
if cmp -s "$requirements" "$stamp" && "$venv/bin/python" -c '' 2>/dev/null; then exit 0; fi
python=python3
"$python" -c 'import ensurepip, venv' 2>/dev/null || python=/usr/bin/python3
say "installing $(grep -v '^#' "$requirements" | xargs)"
mkdir -p "$CACHE"
logged venv "$python" -m venv --clear "$venv"
logged pip "$venv/bin/pip" install -r "$requirements"
cp "$requirements" "$stamp"
