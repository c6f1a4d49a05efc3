# ./dev bench: every figure of docs/BENCHMARKS.md, over stores and modes, in one run; JSON lines in bench/results/DATE.jsonl.
#   --reps N --only NAME,... --cells STORE:MODE,... --scale X --long    as bench/matrix.py has them
#   --peers       also the seed design and the peers of bench/peers, in turn; their packages go into build/peers
#   --core        also the dispatcher core with 1,000 to 130,000 workers (alone: --core --reps 0)
#   --budget      only the CPU of a task by part, under perf
#   --sdk         only the Python SDK, against ProcessPoolExecutor
#   --report      only docs/BENCHMARKS.md and its plots, from all lines in bench/results
#   --no-build    the binary that TREADLE names is measured
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh

verb_bench() {
  local passed=() only='' build=1 core=0 peers=0
  while (($#)); do
    case $1 in
      --reps | --only | --cells | --scale) [ $# -ge 2 ] || die "$1 needs a value"; passed+=("$1" "$2"); shift ;;
      --long) passed+=(--long) ;;
      --peers) peers=1 passed+=(--peers) ;;
      --core) core=1 ;;
      --budget | --sdk | --report) only=${1#--} ;;
      --no-build) build=0 ;;
      *) die "./dev bench knows --reps N, --only NAMES, --cells STORE:MODE, --scale X, --long, --peers, --core, --budget, --sdk, --report and --no-build, not '$1'" ;;
    esac
    shift
  done
  local out=bench/results/$(date +%F).jsonl
  mkdir -p bench/results
  if [ "$only" = report ]; then
    "$TREADLE_PYTHON" bench/report.py bench/results/*.jsonl
    return
  fi
  need_packages bench test # test has redis-server and python3-zmq, which the seed design needs too
  bench_binary "$build" "$core"
  case $only in
    budget) "$TREADLE_PYTHON" bench/budget.py --out "$out"; return ;;
    sdk) PYTHONPATH=python "$TREADLE_PYTHON" bench/sdk/overhead.py | tee -a "$out"; return ;;
  esac
  ((core)) && passed+=(--core "$TREADLE_ROOT/build/bench/scale/treadle_scale_bench")
  ((peers)) && peers_python
  "$TREADLE_PYTHON" bench/matrix.py --out "$out" "${passed[@]}"
}

# bench_binary BUILD CORE: sets TREADLE to what is measured, built if it has to be.
bench_binary() {
  local targets=()
  (($1)) && targets+=(treadle)
  (($2)) && targets+=(treadle_scale_bench)
  ((${#targets[@]})) && { build_preset release "${targets[@]}" || exit 1; }
  (($1)) && export TREADLE=$TREADLE_ROOT/build/treadle
  [ -x "${TREADLE:-}" ] || die "--no-build measures the binary that TREADLE names, and there is none at '${TREADLE:-}'"
}

# Celery, RQ and Dask from PyPI, in an environment of their own that nothing else uses.
peers_python() {
  export PEER_PYTHON=$TREADLE_ROOT/build/peers/bin/python
  "$PEER_PYTHON" -c 'import celery, distributed, rq' 2>/dev/null && return
  heading "the peers' packages, into build/peers"
  "$TREADLE_PYTHON" -m venv --system-site-packages build/peers
  "$PEER_PYTHON" -m pip install -q --disable-pip-version-check 'celery[redis]' distributed rq || die "pip could not install the peers; without them: ./dev bench"
}
