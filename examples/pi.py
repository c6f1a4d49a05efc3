"""Estimates pi by throwing random darts, in 100 tasks that run wherever the server has a free slot.

PYTHONPATH=python python3 examples/pi.py --url http://127.0.0.1:8000
"""

import argparse
import math
import sys
import time

from treadle import Client, TreadleError


def hits(darts):
    """How many of `darts` random points of the unit square lie within the quarter circle."""
    import random

    return sum(random.random() ** 2 + random.random() ** 2 <= 1 for _ in range(darts))


def main():
    parser = argparse.ArgumentParser(description="Monte-Carlo estimate of pi on a Treadle server")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the server (default %(default)s)")
    parser.add_argument("--shards", type=int, default=100, help="tasks (default %(default)s)")
    parser.add_argument("--darts", type=int, default=20_000, help="random points for each task (default %(default)s)")
    options = parser.parse_args()

    begun = time.monotonic()
    with Client(options.url) as client:
        inside = list(client.map(hits, [options.darts] * options.shards))
    seconds = time.monotonic() - begun

    total = options.shards * options.darts
    estimate = 4 * sum(inside) / total
    # Four standard deviations of the estimate: a sound generator leaves them once in 16,000 runs.
    expected = 4 * 4 * math.sqrt(math.pi / 4 * (1 - math.pi / 4) / total)
    error = estimate - math.pi
    print(f"pi is about {estimate:.5f} after {total:,} darts in {options.shards} tasks (error {error:+.5f})")
    print(f"{options.shards} tasks in {seconds:.2f} s: {options.shards / seconds:.0f} tasks/s")
    if abs(error) > expected:
        sys.exit(f"pi.py: the error is over {expected:.5f}: the darts of different tasks were not independent")


if __name__ == "__main__":
    try:
        main()
    except TreadleError as error:
        sys.exit(f"pi.py: {error}")
