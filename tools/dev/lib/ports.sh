# TCP ports of this machine, read from /proc: a bare system has neither ss nor lsof.

# listener_inode PORT: the socket inode of whoever listens there, on any address; fails when nobody does.
listener_inode() {
  local hex
  printf -v hex '%04X' "$1"
  awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10; found = 1; exit } END { exit !found }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# port_owner PORT: "pid 123 (name)", as far as this user may see it.
port_owner() {
  local inode fd pid
  inode=$(listener_inode "$1") || return 1
  for fd in /proc/[0-9]*/fd/*; do
    [ "$(readlink "$fd" 2>/dev/null)" = "socket:[$inode]" ] || continue
    pid=${fd#/proc/}
    pid=${pid%%/*}
    printf 'process %s (%s)' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c1-80 | sed 's/ *$//')"
    return 0
  done
  printf 'a process of another user'
}

next_free_port() {
  local port=$1
  while ((++port < 65536)); do
    listener_inode "$port" >/dev/null || { echo "$port"; return 0; }
  done
  return 1
}
