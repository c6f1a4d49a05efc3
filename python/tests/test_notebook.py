"""The package in a notebook, whose cells a real kernel runs by way of nbclient."""

import asyncio
import os
import pathlib
import textwrap
import time

import pytest

nbclient = pytest.importorskip("nbclient", reason="python3-nbclient is not installed")
pytest.importorskip("ipykernel", reason="python3-ipykernel is not installed")
import nbformat  # noqa: E402  nbclient needs it

PACKAGE = pathlib.Path(__file__).resolve().parents[1]
CELL = 120  # seconds for one cell, which only one that hangs takes
SETUP = """
import treadle
client = treadle.Client({url!r})
"""


def kernel_env(home):
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # ipykernel's debugger has something to say about frozen modules
    return {**os.environ, "PYTHONPATH": str(PACKAGE), "HOME": str(home), **quiet}


class Notebook:
    """A kernel and the cells that it ran. `run` takes the source of a cell and gives its outputs."""

    def __init__(self, home, url):
        self.env = kernel_env(home)
        self.url = url
        self.book = nbformat.v4.new_notebook()
        self.client = nbclient.NotebookClient(self.book, timeout=CELL, kernel_name="python3", allow_errors=True)
        self.loop = asyncio.new_event_loop()

    def __enter__(self):
        self.kernel = self.client.async_setup_kernel(env=self.env)
        self.wait(self.kernel.__aenter__())
        self.run(SETUP.format(url=self.url))
        return self

    def __exit__(self, *exception):
        self.wait(self.kernel.__aexit__(None, None, None))
        self.loop.close()

    def wait(self, what):
        return self.loop.run_until_complete(what)

    def run(self, source):
        """Text of the cell's value, or what it printed. An exception of the cell fails the test."""
        cell = self.wait(self._cell(source))
        errors = [output for output in cell.outputs if output.output_type == "error"]
        assert not errors, "\n".join(errors[0].traceback)
        return text_of(cell)

    def fails(self, source):
        """The exception that the cell ended with: its type's name, and its text."""
        cell = self.wait(self._cell(source))
        error = cell.outputs[-1]
        assert error.output_type == "error", cell.outputs
        return error.ename, error.evalue

    def interrupted(self, source, when):
        """Runs the cell and interrupts the kernel as soon as the file `when` is there. The exception, as of fails()."""

        async def both():
            running = asyncio.ensure_future(self._cell(source))
            end = time.monotonic() + CELL
            while not when.exists() and time.monotonic() < end:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)  # from the file to the wait in result()
            await self.client.km.interrupt_kernel()
            return await running

        error = self.wait(both()).outputs[-1]
        assert error.output_type == "error", error
        return error.ename, error.evalue

    def restart(self):
        """Kills the kernel and starts another in its place, as the menu of a notebook does."""

        async def again():
            await self.client.km.restart_kernel(now=True)
            await self.client.kc.wait_for_ready(timeout=CELL)

        self.wait(again())
        assert self.fails("client")[0] == "NameError", "nothing is left of the kernel before"
        self.run(SETUP.format(url=self.url))

    async def _cell(self, source):
        self.book.cells.append(nbformat.v4.new_code_cell(textwrap.dedent(source).strip()))
        return await self.client.async_execute_cell(self.book.cells[-1], len(self.book.cells) - 1)


def text_of(cell):
    outputs = [output.data["text/plain"] for output in cell.outputs if "data" in output]
    return outputs[-1] if outputs else written(cell, "stdout")


def written(cell, where):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == where)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home of the tests' own: neither the user's settings nor his kernels' connection files."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
            patch.setenv(name, str(folder / name.lower()))
        yield folder


@pytest.fixture(scope="module")
def notebook(home, url):
    """One kernel for all tests, since it takes seconds to start; each defines the names that it uses."""
    with Notebook(home, url) as one:
        yield one


def test_functions_classes_and_globals_of_cells(notebook):
    notebook.run("RATE = 3\nimport math")
    notebook.run(
        """
        class Account:
            def __init__(self, amount):
                self.amount = amount
            def grown(self):
                return Account(self.amount * RATE)

        def grow(account):
            return account.grown()

        def hypot(pair):
            return helper(pair) + RATE

        def helper(pair):
            return math.hypot(*pair)
        """
    )
    assert notebook.run("back = client.submit(grow, Account(5)).result(60)\n(type(back) is Account, back.amount)") == "(True, 15)"
    assert notebook.run("list(client.map(hypot, [(3, 4), (6, 8)]))") == "[8.0, 13.0]"
    assert notebook.run("client.submit(Account(7).grown).result(60).amount") == "21"
    assert notebook.run("[f.result(60) for f in client.submit_many(lambda n: n * RATE, [(1,), (2,)])]") == "[3, 6]"
    notebook.run("RATE = 4")
    assert notebook.run("client.submit(grow, Account(5)).result(60).amount") == "20", "a global as it is now"


def test_an_edited_cell_is_run_again(notebook):
    cell = """
        @treadle.function(client=client)
        def price(n):
            return n * {factor}

        def plain(n):
            return n + {factor}

        class Item:
            factor = {factor}
            def __init__(self, n):
                self.n = n
        """
    calls = "price.call(2), client.submit(plain, 2).result(60), client.submit(lambda i: (i.factor, i.n), Item(2)).result(60)"
    for factor in (10, 11, 10):
        notebook.run(cell.format(factor=factor))
        assert notebook.run(calls) == str((2 * factor, 2 + factor, (factor, 2)))
    assert notebook.run("back = client.submit(lambda i: i, Item(3)).result(60)\ntype(back) is Item") == "True", "of the newest cell"


def test_an_exception_of_a_cell_is_told_with_its_remote_traceback(notebook):
    notebook.run(
        """
        class Broken(ValueError):
            pass

        def breaks(n):
            raise Broken(f"no {n}")
        """
    )
    assert notebook.fails("client.submit(breaks, 3).result(60)") == ("Broken", "no 3")
    traceback = notebook.book.cells[-1].outputs[-1].traceback
    assert any("in breaks" in line for line in traceback), traceback
    assert notebook.run("isinstance(client.submit(breaks, 4).exception(60), Broken)") == "True"


def test_a_waiting_result_is_interrupted_and_asked_again(notebook, gate, tmp_path):
    """The interrupt ends the wait, not the task; the client and the future go on."""
    waits = tmp_path / "waits"
    notebook.run(
        """
        import os, time
        def until(path, value):
            while not os.path.exists(path):
                time.sleep(0.005)
            return value
        """
    )
    assert notebook.interrupted(
        f"""
        future = client.submit(until, {gate.path!r}, 17)
        future.task_id
        open({str(waits)!r}, "w").close()
        future.result()
        """,
        waits,
    ) == ("KeyboardInterrupt", "")
    assert notebook.run("future.done(), client.submit(pow, 2, 5).result(60)") == "(False, 32)"
    gate.open()
    assert notebook.run("future.result(60), future.status()") == "(17, 'COMPLETED')"


def test_an_interrupted_map_gives_its_calls_back(notebook, gate, tmp_path):
    waits = tmp_path / "waits"
    notebook.run("import os, time\ndef until(path):\n    while not os.path.exists(path):\n        time.sleep(0.005)")
    assert (
        notebook.interrupted(
            f"""
            for one in client.map(until, ["/", *[{gate.path!r}] * 20], group="interrupted"):
                client.wait_accepted(60)
                open({str(waits)!r}, "w").close()
            """,
            waits,
        )[0]
        == "KeyboardInterrupt"
    )
    gate.open()
    notebook.run("import concurrent.futures\nends = client.futures(group='interrupted')\nnot_done = concurrent.futures.wait(ends, 60)[1]")
    ran = int(notebook.run("assert len(ends) == 21 and not not_done\nsum(not one.cancelled() for one in ends)"))
    assert 1 <= ran <= 5, "the first, and those that had a slot or stood by in one; the others were taken back"


def test_results_are_found_again_after_a_restart_of_the_kernel(notebook, gate):
    notebook.run(
        """
        import os, time
        def late(path, n):
            while not os.path.exists(path):
                time.sleep(0.005)
            return n * n

        class Point:
            def __init__(self, x):
                self.x = x
        def point(n):
            return Point(n)
        """
    )
    done = notebook.run("client.submit(pow, 2, 9).result(60)\nclient.submit(pow, 2, 9).task_id").strip("'")
    made = notebook.run("shaped = client.submit(point, 8)\nshaped.result(60)\nshaped.task_id").strip("'")
    waiting = notebook.run(f"client.submit(late, {gate.path!r}, 12).task_id").strip("'")
    notebook.run(f'many = client.map(late, [{gate.path!r}] * 5, range(5), group="notebook")\nclient.wait_accepted(60)')
    notebook.restart()
    assert notebook.run(f"client.future({done!r}).result(60)") == "512"
    assert notebook.run(f"client.future({made!r}).result(60).x") == "8", "its class travelled with it"
    assert notebook.run(f"again = client.future({waiting!r})\nagain.done()") == "False"
    gate.open()
    assert notebook.run("again.result(60)") == "144"
    assert notebook.run('[f.result(60) for f in client.futures(group="notebook")]') == "[0, 1, 4, 9, 16]"


def test_arrays_and_frames(notebook):
    notebook.run("import numpy as np, pandas as pd")
    notebook.run(
        """
        array = np.arange(200_000, dtype="f8").reshape(200, 1000)
        def centred(a):
            return a - a.mean(axis=0)
        centre = client.submit(centred, array).result(60)
        """
    )
    assert notebook.run("bool(np.array_equal(centre, array - array.mean(axis=0)))") == "True"
    notebook.run(
        """
        frame = pd.DataFrame({"who": list("abab"), "n": [1, 2, 3, 4], "at": pd.date_range("2026-01-01", periods=4)})
        def totals(f):
            return f.groupby("who").n.sum().reset_index()
        total = client.submit(totals, frame).result(60)
        """
    )
    assert notebook.run('pd.testing.assert_frame_equal(total, pd.DataFrame({"who": ["a", "b"], "n": [4, 6]}))') == ""
    assert notebook.run("same = client.submit(lambda f: f, frame).result(60)\nsame.equals(frame), same.dtypes.equals(frame.dtypes)") == "(True, True)"
    assert notebook.run("[int(x) for x in client.map(lambda s: s.max(), [frame.n, frame.n * 2])]") == "[4, 8]"


def test_await_in_a_cell(notebook):
    """The kernel has an event loop of its own, in which cells may await."""
    assert notebook.run("await client.submit(pow, 2, 4)") == "16"
    assert notebook.run("import asyncio\nawait asyncio.gather(*client.submit_many(abs, [(-1,), (-2,)]))") == "[1, 2]"
    assert notebook.run("async with treadle.AsyncClient(client.url) as other:\n    print(await other.call(pow, 3, 3))") == "27\n"


def test_what_a_cell_shows(notebook, url):
    def html(source):
        notebook.run(source)
        return notebook.book.cells[-1].outputs[-1].data["text/html"]

    assert f'href="{url}/docs"' in html("client")
    assert "COMPLETED" in html("future = client.submit(pow, 2, 3)\nfuture.result(60)\nfuture")
    assert "&lt;treadle.Function" in html("@treadle.function\ndef shown(n):\n    return n\nshown")


def test_a_whole_notebook_is_executed(home, url):
    """Its cells from first to last, by nbclient's own execute()."""
    cells = [
        SETUP.format(url=url),
        "SCALE = 2\ndef scaled(n):\n    return n * SCALE",
        "print(sum(client.map(scaled, range(100), chunksize=10, progress=True)))",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in cells])
    nbclient.NotebookClient(book, timeout=CELL, kernel_name="python3").execute(env=kernel_env(home))
    assert text_of(book.cells[-1]).strip() == "9900"
    told = written(book.cells[-1], "stderr")
    assert "Warning" not in told, told
