"""Start-up faults: one sentence that says what to do, and exit code 2."""

import os
import socket
import subprocess
import sys

import pytest

from server import BIN, clean_env, run


def refused(code, out, err, *words):
    assert code == 2, (code, out, err)
    assert err.strip() and len(err.strip().splitlines()) <= 4, err
    for word in (
        "terminate called",
        "Traceback",
        "Segmentation",
        "core dumped",
        "what():",
        "std::",
        "AddressSanitizer",
    ):
        assert word not in err + out
    for word in words:
        assert str(word) in err, (word, err)


def serve(tmp_path, *flags, python=sys.executable, env=None):
    return run("serve", "--port", 0, "--data-dir", tmp_path / "data", "--python", python, *flags, cwd=tmp_path, env=env)


@pytest.mark.parametrize(
    "argv, words",
    [
        (["--bogus"], ["--bogus"]),
        (["--por", "8000"], ["--por"]),
        (["-m", "fly"], ["fly", "local"]),
        (["-m"], ["-m"]),
        (["-w", "0"], ["-w"]),
        (["-w", "many"], ["-w", "many"]),
        (["-w", "-3"], ["-w"]),
        (["-t", "soon"], ["-t", "soon"]),
        (["-t", "-1"], ["-t"]),
        (["--port", "99999"], ["99999"]),
        (["--port", "http"], ["http"]),
        (["--durability", "maybe"], ["maybe", "strict"]),
        (["--max-payload", "big"], ["--max-payload"]),
        (["--created-status", "204"], ["--created-status"]),
        (["--host", "no.such.host.invalid"], ["no.such.host.invalid"]),
        (["--host", "203.0.113.7", "--insecure-public", "--python", sys.executable], ["203.0.113.7"]),
        (["leftover"], ["leftover"]),
    ],
)
def test_wrong_flags(tmp_path, argv, words):
    refused(*run("serve", "--data-dir", tmp_path / "data", *argv, cwd=tmp_path), *words)


@pytest.mark.parametrize("argv", [["fly"], ["server"], ["--serve"], ["-w", "4"]])
def test_unknown_verbs(argv):
    code, out, err = run(*argv)
    refused(code, out, err, argv[0])
    assert "serve" in err, "it names what there is"


def test_help_and_version():
    code, out, _ = run("--help")
    assert code == 0 and "serve" in out
    code, out, _ = run("serve", "--help")
    assert code == 0
    for flag in (
        "--host",
        "--port",
        "--mode",
        "--workers",
        "--timeout",
        "--data-dir",
        "--durability",
        "--python",
        "--path",
        "--max-payload",
        "--insecure-public",
        "--allow-host",
        "--allow-origin",
        "--created-status",
    ):
        assert flag in out
    code, out, _ = run("version")
    assert code == 0 and out.startswith("treadle ")


def test_no_verb_prints_help():
    code, out, err = run()
    assert code in (0, 2) and "serve" in out + err


def test_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(
            *run("serve", "--port", port, "--data-dir", tmp_path / "data", "--python", sys.executable),
            str(port),
            "--port",
        )


def test_data_dir_that_cannot_be_written(tmp_path):
    """As root, permissions stop nobody: a file in the way, a file in place of the folder, and /proc."""
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, file / "below", "/proc/treadle-data"):
        refused(*run("serve", "--port", 0, "--data-dir", place, "--python", sys.executable), str(place))


def test_read_only_data_dir(tmp_path):
    if os.geteuid() == 0:
        place = tmp_path / "mount"
        place.mkdir()
        if (
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", place], capture_output=True).returncode
            != 0
        ):
            pytest.skip("this root may not mount")
        try:
            refused(*run("serve", "--port", 0, "--data-dir", place, "--python", sys.executable), str(place))
        finally:
            subprocess.run(["umount", place], check=True)
    else:
        place = tmp_path / "closed"
        place.mkdir(mode=0o500)
        refused(*run("serve", "--port", 0, "--data-dir", place / "data", "--python", sys.executable), str(place))


def test_interpreter_that_does_not_exist(tmp_path):
    refused(*serve(tmp_path, python="/no/such/python"), "/no/such/python", "--python")
    refused(*serve(tmp_path, python="no-such-python-on-path"), "no-such-python-on-path", "--python")


def test_interpreter_that_is_none(tmp_path):
    refused(*serve(tmp_path, python="/bin/false"), "/bin/false")
    refused(*serve(tmp_path, python="/bin/echo"), "/bin/echo")
    text = tmp_path / "text"
    text.write_text("hello")
    refused(*serve(tmp_path, python=text), str(text))


@pytest.mark.sleepy
def test_interpreter_that_never_answers(tmp_path):
    script = tmp_path / "python3"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    code, out, err = run("serve", "--port", 0, "--data-dir", tmp_path / "data", "--python", script, seconds=60)
    refused(code, out, err, str(script))


def test_interpreter_without_dill(tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python3"
    code, out, err = serve(tmp_path, python=python)
    refused(code, out, err, "dill", str(python), "install", "--python /usr/bin/python3")


def test_interpreter_that_is_too_old(tmp_path):
    """One that runs any `-c CODE` but calls itself 3.7: the sentence names its version and the oldest that will do."""
    pretender = tmp_path / "python3.7"
    pretender.write_text(f"#!{sys.executable}\n" + """
import collections, sys
at = sys.argv.index("-c")
code, sys.argv = sys.argv[at + 1], ["-c", *sys.argv[at + 2:]]
sys.version_info = collections.namedtuple("version_info", "major minor micro releaselevel serial")(3, 7, 3, "final", 0)
sys.version, sys.hexversion = "3.7.3 (pretended)", 0x030703F0
exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
""")
    pretender.chmod(0o755)
    refused(*serve(tmp_path, python=pretender), "3.7", "3.9", "--python")


def test_relative_paths_and_names_with_spaces(tmp_path):
    """Flags take what a shell gives: a relative data folder with a space, and an interpreter by name."""
    home = tmp_path / "a home"
    home.mkdir()
    process = subprocess.Popen(
        [BIN, "serve", "--port", "0", "--data-dir", "my data", "--python", os.path.basename(sys.executable)],
        cwd=home,
        env=clean_env(PATH="/usr/bin:/bin"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for line in process.stdout:
            if "listening on" in line:
                break
        else:
            raise AssertionError(f"it ended with {process.wait()}")
        assert (home / "my data" / "treadle.db").exists()
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_interpreter_is_named_at_start(server):
    assert sys.executable in server.log() and "dill" in server.log()
    assert "%d.%d.%d" % sys.version_info[:3] in server.log()


@pytest.mark.parametrize("weak", [("--durability", "none"), ("--store", "memory:")])
def test_require_durable_refuses_every_store_that_loses_tasks(tmp_path, weak):
    refused(*serve(tmp_path, "--require-durable", *weak), "--require-durable", "none")
