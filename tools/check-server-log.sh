#!/usr/bin/env bash
# check-server-log.sh CLUSTER: no crash, no panic, no internal error in the server's log.
# A script test that kills servers starts one of its own, so nothing here excuses a crash.
. "$(dirname "$0")/lib.sh"
run_dir
! grep -nE 'PANIC:|terminated by signal| XX000 ERROR:|panicked at|memory allocation of|TRAP:' "$RUN/cluster/$1/server.log"
