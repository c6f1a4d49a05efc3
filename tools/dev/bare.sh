# ./dev bare [run|test|build|package] [--suite bookworm|trixie] [--worktree] [--keep]: proves `./dev run --once` and `./dev test`
# (default: both) in a fresh Debian root that has the base system and git only. The root gets a clone of HEAD, or with --worktree
# a copy of the files as they are. It lives in a temporary folder and is removed at the end (not with --keep). `build` compiles
# the product; `package` installs, uses and purges what `./dev package` makes (there, if this machine is of another suite).
source tools/dev/lib/packages.sh
source tools/dev/lib/ports.sh
source tools/dev/lib/debian_root.sh
source tools/dev/lib/bare_package.sh

verb_bare() {
  local what=() suite=bookworm from=head keep=0
  while (($#)); do
    case $1 in
      run | test | build | package) what+=("$1") ;;
      --suite) suite=${2:?--suite needs bookworm or trixie}; shift ;;
      --worktree) from=worktree ;;
      --keep) keep=1 ;;
      *) die "./dev bare knows run, test, build, package, --suite bookworm|trixie, --worktree and --keep, not '$1'" ;;
    esac
    shift
  done
  [[ $suite == bookworm || $suite == trixie ]] || die "--suite is bookworm (Debian 12) or trixie (Debian 13), not '$suite'"
  ((${#what[@]})) || what=(run test)
  need_packages_for_bare
  if [ "$(id -u)" != 0 ]; then
    warn "a root of another system needs root: sudo"
    exec sudo --preserve-env=TREADLE_BARE_DIR,TREADLE_PYTHON ./dev bare "${what[@]}" --suite "$suite" "--$from"
  fi

  local base
  base=$(mktemp -d "${TREADLE_BARE_DIR:-/tmp}/treadle-bare.XXXXXX")
  trap 'remove_bare_root' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  local begun
  begun=$(now_ms)
  heading "a fresh $suite root in $base"
  if needs_source; then
    make_debian_root "$suite" "$base/debian" git ca-certificates || die "mmdebstrap failed (above)"
    put_source "$base/debian"
  fi
  if [[ " ${what[*]} " == *" test "* ]]; then put_other_python "$base/debian" "$suite" || die "mmdebstrap failed (above)"; fi
  say "made in $(human_ms $(($(now_ms) - begun)))"

  local verb status=0 results=()
  for verb in "${what[@]}"; do
    heading "./dev $verb in the fresh root"
    begun=$(now_ms)
    if prove "$verb"; then results+=("$verb: passed in $(human_ms $(($(now_ms) - begun)))"); else
      results+=("$verb: FAILED after $(human_ms $(($(now_ms) - begun)))")
      status=1
    fi
    if [ "$verb" = run ] && ((status == 0)); then
      begun=$(now_ms)
      prove run && results+=("run again, nothing changed: $(human_ms $(($(now_ms) - begun)))") || status=1
    fi
  done
  heading "bare $suite"
  printf '  %s\n' "${results[@]}"
  exit $status
}

# Only the machine's own tools are needed here, not those of the build.
need_packages_for_bare() {
  command -v mmdebstrap >/dev/null || need_packages bare
}

# The packages alone need no root with the source, if this machine can make them.
needs_source() {
  local VERSION_CODENAME=''
  source /etc/os-release
  [[ "${what[*]}" != package || "$VERSION_CODENAME" != "$suite" ]]
}

prove() {
  case $1 in
    run) in_debian_root "$base/debian" ./dev run --once --port "$(next_free_port 7999)" ;;
    test) in_debian_root "$base/debian" ./dev test ;;
    build) in_debian_root "$base/debian" ./dev build treadle ;;
    package) prove_package ;;
  esac
}

put_source() {
  local target=$1/src/treadle
  mkdir -p "$1/src"
  if [ "$from" = head ]; then
    [ -z "$(git status --porcelain)" ] || warn "there are changes that are not committed: they are not in what is tested (--worktree)"
    git clone -q --no-hardlinks "file://$TREADLE_ROOT" "$target"
  else
    mkdir -p "$target"
    git ls-files -co --exclude-standard -z | tar -c --null --ignore-failed-read -T - 2>/dev/null | tar -x -C "$target"
    git -C "$target" init -q
  fi
  chown -R 0:0 "$target"
}

# A Python of another minor version, with dill, as python3.N on the root's PATH: that of the other Debian, in a root of its own.
# Results are decoded with it by the system tests.
put_other_python() {
  local root=$1 other=trixie name=python3.13
  if [ "$2" = trixie ]; then other=bookworm name=python3.11; fi
  make_debian_root "$other" "$root/srv/$name" python3 python3-dill python3-cloudpickle || return 1
  printf '#!/bin/sh\nexec chroot /srv/%s /usr/bin/python3 "$@"\n' "$name" >"$root/usr/local/bin/$name"
  chmod 755 "$root/usr/local/bin/$name"
}

remove_bare_root() {
  [ "$keep" = 1 ] && { say "kept: $base"; return; }
  rm -rf --one-file-system "$base"
}
