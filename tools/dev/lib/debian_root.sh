# Fresh Debian roots in a folder, and commands inside them. Needs root and mmdebstrap.

# make_debian_root SUITE FOLDER PACKAGE...: the minimal system and the packages; then what this machine needs to reach its
# package sources: apt settings, certificates, name servers. None of it comes from, or goes into, the tree of the project.
make_debian_root() {
  local suite=$1 root=$2 packages
  shift 2
  packages=$(IFS=,; echo "$*")
  mkdir -p "$root"
  chmod 755 "$(dirname "$root")"
  machine_sources "$suite" | mmdebstrap --quiet --variant=minbase --include="$packages" "$suite" "$root" - || return 1
  apt-config dump Acquire | grep -E '^Acquire::(Check|http|https|Retries)' >"$root/etc/apt/apt.conf.d/00machine" || true
  cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
  if [ -d "$root/usr/local/share/ca-certificates" ] && compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1 || true
  fi
}

# The package sources that this machine uses for its own Debian, for another suite; nothing if it has no lists, so that
# mmdebstrap takes its default.
machine_sources() {
  local suite=$1 VERSION_CODENAME=''
  source /etc/os-release
  apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk -v own="${VERSION_CODENAME:-none}" -v suite="$suite" \
      '$1 == "Debian" && index($3, own) == 1 { sub(own, suite, $3); line = "deb " $2 " " $3 " " $4; if (!seen[line]++) print line }'
}

# in_debian_root ROOT COMMAND...: runs it in /src/treadle inside the root, with proc, dev and this machine's network. The
# mounts and all processes belong to namespaces that end with the command, however it ends: nothing is left to unmount.
in_debian_root() {
  local root=$1
  shift
  env -i HOME="$HOME" TERM="${TERM:-dumb}" LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    ${CI+CI="$CI"} ${http_proxy+http_proxy="$http_proxy"} ${https_proxy+https_proxy="$https_proxy"} ${no_proxy+no_proxy="$no_proxy"} \
    unshare --mount --pid --fork --kill-child=KILL bash -c '
      root=$1; shift
      mount -t proc proc "$root/proc" &&
        mount --rbind /dev "$root/dev" &&
        mount -t tmpfs tmpfs "$root/run" &&
        exec chroot "$root" bash -c "cd /src/treadle && exec \"\$@\"" dev "$@"' root "$root" "$@" </dev/null
}
