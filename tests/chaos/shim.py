"""The preloaded library that breaks disks and clocks, and the numbers by which it is told to."""

import mmap
import os
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACES = ("sync_error", "write_error", "one_in", "short", "clock", "failed", "shortened", "wrong_reads")


def library():
    path = os.environ.get("TREADLE_CHAOS_SHIM") or next(iter((ROOT / "build").glob("**/libchaos_shim.so")), None)
    assert path, "no libchaos_shim.so: ./dev chaos builds it, or name it by TREADLE_CHAOS_SHIM"
    return str(path)


class Shim:
    """One for each process that shall be told apart. `env` is for the process; `folder` is where its files are struck."""

    def __init__(self, home, folder):
        self.path = pathlib.Path(home) / "shim"
        self.path.write_bytes(bytes(8 * len(PLACES)))
        with open(self.path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8 * len(PLACES))
        self.env = {"LD_PRELOAD": library(), "CHAOS_CONTROL": str(self.path), "CHAOS_DIR": str(folder)}

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("<q", self._map, 8 * PLACES.index(name), value)

    def get(self, name):
        return struct.unpack_from("<q", self._map, 8 * PLACES.index(name))[0]
