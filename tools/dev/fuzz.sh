# ./dev fuzz [target] [--seconds N]: all fuzzers, or those whose name has the word, for N seconds in all (default 60).
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh
source tools/dev/lib/fuzzers.sh

verb_fuzz() {
  local seconds=60 word= targets tally
  while (($#)); do
    case $1 in
      --seconds) seconds=${2:?--seconds needs a number}; shift ;;
      -*) die "./dev fuzz knows --seconds N and the name of a target, not '$1'" ;;
      *) word=$1 ;;
    esac
    shift
  done
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "--seconds $seconds is not a number of seconds"
  need_packages fuzz
  build_preset fuzz tests/fuzz/all || exit 1
  targets=$(fuzz_targets | grep -F -- "$word" || true)
  [ -n "$targets" ] || die "no fuzz target has '$word' in its name. There are: $(fuzz_targets | tr '\n' ' ')"
  tally=build-fuzz/fuzz.tally
  run_fuzzers "$seconds" "$tally" $targets
  grep FAILED "$tally" && exit 1
  exit 0
}
