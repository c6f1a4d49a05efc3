"""Importing this takes away what Windows lacks, or macOS: modules, fork() and poll(). pytest takes it as a plugin (`-p without_unix`)."""

import os
import select
import sys

MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
FUNCTIONS = ("fork", "forkpty", "register_at_fork")


class Missing:
    """Finds none of MODULES, and remembers whether anybody asked."""

    asked = set()

    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            self.asked.add(name)
            raise ModuleNotFoundError(f"No module named {name!r} on this system", name=name)


for one in MODULES:
    sys.modules.pop(one, None)
sys.meta_path.insert(0, Missing())
for one in FUNCTIONS:
    delattr(os, one)
del select.poll
