#!/usr/bin/python3
"""Checks of the tree that no compiler makes: layers, heavy headers, left-overs, layout. The rules are in lint_rules.py.

    tools/lint.py [--root DIR]      prints each finding as path:line: text, then their number; exit 1 if there are any
    tools/lint.py --heavy           prints the rows that tools/heavy_headers.tsv would need for the tree as it is
"""
import argparse
import pathlib
import subprocess
import sys

import lint_rules

NOT_OURS = {".git", "node_modules", "__pycache__", "treadle-data"}


class Tree:
    """The files of the project (what git tracks or would track), each read at most once."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = sorted(p for p in self._list() if (self.root / p).is_file())
        self._texts = {}

    def _list(self):
        git = subprocess.run(["git", "-C", str(self.root), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, text=True)
        if git.returncode == 0:
            return [p for p in git.stdout.split("\0") if p]
        every = (p.relative_to(self.root) for p in self.root.rglob("*"))
        return [str(p) for p in every if not NOT_OURS & set(p.parts) and not p.parts[0].startswith("build")]

    def text(self, path):
        """The text of a file; empty for one that is not text."""
        if path not in self._texts:
            try:
                data = (self.root / path).read_bytes()
                self._texts[path] = "" if b"\0" in data else data.decode()
            except (OSError, UnicodeDecodeError):
                self._texts[path] = ""
        return self._texts[path]

    def lines(self, path):
        return enumerate(self.text(path).splitlines(), 1)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--root", default=pathlib.Path(__file__).resolve().parent.parent)
    p.add_argument("--heavy", action="store_true")
    a = p.parse_args()
    tree = Tree(a.root)
    if a.heavy:
        print("\n".join(f"{pattern}\t{path}" for pattern, path in sorted(lint_rules.heavy_uses(tree))))
        return 0
    findings = [f for rule in lint_rules.RULES for f in rule(tree)]
    for path, line, text in sorted(findings):
        print(f"{path}:{line}: {text}")
    print(f"lint: {len(findings)} findings in {len(tree.files)} files")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
