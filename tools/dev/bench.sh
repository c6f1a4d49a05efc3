# ./dev bench [--reps N] [--n N] [--failing SHARE]: no-op tasks through one request each, every result fetched, 2 slots, 16
# connections: the seed design in its best mode and the product (durable, and fast), in turn in one run on this machine.
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh

verb_bench() {
  local reps=5 n=6000 failing=0
  while (($#)); do
    [[ $1 == --reps || $1 == --n || $1 == --failing ]] || die "./dev bench knows --reps N, --n N and --failing SHARE, not '$1'"
    [ $# -ge 2 ] || die "$1 needs a number"
    printf -v "${1#--}" '%s' "$2"
    shift 2
  done
  need_packages bench test # test has redis-server and python3-zmq, which the seed needs too
  build_preset release treadle || exit 1
  export TREADLE=$TREADLE_ROOT/build/treadle
  local out=bench/results/$(date +%F).jsonl fresh
  fresh=$(mktemp)
  trap "rm -f '$fresh'" EXIT
  heading "seed design and product in turn, $reps repetitions of $n tasks"
  "$TREADLE_PYTHON" bench/load.py throughput --reps "$reps" --n "$n" --conns 16 --workers 2 --metric fetched_per_s --failing "$failing" \
    --target seed-push="$TREADLE_PYTHON seedref/launch.py --mode push --workers {workers} --port {port}" \
    --target ours='./product.sh strict local {workers} {port}' \
    --target ours-fast='./product.sh fast local {workers} {port}' --out "$fresh"
  mkdir -p bench/results
  cat "$fresh" >>"$out"
  heading "medians, tasks/s with every result fetched (all lines: $out)"
  "$TREADLE_PYTHON" bench/summary.py "$fresh"
}
