"""./dev test counts what the runners reported, and takes nothing that broke for a success."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
GTEST = ('<testsuites><testsuite name="S"><testcase classname="S" name="Good" status="run"/>'
         '<testcase classname="S" name="Bad" status="run"><failure message="1 != 2"/></testcase>'
         '<testcase classname="S" name="Out" status="notrun"/></testsuite></testsuites>')
GTEST_GOOD = '<testsuites><testsuite><testcase classname="S" name="A" status="run"/><testcase classname="S" name="B" status="run"/></testsuite></testsuites>'
CTEST = '<testsuite><testcase name="prog" status="{0}"/><testcase name="script" status="run"/></testsuite>'
PYTEST = ('<testsuites><testsuite><testcase classname="t" name="a"/><testcase classname="t" name="b"><skipped message="no"/></testcase>'
          '<testcase classname="t" name="c"><error message="setup broke"/></testcase></testsuite></testsuites>')


class TallyTest(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="treadle-tally-"))
        self.addCleanup(shutil.rmtree, self.dir)
        (self.dir / "gtest").mkdir()

    def write(self, name, text):
        (self.dir / name).write_text(text)
        return str(self.dir / name)

    def tally(self, *args):
        return subprocess.run([sys.executable, str(TOOLS / "tally.py"), *args], capture_output=True, text=True, check=True).stdout.splitlines()

    def test_gtest_reports_count_their_tests(self):
        self.write("gtest/prog.xml", GTEST)
        out = self.tally("--ctest", self.write("c.xml", CTEST.format("fail")), "--gtest", str(self.dir / "gtest"), "--exit-code", "8")
        self.assertEqual(out, ["FAILED S.Bad: 1 != 2", "COUNT 2 1 0"])  # Good and the script; Out was filtered

    def test_program_that_crashed_after_its_tests_fails(self):
        self.write("gtest/prog.xml", GTEST_GOOD)
        out = self.tally("--ctest", self.write("c.xml", CTEST.format("fail")), "--gtest", str(self.dir / "gtest"), "--exit-code", "8")
        self.assertEqual(out[-1], "COUNT 3 1 0")
        self.assertIn("crashed", out[0])

    def test_program_that_left_no_report_fails(self):
        out = self.tally("--ctest", self.write("c.xml", CTEST.format("fail")), "--gtest", str(self.dir / "gtest"), "--exit-code", "8")
        self.assertEqual(out, ["FAILED prog: failed", "COUNT 1 1 0"])

    def test_ctest_without_report_fails(self):
        self.assertEqual(self.tally("--ctest", str(self.dir / "none.xml"))[-1], "COUNT 0 1 0")

    def test_pytest_reports(self):
        out = self.tally("--junit", self.write("p.xml", PYTEST), "--exit-code", "1")
        self.assertEqual(out, ["FAILED t.c: setup broke", "COUNT 1 1 1"])

    def test_pytest_that_was_cut_off_fails(self):
        self.assertEqual(self.tally("--junit", self.write("p.xml", PYTEST[:60]))[-1], "COUNT 0 1 0")

    def test_runner_that_died_without_a_failing_test_fails(self):
        good = '<testsuite><testcase name="a"/></testsuite>'
        out = self.tally("--junit", self.write("p.xml", good), "--exit-code", "3")
        self.assertEqual(out[-1], "COUNT 1 1 0")


class StagesTest(unittest.TestCase):
    """stages.sh: every stage runs, failures are repeated, an empty stage fails, and the last line is the plain count."""

    def run_stages(self, body):
        with tempfile.TemporaryDirectory(prefix="treadle-stages-") as results:
            script = f"set -euo pipefail; results={results}; words=(); source tools/dev/lib/common.sh; source tools/dev/lib/stages.sh\n{body}\nfinish"
            return subprocess.run(["bash", "-c", script], cwd=TOOLS.parent, capture_output=True, text=True)

    def test_counts_are_summed(self):
        run = self.run_stages('a() { echo "COUNT 3 0 0" >$results/a.tally; }; b() { echo "COUNT 2 0 1" >$results/b.tally; }; stage A a; stage B b')
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(run.stdout.splitlines()[-1], "5 passed, 0 failed, 1 skipped")

    def test_later_stages_run_and_failures_are_shown_again(self):
        run = self.run_stages('a() { printf "FAILED x.y: why\\nCOUNT 1 1 0\\n" >$results/a.tally; }; b() { echo "COUNT 2 0 0" >$results/b.tally; }; stage A a; stage B b')
        self.assertEqual(run.returncode, 1)
        self.assertIn("A: x.y: why", run.stdout.split("== failed")[1])
        self.assertEqual(run.stdout.splitlines()[-1], "3 passed, 1 failed")

    def test_stage_without_a_test_fails(self):
        run = self.run_stages('a() { echo "COUNT 0 0 0" >$results/a.tally; }; stage A a')
        self.assertEqual(run.returncode, 1)
        self.assertIn("A: ran no test", run.stdout)

    def test_command_counts_as_one_test_or_as_what_it_says(self):
        run = self.run_stages('a() { count_command one true; }; b() { count_command two echo "7 passed, 0 failed"; }; c() { count_command three false; }; stage A a; stage B b; stage C c')
        self.assertEqual(run.returncode, 1)
        self.assertIn("C: three: exit code 1", run.stdout)
        self.assertEqual(run.stdout.splitlines()[-1], "8 passed, 1 failed")


if __name__ == "__main__":
    unittest.main()
