# ./dev test [--all] [--preset asan|tsan] [word...]: every test stage in turn; ends with the times and "N passed, N failed".
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh
source tools/dev/lib/stages.sh
source tools/dev/lib/fuzzers.sh

verb_test() {
  local all=0 preset=release words=() whole=1
  while (($#)); do
    case $1 in
      --all) all=1 ;;
      --preset) preset=${2:?--preset needs asan or tsan}; shift ;;
      -*) die "./dev test knows --all, --preset asan|tsan and words, not '$1'" ;;
      *) words+=("$1") ;;
    esac
    shift
  done
  [[ $preset =~ ^(release|asan|tsan)$ ]] || die "--preset is asan or tsan, not '$preset'"
  # Lint, simulator and fuzzers have no tests that words could choose; the fuzzers have a build and sanitizers of their own.
  if [ "$preset" != release ] || ((${#words[@]})); then whole=0; fi
  build_dir=$(preset_dir "$preset")
  results=$TREADLE_ROOT/$build_dir/test-results
  rm -rf "$results"
  mkdir -p "$results"

  stage install install_stage
  stage build build_stage
  if stages_failed; then finish; fi
  [ "$preset" = tsan ] && export TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$TREADLE_ROOT/tools/tsan.supp}
  if ((whole)); then stage lint lint_stage; fi
  stage "unit and contract" unit_stage
  stage system system_stage
  if ((whole)); then
    stage simulator sim_stage
    stage fuzz fuzz_stage
  fi
  finish
}

install_stage() { need_packages test fuzz lint package; }

build_stage() {
  build_preset "$preset" || return 1
  if ((whole)); then build_preset fuzz tests/fuzz/all || return 1; fi
}

lint_stage() {
  count_command lint "$TREADLE_PYTHON" tools/lint.py
  "$TREADLE_PYTHON" tools/run_unittests.py "$results/tools.tally" tools
}

# Programs of the unit and contract labels (and any other but the slow ones); each writes its own gtest report.
unit_stage() {
  local select=(-j "$(nproc)" --output-on-failure --no-tests=error -LE 'sim|fuzz|slow') status=0
  ((all)) && select=(-j "$(nproc)" --output-on-failure --no-tests=error -LE 'sim|fuzz')
  export GTEST_OUTPUT="xml:$results/gtest/" GTEST_BRIEF=1
  if ((${#words[@]})); then export GTEST_FILTER; GTEST_FILTER=$(printf '*%s*:' "${words[@]}"); fi
  ctest --test-dir "$build_dir" "${select[@]}" --output-junit "$results/ctest.xml" || status=$?
  unset GTEST_OUTPUT GTEST_BRIEF GTEST_FILTER
  tally unit --ctest "$results/ctest.xml" --gtest "$results/gtest" --exit-code $status
}

# Tests marked `sleepy` wait most of the time: many run side by side. Those marked `serial` measure, and run alone at the end.
system_stage() {
  local slow='and not slow' reports=() word_filter=() part jobs
  ((all)) && slow=
  if ((${#words[@]})); then word_filter=(-k "$(join ' or ' "${words[@]}")"); fi
  export TREADLE=$TREADLE_ROOT/$build_dir/treadle PYTHONDONTWRITEBYTECODE=1
  [ "$preset" = release ] || export TREADLE_TEST_PATIENCE=${TREADLE_TEST_PATIENCE:-4} # sanitizers are slow
  # What was freed is kept for a while, to catch its use; little of it, since some tests look at a program's memory.
  [ "$preset" = asan ] && export ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=8:thread_local_quarantine_size_kb=64}
  for part in "sleepy and not serial:8" "not sleepy and not serial:$(nproc)" "serial:0"; do
    jobs=${part##*:}
    part=${part%:*}
    reports+=(--junit "$results/system${#reports[@]}.xml")
    pytest_run "${reports[-1]}" -m "$part $slow" -n "$jobs" "${word_filter[@]}"
    reports+=(--exit-code $?)
  done
  tally system "${reports[@]}"
}

pytest_run() {
  local report=$1 status=0 limit=1500
  shift
  [ "$preset" = release ] || limit=5400 # seconds; ThreadSanitizer makes everything three times as slow
  timeout -k 20 $limit "$TREADLE_PYTHON" -m pytest -q -ra --timeout 300 --durations 5 --durations-min 5 --junitxml "$report" "$@" || status=$?
  [ $status = 5 ] && status=0 # it found no test: the tally sees to it that not every run is empty
  return $status
}

sim_stage() { count_command simulator "$build_dir/treadle_sim" --seeds "$( ((all)) && echo 5000 || echo 500)"; }

fuzz_stage() {
  local seconds=60
  ((all)) && seconds=300
  run_fuzzers "$seconds" "$results/fuzz.tally" $(fuzz_targets)
}

join() {
  local between=$1 out=$2 word
  shift 2
  for word in "$@"; do out+=$between$word; done
  printf '%s' "$out"
}
