#!/usr/bin/env bash
# Sixteen sessions that see, link, unlink, block, split and take back at once, beside one that syncs and refreshes: no error, no deadlock, no lost
# edge, and in the end everything is what the edges say. At READ COMMITTED nothing has to be tried again; at REPEATABLE READ and SERIALIZABLE what is told to try again does.
# LOAD_SECONDS (60) is how long at READ COMMITTED, a quarter of it at the others; the throughput is printed.
set -euo pipefail
: "${PGBIN:?}" "${TEST_TMP:?}"
seconds=${LOAD_SECONDS:-60}
export PGOPTIONS='-c client_min_messages=warning'
run() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }

run >/dev/null <<'SQL'
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
SELECT cdp_identifier_type_alter('email', '{"max_per_profile": 3}'), cdp_identifier_type_alter('device_id', '{"degree_cap": 12, "shared": "nobody"}');
CREATE SCHEMA shop;
CREATE TABLE shop.visit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, cookie text, email text, at timestamptz DEFAULT now());
SELECT cdp_source_create('web', 'shop.visit', '{"key": "id", "identifiers": {"cookie": "cookie", "email": "email"}, "event": {"name": "''view''", "at": "at"}}', 40);
INSERT INTO shop.visit (cookie, email) SELECT 'c' || i, 'u' || i || '@example.com' FROM generate_series(0, 999, 7) i;
CALL cdp_sync();
SELECT cdp_tag_create('views', 'count(view)'), cdp_segment_create('viewers', 'count(view) > 1');
-- What was seen by whom, to be found again.
CREATE TABLE shop.seen (source text, one text, other text);
CREATE TABLE shop.did (kind text, result text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION shop.act(kind int, a int, b int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    email text := 'u' || a || '@example.com'; cookie text := 'c' || b; device text := 'd' || b % 200; what text; held bigint;
BEGIN
    IF kind <= 50 THEN
        what := 'identify two';
        INSERT INTO shop.seen VALUES ('api', email, cookie);
        PERFORM cdp_identify(jsonb_build_object('email', email, 'cookie', cookie), 'api', timestamptz '2026-01-01' + a * interval '1 min');
    ELSIF kind <= 65 THEN
        what := 'identify three';
        INSERT INTO shop.seen VALUES ('app', email, cookie), ('app', email, device), ('app', cookie, device);
        PERFORM cdp_identify(jsonb_build_object('email', email, 'cookie', cookie, 'device_id', device), 'app');
    ELSIF kind <= 72 THEN
        what := 'a row';
        INSERT INTO shop.seen VALUES ('web', email, cookie);
        INSERT INTO shop.visit (cookie, email) VALUES (cookie, email);
    ELSIF kind <= 78 THEN
        what := 'link';
        PERFORM cdp_link('email', email, 'cookie', cookie, 'load');
    ELSIF kind <= 84 THEN
        what := 'unlink';
        PERFORM cdp_unlink('email', email, 'cookie', cookie, 'load');
    ELSIF kind <= 86 THEN
        what := 'cannot link';
        PERFORM cdp_cannot_link('email', email, 'cookie', cookie, 'load');
    ELSIF kind <= 88 THEN
        what := 'block';
        PERFORM cdp_block('device_id', device, 'load');
    ELSIF kind <= 91 THEN
        what := 'split';
        PERFORM cdp_split(cdp_profile_id('email', email), ARRAY['email:' || email], 'load');
    ELSIF kind <= 93 THEN
        what := 'see why';
        PERFORM * FROM cdp_identity_path('email', email, 'cookie', cookie);
    ELSE
        what := 'revert';
        SELECT o.operation_id INTO held FROM cdp.identity_operations o WHERE o.holds AND o.operation_id >= a % 200 AND o.kind <> 'rule' ORDER BY o.operation_id LIMIT 1;
        IF held IS NOT NULL THEN
            PERFORM cdp_identity_revert(held, 'load');
        END IF;
    END IF;
    INSERT INTO shop.did VALUES (what, 'done');
EXCEPTION
    -- What is decided already, was never seen, is not there or has no other side: a session cannot know.
    WHEN duplicate_object OR undefined_object OR object_not_in_prerequisite_state OR invalid_parameter_value OR null_value_not_allowed THEN
        INSERT INTO shop.did VALUES (what, SQLSTATE);
END $$;
SQL

cat >"$TEST_TMP/act.sql" <<'SQL'
\set kind random(1, 100)
\set a random(0, 599)
\set far random(1, 100)
\set b case when :far = 1 then random(0, 599) else :a / 6 * 6 + random(0, 5) end
SELECT shop.act(:kind, :a, :b);
SQL

# Syncs, refreshes and folds until it is told to stop.
beside() {
    export PGOPTIONS='-c client_min_messages=warning'
    while [ ! -e "$TEST_TMP/stop" ]; do
        run -c 'CALL cdp_sync()' -c 'SELECT FROM cdp_tag_refresh()' -c 'SELECT FROM cdp_segment_refresh()' -c 'SELECT FROM cdp_flush()' || return 1
    done
}
load() { # NAME SECONDS ARG…
    local name=$1 clients=16 other rc=0
    rm -f "$TEST_TMP/stop"
    beside >"$TEST_TMP/beside" 2>&1 &
    other=$!
    # Retried are serialization failures and deadlocks only; at READ COMMITTED there is one try.
    "$PGBIN/pgbench" -n -c $clients -j 2 -T "$2" -f "$TEST_TMP/act.sql" "${@:3}" >"$TEST_TMP/$name" 2>&1 || rc=$?
    touch "$TEST_TMP/stop"
    wait "$other" || { cat "$TEST_TMP/beside"; die "$name: the session beside failed"; }
    [ $rc = 0 ] || { cat "$TEST_TMP/$name"; die "$name: pgbench ended with $rc"; }
    grep -q 'number of failed transactions: 0 ' "$TEST_TMP/$name" || { cat "$TEST_TMP/$name"; die "$name: transactions failed"; }
    printf '%s: %s clients, %s s, %s\n' "$name" $clients "$2" "$(sed -n 's/^tps = \([0-9.]*\).*/\1 transactions per second/p; s/^\(number of transactions retried.*\)/\1/p; s/^latency average = //p' "$TEST_TMP/$name" | paste -sd ',')"
}
check() { # NAME
    local wrong
    run -c 'CALL cdp_sync()'
    wrong=$(run -c 'SELECT "check", detail FROM cdp_identity_verify() WHERE NOT ok')
    [ -z "$wrong" ] || die "$1: $wrong"
    wrong=$(run <<'SQL'
SELECT 'an edge was lost: ' || s.source || ' ' || s.one || ' ' || s.other FROM shop.seen s
    WHERE NOT EXISTS (SELECT FROM cdp.edges e WHERE e.source = s.source AND (e.from_value, e.to_value) IN ((s.one, s.other), (s.other, s.one))) LIMIT 3;
-- People are what accepted edges hold together, by plain recursion.
WITH RECURSIVE link AS (SELECT from_node AS a, to_node AS b FROM cdp.edge WHERE state = 'accepted' UNION SELECT to_node, from_node FROM cdp.edge WHERE state = 'accepted'),
    reach AS (SELECT node_id AS start, node_id FROM cdp.node UNION SELECT r.start, l.b FROM reach r JOIN link l ON l.a = r.node_id),
    part AS (SELECT start AS node_id, min(node_id) AS part FROM reach GROUP BY 1)
SELECT 'people are not what edges hold together: ' || count(*) FROM (SELECT part FROM part JOIN cdp.node USING (node_id) GROUP BY part HAVING count(DISTINCT profile_id) <> 1
    UNION ALL SELECT profile_id FROM part JOIN cdp.node USING (node_id) GROUP BY profile_id HAVING count(DISTINCT part) <> 1) x HAVING count(*) > 0;
SELECT 'members who do not live: ' || count(*) FROM cdp.segment_members WHERE profile_id NOT IN (SELECT profile_id FROM cdp.profiles) HAVING count(*) > 0;
SELECT FROM cdp_segment_refresh();
SELECT 'members are not those who view' WHERE ARRAY(SELECT profile_id FROM cdp.segment_members ORDER BY 1) <> ARRAY(SELECT profile_id FROM cdp.events WHERE event = 'view' GROUP BY 1 HAVING count(*) > 1 ORDER BY 1);
SELECT 'views are missing: ' || (SELECT count(*) FROM shop.visit) - (SELECT count(*) FROM cdp.events) WHERE (SELECT count(*) FROM shop.visit) <> (SELECT count(*) FROM cdp.events);
SQL
    )
    [ -z "$wrong" ] || die "$1: $wrong"
}

load 'read committed' "$seconds"
check 'read committed'
for level in 'repeatable read' serializable; do
    PGOPTIONS="$PGOPTIONS -c default_transaction_isolation=${level/ /\\ }" load "$level" $((seconds / 4 + 1)) --max-tries=0 --latency-limit=60000
    check "$level"
done
[ "$(run -c 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()')" = 0 ] || die "there were deadlocks"
run -c "SELECT kind || ': ' || string_agg(n || ' ' || result, ', ' ORDER BY n DESC) FROM (SELECT kind, result, count(*) AS n FROM shop.did GROUP BY 1, 2) x GROUP BY kind ORDER BY kind"
run -c "SELECT count(*) || ' identifiers, ' || count(DISTINCT profile_id) || ' people, ' || (SELECT count(*) FROM cdp.profile_merge) || ' merges, ' || (SELECT count(*) FROM cdp.profile_split) || ' splits, ' || (SELECT count(*) FROM cdp.quarantine) || ' quarantined' FROM cdp.node"
