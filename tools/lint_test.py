"""Each rule of lint.py finds a violation that is planted for it, at the right line, and is silent about a clean tree."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lint
import lint_rules
import lint_seed

CLEAN = {
    "README.md": "Type ./dev run, then ./dev test.\n",
    lint_seed.TABLE: "|---|---|---|\n" + "| a statement | | differs: this small tree has no product |\n" * lint_seed.ROWS_MIN,
    "src/base/CMakeLists.txt": "treadle_layer(base SOURCES ids.cpp)\n",
    "src/base/ids.h": "#pragma once\n#include <string>\n",
    "src/base/ids.cpp": '#include "base/ids.h"\n',
    "src/core/model.h": '#pragma once\n#include "base/ids.h"\n',
    "src/store/CMakeLists.txt": "treadle_layer(store SOURCES engine.cpp)\n",
    "src/store/engine.cpp": '#include <sqlite3.h>\n\n#include "core/model.h"\n',
    "tools/heavy_headers.tsv": "# comment\nsqlite3\tsrc/store/engine.cpp\n",
}


class LintTest(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="treadle-lint-"))
        self.addCleanup(shutil.rmtree, self.root)
        for path, text in CLEAN.items():
            self.plant(path, text)

    def plant(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def findings(self):
        tree = lint.Tree(self.root)
        return [(path, line, text) for rule in lint_rules.RULES for path, line, text in rule(tree)]

    def assert_found(self, path, line, part):
        """Exactly one finding, there, that says `part`."""
        found = self.findings()
        self.assertEqual([(p, n) for p, n, _ in found], [(path, line)], found)
        self.assertIn(part, found[0][2])

    def test_clean_tree_has_no_findings(self):
        self.assertEqual(self.findings(), [])

    def test_core_may_not_include_store(self):
        self.plant("src/store/store.h", "#pragma once\n")
        self.plant("src/core/model.h", '#pragma once\n#include "base/ids.h"\n#include "store/store.h"\n')
        self.assert_found("src/core/model.h", 3, "core must not include store")

    def test_store_and_transport_are_strangers(self):
        self.plant("src/transport/link.h", "#pragma once\n")
        self.plant("src/store/engine.cpp", '#include "transport/link.h"\n#include <sqlite3.h>\n#include "core/model.h"\n')
        self.assert_found("src/store/engine.cpp", 1, "store must not include transport")

    def test_gateway_and_worker_are_strangers(self):
        self.plant("src/worker/pool.h", "#pragma once\n")
        self.plant("src/gateway/CMakeLists.txt", "treadle_layer(gateway SOURCES a.cpp)\n")
        self.plant("src/gateway/a.cpp", '#include "worker/pool.h"\n')
        self.assert_found("src/gateway/a.cpp", 1, "gateway must not include worker")

    def test_cli_may_include_everything(self):
        self.plant("src/cli/CMakeLists.txt", "add_executable(treadle main.cpp)\n")
        self.plant("src/cli/main.cpp", '#include "base/ids.h"\n#include "core/model.h"\n')
        self.assertEqual(self.findings(), [])

    def test_unknown_layer_is_named(self):
        self.plant("src/misc/CMakeLists.txt", "treadle_layer(misc SOURCES x.cpp)\n")
        self.plant("src/misc/x.cpp", "\n")
        self.assert_found("src/misc/x.cpp", 1, "not a layer")

    def test_world_headers_are_kept_out_of_the_core(self):
        for header in ("<thread>", "<mutex>", "<random>", "<sys/socket.h>", "<spdlog/spdlog.h>", "<fmt/format.h>", "<sqlite3.h>", "<zmq.hpp>",
                       "<boost/json.hpp>", "<fstream>"):
            with self.subTest(header=header):
                self.plant("src/core/model.h", f'#pragma once\n#include "base/ids.h"\n#include {header}\n')
                found = [f for f in self.findings() if "must not include" in f[2]]
                self.assertEqual([(p, n) for p, n, _ in found], [("src/core/model.h", 3)])

    def test_sha256_is_the_one_file_of_base_with_a_library(self):
        self.plant("src/base/CMakeLists.txt", "treadle_layer(base SOURCES ids.cpp sha256.cpp)\n")
        self.plant("src/base/sha256.cpp", "#include <openssl/evp.h>\n")
        self.assertEqual(self.findings(), [])
        self.plant("src/base/ids.cpp", '#include "base/ids.h"\n#include <openssl/evp.h>\n')
        self.assert_found("src/base/ids.cpp", 2, "must not include openssl/evp.h")

    def test_clocks_are_kept_out_of_the_core(self):
        self.plant("src/core/model.h", '#pragma once\n#include "base/ids.h"\nauto t = std::chrono::steady_clock::now();\n')
        self.assert_found("src/core/model.h", 3, "must not call steady_clock::now")

    def test_heavy_header_in_an_unlisted_file(self):
        self.plant("src/base/CMakeLists.txt", "treadle_layer(base SOURCES ids.cpp)\ntreadle_layer(gateway SOURCES http.cpp)\n")
        self.plant("src/gateway/http.cpp", "\n#include <boost/beast/http.hpp>\n")
        self.assert_found("src/gateway/http.cpp", 2, "boost/beast is a heavy header")

    def test_listed_file_that_no_longer_includes_the_heavy_header(self):
        self.plant("src/store/engine.cpp", '#include "core/model.h"\n')
        self.assert_found("tools/heavy_headers.tsv", 2, "remove the row")

    def test_heavy_header_may_not_leave_its_folder_through_a_header(self):
        self.plant("tools/heavy_headers.tsv", "sqlite3\tsrc/store/db.h\n")
        self.plant("src/store/db.h", "#pragma once\n#include <sqlite3.h>\n")
        self.plant("src/store/engine.cpp", '#include "core/model.h"\n#include "store/db.h"\n')
        self.assertEqual(self.findings(), [])
        self.plant("src/cli/CMakeLists.txt", "add_executable(treadle main.cpp)\n")
        self.plant("src/cli/main.cpp", '#include "store/db.h"\n')
        self.assert_found("tools/heavy_headers.tsv", 1, "included by src/cli/main.cpp")

    def test_draft_zmq(self):
        self.plant("src/store/engine.cpp", '#include <sqlite3.h>\n#include "core/model.h"\nauto p = zmq_poller_' 'new();\n')
        self.assert_found("src/store/engine.cpp", 3, "draft API")

    def test_left_over_words(self):
        for word in ("TO" "DO", "FIX" "ME", "XX" "X"):
            with self.subTest(word=word):
                self.plant("docs/a.md", f"fine\n{word}: later\n")
                self.assert_found("docs/a.md", 2, "left-over")

    def test_mktemp_template_is_no_left_over(self):
        self.plant("tools/a.sh", "mktemp -d /tmp/treadle.XXXXXX\n")
        self.assertEqual(self.findings(), [])

    def test_paths_of_developers_machines(self):
        for path in ("/wo" "rk/main", "cd /ro" "ot/x", "'/fa" "rm/y'", "../sha" "red/seed.md"):
            with self.subTest(path=path):
                self.plant("docs/a.md", f"see {path}\n")
                self.assert_found("docs/a.md", 1, "developer's machine")

    def test_relative_folders_of_like_names_pass(self):
        self.plant("docs/a.md", "net" "work/x and src/wo" "rk/y\n")
        self.assertEqual(self.findings(), [])

    def test_registry_addresses(self):
        for text in ('"reso' 'lved": "https://example.org/x.tgz"', "https://registry.npm" "js.org/x", "http://deb.deb" "ian.org/debian"):
            with self.subTest(text=text):
                self.plant("web/package-lock.json", "{\n" + text + "\n}\n")
                self.assert_found("web/package-lock.json", 2, "package registry")

    def test_dead_source_file(self):
        self.plant("src/base/old.cpp", "\n")
        self.assert_found("src/base/old.cpp", 1, "no CMakeLists.txt names it")

    def test_dead_header(self):
        self.plant("src/base/old.h", "#pragma once\n")
        self.assert_found("src/base/old.h", 1, "nothing includes it")

    def test_long_file(self):
        self.plant("python/treadle/a.py", "x = 1\n" * 501)
        self.assert_found("python/treadle/a.py", 500, "501 lines")

    def test_readme_without_the_commands(self):
        self.plant("README.md", "Type ./dev run.\n")
        self.assert_found("README.md", 1, "./dev test")

    @unittest.skipUnless(shutil.which("clang-format"), "clang-format is not installed")
    def test_layout(self):
        version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True).stdout
        if f"version {lint_rules.CLANG_FORMAT_MAJOR}." not in version:
            self.skipTest("another clang-format: the rule does not judge")
        self.plant(".clang-format", "BasedOnStyle: Google\n")
        self.assertEqual(self.findings(), [])
        self.plant("src/base/ids.cpp", '#include "base/ids.h"\nint   spread( int a );\n')
        self.assert_found("src/base/ids.cpp", 2, "./dev fmt")

    def test_ignored_files_are_not_read(self):
        subprocess.run(["git", "-C", str(self.root), "init", "-q"], check=True)
        self.plant(".gitignore", "/build/\n")
        self.plant("build/generated.h", "TO" "DO\n")
        self.assertEqual(self.findings(), [])

    def test_program_prints_findings_and_fails(self):
        self.plant("src/base/old.h", "#pragma once\n")
        run = subprocess.run([sys.executable, lint.__file__, "--root", str(self.root)], capture_output=True, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertEqual(run.stdout.splitlines()[0], "src/base/old.h:1: dead: nothing includes it")
        self.assertIn("lint: 1 findings", run.stdout)


if __name__ == "__main__":
    unittest.main()
