# ./dev bench [--all] [--sdk] [--reps N] [--n N] [--failing SHARE]: no-op tasks through one request each, every result fetched, 2 slots,
# 16 connections: the seed design in its best mode and the product, in turn in one run on this machine. Of the product: LOCAL on
# SQLite, durable and fast; with --all both stores in all three modes, and tasks that sleep 10 ms on 4 slots.
# With --sdk only the Python SDK, against ProcessPoolExecutor.
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh

verb_bench() {
  local reps=5 n=6000 failing=0 cells="strict:local fast:local" all=0 sdk=0
  while (($#)); do
    if [ "$1" = --all ]; then
      all=1 cells="strict:local strict:push strict:pull fast:local redis:local redis:push redis:pull"
      shift
      continue
    fi
    if [ "$1" = --sdk ]; then
      sdk=1 n=100000 reps=3
      shift
      continue
    fi
    [[ $1 == --reps || $1 == --n || $1 == --failing ]] || die "./dev bench knows --all, --sdk, --reps N, --n N and --failing SHARE, not '$1'"
    [ $# -ge 2 ] || die "$1 needs a number"
    printf -v "${1#--}" '%s' "$2"
    shift 2
  done
  need_packages bench test # test has redis-server and python3-zmq, which the seed needs too
  build_preset release treadle || exit 1
  export TREADLE=$TREADLE_ROOT/build/treadle
  local out=bench/results/$(date +%F).jsonl fresh
  if ((sdk)); then
    heading "the SDK and ProcessPoolExecutor in turn, $reps repetitions of $n calls"
    mkdir -p bench/results
    PYTHONPATH=python "$TREADLE_PYTHON" bench/sdk/overhead.py --n "$n" --reps "$reps" | tee -a "$out"
    return
  fi
  fresh=$(mktemp)
  trap "rm -f '$fresh'" EXIT
  local cell ours=()
  for cell in $cells; do ours+=(--target "${cell/:/-}=./product.sh ${cell/:/ } {workers} {port}"); done
  heading "seed design and product in turn, $reps repetitions of $n tasks"
  "$TREADLE_PYTHON" bench/load.py throughput --reps "$reps" --n "$n" --conns 16 --workers 2 --metric fetched_per_s --failing "$failing" \
    --target seed-push="$TREADLE_PYTHON seedref/launch.py --mode push --workers {workers} --port {port}" "${ours[@]}" --out "$fresh"
  if ((all)); then
    heading "tasks of 10 ms on 4 slots, share of the ideal"
    "$TREADLE_PYTHON" bench/load.py sleep --reps "$reps" --ms 10 --scaling weak --workers 4 --metric efficiency --wait wait=5 "${ours[@]}" --out "$fresh"
  fi
  mkdir -p bench/results
  cat "$fresh" >>"$out"
  heading "medians, tasks/s with every result fetched (all lines: $out)"
  "$TREADLE_PYTHON" bench/summary.py "$fresh"
}
