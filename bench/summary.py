#!/usr/bin/python3
"""The summary lines of a results file as a table: median, range and ratio to the first server, by workload."""
import json
import sys


def main():
    lines = [json.loads(raw) for raw in open(sys.argv[1])]
    print(f"{'workload':28} {'server':12} {'median':>10} {'min':>10} {'max':>10}   ratio")
    for line in (x for x in lines if "summary" in x):
        if line["median"] is None:
            print(f"{line['summary']:28} {line['server']:12} no run succeeded")
            continue
        name, ratio = next((k, v) for k, v in line.items() if k.startswith("ratio_to_"))
        print(f"{line['summary']:28} {line['server']:12} {line['median']:>10,.0f} {line['min']:>10,.0f} {line['max']:>10,.0f}   "
              + (f"{ratio:.2f} x {name[9:]}" if ratio else "-"))
    broken = [x for x in lines if "error" in x or x.get("unfinished") or x.get("errors")]
    for line in broken:
        print("not sound:", json.dumps(line)[:200])
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
