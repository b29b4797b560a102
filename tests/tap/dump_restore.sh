#!/usr/bin/env bash
# Customer data outlives the extension: dumped and restored it gives the same answers and takes up the next rows with the next numbers;
# DROP EXTENSION leaves it, CREATE EXTENSION finds it again; an owner who is no superuser needs only EXECUTE.
set -euo pipefail
cd "$(dirname "$0")"
: "${PGDATABASE:?}" "${TEST_TMP:?}"
work=$TEST_TMP
owner=shopkeeper_$$
databases=()

finish() {
    local status=$?
    for db in "${databases[@]}"; do psql -X -q -d postgres -c "SET client_min_messages = warning" -c "DROP DATABASE IF EXISTS \"$db\" WITH (FORCE)" || true; done
    psql -X -q -d postgres -c "SET client_min_messages = warning" -c "DROP ROLE IF EXISTS $owner, ${owner}_stranger" || true
    exit $status
}
trap finish EXIT

# sql DATABASE ARG…: psql, stopping at the first error.
sql() { PGOPTIONS="-c client_min_messages=warning ${options:-}" psql -X -q -At -v ON_ERROR_STOP=1 -d "$@"; }
same() { # WHAT A B
    if ! diff -u "$2" "$3" >"$work/difference"; then
        printf 'FAILED: %s\n' "$1"
        head -n 60 "$work/difference"
        exit 1
    fi
    printf 'ok: %s\n' "$1"
}
fails() { # WHAT PATTERN COMMAND…
    local what=$1 pattern=$2
    shift 2
    if "$@" >"$work/out" 2>&1; then printf 'FAILED: %s: it succeeded\n' "$what"; exit 1; fi
    if ! grep -Eq "$pattern" "$work/out"; then printf 'FAILED: %s:\n' "$what"; cat "$work/out"; exit 1; fi
    printf 'ok: %s\n' "$what"
}
create() { psql -X -q -d postgres -c "CREATE DATABASE \"$1\" ${2:-}"; databases+=("$1"); }
answers() { sql "$1" -v ws="$ws" -f company_answers.sql >"$work/$2"; }
# The schema without what differs with each run of pg_dump.
schema() { pg_dump -s -d "$1" | sed '/^\\\(un\)\?restrict /d' >"$work/$2"; }
load() { sql "$1" -v from="$2" -v people="$3" -f company.sql; }

# --- Dump, restore, drop and create: as most have it, and with names that need quotes --------------
round() { # NAME EXTENSION_SCHEMA (as SQL) WORKSPACE (as it is) FORMAT
    local name=$1 ext=$2 plain=$3 format=$4 from=${PGDATABASE}_$1 to=${PGDATABASE}_$1_restored dump=$work/$1.dump
    ws="\"$plain\""
    options="-c search_path=${ext// /\\ },public -c cdp.workspace=${plain// /\\ }"
    create "$from"
    create "$to"
    sql "$from" -c "CREATE SCHEMA IF NOT EXISTS $ext" -c "CREATE EXTENSION pg_cdp SCHEMA $ext" -f company_tables.sql -c "SELECT cdp_init('$plain', 'Europe/Berlin')" -f company_sources.sql >/dev/null
    load "$from" 1 200
    sql "$from" -c 'CALL cdp_sync()' -f company_definitions.sql >/dev/null
    load "$from" 1001 50
    # Rows taken in an open transaction are all there or not at all; here they are, with changes pending and later rows not taken.
    sql "$from" -c 'CALL cdp_sync()' -c "UPDATE shop.customer SET age = age + 1, updated_at = '2024-06-01' WHERE id % 10 = 0"
    answers "$from" "$name.before"
    schema "$from" "$name.before.schema"
    if [ "$(grep -c '^cdp_segment|' "$work/$name.before")" -lt 20 ]; then echo "FAILED: the answers are not there"; exit 1; fi

    pg_dump "-F$format" -f "$dump" -d "$from"
    if [ "$format" = p ]; then psql -X -q -v ON_ERROR_STOP=1 -d "$to" -f "$dump" >/dev/null; else pg_restore --exit-on-error -d "$to" "$dump"; fi
    answers "$to" "$name.restored"
    schema "$to" "$name.restored.schema"
    same "$name: restored, the same answers" "$work/$name.before" "$work/$name.restored"
    same "$name: restored, the same schema" "$work/$name.before.schema" "$work/$name.restored.schema"

    for db in "$from" "$to"; do
        load "$db" 2001 40
        sql "$db" -c 'CALL cdp_sync()' -c 'SELECT * FROM cdp_tag_refresh()' -c 'SELECT * FROM cdp_segment_refresh()' >/dev/null
    done
    answers "$from" "$name.next"
    answers "$to" "$name.restored.next"
    same "$name: the next rows have the next numbers" "$work/$name.next" "$work/$name.restored.next"
    if cmp -s "$work/$name.before" "$work/$name.next"; then echo "FAILED: the next rows were not taken"; exit 1; fi

    # Drop the extension: what is data stays and is read without it.
    sql "$to" -c "SELECT count(*), md5(string_agg(p::text, '' ORDER BY profile_id)) FROM $ws.profiles p" -c "SELECT count(*) FROM $ws.events" >"$work/$name.with"
    sql "$to" -c 'DROP EXTENSION pg_cdp'
    sql "$to" -c "SELECT count(*), md5(string_agg(p::text, '' ORDER BY profile_id)) FROM $ws.profiles p" -c "SELECT count(*) FROM $ws.events" >"$work/$name.without"
    same "$name: DROP EXTENSION leaves the data" "$work/$name.with" "$work/$name.without"
    fails "$name: segment_members without the extension says what to do" 'extension "pg_cdp" is not installed' sql "$to" -c "SELECT * FROM $ws.segment_members"
    pg_dump -d "$to" >/dev/null
    sql "$to" -c "CREATE EXTENSION pg_cdp SCHEMA $ext"
    answers "$to" "$name.again"
    same "$name: CREATE EXTENSION finds the data again" "$work/$name.next" "$work/$name.again"
    # In another schema too.
    sql "$to" -c 'DROP EXTENSION pg_cdp; CREATE SCHEMA elsewhere; CREATE EXTENSION pg_cdp SCHEMA elsewhere'
    options="-c search_path=elsewhere,public -c cdp.workspace=${plain// /\\ }"
    load "$to" 3001 20
    load "$from" 3001 20
    sql "$to" -c 'CALL cdp_sync()'
    answers "$to" "$name.elsewhere"
    options="-c search_path=${ext// /\\ },public -c cdp.workspace=${plain// /\\ }"
    sql "$from" -c 'CALL cdp_sync()'
    answers "$from" "$name.further"
    same "$name: the extension in another schema goes on" "$work/$name.further" "$work/$name.elsewhere"
}
round plain public cdp c
round quoted '"Ext x"' 'Marke ß' p

# --- An owner who is no superuser ------------------------------------------------------------------
options='' ws=cdp
db=${PGDATABASE}_owner
psql -X -q -d postgres -c "CREATE ROLE $owner LOGIN" -c "CREATE ROLE ${owner}_stranger LOGIN"
create "$db" "OWNER $owner"
sql "$db" -c 'CREATE EXTENSION pg_cdp'
as_owner() { sql "$db" -U "$owner" "$@"; }
as_owner -f company_tables.sql
load_as_owner() { as_owner -v from="$1" -v people="$2" -f company.sql; }
load_as_owner 1 200
fails "without EXECUTE nobody makes a workspace" 'permission denied for function cdp_init' as_owner -c 'SELECT cdp_init()'
sql "$db" -c "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO $owner"
as_owner -c "SELECT cdp_init('cdp', 'Europe/Berlin')" -f company_sources.sql -c 'CALL cdp_sync()' -f company_definitions.sql >/dev/null
load_as_owner 1001 50
as_owner -c 'CALL cdp_sync()' -c "UPDATE shop.customer SET age = age + 1, updated_at = '2024-06-01' WHERE id % 10 = 0"
as_owner -v ws=cdp -f company_answers.sql >"$work/owner.answers"
# What cdp_profile() tells has the times of refreshes in it.
for file in plain.before owner.answers; do grep -v "^cdp_profile" "$work/$file" >"$work/$file.timeless"; done
same "an owner with EXECUTE gets what a superuser gets" "$work/plain.before.timeless" "$work/owner.answers.timeless"
if [ "$(as_owner -c "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.relnamespace = 'cdp'::regnamespace AND r.rolname <> '$owner'")" != 0 ]; then
    echo "FAILED: something in the workspace is not the owner's"; exit 1
fi
fails "a stranger reads nothing" 'permission denied' sql "$db" -U "${owner}_stranger" -c "SELECT cdp_segment('true')"
fails "a stranger reads no view" 'permission denied' sql "$db" -U "${owner}_stranger" -c "SELECT * FROM cdp.profiles"
fails "a stranger syncs nothing" 'permission denied' sql "$db" -U "${owner}_stranger" -c "CALL cdp_sync()"
as_owner -c "GRANT USAGE ON SCHEMA cdp TO ${owner}_stranger" -c "GRANT SELECT ON ALL TABLES IN SCHEMA cdp TO ${owner}_stranger"
reader=$(sql "$db" -U "${owner}_stranger" -c "SELECT cdp_segment_count('count(view) > 1 AND lower(city) = ''paris''')")
if [ "$reader" != "$(as_owner -c "SELECT cdp_segment_count('count(view) > 1 AND lower(city) = ''paris''')")" ]; then echo "FAILED: a reader with SELECT gets another answer"; exit 1; fi
# A dump that the owner makes and restores: only the extension itself needs a superuser.
to=${PGDATABASE}_owner_restored
create "$to" "OWNER $owner"
sql "$to" -c 'CREATE EXTENSION pg_cdp'
pg_dump -U "$owner" -d "$db" -n cdp -n shop -Fc -f "$work/owner.dump"
pg_restore -U "$owner" --exit-on-error -d "$to" "$work/owner.dump"
sql "$to" -c "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO $owner"
sql "$to" -U "$owner" -v ws=cdp -f company_answers.sql >"$work/owner.restored"
same "the owner's own dump, restored by the owner" "$work/owner.answers" "$work/owner.restored"
