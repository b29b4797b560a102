"""Every function of the extension that people call, as a call that works on the company of faults.py: what a test replaces one argument of."""
import json
import os
import subprocess

from faults import COMPANY, DEFINITIONS, fail, quote

# Of an argument by its name, or by function and name, what works. A function that is added gets its arguments by their names, or is added here: nothing is left out.
ARGUMENTS = {
    "name": "'good'", "segment": "'good'", "expression": "'count(view) > 1'", "as_of": "NULL", "entity": "'person'", "type": "'email'", "value": "'c1@example.com'", "reason": "'why'", "actor": "'who'",
    "a_type": "'email'", "a_value": "'c1@example.com'", "b_type": "'email'", "b_value": "'c2@example.com'", "ts": "now()", "from_ts": "'2000-01-01'", "to_ts": "now()", "profile_id": "7", "source": "'crm'",
    "attribute": "'age'", "attributes": "ARRAY['city']", "names": "ARRAY['good', 'lookers']", "base": "NULL", "description": "'what'", "state": "'active'", "region": "'CN'", "destination": "'meta'",
    "workspace": "'elsewhere'", "time_zone": "'UTC'", "phone_region": "'CN'", "policy": "'judged'", "max_merges": "7", "max_identifiers": "70", "at": "NULL", "edges": "'SELECT 1, 2'", "bitmap": "'{1,2}'", "members": "'{1,2}'", "fractions": "ARRAY[0.5]",
    "k": "3", "size": "3", "minimum": "1", "with_unknown": "true", "run": "true", "dependants": "false", "share": "1", "indexed": "true", "operation_id": "1", "provider_rules": "false", "day_order": "'dmy'",
    "identifiers": "'{\"email\": \"c1@example.com\"}'", "rules": "'{\"email\": {\"max_per_profile\": 2}}'", "settings": "'{}'", "trust": "50", "relation": "'shop.customer'", "expires": "NULL", "rule": "'most_recent'",
    "payload": "'{\"type\": \"identify\", \"messageId\": \"m1\", \"userId\": \"u1\", \"traits\": {\"city\": \"Ulm\"}}'", "cdp_ingest.source": "'app'", "cdp_source_policy.source": "'app'",
    "class": "'descriptive'", "mapping": "'{\"key\": \"id\", \"updated_at\": \"updated_at\", \"identifiers\": {\"email\": \"email\"}, \"traits\": {\"city\": \"city\"}}'",
    "since": "NULL", "max_rows": "3", "event": "'purchase'", "keep": "NULL", "keep_days": "true", "months": "1", "reject_id": "NULL", "cdp_attribute_alter.name": "'city'", "cdp_event_type_alter.name": "'purchase'",
    "cdp_property_alter.name": "'amount'", "cdp_property_create.name": "'new'", "cdp_property_create.type": "'text'",
    "cdp_attribute_at.name": "'city'", "cdp_tag_alter.name": "'spend'", "cdp_tag_drop.name": "'level'", "cdp_tag_refresh.name": "'spend'", "cdp_tag_create.name": "'new'", "cdp_tag_set.name": "'hand'", "cdp_tag_set.value": "'x'", "cdp_tag_import.name": "'hand'", "profile_ids": "ARRAY[7]", "values": "ARRAY['x']",
    "cdp_segment_create.name": "'new'", "cdp_segment_freeze.name": "'new'", "cdp_segment_drop.name": "'rest'", "cdp_source_create.name": "'new'", "cdp_source_alter.name": "'crm'", "cdp_source_drop.name": "'unused'",
    "cdp_trait_create.name": "'new'", "cdp_trait_create.type": "'text'", "cdp_entity_create.name": "'household'", "cdp_entity_create.rules": "'{\"by\": [\"email\"]}'", "cdp_entity_drop.name": "'flat'",
    "cdp_entity_refresh.name": "'flat'", "cdp_identifier_type_alter.name": "'email'", "cdp_identifier_type_create.name": "'badge'", "cdp_split.identifiers": "ARRAY['email:c1@example.com']",
    "cdp_segment.expression jsonb": "cdp_segment_json('age > 3')", "cdp_segment_text.expression jsonb": "cdp_segment_json('age > 3')",
}
HERE = {**os.environ, "PGCLIENTENCODING": "UTF8"}


def psql(sql):
    run = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"], input="SET client_min_messages = warning;\n" + sql, capture_output=True, text=True, check=False, env=HERE)
    if run.returncode != 0:
        fail(f"psql ended with {run.returncode}\n{run.stderr[-3000:]}\n{run.stdout[-1000:]}")
    return run.stdout.strip()


def company():
    """The company, and a function that tries a statement and takes back what it did: it returns the SQLSTATE, or what else went wrong."""
    psql(COMPANY + "SELECT shop.round(0); CALL cdp_sync();" + DEFINITIONS + """
        SELECT cdp_tag_create('hand', NULL);
        SELECT cdp_source_create('unused', 'shop.customer', '{"key": "id", "identifiers": {"email": "email"}, "traits": {"city": "city"}}');
        CREATE TABLE shop.victim AS SELECT 1 AS x FROM generate_series(1, 3);
        CREATE TABLE shop.tried (statement text, state text, message text);
        CREATE FUNCTION shop.harmed() RETURNS text LANGUAGE sql AS $$
          SELECT concat_ws(', ', CASE WHEN to_regclass('shop.victim') IS NULL THEN 'a table is gone' WHEN (SELECT relacl FROM pg_class WHERE oid = to_regclass('shop.victim')) IS NOT NULL THEN 'rights were given' END,
            (SELECT 'there is a new ' || relname FROM pg_class WHERE relname = 'pwned' LIMIT 1), (SELECT 'there is a new function' FROM pg_proc WHERE proname = 'pwned' LIMIT 1),
            (SELECT 'there is a new role' FROM pg_roles WHERE rolname = 'pwned'), CASE WHEN current_setting('shop.pwned', true) = 'yes' THEN 'a setting was changed' END) $$;
        CREATE FUNCTION shop.try(statement text) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE state text; message text; harm text;
        BEGIN
          BEGIN
            EXECUTE statement;
            harm := shop.harmed();
            IF harm = '' AND (SELECT count(*) FROM shop.victim) <> 3 THEN harm := 'rows were deleted'; END IF;
            RAISE EXCEPTION USING ERRCODE = CASE WHEN harm = '' THEN 'UU000' ELSE 'UU666' END, MESSAGE = harm;
          EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
          END;
          INSERT INTO shop.tried VALUES (statement, state, message);
        END $$;
    """)


def functions():
    """Every function that people call: its name and its arguments as (name, type)."""
    out = psql("""
        SELECT jsonb_build_object('name', p.proname, 'arguments', (SELECT coalesce(jsonb_agg(jsonb_build_array(p.proargnames[i], format_type(p.proargtypes[i - 1], NULL)) ORDER BY i), '[]') FROM generate_series(1, p.pronargs) i))
        FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e' JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'pg_cdp'
        WHERE p.proname LIKE 'cdp\\_%' AND p.proname !~ '^cdp_(bitmap|bsi)' AND p.prokind = 'f' ORDER BY p.proname, p.pronargs, p.oid;""")
    return [json.loads(line) for line in out.splitlines()]


def argument(function, name, ty):
    for key in (f"{function}.{name} {ty}", f"{function}.{name}", name):
        if key in ARGUMENTS:
            return ARGUMENTS[key] if ty in ("text", "bigint", "boolean", "double precision") else f"({ARGUMENTS[key]})::{ty}"
    return fail(f"what is the argument {name} of {function}? Tell it in tests/faults/calls.py")


def call(function, place=None, value=None):
    """The call with one argument replaced."""
    name = function["name"]
    args = [value if i == place else argument(name, *a) for i, a in enumerate(function["arguments"])]
    return f"SELECT count(*) FROM {name}({', '.join(args)}) AS x"


def attempt(statements):
    """Tries statements; returns (statement, state, message)."""
    psql("TRUNCATE shop.tried;\n" + "\n".join(f"SELECT shop.try({quote_e(s)});" for s in statements))
    return [tuple(json.loads(line)) for line in psql("SELECT jsonb_build_array(statement, state, message) FROM shop.tried;").split("\n")]


def quote_e(text):
    return quote(text) if "\\" not in text else " E" + quote(text.replace("\\", "\\\\"))
