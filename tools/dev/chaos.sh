# ./dev chaos [--rows NAME,...] [--cell CELL] [--minutes N] [--list] [--json FILE] [--jobs N] [--seed S]: faults against the real
# programs, judged by the history checker (tests/chaos). Without --minutes every row once, under 8 minutes; with it the long
# campaign, which writes docs/RELIABILITY.md.
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh

verb_chaos() {
  need_packages test
  build_preset release treadle chaos_shim || exit 1
  export TREADLE_BIN=${TREADLE_BIN:-$TREADLE_ROOT/build/treadle}
  exec "$TREADLE_PYTHON" tests/chaos/campaign.py "$@"
}
