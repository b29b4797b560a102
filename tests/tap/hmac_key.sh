#!/usr/bin/env bash
# The key of keyed hashes stays a secret: a role that may use the workspace looks identifiers up by it in a new session, and finds it nowhere. A key that it
# could have found is refused.
set -euo pipefail
: "${PGDATABASE:?}" "${TEST_TMP:?}"
owner=keeper_$$
secret=5f1d0c7a9b3e4826d7c0a1b2f3e4d5c6
run() { PGOPTIONS="-c client_min_messages=error ${options:-}" psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }
# Until new sessions see what postgresql.conf says.
reload() { # COMMAND
    # Before 17 only settings that the session knows can be kept.
    run -c "SELECT cdp_bitmap '{1}'" -c "$1" -c "SELECT FROM pg_reload_conf()" >/dev/null
}
until_it_is() { # SETTING VALUE
    local i
    for i in $(seq 200); do
        [ "$(run -c "SELECT coalesce(current_setting('$1', true), '')")" != "$2" ] || return 0
        sleep 0.05
    done
    die "$1 did not become $2"
}
finish() {
    local status=$?
    run -c "SELECT cdp_bitmap '{1}'" -c "ALTER SYSTEM RESET cdp.hmac_key" -c "ALTER SYSTEM RESET session_preload_libraries" -c "SELECT FROM pg_reload_conf()" || true
    run -c "DROP OWNED BY $owner CASCADE" -c "DROP ROLE IF EXISTS $owner" || true
    exit $status
}
trap finish EXIT

printf '%s\n' "$secret" >"$TEST_TMP/key"
printf '%s\n' short >"$TEST_TMP/short"
chmod 600 "$TEST_TMP"/key "$TEST_TMP"/short
user=$(stat -c %U "$PGDATA_DIR")
[ "$(id -un)" = "$user" ] || chown "$user": "$TEST_TMP"/key "$TEST_TMP"/short
run -c "CREATE ROLE $owner LOGIN" -c "GRANT CREATE ON DATABASE \"$PGDATABASE\" TO $owner" -c "CREATE EXTENSION pg_cdp" -c "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO $owner" >/dev/null
mine() { run -U "$owner" "$@"; }
mine >/dev/null <<'SQL'
SELECT cdp_init(time_zone => 'UTC');
SELECT cdp_identify('{"email": "ann@example.com", "cookie": "c1"}');
SQL
# What a new session of the role can find of the key, before and after something loads the library.
leaks() {
    local all
    all=$(PGOPTIONS='-c client_min_messages=debug1' psql -X -q -A -t -U "$owner" 2>&1 <<'SQL' || true
SELECT current_setting('cdp.hmac_key', true);
SHOW cdp.hmac_key;
SELECT * FROM pg_catalog.pg_settings WHERE name LIKE 'cdp%';
SELECT * FROM pg_catalog.pg_db_role_setting;
SELECT * FROM pg_catalog.pg_file_settings;
SELECT pg_catalog.pg_read_file(current_setting('cdp.hmac_key_file', true));
SELECT cdp_profile_id('cookie', 'c1');
SELECT current_setting('cdp.hmac_key', true);
SHOW cdp.hmac_key;
SHOW ALL;
SELECT * FROM pg_catalog.pg_settings;
SELECT cdp_profile_id('email', 'ann@example.com');
TABLE cdp.identifier_type;
TABLE cdp.identity_operations;
SQL
    )
    grep -o "$secret" <<<"$all" | head -n 1
}
found() { # WHAT PATTERN COMMAND…: the command fails with such words
    local what=$1 pattern=$2 out
    shift 2
    if out=$("$@" 2>&1); then die "$what was taken: $out"; fi
    grep -q -- "$pattern" <<<"$out" || die "$what: $out"
    ! grep -q "$secret" <<<"$out" || die "$what tells the key: $out"
    echo "ok: $what"
}

# 1. A file. The name of it is there for everybody, the key for nobody.
run -c "ALTER DATABASE \"$PGDATABASE\" SET cdp.hmac_key_file = '$TEST_TMP/key'"
mine -c "SELECT FROM cdp_identifier_type_alter('email', '{\"storage\": \"hmac\"}')"
[ "$(mine -c "SELECT cdp_profile_id('email', 'Ann@Example.com') = cdp_profile_id('cookie', 'c1')")" = t ] || die "not found under the key of the file"
[ -z "$(leaks)" ] || die "the key of a file is readable"
hash=$(mine -c "SELECT value FROM cdp.identifiers WHERE type = 'email'")
# By another implementation: the type, a zero byte, the normal form; white space after the key is none of it.
[ "$hash" = "$(printf 'email\0ann@example.com' | openssl dgst -sha256 -hmac "$secret" | sed 's/.*= *//')" ] || die "$hash is not the HMAC under the key of the file"
found 'a role that sets the file' 'permission denied' mine -c "SELECT cdp_resolve(1)" -c "SET cdp.hmac_key_file = '/etc/passwd'"
# A name that is set before the library is loaded is not taken over.
[ "$(mine -c "SET cdp.hmac_key_file = '/etc/passwd'" -c "SELECT cdp_profile_id('email', 'ann@example.com') IS NOT NULL")" = t ] || die "a role named another file"
# 2. Files that are no keys.
for wrong in "short:shorter than 16 bytes" "absent:cannot be read" ".:is no key"; do
    options="-c cdp.hmac_key_file=$TEST_TMP/${wrong%%:*}" found "the file ${wrong%%:*}" "${wrong#*:}" run -c "SELECT cdp_profile_id('email', 'ann@example.com')"
done
chmod 644 "$TEST_TMP/key"
found 'a file that others read' 'can be read by others' mine -c "SELECT cdp_profile_id('email', 'ann@example.com')"
chmod 600 "$TEST_TMP/key"
run -c "ALTER DATABASE \"$PGDATABASE\" RESET cdp.hmac_key_file"
found 'no key' 'there is no key' mine -c "SELECT cdp_profile_id('email', 'ann@example.com')"

# 3. What is kept for a database or a role everybody reads: it is refused, in sessions of superusers too.
for whom in "DATABASE \"$PGDATABASE\"" "ROLE $owner"; do
    run -c "ALTER $whom SET cdp.hmac_key = '$secret'"
    [ -n "$(leaks)" ] || die "ALTER $whom: this test does not see what it should"
    found "ALTER $whom" 'is no secret' mine -c "SELECT cdp_profile_id('email', 'ann@example.com')"
    options="-c cdp.hmac_key=$secret" found "ALTER $whom, a superuser" 'is no secret' run -c "SELECT cdp_profile_id('email', 'ann@example.com')"
    run -c "ALTER $whom RESET cdp.hmac_key"
done

# 4. postgresql.conf: a session reads it until the library is loaded, so that the key is refused; not when the session begins with the library.
reload "ALTER SYSTEM SET cdp.hmac_key = '$secret'"
until_it_is cdp.hmac_key "$secret"
[ -n "$(leaks)" ] || die "postgresql.conf: this test does not see what it should"
found 'postgresql.conf' 'before the library was loaded' mine -c "SELECT cdp_profile_id('email', 'ann@example.com')"
reload "ALTER SYSTEM SET session_preload_libraries = 'pg_cdp'"
until_it_is session_preload_libraries pg_cdp
[ -z "$(leaks)" ] || die "the key in postgresql.conf is readable although the library is loaded first"
[ "$(mine -c "SELECT cdp_profile_id('email', 'ann@example.com') = cdp_profile_id('cookie', 'c1')")" = t ] || die "not found under the key of postgresql.conf"
echo "ok: postgresql.conf with the library loaded first"
