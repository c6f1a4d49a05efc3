# ./dev package [deb] [wheel] [--into FOLDER]: a Debian package of the whole product and a wheel of the Python package
# (default: both), in build/package/. TREADLE names a program that was built before. Nothing is downloaded but missing build packages. What goes into the .deb: deploy/README.md.
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh

verb_package() {
  local what=() kind out=build/package
  while (($#)); do
    case $1 in
      deb | wheel) what+=("$1") ;;
      --into) out=${2:?--into needs a folder}; shift ;;
      *) die "./dev package knows deb, wheel and --into FOLDER, not '$1'" ;;
    esac
    shift
  done
  ((${#what[@]})) || what=(deb wheel)
  need_packages package
  mkdir -p "$out"
  for kind in "${what[@]}"; do
    heading "$kind"
    "make_$kind" || die "the $kind was not made (above)"
  done
}

# The version of the project, as CMake has it; the Python package must have the same.
product_version() {
  local version
  version=$(sed -n 's/^project(treadle VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
  grep -qx "version = \"$version\"" pyproject.toml || die "CMakeLists.txt says version $version, pyproject.toml does not."
  echo "$version"
}

make_deb() (
  version=$(product_version)
  arch=$(dpkg --print-architecture)
  if [ -z "${TREADLE:-}" ]; then build_preset release treadle || exit 1; fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  umask 022
  root=$work/treadle
  put_program "$root" "${TREADLE:-build/treadle}" && put_python "$root" && put_texts "$root" && put_control "$root" || exit 1
  find "$root" -exec touch -h -d "@$(source_date)" {} +
  deb=$out/treadle_$version-1_$arch.deb
  SOURCE_DATE_EPOCH=$(source_date) dpkg-deb --root-owner-group -Zxz --build "$root" "$deb" >/dev/null || exit 1
  say "$deb ($(($(stat -c %s "$deb") / 1024)) KiB)"
)

# When the source was last changed: the same source gives the same package.
source_date() { git log -1 --format=%ct 2>/dev/null || echo 0; }

put_program() {
  local root=$1 link
  install -D -m 755 "$2" "$root/usr/bin/treadle"
  strip --strip-debug "$root/usr/bin/treadle" # the names of functions stay, for a crash report
  for link in task_dispatcher push_worker pull_worker; do ln -s treadle "$root/usr/bin/$link"; done
}

# What the wheel has, which pip and importlib.metadata then know.
put_python() {
  local root=$1/usr/lib/python3/dist-packages
  build_wheel "$work/wheel" || return 1
  mkdir -p "$root"
  "$TREADLE_PYTHON" -m zipfile -e "$work"/wheel/*.whl "$root"
}

put_texts() {
  local root=$1 shell
  local -A completions=([bash]=bash-completion/completions/treadle [zsh]=zsh/vendor-completions/_treadle [fish]=fish/vendor_completions.d/treadle.fish)
  export TREADLE_PYTHON PYTHONPATH=python PYTHONDONTWRITEBYTECODE=1
  for shell in "${!completions[@]}"; do
    mkdir -p "$(dirname "$root/usr/share/${completions[$shell]}")"
    "$root/usr/bin/treadle" completion "$shell" >"$root/usr/share/${completions[$shell]}" || return 1
  done
  "$TREADLE_PYTHON" tools/manpages.py "$root/usr/bin/treadle" "$root/usr/share/man/man1" >/dev/null || return 1
  gzip -9n "$root"/usr/share/man/man1/*.1
  install -D -m 644 -t "$root/usr/lib/systemd/system" deploy/systemd/*.service
  install -D -m 644 deploy/default "$root/etc/default/treadle"
  install -D -m 644 -t "$root/usr/share/doc/treadle" README.md docs/*.md
  gzip -9nc CHANGELOG.md >"$root/usr/share/doc/treadle/changelog.gz"
  cat >"$root/usr/share/doc/treadle/copyright" <<'TEXT'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: treadle

Files: *
Copyright: The Treadle developers
License: Apache-2.0
 The full text is in /usr/share/common-licenses/Apache-2.0.
TEXT
}

put_control() {
  local root=$1 libraries size
  libraries=$(needed_libraries "$root/usr/bin/treadle") || return 1
  size=$(du -sk --apparent-size "$root" | cut -f 1)
  mkdir "$root/DEBIAN"
  sed -e "s/@VERSION@/$version-1/; s/@ARCH@/$arch/; s/@SIZE@/$size/; s/@LIBRARIES@/$libraries/" deploy/debian/control.in >"$root/DEBIAN/control"
  install -m 755 -t "$root/DEBIAN" deploy/debian/{postinst,prerm,postrm}
  echo /etc/default/treadle >"$root/DEBIAN/conffiles"
  (cd "$root" && find usr etc -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
}

# The Debian packages of the shared libraries that a program asks for, with the versions that it needs at least.
needed_libraries() {
  mkdir -p "$work/shlibs/debian"
  echo 'Source: treadle' >"$work/shlibs/debian/control"
  (cd "$work/shlibs" && dpkg-shlibdeps -O "$1" 2>"$work/shlibs/log") | sed -n 's/^shlibs:Depends=//p' | grep . ||
    { cat "$work/shlibs/log" >&2; return 1; }
}

make_wheel() (
  product_version >/dev/null
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  build_wheel "$work/wheel" || exit 1
  mv "$work"/wheel/*.whl "$out/"
  say "$(ls "$out"/treadle-*.whl)"
)

# build_wheel FOLDER: pip builds beside the source, so it gets a copy of it.
build_wheel() {
  local copy=$work/source
  mkdir -p "$copy" "$1"
  tar -c --exclude __pycache__ --exclude '*.egg-info' python/treadle pyproject.toml README.md LICENSE | tar -x -C "$copy"
  SOURCE_DATE_EPOCH=$(source_date) "$TREADLE_PYTHON" -m pip wheel --quiet --no-index --no-deps --no-build-isolation \
    --disable-pip-version-check --wheel-dir "$1" "$copy"
}
