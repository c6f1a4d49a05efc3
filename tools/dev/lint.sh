# ./dev lint [--tidy [file.cpp...]]: tools/lint.py and the tests of the tools; --tidy adds clang-tidy (minutes).
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh

verb_lint() {
  local tidy=0 status=0
  if [ "${1:-}" = --tidy ]; then tidy=1; shift; fi
  need_packages lint
  "$TREADLE_PYTHON" tools/lint.py || status=1
  "$TREADLE_PYTHON" -m unittest discover -s tools -p '*_test.py' -q || status=1
  if [ $tidy = 1 ]; then tidy_files "$@" || status=1; fi
  return $status
}

tidy_files() {
  command -v clang-tidy >/dev/null || die "clang-tidy is not installed: apt-get install clang-tidy"
  [ -f build/compile_commands.json ] || build_preset release
  if [ $# = 0 ]; then set -- $(git ls-files 'src/*.cpp'); fi
  printf '%s\n' "$@" | xargs -P "$(nproc)" -n 4 clang-tidy -p build --quiet
}
