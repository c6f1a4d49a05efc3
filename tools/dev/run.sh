# ./dev run [--once] [options of `treadle serve`]: from nothing to running functions.
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh
source tools/dev/lib/ports.sh

verb_run() {
  local once=0 port=8000 data_dir=./treadle-data python=$TREADLE_PYTHON passed=() begun
  begun=$(now_ms)
  while (($#)); do
    case $1 in
      --once) once=1 ;;
      --port | --data-dir | --python) [ $# -ge 2 ] || die "$1 needs a value"; set_option "$1" "$2"; shift ;;
      --port=* | --data-dir=* | --python=*) set_option "${1%%=*}" "${1#*=}" ;;
      *) passed+=("$1") ;;
    esac
    shift
  done
  [[ $port =~ ^[0-9]{1,5}$ ]] || die "--port $port is not a port number"
  refuse_busy_port "$port"
  need_packages
  build_preset release treadle || exit 1
  refuse_busy_port "$port" # the build took a while
  start_server
  run_examples
  say
  say "ready in $(human_ms $(($(now_ms) - begun)))"
  if [ $once = 1 ]; then
    stop_server INT
    exit $examples_status
  fi
  tell_what_next
  wait_for_server
  exit $server_status
}

set_option() {
  case $1 in
    --port) port=$2 ;;
    --data-dir) data_dir=$2 ;;
    --python) python=$2 ;;
  esac
}

refuse_busy_port() {
  local owner free
  owner=$(port_owner "$1") || return 0
  free=$(next_free_port "$1") || die "port $1 is taken by $owner"
  die "port $1 is taken by $owner. Stop it, or use the next free port: ./dev run --port $free"
}

# Starts the server in a process group of its own, so that one Ctrl-C reaches it once: through forward_signal.
start_server() {
  url=http://127.0.0.1:$port
  heading "treadle serve on $url"
  set -m
  build/treadle serve --port "$port" --data-dir "$data_dir" --python "$python" ${passed[@]+"${passed[@]}"} </dev/null &
  server=$!
  set +m
  trap 'forward_signal INT' INT
  trap 'forward_signal TERM' TERM HUP
  trap 'kill -TERM "$server" 2>/dev/null || true' EXIT
  local tries
  for tries in $(seq 300); do
    answers "$port" /readyz && return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  if kill -0 "$server" 2>/dev/null; then
    warn "the server did not become ready within 15 s ($url/readyz)."
    stop_server TERM
    exit 1
  fi
  wait_for_server
  exit $((server_status ? server_status : 1)) # it has said why
}

forward_signal() { kill -"$1" "$server" 2>/dev/null || true; }

# answers PORT PATH: whether the server answers 200 there. Plain bash: curl is no part of a bare system.
answers() {
  local line
  {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$2" "$1" >&3
    read -r -t 5 line <&3 || line=
    exec 3>&-
  } 2>/dev/null
  [[ $line == HTTP/1.?' 200'* ]]
}

run_examples() {
  local name
  examples_status=0
  for name in pi wordcount; do
    heading "examples/$name.py"
    PYTHONPATH=python "$TREADLE_PYTHON" "examples/$name.py" --url "$url" && continue
    examples_status=$?
    warn "examples/$name.py ended with exit code $examples_status"
  done
}

# A trap cuts `wait` short, so it is asked again until the server is really gone.
wait_for_server() {
  server_status=0
  while :; do
    wait "$server" && server_status=0 || server_status=$?
    kill -0 "$server" 2>/dev/null || break
  done
  # A signal to us ends `wait` with 128 and more, even as the server ends: its own status is had by asking again.
  local again=0
  wait "$server" 2>/dev/null || again=$?
  ((again == 127)) || server_status=$again
  trap - EXIT
}

stop_server() {
  kill -"$1" "$server" 2>/dev/null || true
  wait_for_server
}

tell_what_next() {
  local data
  data=$(cd "$data_dir" 2>/dev/null && pwd || echo "$data_dir")
  cat <<TEXT

  API      $url
  docs     $url/docs
  metrics  $url/metrics

Run a function of your own: paste this into a second terminal.

cd $TREADLE_ROOT
PYTHONPATH=python $TREADLE_PYTHON - <<'EOF'
from treadle import Client

def greet(name):
    import os
    return f"Hello {name}, from process {os.getpid()}"

client = Client("$url")
function = client.register(greet)
print(client.submit(function, "world").result())
EOF

Functions and results are kept in $data
Remove them, once this has stopped, with:  rm -r '$data'
Ctrl-C stops the server.
TEXT
}
