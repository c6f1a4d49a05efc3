# use_package.sh PORT PORT: inside a fresh Debian root, beside one .deb and one wheel: installs, uses, removes and purges
# them as an administrator would, and looks for what is left. Run by ./dev bare package.
set -euo pipefail
port=$1 worker_port=$2
url=http://127.0.0.1:$port
export DEBIAN_FRONTEND=noninteractive

step() { printf -- '-- %s\n' "$*"; }
fault() { printf 'FAULT: %s\n' "$*" >&2; exit 1; }

# All files but those that dpkg, apt and logs keep; accounts with their content.
snapshot() {
  find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /src -o -path /tmp -o -path /root -o -path /var/lib/dpkg \
    -o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path '/etc/*-' \) -prune -o -print | sort
  md5sum /etc/passwd /etc/group /etc/shadow /etc/gshadow
}

serve_as_the_unit_does() { # SETTING...
  local command
  command=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/treadle.service)
  (cd /var/lib/treadle && exec setpriv --reuid treadle --regid treadle --init-groups env HOME=/var/lib/treadle TREADLE_PORT="$port" "$@" sh -c "exec $command") \
    >>/tmp/serve.log 2>&1 &
  service=$!
  for _ in $(seq 300); do
    if python3 -c "import urllib.request; urllib.request.urlopen('$url/livez')" 2>/dev/null; then return 0; fi
    kill -0 "$service" 2>/dev/null || break
    sleep 0.1
  done
  cat /tmp/serve.log >&2
  fault "treadle serve did not start"
}

stop() {
  kill "$1"
  wait "$1" || fault "it ended with $? ($(tail -n 3 /tmp/serve.log))"
}

step "what the .deb depends on, from Debian"
apt-get -q -q update
apt-get -q -q -y --no-install-recommends satisfy "$(dpkg-deb -f treadle_*.deb Depends), python3-venv" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log >&2; exit 1; }
snapshot >/tmp/before

step "install"
dpkg -i treadle_*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; exit 1; }
test "$(treadle version | cut -d ' ' -f 2)" = "$(dpkg-query -W -f '${Version}' treadle | cut -d - -f 1)"
test "$(stat -c '%U %a' /var/lib/treadle)" = "treadle 750"
for page in treadle treadle-serve treadle-map task_dispatcher push_worker; do test -s "/usr/share/man/man1/$page.1.gz"; done
zcat /usr/share/man/man1/treadle-serve.1.gz | grep -q 'durability' || fault "the man page of serve tells nothing"
bash -c 'source /usr/share/bash-completion/completions/treadle && complete -p treadle' >/dev/null

step "start as the unit does, and use it: the seed's routes, SDK, command line"
serve_as_the_unit_does
python3 use_package.py seed "$url"
python3 use_package.py sdk "$url" /usr/lib/python3/dist-packages
mkdir -p /tmp/work
echo 'def area(r): return 3 * r * r' >/tmp/work/work.py
(cd /tmp/work && export PYTHONDONTWRITEBYTECODE=1 TREADLE_URL=$url && test "$(treadle run work.py::area 2.5)" = 18.75 &&
  test "$(seq 3 | treadle map work.py::area | paste -sd ' ')" = "3 12 27")

step "the wheel, in a virtual environment"
python3 -m venv --system-site-packages /tmp/venv
/tmp/venv/bin/pip -q --disable-pip-version-check install --no-index --ignore-installed --no-deps treadle-*.whl
/tmp/venv/bin/python use_package.py sdk "$url" /tmp/venv
(cd /tmp/work && test "$(PYTHONDONTWRITEBYTECODE=1 /tmp/venv/bin/python -m treadle run work.py::area 3 --url "$url")" = 27)
/tmp/venv/bin/pip -q --disable-pip-version-check uninstall -y treadle
test -z "$(find /tmp/venv -name '*treadle*')" || fault "the wheel left $(find /tmp/venv -name '*treadle*')"

step "the seed's commands: dispatcher and workers by their old names"
stop "$service"
status=0
task_dispatcher -m push -p "$worker_port" --store redis://127.0.0.1:1/0 >/tmp/dispatcher.log 2>&1 || status=$?
test "$status" = 2 && grep -q 'No Redis at' /tmp/dispatcher.log || fault "task_dispatcher without Redis: $status, $(cat /tmp/dispatcher.log)"
serve_as_the_unit_does TREADLE_MODE=push TREADLE_DISPATCHER_PORT="$worker_port"
push_worker 2 "tcp://127.0.0.1:$worker_port" >/tmp/worker.log 2>&1 &
worker=$!
python3 use_package.py seed "$url"
stop "$worker"
stop "$service"

step "removed, it keeps the data; installed again it has them"
dpkg -r treadle >>/tmp/dpkg.log 2>&1
test -s /var/lib/treadle/data/treadle.db && test -f /etc/default/treadle || fault "a removal took the data"
hash -r # the shell remembers where it found them
if command -v treadle push_worker task_dispatcher pull_worker; then fault "the programs are still there"; fi
dpkg -i treadle_*.deb >>/tmp/dpkg.log 2>&1
serve_as_the_unit_does
python3 use_package.py again "$url"
stop "$service"

step "purged, nothing is left"
dpkg -P treadle >>/tmp/dpkg.log 2>&1
if getent passwd treadle; then fault "the user is still there"; fi
snapshot >/tmp/after
diff /tmp/before /tmp/after || fault "the purge did not leave the system as it was (above)"
if pgrep -f '[t]readle serve|[p]ush_worker' >/dev/null 2>&1; then fault "a process is left"; fi
echo "installed, used, removed and purged: $(wc -l </tmp/after) files as before"
