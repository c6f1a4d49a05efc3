"""The table of Debian packages is sound, and tools/dev/lib/packages.sh reads it as it is meant."""
import collections
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
GROUPS = {"build", "web", "test", "fuzz", "lint", "bench", "package", "bare"}
NAME = re.compile(r"-|[a-z0-9][a-z0-9+.-]+")


def rows():
    for line in (ROOT / "tools/packages.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def shell(script, **env):
    setup = "set -euo pipefail; source tools/dev/lib/common.sh; source tools/dev/lib/packages.sh; "
    return subprocess.run(["bash", "-c", setup + script], cwd=ROOT, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True)


class PackagesTest(unittest.TestCase):
    def test_each_row_has_a_known_group_a_purpose_and_a_name_for_each_system(self):
        for row in rows():
            self.assertEqual(len(row), 5, row)
            self.assertIn(row[0], GROUPS, row)
            self.assertTrue(row[1].strip(), row)
            for name in row[2:]:
                self.assertRegex(name, f"^({NAME.pattern})$", row)

    def test_no_package_is_named_twice(self):
        for column in (2, 3, 4):
            names = collections.Counter(row[column] for row in rows() if row[column] != "-")
            self.assertEqual([n for n, count in names.items() if count > 1], [])

    def test_each_group_has_a_package(self):
        self.assertEqual({row[0] for row in rows()}, GROUPS)

    def test_each_system_gets_its_own_column(self):
        for column, name in ((3, "libclang-rt-14-dev"), (4, "libclang-rt-19-dev"), (5, "libclang-rt-18-dev")):
            run = shell(f"package_column() {{ echo {column}; }}; packages_of fuzz")
            self.assertEqual(run.stdout.split(), ["clang", name], run.stderr)

    def test_node_is_asked_for_only_where_there_is_none(self):
        run = shell("package_column() { echo 3; }; have_node() { return 1; }; packages_of web")
        self.assertEqual(run.stdout.split(), ["nodejs", "npm"], run.stderr)
        run = shell("package_column() { echo 3; }; have_node() { return 0; }; packages_of web")
        self.assertEqual(run.stdout.split(), [])

    def test_missing_packages_are_found(self):
        run = shell("missing_of bash no-such-package-of-treadle")
        self.assertEqual(run.stdout.split(), ["no-such-package-of-treadle"], run.stderr)

    def test_without_root_and_sudo_one_command_is_printed(self):
        run = shell("package_column() { echo 3; }; missing_of() { echo pkg-a pkg-b; }; root_prefix() { return 1; }; need_packages")
        self.assertEqual(run.returncode, 2)
        self.assertIn("apt-get update && apt-get install --no-install-recommends -y pkg-a pkg-b\n", run.stderr)

    def test_an_unknown_system_is_told_what_to_do(self):
        run = shell("package_column() { return 1; }; need_packages")
        self.assertEqual(run.returncode, 2)
        self.assertIn("TREADLE_SKIP_PACKAGES=1", run.stderr)
        self.assertEqual(shell("package_column() { return 1; }; need_packages", TREADLE_SKIP_PACKAGES="1").returncode, 0)


if __name__ == "__main__":
    unittest.main()
