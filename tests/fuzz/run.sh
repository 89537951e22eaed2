#!/bin/sh
# Run one fuzzer: run.sh PROGRAM CORPUS FINDS SECONDS. The corpus is read only: new inputs and
# crashes go to FINDS.
set -eu

program=$1
corpus=$2
finds=$3
seconds=$4
dictionary=$(dirname "$0")/dictionary_$(basename "$corpus").txt

test -n "$(ls "$corpus")" || { echo "no corpus in $corpus" >&2; exit 1; }
mkdir -p "$finds"
set -- -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$finds/"
if test -e "$dictionary"; then
    set -- "$@" -dict="$dictionary"
fi
exec "$program" "$@" "$finds" "$corpus"
