"""Any number of gateways, dispatchers and workers on one Redis, each a program of its own."""

import itertools
import sys
import uuid

from client import Client
from program import Program, folder
from server import Tree, eventually


class Gateway(Client):
    def __init__(self, program):
        self.program = program
        self.port = int(program.says(r"listening on http://[^\s]*:(\d+)")[1])

    def log(self):
        return self.program.log()


class Fleet(Tree):
    def __init__(self, home, redis):
        self.home = home
        self.redis = redis
        self.mark = uuid.uuid4().hex
        self.programs = []
        self._numbers = itertools.count()

    def begin(self, kind, *argv):
        """A program in a folder of its own."""
        name = f"{kind}{next(self._numbers)}"
        program = Program(folder(self.home, name), name, *argv, env={"TREADLE_TEST_MARK": self.mark})
        self.programs.append(program)
        return program.start()

    def gateway(self, *flags):
        return Gateway(self.begin("gateway", "gateway", "--port", 0, "--store", self.redis.url, *flags))

    def dispatcher(self, mode, *flags):
        """Its `endpoint` is where workers find it, its `mode` what they have to say."""
        port = () if mode == "local" else ("-p", 0)
        own = ("--python", sys.executable) if mode == "local" else ()
        program = self.begin("dispatcher", "dispatcher", "-m", mode, *port, *own, "--store", self.redis.url, *flags)
        program.says("dispatching")
        program.mode = mode
        if mode != "local":
            program.endpoint = program.says(r"workers: treadle worker \w+ SLOTS (tcp://\S+)")[1]
        return program

    def worker(self, dispatcher, slots, *flags):
        argv = ("worker", dispatcher.mode, slots, dispatcher.endpoint, "--python", sys.executable, *flags)
        program = self.begin("worker", *argv)
        program.says("worker.registered")
        return program

    def log(self):
        return "".join(f"--- {program.name}\n{program.log()[-3000:]}" for program in self.programs)

    def close(self):
        for program in reversed(self.programs):
            program.kill()
        self.sweep()


def long_the_first_time(runs, seconds):
    import os
    import time

    fd = os.open(runs, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b"x")
    os.close(fd)
    if os.path.getsize(runs) == 1:
        time.sleep(seconds)
    return "done"


def running(gateway, runs, seconds):
    """A task that runs, and that will not take so long when it runs again."""
    task_id = gateway.execute(gateway.register(long_the_first_time), str(runs), seconds)
    assert eventually(lambda: gateway.status(task_id) == "RUNNING", 10)
    return task_id
