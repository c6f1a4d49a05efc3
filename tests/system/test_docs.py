"""The commands that README.md and docs/ show are run: each fenced block that follows a comment `<!-- test: NAME -->`.

A `sh` block runs in bash (-euo pipefail), a `python` block in the interpreter of these tests, both in the root of the
tree, with
`treadle` on PATH and python/ on PYTHONPATH. Where a block says 127.0.0.1:8000 it gets the address of a server made for
it, unless it
starts one itself. `<!-- test: NAME => TEXT -->` also asks for TEXT in the output. What a block leaves in its folder is
thrown away: `treadle-data`
is replaced by a temporary folder.
"""

import os
import re
import subprocess
import sys

import pytest

from server import BIN, ROOT, clean_env

BLOCK = re.compile(
    r"^<!-- test: (?P<name>[\w-]+)(?: => (?P<expect>.*?))? -->\n+```(?P<kind>\w+)\n(?P<code>.*?)^```", re.M | re.S
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks():
    for page in PAGES:
        if page.exists():
            for found in BLOCK.finditer(page.read_text()):
                yield pytest.param(found.groupdict(), id=f"{page.stem}-{found['name']}")


def test_every_marker_has_its_block():
    """A marker that the pattern above does not take would be a block that nobody runs."""
    for page in PAGES:
        text = page.read_text() if page.exists() else ""
        assert text.count("<!-- test:") == len(BLOCK.findall(text)), page
    assert "<!-- test:" in PAGES[0].read_text(), "README.md shows commands; at least one is run here"


def test_names_are_unique():
    ids = [block.id for block in blocks()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("block", blocks())
def test_block(block, serve, tmp_path):
    code = block["code"]
    assert block["kind"] in ("sh", "python"), f"blocks of kind {block['kind']} cannot be run"
    starts_one = re.search(r"\btreadle serve\b|\./dev run\b", code)
    if "127.0.0.1:8000" in code and not starts_one:
        code = code.replace("127.0.0.1:8000", f"127.0.0.1:{serve('-w', 2).port}")
    code = code.replace("treadle-data", str(tmp_path / "data"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "treadle").symlink_to(BIN)
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    env = clean_env(
        PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}", PYTHONPATH=ROOT / "python", TREADLE_PYTHON=sys.executable
    )
    command = ["bash", "-euo", "pipefail", "-c", code] if block["kind"] == "sh" else [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{block['code']}\n{done.stdout}\n{done.stderr}"
    if block["expect"]:
        assert block["expect"] in done.stdout, f"{block['code']}\n{done.stdout}"
