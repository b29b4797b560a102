#!/usr/bin/env bash
# A virtual environment in the cache with what requirements.txt pins.
. "$(dirname "$0")/lib.sh"

stamp=$VENV/installed-requirements.txt
if cmp -s tools/requirements.txt "$stamp" && "$VENV/bin/python" -c '' 2>/dev/null; then exit 0; fi
python=python3
"$python" -c 'import ensurepip, venv' 2>/dev/null || python=/usr/bin/python3
say "installing $(grep -v '^#' tools/requirements.txt | xargs)"
mkdir -p "$CACHE"
logged venv "$python" -m venv --clear "$VENV"
logged pip "$VENV/bin/pip" install -r tools/requirements.txt
cp tools/requirements.txt "$stamp"
