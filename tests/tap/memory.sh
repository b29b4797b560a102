#!/usr/bin/env bash
# The memory of a question, by what the kernel says a backend has of its own (RssAnon), polled while it asks: the chunks of one shard, the
# cache, and a little; not all that is read. docs/operations.md states the bound. And that of components and of people who hang together, whose bounds
# docs/reference.md and docs/identity.md state.
set -euo pipefail
run() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }

run <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION pg_cdp;
SELECT cdp_init(time_zone => 'UTC');
SELECT cdp_trait_create('tag', 'text');
-- Forty values in each of twenty shards, half a million profiles each: 128 kB a chunk, 5 MB a shard, 105 MB in all.
INSERT INTO cdp.dictionary SELECT dictionary_id, c, 'v' || c FROM cdp.attribute, generate_series(0, 39) c WHERE name = 'tag';
CREATE TABLE half AS SELECT _cdp_offsets_agg(o) AS bits FROM generate_series(0, 1048575) o WHERE hashint4(o) % 2 = 0;
INSERT INTO cdp.chunk SELECT c.column_id, k, s, bits FROM half, generate_series(0, 19) s, generate_series(0, 39) k, cdp.store_column c WHERE c.kind = 'attribute';
INSERT INTO cdp.chunk SELECT c.column_id, 0, s, bits FROM half, generate_series(0, 19) s, cdp.store_column c WHERE c.kind = 'universe';
SQL
bytes=$(run -c "SELECT sum(length(bits)) FROM cdp.chunk")
[ "$bytes" -gt 100000000 ] || die "only $bytes bytes to read"

# most CACHE: the largest RssAnon in kB of a backend that asks for two seconds, less what it had when it began.
most() {
    local pid base peak=0 now
    coproc ASK { PGOPTIONS="-c cdp.cache_size=$1" psql -X -q -A -t; }
    printf '%s\n' "SELECT pg_backend_pid();" "SELECT cdp_segment_count('true');" >&"${ASK[1]}"
    read -r pid <&"${ASK[0]}"
    read -r _ <&"${ASK[0]}"
    base=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status")
    printf '%s\n' "DO \$\$ BEGIN FOR i IN 1..40 LOOP PERFORM cdp_segment_count('tag IS NOT NULL AND tag <> ''v1'''); END LOOP; END \$\$;" "SELECT 'done';" >&"${ASK[1]}"
    while ! read -r -t 0.005 _ <&"${ASK[0]}"; do
        now=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status")
        if [ "$now" -gt "$peak" ]; then peak=$now; fi
    done
    printf '%s\n' '\q' >&"${ASK[1]}"
    wait "$ASK_PID" || true
    echo $((peak - base))
}
shard=5400
for cache in 0 16384 65536; do
    used=$(most $cache)
    # What the allocator holds back between shards is at most one shard more.
    bound=$((cache + 2 * shard + 6000))
    echo "cache $cache kB: $used kB at most, allowed $bound"
    [ "$used" -le "$bound" ] || die "a question over 105 MB took $used kB with a cache of $cache kB"
done
[ "$used" -ge 50000 ] || die "a cache of 64 MB was not used: $used kB"

# grows STATEMENT [BEFORE]: the largest RssAnon in kB of a backend while it executes a statement, less what it had when it began.
grows() {
    local pid base peak=0 now line='' part=''
    coproc ASK { psql -X -q -A -t -v ON_ERROR_STOP=1; }
    printf '%s\n' "SET client_min_messages = warning;" "SELECT pg_backend_pid();" "${2:-SELECT cdp_bitmap '{1}'};" >&"${ASK[1]}"
    read -r pid <&"${ASK[0]}"
    read -r _ <&"${ASK[0]}"
    base=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status")
    printf '%s\n' "$1;" "SELECT 'done';" >&"${ASK[1]}"
    # A line may come in parts.
    until read -r -t 0.005 part <&"${ASK[0]}"; do
        line+=$part
        # A backend that is gone has failed.
        now=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status") || die "failed: $1"
        if [ "$now" -gt "$peak" ]; then peak=$now; fi
    done
    line+=$part
    [ "$line" = done ] || die "failed: $1: $line"
    printf '%s\n' '\q' >&"${ASK[1]}"
    wait "$ASK_PID" || true
    echo $((peak - base))
}
within() { # WHAT KB BOUND
    echo "$1: $2 kB at most, allowed $3"
    [ "$2" -le "$3" ] || die "$1 took $2 kB"
}
run <<'SQL'
SET client_min_messages = warning;
DROP SCHEMA cdp CASCADE;
SELECT FROM cdp_init(time_zone => 'UTC');
CREATE TABLE line AS SELECT i AS a, i + 1 AS b FROM generate_series(1, 1000000) i;
CREATE TABLE far AS SELECT a * 1000003 AS a, b * 1000003 AS b FROM (SELECT a::bigint, b::bigint FROM line LIMIT 100000) l;
-- A chain of a hundred thousand identifiers, and twenty thousand people of two.
CREATE TABLE chain AS SELECT i AS id, 'u' || i / 2 AS u, 'c' || (i + 1) / 2 AS c FROM generate_series(1, 100000) i;
CREATE TABLE pair AS SELECT i AS id, 'pu' || i AS u, 'pc' || i AS c FROM generate_series(1, 20000) i;
SELECT FROM cdp_source_create('chain', 'chain', '{"key": "id::text", "updated_at": "id", "identifiers": {"user_id": "u", "cookie": "c"}}');
SELECT FROM cdp_source_create('pair', 'pair', '{"key": "id::text", "updated_at": "id", "identifiers": {"user_id": "u", "cookie": "c"}}');
SQL
# 4 bytes a number while they lie close together, about 32 an edge otherwise; and what PostgreSQL takes to read and hand over a block of rows.
within 'components of a million edges' "$(grows 'DO $$ BEGIN PERFORM count(*) FROM cdp_components($q$TABLE line$q$); END $$')" 40000
within 'components of a hundred thousand edges far apart' "$(grows 'DO $$ BEGIN PERFORM count(*) FROM cdp_components($q$TABLE far$q$); END $$')" 20000
# Rows that no rule is against are joined batch by batch, without what hangs together with them.
within 'a sync of twenty thousand people' "$(grows "CALL cdp_sync('pair')")" 100000
within 'a sync of a chain of a hundred thousand' "$(grows "CALL cdp_sync('chain')")" 150000
# What is judged together is held: 1.5 kB an identifier.
within 'an unmerge in a component of a hundred thousand' "$(grows "SELECT FROM cdp_unlink('user_id', 'u25000', 'cookie', 'c25000', 'memory')")" 150000
