"""The rule about docs/seed.md finds each kind of false row, at its line, and is silent about true ones."""
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lint
import lint_seed

FILES = {
    "docs/seed-report.md": "calls `handle_task` and sends NO_TASK\n",
    "src/core/dispatcher.cpp": "// gone_long_ago was here\nvoid place_one() {}\n",
    "src/core/dispatcher_test.cpp": "TEST(Dispatcher, Places) {\n}\nTEST_F(Wire, Carries) {\n}\n",
    "tests/system/test_a.py": "def test_runs(server):\n    assert server\n",
}
HEAD = "# Title\n\n| statement | where | test |\n|---|---|---|\n"
FIRST_ROW = 5
GOOD = "| handle_task, NO_TASK | `src/core/dispatcher.cpp` `place_one` | `src/core/dispatcher_test.cpp` `Dispatcher.Places` |\n"


class SeedTableTest(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="treadle-lint-"))
        self.addCleanup(shutil.rmtree, self.root)
        for path, text in FILES.items():
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def findings(self, first_row=GOOD, rows=lint_seed.ROWS_MIN):
        (self.root / "docs/seed.md").write_text(HEAD + first_row + GOOD * (rows - 1))
        return list(lint_seed.seed_table_is_true(lint.Tree(self.root)))

    def assert_found(self, row, part):
        found = self.findings(row)
        self.assertEqual([(path, line) for path, line, _ in found], [("docs/seed.md", FIRST_ROW)], found)
        self.assertIn(part, found[0][2])

    def test_true_rows(self):
        self.assertEqual(self.findings(), [])
        for shown in ("`src/core/dispatcher_test.cpp` `Wire.Carries`", "`tests/system/test_a.py` `test_runs`",
                      "`src/core/dispatcher_test.cpp` `Dispatcher.Places` `Wire.Carries`, `tests/system/test_a.py` `test_runs`",
                      "differs: one binary, not four programs", "`tests/system/test_a.py` `test_runs` differs: one binary, not four programs"):
            with self.subTest(shown=shown):
                self.assertEqual(self.findings(f"| handle_task, NO_TASK | `src/core/dispatcher.cpp` `place_one` | {shown} |\n"), [])
        self.assertEqual(self.findings("| nothing of ours | | differs: one binary, not four programs |\n"), [])

    def test_false_rows(self):
        where, shown = "`src/core/dispatcher.cpp` `place_one`", "`tests/system/test_a.py` `test_runs`"
        for row, part in {
            f"| a | `src/core/nowhere.cpp` `place_one` | {shown} |": "there is no file src/core/nowhere.cpp",
            f"| a | `src/core/dispatcher.cpp` `place_two` | {shown} |": "has no name place_two",
            f"| a | `src/core/dispatcher.cpp` `place` | {shown} |": "has no name place",
            f"| a | `src/core/dispatcher.cpp` `gone_long_ago` | {shown} |": "has no name gone_long_ago",
            f"| a | `src/core/dispatcher.cpp` | {shown} |": "stands without a name",
            f"| a | `place_one` | {shown} |": "stands without a file",
            f"| a | the core | {shown} |": "names no file",
            f"| a | {where} | `tests/system/test_b.py` `test_runs` |": "there is no file tests/system/test_b.py",
            f"| a | {where} | `tests/system/test_a.py` `test_run` |": "has no test test_run",
            f"| a | {where} | `tests/system/test_a.py` |": "stands without a test",
            f"| a | {where} | `src/core/dispatcher_test.cpp` `Dispatcher.Place` |": "has no test Dispatcher.Place",
            f"| a | {where} | `src/core/dispatcher_test.cpp` `Wire.Places` |": "has no test Wire.Places",
            f"| a | {where} | |": "names no file with a test",
            f"| a | {where} | differs: |": "needs its reason",
            f"| a | {where} | differs: so |": "needs its reason",
            f"| a | {where} |": "three cells",
            f"| | {where} | {shown} |": "three cells",
        }.items():
            with self.subTest(row=row):
                self.assert_found(row + "\n", part)

    def test_an_emptied_table(self):
        found = self.findings(rows=lint_seed.ROWS_MIN - 1)
        self.assertEqual([f[:2] for f in found], [("docs/seed.md", 1)])
        self.assertIn(f"has {lint_seed.ROWS_MIN - 1} rows", found[0][2])

    def test_a_name_of_the_report_without_a_row(self):
        (self.root / "docs/seed-report.md").write_text("says HEART_BEAT\nand handle_task, reg_workers\n")
        self.assertEqual([(path, line, text.split()[-1]) for path, line, text in self.findings()],
                         [("docs/seed-report.md", 1, "HEART_BEAT"), ("docs/seed-report.md", 2, "reg_workers")])

    def test_a_table_that_is_not_there(self):
        self.assertIn("has 0 rows", [text for _, _, text in lint_seed.seed_table_is_true(lint.Tree(self.root))][0])


if __name__ == "__main__":
    unittest.main()
