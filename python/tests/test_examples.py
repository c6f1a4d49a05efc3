"""The examples: their output is right, and without a server they say so."""

import re
import subprocess
import sys

import pytest

from server import ROOT, clean_env


def example(name, *argv):
    command = [sys.executable, ROOT / "examples" / name, *argv]
    done = subprocess.run(
        command, env=clean_env(PYTHONPATH=ROOT / "python"), capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def test_pi(url):
    code, out, err = example("pi.py", "--url", url)
    assert code == 0, err
    assert abs(float(re.search(r"pi is about ([\d.]+)", out).group(1)) - 3.14159) < 0.01
    assert re.search(r"100 tasks in [\d.]+ s: \d+ tasks/s", out)


def test_pi_notices_shards_that_are_alike():
    """Planted: every task draws the same darts. The check of the example is a check."""
    source = (ROOT / "examples" / "pi.py").read_text()
    assert 'sys.exit(f"pi.py: the error is over' in source
    planted = source.replace("client.map(hits, [options.darts] * options.shards)", "[15000] * options.shards")
    assert planted != source
    env = clean_env(PYTHONPATH=ROOT / "python")
    done = subprocess.run([sys.executable, "-c", planted], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "not independent" in done.stderr


def test_wordcount(url):
    code, out, err = example("wordcount.py", "--url", url)
    assert code == 0, err
    rows = re.findall(r"^ *([\d,]+)  (\w+)$", out, re.M)
    assert len(rows) == 10 and rows[0][1] == "the"
    counts = [int(n.replace(",", "")) for n, _ in rows]
    assert counts == sorted(counts, reverse=True) and counts[0] > 1000


@pytest.mark.parametrize("name", ["pi.py", "wordcount.py"])
def test_without_a_server(name):
    code, out, err = example(name, "--url", "http://127.0.0.1:1")
    assert code == 1 and "http://127.0.0.1:1" in err and "treadle serve" in err and "Traceback" not in err


def test_wordcount_without_texts(tmp_path):
    code, _, err = example("wordcount.py", "--folder", tmp_path)
    assert code == 1 and str(tmp_path) in err and "Traceback" not in err
