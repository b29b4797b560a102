#!/usr/bin/env bash
# regress.sh sql|isolation CLUSTER [TEST…]: expected-output tests on a running cluster.
#   sql        tests/sql/*.sql against tests/expected/*.out; a test creates the extension itself.
#              Order: tests/schedule when it exists, else by name
#   isolation  tests/isolation/*.spec against tests/isolation/expected/*.out, with the extension created
# With ACCEPT=1 what came out becomes what is expected.
. "$(dirname "$0")/lib.sh"
run_dir
kind=$1
use_cluster "$2"
shift 2
major=$("$PGBIN/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
drivers=$(dirname "$("$PGBIN/pg_config" --pgxs)")/../test
out=$LOG/$kind-$major
rm -rf "$out"
mkdir -p "$out"

case $kind in
    sql)
        driver=$drivers/regress/pg_regress
        input=tests source=tests/sql suffix=.sql expected=tests/expected
        options=()
        ;;
    isolation)
        driver=$drivers/isolation/pg_isolation_regress
        input=$out/in source=tests/isolation suffix=.spec expected=tests/isolation/expected
        options=(--load-extension=pg_cdp)
        # The driver wants specs/ and expected/ side by side.
        mkdir "$input"
        ln -s "$TOP/$source" "$input/specs"
        ln -s "$TOP/$expected" "$input/expected"
        ;;
    *) die "sql or isolation, not $kind" ;;
esac

tests=("$@")
if [ ${#tests[@]} = 0 ]; then
    if [ "$kind" = sql ] && [ -f tests/schedule ]; then tests=(--schedule=tests/schedule)
    elif [ -d "$source" ]; then mapfile -t tests < <(cd "$source" && printf '%s\n' *"$suffix" | sed "s/\\$suffix$//; /^\*$/d" | sort)
    fi
fi
if [ ${#tests[@]} = 0 ]; then say "no tests in $source"; exit 0; fi

# The driver gives up altogether on a test without an expected output.
for file in "$source"/*"$suffix"; do
    wanted=$expected/$(basename "$file" "$suffix").out
    if [ -e "$wanted" ]; then continue
    elif [ -n "${ACCEPT:-}" ]; then mkdir -p "$expected" && touch "$wanted"
    else die "there is no $wanted (ACCEPT=1 makes it)"
    fi
done

rc=0
# The driver sets a time zone and a date style of its own: the launcher undoes both.
"$driver" --bindir="$PGBIN" --host="$PGHOST" --port="$PGPORT" --user="$PGUSER" \
    --dbname="$kind" --encoding=UTF8 --inputdir="$input" --outputdir="$out" \
    --launcher='env PGTZ=UTC PGDATESTYLE=ISO,YMD' "${options[@]}" "${tests[@]}" >"$out/log" 2>&1 </dev/null || rc=$?

# Up to 15 "test a ... ok 12 ms", "a ... FAILED"; since 16 "ok 1 - a 12 ms", "not ok 2 + b 9 ms".
seen=0
while read -r verdict name; do
    seen=$((seen + 1))
    result "$verdict" "pg$major $kind/$name"
done < <(sed -nE \
    -e 's/^(test)? +([^ ]+) +\.\.\. ok.*/ok \2/p' -e 's/^(test)? +([^ ]+) +\.\.\. (FAILED|failed).*/FAIL \2/p' \
    -e 's/^ok [0-9]+ +[-+] ([^ ]+).*/ok \1/p' -e 's/^not ok [0-9]+ +[-+] ([^ ]+).*/FAIL \1/p' "$out/log")
if [ "$rc" -gt 1 ] || [ "$seen" = 0 ]; then
    tail -n 40 "$out/log"
    result FAIL "pg$major $kind: $(basename "$driver") did not run"
fi
if [ -s "$out/regression.diffs" ]; then head -n "${DIFF_LINES:-400}" "$out/regression.diffs"; fi
if [ -n "${ACCEPT:-}" ]; then cp "$out"/results/*.out "$expected/"; fi
exit "$rc"
