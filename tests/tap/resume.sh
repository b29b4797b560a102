#!/usr/bin/env bash
# cdp_sync() that is stopped half way, by a time limit, a cancel, a terminated or killed backend or a crash of the server, is shown as
# interrupted, goes on where it was when it is called again, and comes to what an undisturbed run comes to.
# Killing a backend takes every connection of the server with it, so that the test has a server of its own.
set -euo pipefail
cd "$(dirname "$0")"
: "${PGBIN:?}" "${TEST_TMP:?}"
read -ra as_server <<<"${AS_SERVER:-}"
data=$TEST_TMP/data
socket=$(mktemp -d /tmp/pg_cdp_resume.XXXXXX)
export PGHOST=$socket PGPORT=5432 PGUSER=postgres PGOPTIONS='-c client_min_messages=warning'
unset PGDATABASE RUST_BACKTRACE RUST_LIB_BACKTRACE

server() { (cd / && "${as_server[@]}" "$PGBIN/$1" "${@:2}"); }
finish() {
    local status=$?
    trap - EXIT
    # shellcheck disable=SC2046
    kill $(jobs -p) 2>/dev/null || true
    server pg_ctl -s -w -m immediate -D "$data" stop >/dev/null 2>&1 || true
    if [ $status != 0 ]; then tail -n 30 "$TEST_TMP/server.log" || true; fi
    rm -rf "$socket"
    exit $status
}
trap finish EXIT
say() { printf '%4ds %s\n' "$SECONDS" "$*"; }
wrong() { printf 'FAILED: %s\n' "$*"; exit 1; }

if [ ${#as_server[@]} -gt 0 ]; then chown "$(stat -c %U "$TEST_TMP"):" "$socket"; fi
server initdb -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
# A killed backend does not lose what the operating system was given: nothing has to reach the disk.
printf '%s\n' "listen_addresses = ''" 'fsync = off' 'full_page_writes = off' 'max_wal_size = 4GB' 'shared_buffers = 128MB' "timezone = 'UTC'" \
    "log_line_prefix = '%m [%p] %q%d %e '" | "${as_server[@]}" tee -a "$data/postgresql.conf" >/dev/null
server pg_ctl -s -w -t 60 -D "$data" -l "$TEST_TMP/server.log" -o "-k $socket" start </dev/null

sql() { psql -X -q -At -v ON_ERROR_STOP=1 -d "$@"; }
# Waits until SQL gives true; the server may be restarting.
until_true() { # DATABASE SQL
    local i
    for ((i = 0; i < 1200; i++)); do
        if [ "$(psql -X -q -At -d "$1" -c "$2" 2>/dev/null)" = t ]; then return 0; fi
        sleep 0.05
    done
    wrong "never true: $2"
}
until_up() {
    # A server that has not noticed the killed process yet still answers: first it must be gone.
    local i
    for ((i = 0; i < 1200; i++)); do
        if psql -X -q -At -d postgres -c 'SELECT 1' >/dev/null 2>&1; then return 0; fi
        sleep 0.05
    done
    wrong "the server did not come back"
}

# --- The company: several batches of sales, compared in full, and of visits, by watermark, many of them at the same moment ----
createdb seed
sql seed >/dev/null <<'SQL'
CREATE SCHEMA shop;
CREATE TABLE shop.customer AS SELECT i AS id, 'c' || i || '@example.com' AS email, 'K' || i AS card, 'city ' || i % 40 AS city, i % 90 AS age, timestamptz '2024-01-01' + i * interval '1 s' AS updated_at
  FROM generate_series(1, 4000) i;
CREATE TABLE shop.sale AS SELECT i AS id, 'K' || (i * 7919) % 6000 AS card, CASE WHEN i % 5000 = 0 THEN 'c' || (i / 5000 * 13) || '@example.com' WHEN i % 20011 = 0 THEN 'no address' END AS email,
  (i % 977) / 4.0 AS amount, 'cat ' || i % 9 AS category, timestamptz '2024-02-01' + i * interval '47 s' AS at FROM generate_series(1, 60000) i;
ALTER TABLE shop.sale ADD PRIMARY KEY (id);
CREATE TABLE shop.visit AS SELECT i AS id, 'ck' || i % 3001 AS cookie, CASE WHEN i % 90 = 0 THEN 'c' || i % 3001 || '@example.com' END AS email, 'view'::text AS event,
  CASE WHEN i % 30011 <> 0 THEN timestamptz '2024-03-01' + i / 5000 * interval '3 hours' END AS at, 'dev' || i % 7 AS kind, i % 60 AS seconds FROM generate_series(1, 105000) i;
CREATE EXTENSION pg_cdp;
SELECT cdp_init('cdp', 'Europe/Berlin');
SELECT cdp_source_create('crm', 'shop.customer', '{"key": "id", "updated_at": "updated_at", "identifiers": {"email": "email", "loyalty_card": "card"}, "traits": {"city": "city", "age": "age"}}');
SELECT cdp_source_create('pos', 'shop.sale', '{"identifiers": {"loyalty_card": "card", "email": "email"}, "event": {"name": "''purchase''", "at": "at", "properties": {"amount": "amount", "category": "category"}}}');
SELECT cdp_source_create('web', 'shop.visit', '{"key": "id", "updated_at": "at", "identifiers": {"cookie": "cookie", "email": "email"}, "traits": {"last_kind": "kind"}, "event": {"name": "''view''", "at": "at", "properties": {"kind": "kind", "seconds": "seconds"}}}');
CREATE ROLE colleague LOGIN;
GRANT USAGE ON SCHEMA cdp, shop TO colleague;
GRANT ALL ON ALL TABLES IN SCHEMA cdp, shop TO colleague;
GRANT ALL ON ALL SEQUENCES IN SCHEMA cdp TO colleague;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO colleague;
-- What everything comes to, whatever numbers people have: a person is named by its first identifier.
CREATE VIEW shop.named AS SELECT profile_id, min(type || ' ' || value COLLATE "C") AS name FROM cdp.identifiers GROUP BY 1;
CREATE FUNCTION shop.result() RETURNS SETOF text LANGUAGE plpgsql SET timezone = 'Europe/Berlin' AS $$
DECLARE x text; a bigint[]; b bigint[];
BEGIN
  RETURN NEXT (SELECT concat_ws(' ', 'identifiers', count(*), md5(string_agg(concat_ws(' ', n.name, i.type, i.value, i.first_seen, i.last_seen), E'\n' ORDER BY i.type COLLATE "C", i.value COLLATE "C"))) FROM cdp.identifiers i JOIN shop.named n USING (profile_id));
  RETURN NEXT (SELECT concat_ws(' ', 'people', count(*), md5(string_agg(concat_ws(' ', n.name, p.city, p.age, p.last_kind), E'\n' ORDER BY n.name COLLATE "C"))) FROM cdp.profiles p JOIN shop.named n USING (profile_id));
  RETURN NEXT (SELECT concat_ws(' ', 'edges', count(*), md5(string_agg(e::text, E'\n' ORDER BY e::text COLLATE "C"))) FROM cdp.edges e);
  RETURN NEXT (SELECT concat_ws(' ', 'events', count(*), count(DISTINCT event_id), md5(string_agg(concat_ws(' ', n.name, e.source, e.event, e.at, e.properties), E'\n' ORDER BY e.at, e.event, e.properties::text, n.name COLLATE "C"))) FROM cdp.events e JOIN shop.named n USING (profile_id));
  RETURN QUERY SELECT concat_ws(' ', 'rejects', source, key, count(*), reason) FROM cdp.rejects GROUP BY source, key, reason, payload ORDER BY 1;
  RETURN NEXT (SELECT concat_ws(' ', 'columns', count(*) FILTER (WHERE state = 'ready'), count(*)) FROM cdp.store_column);
  RETURN NEXT (SELECT concat_ws(' ', 'pending', count(*)) FROM cdp.pending);
  FOREACH x IN ARRAY ARRAY['true', 'city = ''city 7''', 'age > 50', 'last_kind = ''dev3''', 'count(purchase) > 10', 'sum(purchase.amount) FILTER (WHERE category = ''cat 4'') > 150',
      'count(view) FILTER (WHERE at >= ''2024-03-02 00:00+01'' AND at < ''2024-03-04 11:00+01'') >= 20', 'sum(view.seconds) > 1000', 'count(view) FILTER (WHERE kind = ''dev2'') = 6'] LOOP
    a := ARRAY(SELECT cdp_members(cdp_segment(x)));
    EXECUTE 'SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (' || cdp_segment_sql(x) || ') q' INTO b;
    IF a <> b THEN RAISE EXCEPTION 'cdp_segment differs from its SQL: %', x; END IF;
    RETURN NEXT (SELECT concat_ws(' ', x, count(*), md5(string_agg(n.name, ',' ORDER BY n.name COLLATE "C"))) FROM unnest(a) m JOIN shop.named n ON n.profile_id = m);
  END LOOP;
END $$;
SQL
say "the company is made"
createdb -T seed clean
sql clean -c 'CALL cdp_sync()'
sql clean -c 'SELECT shop.result()' >"$TEST_TMP/clean"
[ "$(sql clean -c "SELECT min(rows_total) FILTER (WHERE source <> 'crm') > 50000 AND bool_and(state = 'done') FROM cdp.jobs")" = t ] || wrong "the clean run is not what it should be"
say "a clean run: $(head -n 4 "$TEST_TMP/clean" | cut -d' ' -f1,2 | tr '\n' ' ')"

# --- What must hold after each interruption -----------------------------------------------------------
interrupted() { # DATABASE STATE: what became of the last job
    local shown
    shown=$(sql "$1" -c "SELECT state FROM cdp.jobs ORDER BY job_id DESC LIMIT 1")
    [ "$shown" = "$2" ] || { sql "$1" -c 'TABLE cdp.jobs'; wrong "$1: the job is shown as $shown, not as $2"; }
    # Nothing is half there: events and day columns agree at every moment.
    sql "$1" -c "SELECT shop.result()" >/dev/null || wrong "$1: what is there does not agree"
}
ends_like_clean() { # DATABASE
    sql "$1" -c 'CALL cdp_sync()' || wrong "$1: cdp_sync() does not go on"
    [ "$(sql "$1" -c "SELECT count(*) FROM cdp.jobs WHERE state IN ('running', 'interrupted')")" = 0 ] || wrong "$1: jobs are left open"
    [ "$(sql "$1" -c "SELECT count(*) FROM cdp.jobs WHERE state = 'done' AND rows_done <> rows_total")" = 0 ] || { sql "$1" -c 'TABLE cdp.jobs'; wrong "$1: a job that is done has not done all its rows"; }
    sql "$1" -c 'SELECT shop.result()' >"$TEST_TMP/$1.result"
    if ! diff -u "$TEST_TMP/clean" "$TEST_TMP/$1.result"; then wrong "$1: the result differs from a clean run"; fi
    say "$1: as a clean run"
}
half_way() { # SOURCE: SQL that is true while a batch of the source is done and another is not
    printf "SELECT EXISTS (SELECT FROM cdp.jobs WHERE source = '%s' AND state = 'running' AND rows_done > 0 AND rows_done < rows_total)" "$1"
}
runner() { # DATABASE: the backend that runs cdp_sync()
    sql "$1" -c "SELECT pid FROM pg_stat_activity WHERE datname = '$1' AND query LIKE 'CALL cdp_sync%' AND state = 'active'"
}
in_background() { psql -X -q -At -d "$1" -c 'CALL cdp_sync()' >"$TEST_TMP/$1.out" 2>&1 & }
gone() { if wait "$1"; then wrong "cdp_sync() was not interrupted"; fi; }

# --- statement_timeout, again and again -----------------------------------------------------------------
createdb -T seed timeout
limit=2500
tries=0
while ! psql -X -q -d timeout -c "SET statement_timeout = $limit" -c 'CALL cdp_sync()' >"$TEST_TMP/timeout.out" 2>&1; do
    grep -q 'statement timeout' "$TEST_TMP/timeout.out" || { cat "$TEST_TMP/timeout.out"; wrong "timeout: another error"; }
    tries=$((tries + 1))
    limit=$((limit * 5 / 4))
    [ $tries -lt 60 ] || wrong "timeout: no progress"
done
[ $tries -gt 1 ] || wrong "timeout: it was not interrupted"
say "timeout: stopped $tries times"
ends_like_clean timeout

# --- Cancelled, in a session that stays: whoever calls next goes on ---------------------------------------
createdb -T seed cancel
mkfifo "$TEST_TMP/in"
psql -X -q -At -d cancel <"$TEST_TMP/in" >"$TEST_TMP/cancel.out" 2>&1 &
session=$!
exec 5>"$TEST_TMP/in"
echo 'CALL cdp_sync();' >&5
until_true cancel "$(half_way pos)"
sql cancel -c "SELECT pg_cancel_backend($(runner cancel))" >/dev/null
until_true cancel "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'cancel' AND query LIKE 'CALL cdp_sync%' AND state = 'active')"
grep -q 'canceling statement' "$TEST_TMP/cancel.out" || { cat "$TEST_TMP/cancel.out"; wrong "cancel: no error"; }
interrupted cancel failed
# The session that was cancelled is idle and holds nothing; it may call again itself.
echo 'CALL cdp_sync();' >&5
until_true cancel "$(half_way web)"
sql cancel -c "SELECT pg_cancel_backend($(runner cancel))" >/dev/null
until_true cancel "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'cancel' AND query LIKE 'CALL cdp_sync%' AND state = 'active')"
interrupted cancel failed
ends_like_clean cancel
exec 5>&-
wait $session || true

# --- Killed, then terminated ----------------------------------------------------------------------------
createdb -T seed killed
in_background killed
call=$!
until_true killed "$(half_way pos)"
"${as_server[@]}" kill -9 "$(runner killed)"
gone $call
until_up
interrupted killed interrupted
in_background killed
call=$!
until_true killed "$(half_way web)"
sql killed -c "SELECT pg_terminate_backend($(runner killed), 10000)" >/dev/null
gone $call
interrupted killed interrupted
ends_like_clean killed

# --- The server stops before the first batch is committed; beside a run another is refused; the run is killed ----
createdb -T seed crashed
in_background crashed
call=$!
until_true crashed "SELECT EXISTS (SELECT FROM cdp.jobs WHERE source = 'pos' AND state = 'running' AND rows_done = 0)"
server pg_ctl -s -w -m immediate -D "$data" stop
gone $call
server pg_ctl -s -w -t 60 -D "$data" -l "$TEST_TMP/server.log" -o "-k $socket" start </dev/null
interrupted crashed interrupted
in_background crashed
call=$!
until_true crashed "$(half_way pos)"
for user in postgres colleague; do
    shown=$(sql crashed -U $user -c "SELECT state FROM cdp.jobs WHERE source = 'pos' ORDER BY job_id DESC LIMIT 1")
    [ "$shown" = running ] || wrong "crashed: $user sees the job as $shown while it runs"
    if sql crashed -U $user -c "CALL cdp_sync('pos')" >"$TEST_TMP/crashed.second" 2>&1; then wrong "crashed: two runs of one source at a time, the second by $user"; fi
    grep -q 'is being synced' "$TEST_TMP/crashed.second" || { cat "$TEST_TMP/crashed.second"; wrong "crashed: the second run, by $user, is told something else"; }
done
until_true crashed "$(half_way web)"
"${as_server[@]}" kill -9 "$(runner crashed)"
gone $call
until_up
interrupted crashed interrupted
ends_like_clean crashed
