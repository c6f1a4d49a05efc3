# The libFuzzer programs of tests/fuzz, built by the preset `fuzz` into build-fuzz/. Each has a seed corpus in
# tests/fuzz/corpus/NAME; what a run finds beyond it stays in build-fuzz/corpus/NAME.

# The names of the targets that are built, e.g. pickle_fuzz.
fuzz_targets() {
  find build-fuzz -type f -name '*_fuzz' -perm -u+x -not -path '*/CMakeFiles/*' -printf '%f\n' 2>/dev/null | sort
}

# run_fuzzers SECONDS TALLY NAME...: divides the time among the targets, two at a time on two cores; each is one test.
run_fuzzers() {
  local seconds=$1 tally=$2 count each jobs name passed=0 failed=0
  shift 2
  count=$#
  jobs=$(nproc)
  : >"$tally"
  if ((count)); then
    each=$((seconds * jobs / (count > jobs ? count : jobs)))
    mkdir -p build-fuzz/logs build-fuzz/crashes
    printf '%s\n' "$@" | xargs -P "$jobs" -I NAME bash -c 'source tools/dev/lib/fuzzers.sh; run_fuzzer NAME "$1"' _ "$((each > 0 ? each : 1))" || true
  fi
  for name in "$@"; do
    if [ -f "build-fuzz/logs/$name.ok" ]; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      echo "FAILED $name: $(grep -m1 -E 'ERROR|SUMMARY|runtime error' "build-fuzz/logs/$name.log" | cut -c1-160); log build-fuzz/logs/$name.log, input in build-fuzz/crashes/" >>"$tally"
    fi
  done
  echo "COUNT $passed $failed 0" >>"$tally"
}

# run_fuzzer NAME SECONDS: one target; a line with what it did. It counts as done only if it ran at least one input.
run_fuzzer() {
  local name=$1 seconds=$2 program log=build-fuzz/logs/$1.log seeds=tests/fuzz/corpus/$1 status=0 runs
  program=$(find build-fuzz -type f -name "$name" -perm -u+x -not -path '*/CMakeFiles/*' | head -n 1)
  mkdir -p "build-fuzz/corpus/$name"
  rm -f "build-fuzz/logs/$name.ok"
  [ -d "$seeds" ] || seeds=
  "$program" "build-fuzz/corpus/$name" $seeds -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build-fuzz/crashes/$name-" >"$log" 2>&1 || status=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  if [ $status = 0 ] && [ "${runs:-0}" -gt 0 ]; then
    touch "build-fuzz/logs/$name.ok"
    echo "  $name: $runs inputs in $seconds s, clean"
  else
    echo "  $name: FAILED (exit code $status, ${runs:-0} inputs)"
    tail -n 40 "$log"
  fi
}
