#!/usr/bin/env bash
# What comes in, and how fast: messages through the inbox, rows of a table through cdp_sync(), single messages through cdp_ingest(); each beside what PostgreSQL alone takes for bare
# rows of the same content, in the same run, so that the price of being a customer data platform is a ratio.
#
#   make bench SUITE=ingest SCALE=1M    a million identifiers are there already (the default); 100k, 5M, …
#   MESSAGES=300000 SECONDS_EACH=10     messages of the inbox and rows of the table; seconds of each single measurement
#
# Connects as libpq's environment says (tools/bench.sh sets it), to an empty database. A tenth of the messages is of new visitors. Exit 1 when a count is not what was sent.
set -euo pipefail
export LC_ALL=C.UTF-8 PAGER=cat PSQLRC=/dev/null PGOPTIONS="${PGOPTIONS:-} -c client_min_messages=warning"

die() { printf '%s\n' "error: $*" >&2; exit 1; }
say() { printf '\n%s\n' "-- $*"; }
[[ ${SCALE:=1M} =~ ^([1-9][0-9]*)([kKmM]?)$ ]] || die "SCALE=$SCALE: give a number of identifiers such as 100k, 1M or 5M"
case ${BASH_REMATCH[2]} in
    k | K) identifiers=$((BASH_REMATCH[1] * 1000)) ;;
    m | M) identifiers=$((BASH_REMATCH[1] * 1000000)) ;;
    *) identifiers=${BASH_REMATCH[1]} ;;
esac
people=$((identifiers / 2))
messages=${MESSAGES:-300000}
seconds=${SECONDS_EACH:-10}
scratch=$(mktemp -d "${SCRATCH:-${TMPDIR:-/tmp}}/ingest.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

run() { psql -X -q -v ON_ERROR_STOP=1 -P pager=off -P footer=off "$@" </dev/null; }
value() { run -A -t "$@"; }
now() { date +%s.%N; }
# rate COUNT FROM TO: how many a second.
rate() { awk -v n="$1" -v a="$2" -v b="$3" 'BEGIN { printf "%.0f", n / (b - a) }'; }
# line WHAT MEASURED UNIT TARGET FLOOR BETTER: BETTER is more or less.
line() {
    awk -v what="$1" -v is="$2" -v unit="$3" -v target="$4" -v floor="$5" -v better="$6" 'BEGIN {
        ratio = better == "more" ? floor / is : is / floor
        met = better == "more" ? is >= target : is <= target
        printf "%-44s %12.6g %-6s target %8s   bare %12.6g   price %6.1f   %s\n", what, is, unit, target, floor, ratio, met ? "met" : "missed" }'
}

say "$identifiers identifiers of $people people, $(nproc) cores, $messages messages"
run -c "CREATE EXTENSION pg_cdp" -c "SELECT cdp_init(time_zone => 'UTC')" -o /dev/null
run -c "CREATE TABLE account AS SELECT i AS id, 'u' || i AS account, 'a' || i AS visitor FROM generate_series(1, $people) i" \
    -c "ALTER TABLE account ADD PRIMARY KEY (id)" -c "ANALYZE account" \
    -c "SELECT cdp_source_create('accounts', 'account', '{\"key\": \"id\", \"identifiers\": {\"user_id\": \"account\", \"anonymous_id\": \"visitor\"}}')" -o /dev/null
begin=$(now)
run -c "CALL cdp_sync('accounts')"
printf 'taken in %.0f s\n' "$(awk -v a="$begin" -v b="$(now)" 'BEGIN { print b - a }')"
[ "$(value -c "SELECT count(*) FROM cdp.node")" = $((people * 2)) ] || die "not every identifier is there"
# As after the first minutes of its life, when autovacuum has been over it.
run -c "VACUUM ANALYZE"

# The inbox. A tenth of the messages are of new visitors, three of each; a tenth of all say who it is too, so that some of the new visitors become one with somebody known, at once or later.
visitors=$((messages / 30 < people ? messages / 30 + 1 : people))
run -c "CREATE TABLE bare (payload text, at timestamptz DEFAULT now())" -c "SELECT setseed(0.4)" -c "
    CREATE TABLE message AS SELECT json_strip_nulls(json_build_object('type', 'track', 'messageId', 'm' || i, 'anonymousId', CASE WHEN new THEN 'n' ELSE 'a' END || who, 'userId', CASE WHEN says THEN 'u' || who END,
        'event', CASE WHEN random() < 0.9 THEN 'view' ELSE 'purchase' END, 'timestamp', to_char(now() - random() * interval '20 days', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
        'properties', json_build_object('category', 'c' || floor(random() * 20), 'price', round((random() * 100)::numeric, 2))))::text AS payload
    FROM (SELECT i, 1 + floor(random() * CASE WHEN new THEN $visitors ELSE $people END)::int AS who, new, says FROM (SELECT i, random() < 0.1 AS new, random() < 0.1 AS says FROM generate_series(1, $messages) i) y) x"
run -c "\\copy message TO '$scratch/messages'"
begin=$(now)
run -c "\\copy bare (payload) FROM '$scratch/messages'"
floor=$(rate "$messages" "$begin" "$(now)")
begin=$(now)
run -c "\\copy cdp.inbox (payload) FROM '$scratch/messages'"
run -c "CALL cdp_process_inbox(20000)" & run -c "CALL cdp_process_inbox(20000)"
wait
end=$(now)
[ "$(value -c "SELECT count(*) FROM cdp.event")" = "$messages" ] || die "not every message became an event"
say "What comes in"
line "inbox, COPY and two runs beside each other" "$(rate "$messages" "$begin" "$end")" "/s" 30000 "$floor" more
value -c "SELECT format('    of them %s new visitors, %s new edges, %s merges', (SELECT count(*) FROM cdp.identifiers WHERE source = 'inbox'), (SELECT count(*) FROM cdp.edges WHERE source = 'inbox' AND from_value || to_value LIKE '%n%'),
    (SELECT count(*) FROM cdp.merges WHERE source = 'inbox'))"
[ "$(value -c "SELECT count(*) > 0 FROM cdp.merges WHERE source = 'inbox'")" = t ] || die "no new visitor became one with anybody"
# What the columns say, and what the facts say.
recent="count(view) FILTER (WHERE category = 'c7' AND at >= now() - interval '7 days 5 hours') > 0"
of=$(value -c "SELECT now()")
columns=$(value -c "SELECT cdp_segment_count(\$\$$recent\$\$, '$of')")
facts=$(value -c "SELECT count(*) FROM ($(value -c "SELECT cdp_segment_sql(\$\$$recent\$\$, '$of')")) s")
[ "$columns" -gt 0 ] && [ "$columns" = "$facts" ] || die "the columns say $columns, the facts $facts"

# A table.
run -c "CREATE TABLE sale AS SELECT i AS id, 'u' || 1 + floor(random() * $people)::int AS account, 'c' || floor(random() * 20) AS category, round((random() * 100)::numeric, 2) AS price,
        now() - random() * interval '20 days' AS at FROM generate_series(1, $messages) i" -c "ALTER TABLE sale ADD PRIMARY KEY (id)" -c "ANALYZE sale" \
    -c "SELECT cdp_source_create('sales', 'sale', '{\"key\": \"id\", \"updated_at\": \"at\", \"identifiers\": {\"user_id\": \"account\"}, \"event\": {\"name\": \"''sale''\", \"at\": \"at\", \"properties\": {\"category\": \"category\", \"price\": \"price\"}}}')" -o /dev/null
run -c "\\copy sale TO '$scratch/sales'" -c "CREATE TABLE bare_sale (LIKE sale)"
begin=$(now)
run -c "\\copy bare_sale FROM '$scratch/sales'"
floor=$(rate "$messages" "$begin" "$(now)")
begin=$(now)
run -c "CALL cdp_sync('sales')"
line "a table, cdp_sync()" "$(rate "$messages" "$begin" "$(now)")" "/s" 50000 "$floor" more
[ "$(value -c "SELECT count(*) FROM cdp.events WHERE event = 'sale'")" = "$messages" ] || die "not every row became an event"
run -c "VACUUM ANALYZE"
# The same in two halves, each a source with a filter, by two runs beside each other.
for half in 0 1; do
    run -c "SELECT cdp_source_create('half$half', 'sale', '{\"key\": \"id\", \"filter\": \"id % 2 = $half\", \"updated_at\": \"at\", \"identifiers\": {\"user_id\": \"account\"}, \"event\": {\"name\": \"''sale''\", \"at\": \"at\", \"properties\": {\"category\": \"category\", \"price\": \"price\"}}}')" -o /dev/null
done
begin=$(now)
run -c "CALL cdp_sync('half0')" & run -c "CALL cdp_sync('half1')"
wait
line "a table, two runs, each a half" "$(rate "$messages" "$begin" "$(now)")" "/s" 50000 "$floor" more
[ "$(value -c "SELECT count(*) FROM cdp.events WHERE event = 'sale'")" = $((messages * 2)) ] || die "not every row became an event"
run -c "VACUUM ANALYZE"

# One at a time.
cat >"$scratch/one.sql" <<SQL
\\set who random(1, $people)
\\set category random(0, 19)
SELECT cdp_ingest(jsonb_build_object('type', 'track', 'messageId', gen_random_uuid(), 'anonymousId', 'a' || :who, 'event', 'view', 'timestamp', now(), 'properties', jsonb_build_object('category', 'c' || :category, 'price', 5)));
SQL
cat >"$scratch/bare.sql" <<SQL
\\set who random(1, $people)
\\set category random(0, 19)
INSERT INTO bare_message (id, payload) SELECT gen_random_uuid(), jsonb_build_object('type', 'track', 'anonymousId', 'a' || :who, 'event', 'view', 'timestamp', now(), 'properties', jsonb_build_object('category', 'c' || :category, 'price', 5));
SQL
run -c "CREATE TABLE bare_message (id uuid PRIMARY KEY, payload jsonb, at timestamptz DEFAULT now())"
sent=$(value -c "SELECT count(*) FROM cdp.event")
taken=0
# bench SCRIPT CLIENTS: sets tps, and of the times of each transaction median and p99 in milliseconds.
bench() {
    rm -f "$scratch"/log.*
    (cd "$scratch" && pgbench -n -M prepared -f "$scratch/$1.sql" -c "$2" -j 2 -T "$seconds" -l --log-prefix=log >pgbench.out 2>&1) || { cat "$scratch/pgbench.out" >&2; exit 1; }
    ! grep -q 'number of failed transactions: [1-9]' "$scratch/pgbench.out" || die "transactions failed"
    tps=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$scratch/pgbench.out")
    sort -n -k3,3 -t' ' "$scratch"/log.* >"$scratch/sorted"
    count=$(wc -l <"$scratch/sorted")
    median=$(awk -v n="$count" 'NR == int(n / 2) + 1 { print $3 / 1000 }' "$scratch/sorted")
    p99=$(awk -v n="$count" 'NR == int(n * 0.99) + 1 { print $3 / 1000 }' "$scratch/sorted")
    [ "$1" != one ] || taken=$((taken + count))
}
singles() {
    bench bare 1; local bare=$median
    bench one 1
    line "cdp_ingest(), one client, median$1" "$median" ms 2 "$bare" less
    printf '%-44s %12.6g ms\n' "    p99" "$p99"
    bench bare 8; bare=$tps
    bench one 8
    line "cdp_ingest(), eight clients$1" "$tps" "/s" 2000 "$bare" more
}
singles ""
run -c "SELECT cdp_tag_create('views', 'count(view)')" -c "SELECT cdp_segment_create('keen', 'views >= 3')" \
    -c "SELECT cdp_segment_create('recent', \$\$count(view) FILTER (WHERE at >= now() - interval '7 days') > 2\$\$)" -c "SELECT count(*) FROM cdp_tag_refresh()" -c "SELECT count(*) FROM cdp_segment_refresh()" -o /dev/null
singles ", tag and two segments"
[ "$(value -c "SELECT count(*) FROM cdp.event")" = $((sent + taken)) ] || die "an answered message is not there, or there twice"
run -c "SELECT count(*) FROM cdp_tag_refresh()" -o /dev/null
say "every message that was answered is there once"
