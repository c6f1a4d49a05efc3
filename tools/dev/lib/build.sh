# Configure and build one preset of CMakePresets.json.

# The folder of a preset, as CMakePresets.json has it.
preset_dir() {
  case $1 in
    release) echo build ;;
    *) echo "build-$1" ;;
  esac
}

# build_preset PRESET [TARGET...]: configures if need be and builds; ninja shows the way. Sets build_ms. Fails as ninja does.
build_preset() {
  local preset=$1 dir begun
  shift
  dir=$(preset_dir "$preset")
  begun=$(now_ms)
  # Another clone of the same source finds what this one compiled: ccache sees paths relative to the tree.
  export CCACHE_BASEDIR=$TREADLE_ROOT CCACHE_NOHASHDIR=1 NINJA_STATUS='[%f/%t %e s] '
  if [ ! -f "$dir/build.ninja" ] || ((${packages_ms:-0} > 0)); then
    mkdir -p "$dir"
    # CI takes no program without its docs page, which the build makes with npm.
    cmake --preset "$preset" ${CI:+-DTREADLE_REQUIRE_WEB=ON} >"$dir/configure.log" 2>&1 || {
      cat "$dir/configure.log" >&2
      warn "cmake --preset $preset failed (above)."
      return 1
    }
  fi
  ninja -C "$dir" "$@" || return 1
  build_ms=$(($(now_ms) - begun))
}
