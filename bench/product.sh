#!/usr/bin/env bash
# product.sh STORE MODE WORKERS PORT: a load.py target for the built product; TREADLE names the binary.
# STORE: strict | fast (SQLite durability) | redis | redis-always. PUSH and PULL use one worker program with WORKERS slots.
set -u
store=$1 mode=$2 workers=$3 port=$4 bin=${TREADLE:?path of the treadle binary}
python=${TREADLE_PYTHON:-/usr/bin/python3}
dir=$(mktemp -d)
pids=()
stop() {
  kill "${pids[@]}" 2>/dev/null
  wait 2>/dev/null
  rm -rf "$dir"
  exit 0
}
trap stop TERM INT
case $store in
  strict | fast) where=(--data-dir "$dir/data" --durability "$store") ;;
  redis*)
    rport=$((port + 1000)) fsync=everysec
    [ "$store" = redis-always ] && fsync=always
    redis-server --port $rport --bind 127.0.0.1 --save "" --appendonly yes --appendfsync $fsync --dir "$dir" >"$dir/redis.log" 2>&1 &
    pids+=($!)
    sleep 0.4
    where=(--store "redis://127.0.0.1:$rport/0")
    ;;
esac
cd "$dir" || exit 1
if [ "$mode" = local ]; then
  "$bin" serve --port "$port" -m local -w "$workers" --python "$python" "${where[@]}" >"$dir/serve.log" 2>&1 &
  pids+=($!)
else
  zport=$((port + 2000))
  "$bin" serve --port "$port" -m "$mode" -p $zport "${where[@]}" >"$dir/serve.log" 2>&1 &
  pids+=($!)
  "$bin" worker "$mode" "$workers" tcp://127.0.0.1:$zport --python "$python" >"$dir/worker.log" 2>&1 &
  pids+=($!)
fi
ready() {
  local line
  exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
  printf 'GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
  read -r line <&3
  exec 3>&-
  [[ $line == *' 200'* ]]
}
for _ in $(seq 200); do
  ready 2>/dev/null && break
  if ! kill -0 "${pids[-1]}"; then
    cat "$dir"/*.log >&2
    exit 1
  fi
  sleep 0.1
done
echo "READY http://127.0.0.1:$port"
sleep infinity &
pids+=($!)
wait
