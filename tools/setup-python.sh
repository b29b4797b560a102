#!/usr/bin/env bash
# A virtual environment in the cache with what a requirements.txt pins: that of the tests, with "clients" that of the clients they run, with "bench" that of the
# benchmark, with "identity" that of its suite of this name.
. "$(dirname "$0")/lib.sh"

venv=$VENV requirements=tools/requirements.txt
case ${1:-} in
    clients) venv=$CLIENTS_VENV requirements=tests/clients/requirements.txt ;;
    bench) venv=$BENCH_VENV requirements=tests/bench/bits/requirements.txt ;;
    identity) venv=$IDENTITY_VENV requirements=tests/bench/identity/requirements.txt ;;
esac

stamp=$venv/installed-requirements.txt
if cmp -s "$requirements" "$stamp" && "$venv/bin/python" -c '' 2>/dev/null; then exit 0; fi
python=python3
"$python" -c 'import ensurepip, venv' 2>/dev/null || python=/usr/bin/python3
say "installing $(grep -v '^#' "$requirements" | xargs)"
mkdir -p "$CACHE"
logged venv "$python" -m venv --clear "$venv"
logged pip "$venv/bin/pip" install -r "$requirements"
cp "$requirements" "$stamp"
