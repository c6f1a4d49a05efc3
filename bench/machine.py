"""What a result was measured on: machine, kernel, versions, revision; and what the disk takes for a sync."""
import os
import pathlib
import platform
import re
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def said(*command):
    """First line of what a program prints, "" if there is none."""
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (out.stdout or out.stderr).strip().split("\n")[0]


def cpu_model():
    found = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found.group(1) if found else platform.machine()


def sync_us(writes=100):
    """Median of an fdatasync after 4 KiB written over existing bytes, on the disk where the stores of a run are."""
    took = []
    with tempfile.TemporaryFile() as file:
        fd = file.fileno()
        os.write(fd, bytes(4096 * writes))
        os.fsync(fd)
        for place in range(writes):
            os.pwrite(fd, os.urandom(4096), place * 4096)
            begun = time.perf_counter()
            os.fdatasync(fd)
            took.append((time.perf_counter() - begun) * 1e6)
    return round(statistics.median(took), 1)


def revision():
    changed = subprocess.run(["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True).stdout
    return said("git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD") + ("+changes" if changed.strip() else "")


def describe(binary, python):
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return {"cpu": cpu_model(), "cpus": len(os.sched_getaffinity(0)), "memory_gib": round(int(memory.group(1)) / 2**20, 1), "kernel": platform.release(),
            "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""), "sync_us": sync_us(), "treadle": said(binary, "version"),
            "python": said(python, "-V"), "redis": said("redis-server", "--version"), "compiler": said("g++", "--version"), "revision": revision()}
