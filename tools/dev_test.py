"""./dev itself: its verbs, and `./dev run` against a stand-in for the built product."""
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Answers /readyz; on SIGINT says so and ends well, as the product does.
SERVER = """#!/usr/bin/python3
import http.server, os, signal, sys
args = sys.argv[1:]
port = int(args[args.index("--port") + 1])
print("server: " + " ".join(args), flush=True)
if "--broken" in args:
    sys.exit("no python there")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
def stop(*_):
    print("server: stopped", flush=True)
    os._exit(0)
signal.signal(signal.SIGINT, stop)
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
EXAMPLE = 'import os, sys\nprint("example " + " ".join(sys.argv[1:]) + " " + os.environ["PYTHONPATH"])\nsys.exit({0})\n'


def free_port():
    """Below the range that the kernel gives to outgoing connections: nobody takes it between here and its use."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) != 0:
                return port


class VerbsTest(unittest.TestCase):
    def dev(self, *args):
        return subprocess.run(["./dev", *args], cwd=ROOT, capture_output=True, text=True)

    def test_help_names_each_verb(self):
        run = self.dev("--help")
        self.assertEqual(run.returncode, 0)
        listed = set(re.findall(r"^  ([a-z]+) {3,}", run.stdout, re.M))
        self.assertEqual(listed, {p.stem for p in (ROOT / "tools/dev").glob("*.sh")})

    def test_each_verb_file_defines_its_verb(self):
        for path in (ROOT / "tools/dev").glob("*.sh"):
            self.assertIn(f"\nverb_{path.stem}() {{", path.read_text())

    def test_all_scripts_parse(self):
        for path in [ROOT / "dev", ROOT / ".ci/run", *ROOT.glob("tools/dev/**/*.sh"), *ROOT.glob("bench/**/*.sh")]:
            self.assertEqual(subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True).stderr, "")

    def test_unknown_verbs_and_options_exit_2(self):
        for args in (["fly"], ["../build"], ["test", "--fast"], ["bare", "--suite", "woody"], ["fuzz", "--seconds", "soon"]):
            with self.subTest(args=args):
                run = self.dev(*args)
                self.assertEqual(run.returncode, 2, run.stderr)
                self.assertIn("dev:", run.stderr)


class RunTest(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="treadle-dev-"))
        self.addCleanup(shutil.rmtree, self.root)
        shutil.copy(ROOT / "dev", self.root)
        shutil.copytree(ROOT / "tools/dev", self.root / "tools/dev")
        self.put("build/build.ninja", "")
        self.put("build/treadle", SERVER, 0o755)
        self.put("bin/ninja", "#!/bin/sh\nexit 0\n", 0o755)
        self.put("examples/pi.py", EXAMPLE.format(0))
        self.put("examples/wordcount.py", EXAMPLE.format(0))
        self.port = free_port()

    def put(self, path, text, mode=0o644):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def start(self, *args):
        env = dict(os.environ, PATH=f"{self.root}/bin:{os.environ['PATH']}", TREADLE_SKIP_PACKAGES="1", TREADLE_PYTHON="/usr/bin/python3")
        process = subprocess.Popen(["./dev", "run", "--port", str(self.port), *args], cwd=self.root, env=env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def finish(self, process):
        out, _ = process.communicate(timeout=30)
        return process.returncode, out

    def assert_port_free(self):
        with socket.socket() as s:
            self.assertNotEqual(s.connect_ex(("127.0.0.1", self.port)), 0)

    def test_once_runs_the_examples_and_stops(self):
        code, out = self.finish(self.start("--once", "-w", "3"))
        self.assertEqual(code, 0, out)
        self.assertIn(f"server: serve --port {self.port} --data-dir ./treadle-data --python /usr/bin/python3 -w 3", out)
        self.assertEqual(out.count(f"example --url http://127.0.0.1:{self.port} python"), 2, out)
        self.assertIn("server: stopped", out)
        self.assert_port_free()

    def test_once_ends_with_the_exit_code_of_the_examples(self):
        self.put("examples/pi.py", EXAMPLE.format(7))
        code, out = self.finish(self.start("--once"))
        self.assertEqual(code, 7, out)
        self.assert_port_free()

    def test_serves_until_interrupted_and_tells_what_next(self):
        process = self.start("--data-dir", "elsewhere")
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        self.assertIn(f"  docs     http://127.0.0.1:{self.port}/docs\n", lines)
        self.assertIn("PYTHONPATH=python /usr/bin/python3 - <<'EOF'\n", lines)
        self.assertTrue(any("rm -r 'elsewhere'" in line for line in lines), lines)
        time.sleep(0.2)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        code, out = self.finish(process)
        self.assertEqual(code, 0)
        self.assertIn("server: stopped", out)
        self.assert_port_free()

    def test_busy_port_names_its_owner_and_a_free_one(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", self.port))
            taken.listen()
            code, out = self.finish(self.start())
        self.assertEqual(code, 2, out)
        self.assertIn(f"port {self.port} is taken by process {os.getpid()} (", out)
        free = int(re.search(r"\./dev run --port (\d+)", out)[1])
        self.assertGreater(free, self.port)

    def test_server_that_cannot_start_passes_on_its_exit_code(self):
        code, out = self.finish(self.start("--broken"))
        self.assertEqual(code, 1, out)
        self.assertIn("no python there", out)


if __name__ == "__main__":
    unittest.main()
