# ./dev sim [--seeds N] [--seed S]: the simulator; options go to build/treadle_sim.
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh

verb_sim() {
  need_packages
  build_preset release treadle_sim || exit 1
  exec build/treadle_sim "$@"
}
