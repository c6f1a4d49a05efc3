"""Uses a service as its clients do; run by use_package.sh in a root that has the packages only.

use_package.py seed URL            the seed's four routes; notes the task in /tmp/task
use_package.py again URL           the result of that task, from a server that was installed anew
use_package.py sdk URL FOLDER      the Python package, which must lie below FOLDER
"""

import codecs
import json
import sys
import time
import urllib.request

import dill

NOTE = "/tmp/task"


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=30) as reply:
        return json.load(reply)


def text(value):
    return codecs.encode(dill.dumps(value), "base64").decode()


def result(url, task):
    deadline = time.monotonic() + 30
    while (answer := call(f"{url}/result/{task}"))["status"] not in ("COMPLETED", "FAILED"):
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
    assert answer["status"] == "COMPLETED", answer
    return dill.loads(codecs.decode(answer["result"].encode(), "base64"))


def seed(url):
    function = call(f"{url}/register_function", {"name": "add", "payload": text(lambda a, b: a + b)})["function_id"]
    task = call(f"{url}/execute_function", {"function_id": function, "payload": text(((40, 2), {}))})["task_id"]
    assert result(url, task) == 42
    with open(NOTE, "w") as note:
        note.write(task)


def again(url):
    with open(NOTE) as note:
        assert result(url, note.read()) == 42


def sdk(url, folder):
    import treadle

    assert treadle.__file__.startswith(folder + "/"), treadle.__file__
    with treadle.Executor(url) as pool:
        assert list(pool.map(lambda x: x * x, range(5))) == [0, 1, 4, 9, 16]


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    {"seed": seed, "again": again, "sdk": sdk}[verb](*words)
