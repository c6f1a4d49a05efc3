# ./dev bare package: the .deb and the wheel, installed, used and purged in a fresh Debian root that never saw the source.

# Uses base and suite of verb_bare.
prove_package() {
  local packages=build/package fresh=$base/fresh VERSION_CODENAME=''
  source /etc/os-release
  if [ "$VERSION_CODENAME" = "$suite" ]; then
    ./dev package || return 1
  else
    in_debian_root "$base/debian" ./dev package || return 1
    packages=$base/debian/src/treadle/build/package
  fi
  heading "a second fresh $suite root, for the packages alone"
  make_debian_root "$suite" "$fresh" ca-certificates || return 1
  mkdir -p "$fresh/src/treadle"
  cp "$packages"/treadle_*.deb "$packages"/treadle-*.whl tools/dev/lib/use_package.sh tools/dev/lib/use_package.py "$fresh/src/treadle/"
  in_debian_root "$fresh" bash use_package.sh "$(next_free_port 7999)" "$(next_free_port 8999)"
}
