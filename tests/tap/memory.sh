#!/usr/bin/env bash
# The memory of a question, by what the kernel says a backend has of its own (RssAnon), polled while it asks: the chunks of one shard, the
# cache, and a little; not all that is read. docs/operations.md states the bound.
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
