"""What `./dev package` makes, looked at without installing it; `./dev bare package` installs, uses and purges it."""

import gzip
import os
import re
import subprocess
import zipfile

import pytest

from server import BIN, ROOT, clean_env, run

pytestmark = pytest.mark.slow  # strip, xz and pip: 20 s


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder of the packages, folder with the .deb's files, its control fields)"""
    out = tmp_path_factory.mktemp("packages")
    env = clean_env(TREADLE=BIN, TREADLE_SKIP_PACKAGES=1)
    done = subprocess.run(["./dev", "package", "--into", out], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (deb,) = out.glob("treadle_*.deb")
    subprocess.run(["dpkg-deb", "-R", deb, out / "files"], check=True)
    control = (out / "files/DEBIAN/control").read_text()
    return out, out / "files", dict(re.findall(r"^([A-Z][\w-]*): (.*)$", control, re.M))


def test_its_description_names_what_the_program_needs(made):
    _, files, control = made
    version = run("version")[1].split()[1]
    assert control["Package"] == "treadle" and control["Version"] == f"{version}-1"
    for name in ("libzmq5", "libsqlite3-0", "libssl3", "python3 ", "python3-dill", "python3-cloudpickle", "adduser"):
        assert name in control["Depends"], control["Depends"]
    assert "@" not in (files / "DEBIAN/control").read_text().replace("<treadle@localhost>", "")
    assert (files / "DEBIAN/conffiles").read_text() == "/etc/default/treadle\n"


def test_the_program_and_the_seeds_names_are_there(made):
    _, files, _ = made
    assert subprocess.run([files / "usr/bin/treadle", "version"], capture_output=True, text=True).stdout == run("version")[1]
    for link in ("task_dispatcher", "push_worker", "pull_worker"):
        assert os.readlink(files / "usr/bin" / link) == "treadle"


def test_each_verb_has_a_man_page_and_each_shell_its_words(made):
    _, files, _ = made
    verbs = re.findall(r"^  ([a-z]+) {2,}\S", run("--help")[1], re.M)
    assert len(verbs) >= 18
    for verb in verbs:
        page = gzip.decompress((files / f"usr/share/man/man1/treadle-{verb}.1.gz").read_bytes()).decode()
        assert page.startswith(f'.TH TREADLE\\-{verb.upper()} 1 ') and ".SH DESCRIPTION" in page, page[:200]
    for path in ("bash-completion/completions/treadle", "zsh/vendor-completions/_treadle", "fish/vendor_completions.d/treadle.fish"):
        assert "durability" in (files / "usr/share" / path).read_text() or "invoke" in (files / "usr/share" / path).read_text()


def test_units_run_the_program_as_a_user_of_its_own(made):
    _, files, _ = made
    units = sorted((files / "usr/lib/systemd/system").iterdir())
    assert [unit.name for unit in units] == [f"treadle{part}.service" for part in ("-dispatcher", "-gateway", "-worker", "")]
    for unit in units:
        text = unit.read_text()
        verb = re.search(r"^ExecStart=/usr/bin/treadle (\w+)", text, re.M)[1]
        assert run(verb, "--help")[0] == 0, verb
        assert "\nUser=treadle\n" in text and "\nStateDirectory=treadle\n" in text


def test_the_wheel_has_the_package(made):
    out, files, _ = made
    (wheel,) = out.glob("treadle-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"treadle/__init__.py", "treadle/py.typed", "treadle/cli/main.py"} <= names
    assert not [name for name in names if name.startswith("tests") or name.endswith(".pyc")]
    for name in names:
        assert (files / "usr/lib/python3/dist-packages" / name).exists(), name


def test_another_word_is_refused():
    done = subprocess.run(["./dev", "package", "rpm"], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "knows deb, wheel and --into FOLDER, not 'rpm'" in done.stderr
