"""A network namespace of its own for a program, joined to this one by a veth pair: links that go down, one-way loss."""

import contextlib
import itertools
import json
import os
import pathlib
import random
import shutil
import subprocess

ABYSS = "02:00:00:00:00:01"  # nobody's address: what is sent to it is dropped on arrival, silently
NET = "198.18"  # a range for tests of networks (RFC 2544), that no host of the internet has
PREFIX = "tr"
numbers = itertools.count()


def ip(*words):
    """What `ip` prints; its complaint is an OSError."""
    done = subprocess.run(["ip", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise OSError(f"ip {' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def why_not():
    """Why there can be no namespaces here; "" if there can."""
    if not shutil.which("ip") or not shutil.which("nsenter"):
        return "no ip or nsenter (tools/packages.tsv)"
    try:
        Island().close()
    except OSError as error:
        return str(error)
    return ""


def sweep():
    """Removes the namespaces of rows that were killed. Their end of the pair goes with them."""
    with contextlib.suppress(OSError):
        for line in ip("netns", "list").splitlines():
            name = line.split()[0]
            owner = name.removeprefix(PREFIX).split("-")[0]
            if name.startswith(PREFIX) and owner.isdigit() and not pathlib.Path(f"/proc/{owner}").exists():
                with contextlib.suppress(OSError):  # another row was quicker
                    ip("netns", "del", name)


class Island:
    """`address` is this side's, by which programs in the namespace reach this one. `wrap` goes before their words."""

    def __init__(self):
        sweep()
        self.name = f"{PREFIX}{os.getpid()}-{next(numbers)}"  # an interface has at most 15 letters
        self._here, self._there = self.name, f"{self.name}i"
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self.name)
            self.address, self._inner = self._addresses()
            ip("addr", "add", f"{self.address}/30", "dev", self._here)
            ip("link", "set", self._here, "up")
            self._inside("addr", "add", f"{self._inner}/30", "dev", self._there)
            self._inside("link", "set", "lo", "up")
            self._inside("link", "set", self._there, "up")
        except BaseException:
            self.close()
            raise

    @property
    def wrap(self):
        """With it a program has the namespace's network, and the same pid, files and parent."""
        return [shutil.which("nsenter"), f"--net=/run/netns/{self.name}"]

    def _addresses(self):
        """Two of a small net that no interface has."""
        taken = ip("-4", "-o", "addr")
        while True:
            net = f"{NET}.{random.randrange(256)}"
            low = 4 * random.randrange(64)
            if f" {net}.{low + 1}/" not in taken:
                return f"{net}.{low + 1}", f"{net}.{low + 2}"

    def _inside(self, *words):
        return ip("-n", self.name, *words)

    # -- faults ------------------------------------------------------------------------------------------------------

    def link_down(self):
        self._inside("link", "set", self._there, "down")

    def link_up(self):
        self._inside("link", "set", self._there, "up")

    def lose(self, inbound):
        """All that goes into the namespace, or out of it, is lost from now on: its sender has a wrong address for it."""
        if inbound:
            ip("neigh", "replace", self._inner, "lladdr", ABYSS, "dev", self._here, "nud", "permanent")
        else:
            self._inside("neigh", "replace", self.address, "lladdr", ABYSS, "dev", self._there, "nud", "permanent")

    def heal(self, inbound):
        if inbound:
            ip("neigh", "del", self._inner, "dev", self._here)
        else:
            self._inside("neigh", "del", self.address, "dev", self._there)

    # -- what struck -------------------------------------------------------------------------------------------------

    def carrier_losses(self):
        return int(pathlib.Path(f"/sys/class/net/{self._here}/carrier_down_count").read_text())

    def packets_out(self, inbound):
        """That the sending side has sent so far, to whomever."""
        words = ("-j", "-s", "link", "show", "dev")
        (link,) = json.loads(ip(*words, self._here) if inbound else self._inside(*words, self._there))
        return link["stats64"]["tx"]["packets"]

    def close(self):
        with contextlib.suppress(OSError):
            ip("netns", "del", self.name)
        with contextlib.suppress(OSError):  # gone with the namespace, but not at once while a process is in it
            ip("link", "del", self._here)
