"""The commands of the README's section "Several machines", as they stand there, on free ports and a Redis of their own."""

import re
import shlex
import subprocess
import sys

from program import Program, Redis
from server import BIN, ROOT


def double(x):
    return x * 2


def section_commands():
    section = (ROOT / "README.md").read_text().split("## Several machines")[1].split("\n## ")[0]
    return [shlex.split(line, comments=True) for line in re.findall(r"^    (.+)$", section, re.M)]


def test_the_lines_of_the_readme_make_a_service(tmp_path, fleet):
    redis_line, *lines = section_commands()
    assert [words[:2] for words in lines] == [["treadle", verb] for verb in ("gateway", "dispatcher", "worker")]
    assert redis_line[0] == "redis-server" and subprocess.run([*redis_line[:1], "--version"], capture_output=True).returncode == 0
    gateway = fleet.gateway()
    store = ("--store", fleet.redis.url)
    dispatcher_words = ["0" if word == "7001" else word for word in lines[1][1:]]
    dispatcher = Program(tmp_path, "dispatcher", BIN, *dispatcher_words, *store).start()
    endpoint = dispatcher.says(r"workers: treadle worker push SLOTS (\S+)").group(1)
    worker_words = [endpoint if "://" in word else word for word in lines[2][1:]]
    worker = Program(tmp_path, "worker", BIN, *worker_words, "--python", sys.executable).start()
    try:
        assert gateway.run(double, 21) == 42
    finally:
        worker.stop()
        dispatcher.stop()
