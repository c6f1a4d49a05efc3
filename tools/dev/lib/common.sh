# Small helpers of every verb. Sourced by ./dev, which has set TREADLE_ROOT and TREADLE_PYTHON and stands in the root.

say() { printf '%s\n' "$*"; }
heading() { printf '\n== %s\n' "$*"; }
warn() { printf 'dev: %s\n' "$*" >&2; }

# die TEXT: the request cannot be carried out as it stands (exit 2, like the product's own start-up faults).
die() {
  warn "$*"
  exit 2
}

now_ms() { local t=${EPOCHREALTIME/[.,]/}; printf '%s' "${t%???}"; }

# human_ms MS: "850 ms", "12.3 s" or "4 min 07 s".
human_ms() {
  local ms=$1
  if ((ms < 1000)); then
    printf '%d ms' "$ms"
  elif ((ms < 60000)); then
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
  else
    printf '%d min %02d s' $((ms / 60000)) $((ms % 60000 / 1000))
  fi
}
