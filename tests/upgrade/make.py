#!/usr/bin/python3
"""Makes the test files of the version at hand, in a folder named after it; run once for each release.

    TREADLE=build/treadle /usr/bin/python3 tests/upgrade/make.py 0.1.0

Later versions must open them (tests/system/test_upgrade.py): a file here is never made again.
"""

import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

import upgrade  # noqa: E402
from fleet import Fleet  # noqa: E402
from program import Redis  # noqa: E402
from server import Server  # noqa: E402


def make_sqlite(home, folder):
    server = Server(home, "-w", 1)
    try:
        expected = upgrade.fill(server, hold(home))
        server.kill()
        server.sweep()
        upgrade.pack_sqlite(server.data, folder, expected)
    finally:
        server.close()


def make_redis(home, folder):
    redis = Redis(home).start()
    fleet = Fleet(home, redis)
    try:
        gateway = fleet.gateway()
        fleet.dispatcher("local", "-w", 1)
        expected = upgrade.fill(gateway, hold(home))
        fleet.close()
        upgrade.pack_redis(redis, folder, expected)
    finally:
        fleet.close()
        redis.close()


def hold(home):
    path = home / "hold"
    path.touch()
    return path


def main():
    folder = HERE / sys.argv[1]
    folder.mkdir()
    for make in (make_sqlite, make_redis):
        with tempfile.TemporaryDirectory(prefix="treadle-upgrade-") as home:
            make(pathlib.Path(home), folder)
    print(f"{folder}: {upgrade.size(folder)} bytes")


if __name__ == "__main__":
    main()
