# Debian packages: which are missing (tools/packages.tsv), and how they get installed.

# Prints the column of packages.tsv that fits this machine, or fails.
package_column() {
  local ID='' VERSION_ID='' ID_LIKE='' VERSION_CODENAME=''
  [ -r /etc/os-release ] && source /etc/os-release
  case $ID-$VERSION_ID in
    debian-12) echo 3 ;;
    debian-13 | debian-) echo 4 ;; # a Debian without a number is testing or sid
    ubuntu-24.04)
      warn "Ubuntu 24.04 is untested; the package names are believed to be right."
      echo 5
      ;;
    *) return 1 ;;
  esac
}

have_node() { command -v node >/dev/null && command -v npm >/dev/null; }

# packages_of GROUP...: the names for this machine, one a line.
packages_of() {
  local column groups=" $* "
  column=$(package_column) || return 1
  if have_node; then groups=${groups/ web / }; fi
  local -a cells
  while IFS=$'\t' read -r -a cells; do
    [[ ${cells[0]:-#} == '#'* || $groups != *" ${cells[0]} "* ]] && continue
    [ "${cells[column - 1]}" = - ] || echo "${cells[column - 1]}"
  done <tools/packages.tsv
}

# missing_of NAME...: those that dpkg does not have, in one line.
missing_of() {
  local have name
  have=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "$@" 2>/dev/null || true) "
  local out=()
  for name in "$@"; do [[ $have == *" installed:$name "* ]] || out+=("$name"); done
  echo "${out[*]}"
}

# need_packages GROUP...: installs what is missing of `build` and the groups, as root or by sudo; with neither prints the
# command and exits 2. Says nothing when there is nothing to do. Sets packages_ms.
need_packages() {
  packages_ms=0
  [ "${TREADLE_SKIP_PACKAGES:-0}" = 1 ] && return 0
  local names missing begun
  names=$(packages_of build web "$@") || die "this is neither Debian 12 or 13 nor Ubuntu 24.04. Install what tools/packages.tsv\
 lists in your system's own packages, then repeat with TREADLE_SKIP_PACKAGES=1."
  missing=$(missing_of $names)
  [ -n "$missing" ] || return 0
  begun=$(now_ms)
  heading "Debian packages to install"
  fold -s -w 110 <<<"$missing"
  local as_root
  as_root=$(root_prefix) || {
    warn "installing needs root, and there is no sudo that works here. Ask an administrator to run this one command, then repeat:"
    echo "  apt-get update && apt-get install --no-install-recommends -y $missing" >&2
    exit 2
  }
  apt_install "$as_root" $missing
  hash -r
  packages_ms=$(($(now_ms) - begun))
  say "installed in $(human_ms $packages_ms)"
}

# Prints what to put before a command to run it as root: nothing, or sudo; fails if neither works.
root_prefix() {
  [ "$(id -u)" = 0 ] && return 0
  command -v sudo >/dev/null || return 1
  # Without a terminal sudo must not have to ask.
  if [ -t 0 ] || sudo -n true 2>/dev/null; then echo sudo; else return 1; fi
}

apt_install() {
  local as_root=$1 log plan removed
  shift
  log=$(mktemp)
  plan=$(apt-get install -s --no-install-recommends "$@" 2>/dev/null) || {
    say "apt's lists are missing or old: apt-get update"
    apt_run "$as_root" "$log" update || apt_failed "$log" update "$@"
    plan=$(apt-get install -s --no-install-recommends "$@" 2>&1) || { echo "$plan" >"$log"; apt_failed "$log" install "$@"; }
  }
  removed=$(sed -n 's/^Remv \([^ ]*\).*/\1/p' <<<"$plan" | tr '\n' ' ')
  if [ -n "$removed" ]; then
    say "apt will remove, because they cannot stand beside these: $removed"
    if [ -t 0 ] && [ -t 1 ]; then
      local answer
      read -r -p "Go on? [y/N] " answer
      [[ $answer == [yY]* ]] || die "nothing was changed."
    fi
  fi
  if ! apt_run "$as_root" "$log" install "$@"; then
    # Lists that are a few days old name files that the mirror no longer has.
    apt_run "$as_root" "$log" update && apt_run "$as_root" "$log" install "$@" || apt_failed "$log" install "$@"
  fi
  rm -f "$log"
}

# apt_run PREFIX LOG update|install NAME...: runs apt-get with its chatter in LOG and a line for each fifth of the way.
apt_run() {
  local as_root=$1 log=$2 verb=$3 options=(-y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o APT::Status-Fd=9)
  shift 3
  [ "$verb" = install ] && options+=(--no-install-recommends)
  # The inner shell turns fd 1 into apt's status and fd 2 into its chatter: sudo hands on no other descriptor.
  $as_root env DEBIAN_FRONTEND=noninteractive sh -c 'exec 9>&1 1>&2; exec apt-get "$@"' apt "$verb" "${options[@]}" "$@" \
    </dev/null 2>>"$log" | apt_progress
}

apt_progress() {
  local kind what percent text step last=
  while IFS=: read -r kind what percent text; do
    [[ $kind == dlstatus || $kind == pmstatus ]] || continue
    step="$kind $((${percent%%[.,]*} / 20))"
    [ "$step" = "$last" ] && continue
    last=$step
    [ "$kind" = dlstatus ] && printf '  download %3d %%\n' "${percent%%[.,]*}" || printf '  install  %3d %%  %s\n' "${percent%%[.,]*}" "$text"
  done
}

apt_failed() {
  local log=$1
  shift
  tail -n 25 "$log" >&2
  die "apt-get $1 failed (above; all of it in $log). Mend that, or run it by hand: apt-get install --no-install-recommends ${*:2}"
}
