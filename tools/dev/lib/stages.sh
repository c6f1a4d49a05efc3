# Stages of ./dev test: each is timed, its tests are counted from what the runners wrote, and a failure is shown again at the end.
#
# A tally file has one line per test that did not pass, "FAILED name: why", and ends with "COUNT passed failed skipped".
# Uses `results` (folder for reports), set by the caller.

stage_names=()
stage_times=()
stage_counts=()
total_passed=0
total_failed=0
total_skipped=0
failures=()

# stage NAME FUNCTION: runs it; never ends the run. The function leaves its tallies in results/*.tally.
stage() {
  local name=$1 body=$2 begun status=0 passed=0 failed=0 skipped=0 seen=0 file word a b c
  heading "$name"
  rm -f "$results"/*.tally
  begun=$(now_ms)
  # Not in a condition: inside one, bash would ignore errors within the function.
  set +e
  "$body"
  status=$?
  set -e
  for file in "$results"/*.tally; do
    [ -f "$file" ] || continue
    seen=1
    while read -r word a b c; do
      case $word in
        COUNT) passed=$((passed + a)) failed=$((failed + b)) skipped=$((skipped + c)) ;;
        FAILED) failures+=("$name: $a ${b:-}${c:+ $c}") ;;
      esac
    done <"$file"
  done
  if ((status != 0 && failed == 0)); then
    failed=1
    failures+=("$name: failed with exit code $status")
  elif ((seen && passed + failed == 0 && ${#words[@]} == 0)); then
    failed=1
    failures+=("$name: ran no test")
  fi
  stage_names+=("$name")
  stage_times+=("$(human_ms $(($(now_ms) - begun)))")
  stage_counts+=("$( ((seen || failed)) && echo "$passed passed, $failed failed" || echo)")
  total_passed=$((total_passed + passed))
  total_failed=$((total_failed + failed))
  total_skipped=$((total_skipped + skipped))
}

stages_failed() { ((total_failed > 0)); }

# count_command NAME COMMAND...: the command as one test, unless it ends with its own line "N passed, N failed".
count_command() {
  local name=$1 status=0 log line
  shift
  log=$results/$name.log
  "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  line=$(grep -oE '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
  {
    if [ -n "$line" ] && [ "$status" = 0 ]; then
      echo "COUNT ${line%% *} 0 0"
    elif [ "$status" = 0 ]; then
      echo "COUNT 1 0 0"
    else
      echo "FAILED $name: exit code $status; $(tail -n 1 "$log")"
      [ -n "$line" ] && echo "COUNT ${line%% *} $(grep -oE '[0-9]+ failed' <<<"$line" | grep -oE '^[1-9][0-9]*' || echo 1) 0" || echo "COUNT 0 1 0"
    fi
  } >"$results/$name.tally"
}

# tally NAME ARGUMENT...: counts what gtest, ctest and pytest reported.
tally() {
  local name=$1
  shift
  "$TREADLE_PYTHON" tools/tally.py "$@" >"$results/$name.tally"
}

# Prints the failures, the table, and the counts in one plain line; ends the program.
finish() {
  local i
  if ((${#words[@]} && total_passed + total_failed == 0)); then
    total_failed=1
    failures+=("no test has a name with: ${words[*]}")
  fi
  if ((${#failures[@]})); then
    heading "failed"
    printf '%s\n' "${failures[@]}"
  fi
  heading "where the time went"
  for i in "${!stage_names[@]}"; do
    printf '  %-18s %14s   %s\n' "${stage_names[i]}" "${stage_times[i]}" "${stage_counts[i]}"
  done
  say
  if ((total_skipped)); then
    say "$total_passed passed, $total_failed failed, $total_skipped skipped"
  else
    say "$total_passed passed, $total_failed failed"
  fi
  ((total_failed == 0)) || exit 1
  exit 0
}
