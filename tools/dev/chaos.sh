# ./dev chaos: kills, partitions and full disks against the real processes.
verb_chaos() { die "chaos is not there yet: it comes with the reliability work. ./dev sim injects faults into a simulated cluster."; }
