# ./dev build [--preset NAME] [ninja target...]
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh

verb_build() {
  local preset=release
  if [ "${1:-}" = --preset ]; then
    preset=${2:?--preset needs a name of CMakePresets.json}
    shift 2
  fi
  case $preset in
    fuzz) need_packages fuzz ;;
    *) need_packages ;;
  esac
  build_preset "$preset" "$@" || exit 1
  say "built into $(preset_dir "$preset")/ in $(human_ms "$build_ms")"
}
