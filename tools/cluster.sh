#!/usr/bin/env bash
# Private database clusters, reached through a Unix socket only.
#   cluster.sh start NAME [test|bench]   of the server made by server.sh for PG_CONFIG; "test" gives up durability,
#                                        "bench" takes a sixth of the memory for buffers, 512 MB to 4 GB,
#                                        and a quarter of that for maintenance
#   cluster.sh stop [NAME…]              these, or all of this clone
#   cluster.sh drop NAME                 stop and delete
#   cluster.sh psql NAME [ARG…]          psql, on the database NAME
. "$(dirname "$0")/lib.sh"
run_dir

settings() {
    local buffers=128MB maintenance=128MB wal=4GB sixth
    [ "$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)" -lt 3000 ] || buffers=512MB
    if [ "${1:-}" = bench ]; then
        sixth=$(awk '/^MemTotal/ { print int($2 / 6144) }' /proc/meminfo)
        sixth=$((sixth < 512 ? 512 : sixth > 4096 ? 4096 : sixth))
        buffers=${sixth}MB maintenance=$((sixth / 4))MB
        wal=16GB
    fi
    cat <<-CONF
		listen_addresses = ''
		unix_socket_permissions = 0700
		shared_buffers = $buffers
		maintenance_work_mem = $maintenance
		max_wal_size = $wal
		checkpoint_timeout = 15min
		max_parallel_workers = 2
		max_parallel_workers_per_gather = 2
		timezone = 'UTC'
		log_timezone = 'UTC'
		log_line_prefix = '%m [%p] %q%d %e '
	CONF
    if [ "${1:-}" = test ]; then printf '%s\n' 'fsync = off' 'synchronous_commit = off' 'full_page_writes = off'; fi
}

running() { # DIR
    [ -f "$1/env" ] && ( . "$1/env"; "$PGBIN/pg_isready" -q -h "$PGHOST" -p "$PGPORT" )
}

start() { # NAME [test|bench]
    local dir=$RUN/cluster/$1 bin socket major fresh=
    major=$(pg_major)
    bin=$(server_root "$major")$("$PG_CONFIG" --bindir)
    [ -x "$bin/postgres" ] || die "no server for PostgreSQL $major: tools/server.sh makes it"
    if running "$dir"; then
        if ( . "$dir/env"; [ "$PGBIN" = "$bin" ] ); then return 0; fi
    fi
    stop "$1"
    if [ -e "$dir/data" ] && [ "$(cat "$dir/data/PG_VERSION")" != "$major" ]; then drop "$1"; fi
    [ -z "${RUN_MOVED:-}" ] || say "the OS user $SERVER_USER cannot reach $TARGET: the server's files are in $RUN"
    if [ ! -e "$dir/data" ]; then
        fresh=yes
        mkdir -p "$dir"
        ! is_root || chown "$SERVER_USER": "$dir"
        logged initdb as_server "$bin/initdb" -D "$dir/data.new" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync
        settings "${2:-}" | as_server tee -a "$dir/data.new/postgresql.conf" >/dev/null
        mv "$dir/data.new" "$dir/data"
    fi
    # The path of a socket is limited to 107 bytes, so it cannot lie beside the data.
    socket=$(mktemp -d /tmp/pg_cdp.XXXXXX)
    ! is_root || chown "$SERVER_USER": "$socket"
    say "starting PostgreSQL $major: ${fresh:+new }cluster $dir/data, socket $socket"
    if ! as_server "$bin/pg_ctl" -s -w -t 120 -D "$dir/data" -l "$dir/server.log" -o "-k $socket -p 5432" start </dev/null; then
        tail -n 40 "$dir/server.log" >&2
        rm -rf "$socket"
        die "PostgreSQL $major did not start"
    fi
    printf '%s\n' "PGHOST=$socket" PGPORT=5432 PGUSER=postgres "PGBIN=$bin" "PGDATA_DIR=$dir/data" >"$dir/env"
}

stop() { # NAME
    local dir=$RUN/cluster/$1
    [ -f "$dir/env" ] || return 0
    (
        . "$dir/env"
        if as_server "$PGBIN/pg_ctl" -s -D "$dir/data" status >/dev/null; then
            say "stopping the cluster $1"
            as_server "$PGBIN/pg_ctl" -s -w -t 120 -m fast -D "$dir/data" stop </dev/null
        fi
        rm -rf "$PGHOST"
    )
    rm -f "$dir/env"
}

drop() { stop "$1"; rm -rf "${RUN:?}/cluster/$1"; }

command=${1:-}
shift || die "what? start, stop, drop or psql"
case $command in
    start) start "$@" ;;
    stop)
        if [ $# = 0 ] && [ -d "$RUN/cluster" ]; then mapfile -t all < <(ls "$RUN/cluster"); set -- "${all[@]}"; fi
        for name in "$@"; do stop "$name"; done
        ;;
    drop) drop "$1" ;;
    psql) use_cluster "$1"; PAGER=less exec psql -d "$1" "${@:2}" ;;
    *) die "unknown command: $command" ;;
esac
