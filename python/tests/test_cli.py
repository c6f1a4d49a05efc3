"""The client verbs of the command line: what they print, as tables and as JSON, their exit codes, and what they say."""

import io
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time
import uuid

import pytest

import treadle
from server import BIN, run
from treadle.cli import main
from treadle.cli.completion import SERVICE_VERBS, words_of
from treadle.cli.main import parser

PACKAGE = pathlib.Path(treadle.__file__).resolve().parents[1]
WORK = """
import time

def area(r):
    print("computing", r)
    return 3 * r * r

def bad(x):
    raise ValueError("no luck with %r" % (x,))

def odd(x):
    if x % 2 == 0:
        raise ValueError("even")
    return {"odd": x}

def slow(seconds):
    time.sleep(seconds)
    return "done"

def nothing():
    return {1, 2}
"""


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return self.out.splitlines()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The path of a file with functions."""
    path = tmp_path_factory.mktemp("cli") / "work_of_cli.py"
    path.write_text(WORK)
    return path


@pytest.fixture
def cli(url, capsys, monkeypatch):
    """cli("task", "ls", stdin="...") runs one command line here."""
    monkeypatch.setenv("TREADLE_URL", url)

    def call(*words, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return call


@pytest.fixture
def name(cli, work):
    """Of a registered area()."""
    name = "area-" + uuid.uuid4().hex[:8]
    assert cli("fn", "register", f"{work}::area", "--name", name).code == 0
    return name


# ---- run -----------------------------------------------------------------------------------------------------------


def test_run_prints_the_result_and_tells_the_output_apart(cli, work):
    done = cli("run", f"{work}::area", "2")
    assert (done.code, done.out, done.err) == (0, "12\n", "computing 2\n")
    assert cli("run", f"{work}::area", "--arg", "r=3").out == "27\n"
    assert cli("run", f"{work}::slow", "0").out == "done\n"
    assert cli("run", f"{work}::nothing").out == "{1, 2}\n"


def test_run_as_json(cli, work):
    done = cli("run", f"{work}::area", "--json", "2")
    assert done.code == 0 and done.json["status"] == "COMPLETED" and done.json["result"] == 12
    assert uuid.UUID(done.json["task_id"])
    assert cli("run", f"{work}::nothing", "--json").json["result"] == {"repr": "{1, 2}"}


def test_run_of_a_function_that_raises(cli, work):
    done = cli("run", f"{work}::bad", "text")
    assert done.code == 1 and done.out == ""
    assert "failed" in done.err and "ValueError: no luck with 'text'" in done.err and "work_of_cli.py" in done.err
    told = cli("run", f"{work}::bad", "1", "--json").json
    assert told["status"] == "FAILED" and told["error"]["type"] == "ValueError" and "no luck with 1" in told["error"]["message"]


def test_run_gives_up_waiting_with_124_and_limits_with_1(cli, work):
    done = cli("run", f"{work}::slow", "2", "--timeout", "0.2")
    assert done.code == 124 and "has not ended after 0.2 s" in done.err
    done = cli("run", f"{work}::slow", "20", "--time-limit", "0.2")
    assert done.code == 1 and "time limit" in done.err


@pytest.mark.parametrize(
    "words, says",
    [
        (("run", "FILE::are"), "no function 'are'; did you mean 'area'?"),
        (("run", "no_file.py::f"), "there is no file no_file.py; name a function as FILE.py::NAME"),
        (("run", "FILE::area", "--arg", "2"), "--arg takes NAME=VALUE, not '2'"),
        (("run", "FILE::area", "--tmeout", "2"), "unrecognized arguments: --tmeout"),
        (("runn", "x"), "did you mean 'run'?"),
        (("task", "sho", "x"), "did you mean 'show'?"),
        (("map", "FILE::area", "/no/such/items"), "the items cannot be read"),
        (("invoke", "x", "--input", "{"), "the call is not JSON"),
        (("invoke", "x", "--input", "[1]"), "the call is a JSON object"),
        (("invoke", "x", "--input", "{}", "-a", "1"), "give the call once"),
        (("top", "-d", "0"), "-d takes a number of seconds above 0"),
        (("bench", "-n", "0"), "-n takes 1 or more"),
        (("fn", "register", "FILE::area", "-o", "priorit=3"), "priorit"),
    ],
)
def test_a_wrong_command_line_is_told_in_a_sentence(cli, work, words, says):
    done = cli(*(word.replace("FILE", str(work)) for word in words))
    assert done.code == 2 and says in done.err and "Traceback" not in done.err, done.err


# ---- functions -----------------------------------------------------------------------------------------------------


def test_functions_are_registered_listed_shown_and_removed(cli, work):
    name = "fn-" + uuid.uuid4().hex[:8]
    first = cli("fn", "register", f"{work}::area", "--name", name).out.strip()
    second = cli("fn", "register", f"{work}::area", "--name", name, "-o", "time_limit=60", "--json").json["function_id"]
    assert [row["function_id"] for row in cli("fn", "versions", name, "--json").json] == [second, first]
    table = cli("fn", "ls", "--name", name).lines
    assert table[0].split() == ["ID", "NAME", "BYTES", "CREATED"] and [line.split()[0] for line in table[1:]] == [second, first]
    shown = cli("fn", "show", name)
    assert second in shown.out and "time_limit=60" in shown.out and cli("fn", "show", first, "--json").json["function_id"] == first
    assert cli("fn", "rm", name).out.strip() == second
    assert cli("fn", "show", name, "--json").json["function_id"] == first
    assert cli("fn", "rm", first, "--json").json == {"function_id": first}
    done = cli("fn", "show", name)
    assert done.code == 3 and name in done.err


# ---- invoke --------------------------------------------------------------------------------------------------------


def test_invoke(cli, name):
    assert cli("invoke", name, "-a", "2").out == "12\n"
    assert cli("invoke", name, "-k", "r=2", "--json").json["result"] == 12
    assert cli("invoke", name, "--input", '{"args": [4]}').out == "48\n"
    assert cli("invoke", name, "-f", "-", stdin='{"kwargs": {"r": 1}}').out == "3\n"
    task = cli("invoke", name, "-a", "5", "--no-wait").out.strip()
    done = cli("task", "result", task)
    assert (done.code, done.out) == (0, "75\n")


def test_invoke_of_what_fails_of_nothing_and_of_what_json_cannot_carry(cli, work):
    for function in ("bad", "nothing", "slow"):
        assert cli("fn", "register", f"{work}::{function}", "--name", "cli-" + function).code == 0
    done = cli("invoke", "cli-bad", "-a", "7")
    assert done.code == 1 and done.out == "" and "ValueError: no luck with 7" in done.err and "Traceback" in done.err
    assert cli("invoke", "cli-bad", "-a", "7", "--json").json["error"]["type"] == "ValueError"
    done = cli("invoke", "cli-nothing")
    assert done.code == 1 and "set" in done.err
    done = cli("invoke", "no-such-function")
    assert done.code == 3 and "no-such-function" in done.err
    done = cli("invoke", "cli-slow", "-a", "3", "--timeout", "0.2")
    assert done.code == 124 and "it goes on: treadle task wait" in done.err


# ---- map -----------------------------------------------------------------------------------------------------------


def test_map_of_lines(cli, work, name, tmp_path):
    assert cli("map", f"{work}::area", stdin="1\n2\n\n3\n").lines == ["3", "12", "27"]
    items = tmp_path / "items"
    items.write_text("1\n2\n")
    rows = [json.loads(line) for line in cli("map", name, items, "--json").lines]
    assert [(row["item"], row["status"], row["result"]) for row in rows] == [(0, "COMPLETED", 3), (1, "COMPLETED", 12)]


def test_map_tells_of_each_item_that_fails(cli, work):
    group = "group-" + uuid.uuid4().hex[:8]
    done = cli("map", f"{work}::odd", "--group", group, stdin="1\n2\n3\n")
    assert done.code == 1 and done.lines == ['{"odd": 1}', "null", '{"odd": 3}']
    assert "item 1, task " in done.err and "ValueError: even" in done.err and "1 of 3 items failed" in done.err
    assert len(cli("task", "ls", "--group", group, "--json").json) == 3
    rows = [json.loads(line) for line in cli("map", f"{work}::odd", "--json", stdin="2\n").lines]
    assert rows[0]["error"]["type"] == "ValueError"
    done = cli("map", f"{work}::odd", stdin="1\nx\n")
    assert done.code == 2 and "line 2 of stdin is not a JSON value: x" in done.err


# ---- tasks ---------------------------------------------------------------------------------------------------------


def test_tasks_are_listed_shown_and_waited_for(cli, name, work):
    task = cli("invoke", name, "-a", "1", "--json").json["task_id"]
    table = cli("task", "ls", "--fn", name).lines
    assert table[0].split() == ["ID", "STATUS", "ATTEMPTS", "ERROR", "FUNCTION"] and table[1].split()[:2] == [task, "COMPLETED"]
    assert cli("task", "ls", "--fn", name, "--status", "failed", "--json").json == []
    shown = cli("task", "show", task)
    assert re.search(rf"^task_id +{task}$", shown.out, re.M) and cli("task", "show", task, "--json").json["status"] == "COMPLETED"
    assert cli("task", "wait", task).lines[1].split() == [task, "COMPLETED"]
    assert cli("task", "logs", task).out == "computing 1\n" and cli("task", "logs", task, "--json").json["final"] is True
    assert cli("task", "logs", "-f", task).out == "computing 1\n"
    assert "leave --json out" in cli("task", "logs", "-f", task, "--json").err
    assert cli("task", "result", task, "--json").json["result"] == 3
    done = cli("task", "cancel", task)
    assert done.code == 1 and done.out.split() == [task, "had", "ended"]


def test_a_task_that_failed_is_told_by_exit_codes(cli, work):
    assert cli("fn", "register", f"{work}::bad", "--name", "cli-bad").code == 0
    task = cli("invoke", "cli-bad", "-a", "1", "--no-wait").out.strip()
    done = cli("task", "wait", task, "--json")
    assert done.code == 1 and done.json[0]["status"] == "FAILED"
    assert cli("task", "result", task).code == 1
    assert "no luck with 1" in cli("task", "show", task).out


def test_tasks_that_take_long_are_given_up_or_cancelled(cli, work):
    assert cli("fn", "register", f"{work}::slow", "--name", "cli-slow").code == 0
    task = cli("invoke", "cli-slow", "-a", "60", "--no-wait").out.strip()
    done = cli("task", "wait", task, "--timeout", "0.3")
    assert done.code == 124 and "1 of 1 tasks have not ended in time" in done.err
    done = cli("task", "logs", task)
    assert done.code == 0 and "has not ended" in done.err
    assert cli("task", "cancel", task, "--json").json[0]["cancelled"] is True
    assert cli("task", "wait", task).code == 1


def test_tasks_are_cancelled_and_retried_by_filters(cli, url, work):
    group = "cli " + uuid.uuid4().hex
    function = "late-" + uuid.uuid4().hex[:8]
    function_id = cli("fn", "register", f"{work}::area", "--name", function).out.strip()
    with treadle.Client(url) as client:
        client.submit_many(client.function(function_id), [(1,), (2,), (3,)], group=group, delay=600)
        client.wait_accepted()
    assert cli("task", "cancel", "--group", group, "--dry-run").out == "3 tasks would be cancelled\n"
    assert cli("task", "cancel", "--group", group, "--fn", function).out == "3 cancelled, 0 being ended by their workers, 0 had ended\n"
    task = cli("task", "ls", "--group", group, "--json").json[0]["task_id"]
    done = cli("task", "retry", task)
    assert done.code == 0 and done.lines[1].split()[0] == task and done.lines[2] == "1 retried, 0 had been before, 0 refused"
    again = done.lines[1].split()[1]
    assert cli("task", "wait", again).code == 0
    told = cli("task", "retry", "--group", group, "--json").json
    assert (told["retried"], told["repeated"]) == (2, 1) and len(told["tasks"]) == 3
    assert cli("task", "retry", again).code == 1
    assert "name tasks by their ids" in cli("task", "cancel").err
    assert cli("task", "cancel", task, "--group", group).code == 2
    assert cli("task", "cancel", task, "--dry-run").code == 2


@pytest.mark.parametrize("verb", ["show", "wait", "result", "logs", "cancel"])
def test_a_task_that_is_not_there_is_3(cli, verb):
    nobody = "01a215a9-4d3a-7000-8e38-25a97970d919"
    done = cli("task", verb, nobody)
    assert done.code == 3 and nobody in done.err and done.out == ""


# ---- the service ---------------------------------------------------------------------------------------------------


def test_workers_and_queue(cli, url):
    patient = time.monotonic() + 10  # a worker is told of a moment after it has come
    while len(table := cli("workers").lines) < 2 and time.monotonic() < patient:
        time.sleep(0.05)
    assert table[0].split()[:3] == ["WORKER", "STATE", "HOST"] and table[1].split()[1] == "ready"
    assert cli("workers", "--json").json[0]["slots"] == 2
    stats = cli("queue", "--json").json
    assert stats["slots"]["total"] == 2 and stats["workers"]["ready"] == 1
    assert next(one for one in stats["queues"] if one["name"] == "default")["paused"] is False
    shown = cli("queue").out
    assert re.search(r"^ended +[\d,]+ +COMPLETED", shown, re.M) and re.search(r"^default +\d+ +\d+ +\S+ +open$", shown, re.M)


def test_a_queue_is_paused_and_resumed(cli, name):
    queue = "cli-" + uuid.uuid4().hex[:8]
    assert cli("queue", "pause", queue).out == f"queue {queue} is paused\n"
    assert re.search(rf"^{queue} +0 +0 +- +paused$", cli("queue").out, re.M)
    assert cli("queue", "resume", queue, "--json").json == {"name": queue, "paused": False}
    done = cli("queue", "pause", "a b")
    assert done.code == 2 and "letters, digits" in done.err
    assert "did you mean 'pause'" in cli("queue", "pauze", "x").err


def test_top_as_text_and_as_json(cli, name):
    assert cli("invoke", name, "-a", "1").code == 0
    page = cli("top", "-n", "1").out
    for word in ("Treadle ", "waiting", "slots 2", "WORKER", "NEWEST TASK", "COMPLETED"):
        assert word in page
    assert "\x1b" not in page, "no terminal looks"
    looks = [json.loads(line) for line in cli("top", "-n", "2", "-d", "0.05", "--json").lines]
    assert looks[0]["tasks_per_s"] is None and looks[1]["tasks_per_s"] >= 0


def test_top_on_a_terminal_writes_over_itself_and_stops_at_ctrl_c(url):
    master, slave = pty.openpty()
    env = {**os.environ, "TREADLE_URL": url, "COLUMNS": "100", "LINES": "30", "TERM": "xterm", "PYTHONPATH": str(PACKAGE)}
    env.pop("NO_COLOR", None)
    top = subprocess.Popen([sys.executable, "-m", "treadle", "top", "-d", "0.1"], stdin=slave, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    seen, deadline = b"", time.monotonic() + 20
    while seen.count(b"\x1b[H") < 3 and time.monotonic() < deadline:
        seen += os.read(master, 65536)
    top.send_signal(signal.SIGINT)
    assert top.wait(10) == 130
    os.close(master)
    assert seen.count(b"\x1b[H") >= 3 and b"\x1b[32mready\x1b[0m" in seen, seen[-500:]


def test_doctor(cli, url, monkeypatch):
    done = cli("doctor")
    assert done.code == 0 and re.search(r"^ok +versions +workers run Python", done.out, re.M), done.out
    rows = cli("doctor", "--json").json
    assert {row["about"] for row in rows} >= {"python", "cloudpickle", "server", "store", "workers", "versions"}
    done = cli("doctor", "--url", "http://127.0.0.1:9")
    assert done.code == 1 and re.search(r"^bad +server +no Treadle server at http://127.0.0.1:9", done.out, re.M)
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    done = cli("doctor")
    assert done.code == 1 and "this client 3.99" in done.out and "as source" in done.out


def test_config_says_where_a_setting_comes_from(cli, url):
    assert re.search(rf"^url +{re.escape(url)} +\(TREADLE_URL\)$", cli("config", "show").out, re.M)
    assert {"name": "url", "value": "http://a:1", "origin": "--url"} in cli("config", "show", "--url", "http://a:1", "--json").json


@pytest.mark.parametrize("what", ["noop", "sleep"])
def test_bench(cli, what):
    figures = cli("bench", what, "-n", "50", "--ms", "1", "--json").json
    assert figures["calls"] == 50 and figures["per_s"] > 0 and 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert cli("bench", what, "-n", "20").lines[0].split()[:2] == ["WHAT", "CALLS"]


def test_bench_needs_nothing_of_the_workers(cli, new_server):
    done = cli("bench", "-n", "20", "--url", new_server.url)
    assert done.code == 0, done.err


def test_a_server_that_is_away_is_5(cli):
    for words in (("task", "ls"), ("workers",), ("invoke", "f"), ("queue",)):
        done = cli(*words, "--url", "http://127.0.0.1:9")
        assert done.code == 5 and "no Treadle server at http://127.0.0.1:9" in done.err, done.err


# ---- the binary ----------------------------------------------------------------------------------------------------


def test_the_binary_hands_client_verbs_over(url, work):
    env = {**os.environ, "TREADLE_URL": url, "TREADLE_PYTHON": sys.executable}
    env.pop("PYTHONPATH", None)
    done = subprocess.run([BIN, "run", f"{work}::area", "2"], capture_output=True, text=True, env=env, timeout=60)
    assert (done.returncode, done.stdout) == (0, "12\n"), done.stderr
    env["TREADLE_PYTHON"] = "/no/such/python"
    done = subprocess.run([BIN, "run", "x"], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 2 and "/no/such/python cannot be run" in done.stderr


def test_a_python_without_what_it_needs_is_named(url, tmp_path):
    (tmp_path / "cloudpickle.py").write_text("raise ImportError('none')")
    env = {**os.environ, "TREADLE_PYTHON": sys.executable}
    done = subprocess.run([BIN, "task", "ls"], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60)
    assert done.returncode == 2 and sys.executable in done.stderr and "has no cloudpickle" in done.stderr, done.stderr


def test_help_lists_every_verb_and_a_misspelt_one_is_guessed():
    code, out, err = run("--help")
    client = words_of(parser())[""]
    for verb in (*SERVICE_VERBS, *(word for word in client if not word.startswith("-"))):
        assert re.search(rf"^  {verb} +\S", out, re.M), verb
    code, out, err = run("invok", "x")
    assert code == 2 and "did you mean 'invoke'" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(cli, shell):
    script = cli("completion", shell).out
    for word in ("serve", "invoke", "versions", "--status" if shell != "fish" else "-l status"):
        assert word in script
    if shell == "bash":
        line = "COMP_WORDS=(treadle task c); COMP_CWORD=2; _treadle; echo ${COMPREPLY[*]}"
        done = subprocess.run(["bash", "-c", f"{script}\n{line}"], capture_output=True, text=True, timeout=20)
        assert done.stdout == "cancel\n" and done.stderr == ""
        line = "COMP_WORDS=(treadle in); COMP_CWORD=1; _treadle; echo ${COMPREPLY[*]}"
        assert subprocess.run(["bash", "-c", f"{script}\n{line}"], capture_output=True, text=True, timeout=20).stdout == "invoke\n"
