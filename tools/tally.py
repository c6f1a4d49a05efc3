#!/usr/bin/python3
"""Counts tests from the reports that gtest, ctest and pytest wrote, for ./dev test.

    tally.py [--ctest FILE] [--gtest DIR] [--junit FILE]... [--exit-code N]...

Prints "FAILED name: why" for each failure and "COUNT passed failed skipped" at the end. A ctest program that wrote a gtest
report counts as the tests in it; one that failed without a failing test (it crashed, or hung) counts as one failure more.
An exit code that is not 0 where no failure was seen is itself a failure: a runner that died is never a success.
"""
import argparse
import pathlib
import sys
import xml.etree.ElementTree as ET


class Tally:
    def __init__(self):
        self.passed = self.skipped = 0
        self.failures = []

    def fail(self, name, why):
        self.failures.append(f"{name}: {' '.join((why or 'failed').split())[:200]}")


def parse(path):
    """The root element of a report; None if it is missing or cut off (its writer died)."""
    try:
        return ET.parse(path).getroot()
    except (OSError, ET.ParseError):
        return None


def count_cases(root, tally, unit):
    for case in root.iter("testcase"):
        name = ".".join(x for x in (case.get("classname"), case.get("name")) if x)
        bad = case.find("failure")
        if bad is None:
            bad = case.find("error")
        if bad is not None:
            tally.fail(name, bad.get("message") or bad.text)
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            tally.skipped += unit(case)
        else:
            tally.passed += 1


def count_gtest(folder, tally):
    """Returns, by program name, how many failures its report shows."""
    seen = {}
    for path in sorted(pathlib.Path(folder).glob("*.xml")):
        before = len(tally.failures)
        root = parse(path)
        if root is not None:
            # A test that a filter left out is "notrun": neither passed nor skipped.
            count_cases(root, tally, lambda case: 0 if case.get("status") == "notrun" else 1)
        seen[path.stem] = len(tally.failures) - before
    return seen


def count_ctest(path, tally, gtest):
    root = parse(path)
    if root is None:
        tally.fail("ctest", f"left no report in {path}")
        return
    for case in root.iter("testcase"):
        name = case.get("name")
        failed = case.get("status") == "fail" or case.find("failure") is not None
        if name in gtest:
            if failed and gtest[name] == 0:
                tally.fail(name, "the program failed although no test of it did: it crashed, or ran into its time limit")
        elif failed:
            tally.fail(name, "failed")
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            tally.skipped += 1
        else:
            tally.passed += 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ctest")
    p.add_argument("--gtest")
    p.add_argument("--junit", action="append", default=[])
    p.add_argument("--exit-code", type=int, action="append", default=[])
    a = p.parse_args()
    tally = Tally()
    gtest = count_gtest(a.gtest, tally) if a.gtest else {}
    if a.ctest:
        count_ctest(a.ctest, tally, gtest)
    for path in a.junit:
        root = parse(path)
        if root is None:
            tally.fail("pytest", f"left no report in {path}")
        else:
            count_cases(root, tally, lambda case: 1)
    if any(a.exit_code) and not tally.failures:
        tally.fail("runner", f"exit codes {a.exit_code}, though no test failed")
    for line in tally.failures:
        print("FAILED", line)
    print("COUNT", tally.passed, len(tally.failures), tally.skipped)


if __name__ == "__main__":
    sys.exit(main())
