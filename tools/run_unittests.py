#!/usr/bin/python3
"""run_unittests.py TALLY FOLDER: runs FOLDER/*_test.py with unittest, and writes the counts as ./dev test reads them."""
import sys
import unittest


def main():
    tally, folder = sys.argv[1:]
    result = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.discover(folder, pattern="*_test.py"))
    bad = [str(test) for test, _ in result.failures + result.errors]
    with open(tally, "w") as out:
        for name in bad:
            print(f"FAILED {name}: see above", file=out)
        print("COUNT", result.testsRun - len(bad) - len(result.skipped), len(bad), len(result.skipped), file=out)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
