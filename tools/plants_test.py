"""Every line of tests/sim/plants.tsv can still be planted: the program with the plants is built by `./dev sim` only."""
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/sim"))
import plants  # noqa: E402


class Plants(unittest.TestCase):
    table = ROOT / "tests/sim/plants.tsv"

    def test_each_stands_in_its_file_once(self):
        texts = {}
        names = plants.plant(texts, ROOT / "src", self.table)
        self.assertGreaterEqual(len(names), 45)
        for name in names:
            self.assertTrue(any(f"plant::{name})" in text for text in texts.values()), name)

    def test_one_whose_line_has_gone_is_told(self):
        class Changed:
            def read_text(self):
                return "name\twhat is broken\tcore/dispatcher.cpp\tno such line\tPLANT\n"

        with self.assertRaisesRegex(SystemExit, "its text stands in core/dispatcher.cpp 0 times"):
            plants.plant({}, ROOT / "src", Changed())


if __name__ == "__main__":
    unittest.main()
