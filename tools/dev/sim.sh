# ./dev sim [--seeds N] [--seed S] [--shrink S] [--planted]: the simulator; options go to build/treadle_sim.
source tools/dev/lib/packages.sh
source tools/dev/lib/build.sh

verb_sim() {
  need_packages
  build_preset release treadle_sim treadle_sim_planted || exit 1
  exec build/treadle_sim "$@"
}
