"""The benchmarks' own arithmetic: choosing lines, tables, plots, the CPU budget, the model. No service is started."""
import contextlib
import io
import json
import pathlib
import re
import sys
import tempfile
import unittest
import xml.dom.minidom

BENCH = pathlib.Path(__file__).resolve().parent.parent / "bench"
sys.path.insert(0, str(BENCH))

import budget  # noqa: E402
import model  # noqa: E402
import plot  # noqa: E402
import report  # noqa: E402
import results  # noqa: E402
from targets import Row, tables  # noqa: E402

MACHINE = {"cpu": "Z80", "cpus": 2, "memory_gib": 1, "kernel": "6.1", "system": "Debian", "sync_us": 150, "treadle": "treadle 1", "revision": "abc", "python": "Python 3",
           "redis": "Redis 7 sha=0", "compiler": "g++ 12"}


def head(run, **more):
    return {"run": run, "machine": MACHINE, "command": "bench/matrix.py", **more}


def noop(run, rate, store="fast", mode="local", **more):
    return {"figure": "noop", "run": run, "store": store, "mode": mode, "workers": 2, "tasks_per_s": rate, "p50_us": rate / 100, **more}


def seed(run, rate):
    return {"figure": "throughput", "run": run, "peer": "seed-push", "workers": 2, "tasks_per_s": rate, "p50_us": rate / 10}


def row(**more):
    return Row(**{"label": "no-op", "figure": "noop", "store": "fast", "mode": "local", "key": "tasks_per_s", "unit": "tasks/s", **more})


class ResultsTest(unittest.TestCase):
    def test_the_newest_run_that_has_a_figure_counts(self):
        found = results.Results([head("1"), head("2"), noop("1", 10), noop("2", 20), noop("2", 40), noop("1", 70, "redis")])
        self.assertEqual(found.get("noop", "fast", "local").values("tasks_per_s"), [20, 40])
        self.assertEqual(found.get("noop", "fast", "local").median("tasks_per_s"), 30)
        self.assertEqual(found.get("noop", "redis", "local").run, "1")
        self.assertIsNone(found.get("noop", "fast", "push"))

    def test_lines_that_are_not_sound_are_told_and_not_counted(self):
        bad = [noop("1", 99, error="gone"), noop("1", 98, unfinished=3), noop("1", 97, errors=1), noop("1", 96, failed=2)]
        found = results.Results([head("1"), *bad, noop("1", 5)])
        self.assertEqual(found.get("noop", "fast", "local").values("tasks_per_s"), [5])
        self.assertEqual(found.broken, bad)
        self.assertTrue(results.sound({"figure": "failing", "failed": 50}))

    def test_runs_at_another_scale_count_only_when_asked_for(self):
        lines = [head("1", scale=0.01), noop("1", 5)]
        self.assertEqual(results.Results(lines).cells, {})
        self.assertEqual(len(results.Results(lines, any_scale=True).cells), 1)

    def test_a_line_that_is_no_json_is_named(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write('{"run": "1"}\nnonsense\n')
            file.flush()
            with self.assertRaisesRegex(SystemExit, ":2: not a line of JSON"):
                results.read([file.name])


class FigureTest(unittest.TestCase):
    def figure(self, lines, **more):
        return report.Figure(row(**more), results.Results([head("1"), head("2"), *lines]))

    def test_value_range_target_and_ratio(self):
        f = self.figure([noop("1", 100), noop("1", 300), noop("1", 200), seed("1", 50)], target=150, peer=("throughput", "seed-push", "tasks_per_s"))
        self.assertEqual((f.value, f.range, f.ratio, f.reached), (200, (100, 300), 4, True))
        self.assertAlmostEqual(f.share, 200 / 150)
        self.assertEqual(f.cells(), ["no-op", "200 tasks/s", "100 to 300 (3)", "at least 150", "yes", "4.00 x seed-push"])

    def test_less_is_better(self):
        f = self.figure([noop("1", 100), seed("1", 50)], key="p50_us", unit="us", target=0.5, lower=True, peer=("throughput", "seed-push", "p50_us"))
        self.assertEqual((f.value, f.ratio, f.reached, f.share), (1, 5, False, 0.5))
        self.assertIn("**no**", f.cells())

    def test_a_peer_of_another_run_gives_no_ratio(self):
        f = self.figure([noop("2", 100), seed("1", 50)], peer=("throughput", "seed-push", "tasks_per_s"))
        self.assertEqual((f.value, f.ratio), (100, None))

    def test_share_of_another_figure(self):
        f = self.figure([noop("1", 90, mode="push"), noop("1", 100)], mode="push", of=("noop", "fast", "local"), target=0.8)
        self.assertEqual((f.value, f.range, f.reached), (0.9, (0.9, 0.9), True))
        self.assertIsNone(self.figure([noop("1", 90, mode="push")], mode="push", of=("noop", "fast", "local")).value)

    def test_what_was_not_measured_has_no_value(self):
        f = self.figure([])
        self.assertEqual((f.value, f.reached, f.share), (None, None, None))

    def test_numbers_are_short(self):
        self.assertEqual([report.number(x) for x in (None, 1234567.8, 99.96, 12.34, 2.345, 0.98765)], ["-", "1,234,568", "100.0", "12.3", "2.35", "0.988"])


class DocumentTest(unittest.TestCase):
    def test_missed_targets_stand_at_the_top_and_in_the_table(self):
        text, plots = report.document(results.Results([head("1"), noop("1", 26000, fetched_per_s=14000.0)]))
        self.assertIn("1 of 2 targets measured here are reached.", text)
        self.assertIn("- not reached: SQLite fast, every result fetched (noop): 14,000 tasks/s, target 15,000", text)
        self.assertIn("| SQLite fast, end to end | 26,000 tasks/s | 26,000 to 26,000 (1) | at least 25,000 | yes | - |", text)
        self.assertIn("run `1`: Z80, 2 CPUs", text)
        self.assertEqual(set(plots), {"single.svg"})

    def test_each_row_names_a_figure_that_the_matrix_measures(self):
        text = "".join((BENCH / name).read_text() for name in ("matrix.py", "figures.py"))
        for table in tables():
            for one in table.rows:
                stem = re.sub(r"-(?:raw|base64)-.*|-\d+(?:ms)?$", "", one.figure)
                self.assertIn(stem, text, one)
        self.assertEqual(len({table.name for table in tables()}), len(tables()))

    def test_sections_of_budget_and_core(self):
        lines = [head("1"), {"figure": "budget", "run": "1", "store": "fast", "mode": "local", "load": "tasks", "n": 1000, "us_per_task": 50.0,
                             "parts_us": {"store": 30.0, "gateway": 20.0}, "kernel_us": {"gateway": 12.5}, "functions_us": {"store: sqlite3 ...": 9.0}, "switches_per_task": 0.5},
                 {"figure": "core", "run": "1", "mode": "push", "workers": 1000, "slots": 4, "tasks": 10, "task_ns": 900.0}]
        text, plots = report.document(results.Results(lines))
        self.assertIn("| gateway | 20.0 (12.5) |", text)
        self.assertIn("| all | 50.0 |", text)
        self.assertIn("| task_ns | 900 |", text)
        self.assertEqual(set(plots), {"budget.svg", "core.svg"})

    def test_marks_of_a_text_are_renewed(self):
        text = report.renew("a <!--=x.y-->1<!--/--> b <!--= z -->old<!--/-->.", {"x.y": 12345.0, "z": None})
        self.assertEqual(text, "a <!--=x.y-->12,345<!--/--> b <!--=z-->-<!--/-->.")
        self.assertEqual(report.renew(text, {"x.y": 2, "z": 0.5}), "a <!--=x.y-->2.00<!--/--> b <!--=z-->0.500<!--/-->.")
        with self.assertRaisesRegex(SystemExit, "no such value: x.y"):
            report.renew(text, {"z": 1})

    def test_the_program_writes_text_and_plots(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "r.jsonl").write_text("\n".join(json.dumps(line) for line in [head("1"), noop("1", 26000)]))
            sys.argv = ["report.py", "--docs", str(folder / "docs"), str(folder / "r.jsonl")]
            with contextlib.redirect_stdout(io.StringIO()) as said:
                report.main()
            self.assertIn("1 plots", said.getvalue())
            self.assertIn("26,000 tasks/s", (folder / "docs/BENCHMARKS.md").read_text())
            self.assertIn("<svg", (folder / "docs/benchmarks/single.svg").read_text())


class PlotTest(unittest.TestCase):
    def test_lengths_line_and_colors(self):
        svg = plot.bars("t & u", [("a<b", 2.0, "2", True), ("c", 1.0, "1", False), ("d", 0.0, "0", None)], 1.0)
        tree = xml.dom.minidom.parseString(svg)
        bars = tree.getElementsByTagName("rect")[1:]
        self.assertEqual([float(b.getAttribute("width")) for b in bars], [plot.BARS, plot.BARS / 2, 0])
        self.assertEqual([b.getAttribute("fill") for b in bars], [plot.GOOD, plot.SHORT, plot.PLAIN])
        self.assertEqual(float(tree.getElementsByTagName("line")[0].getAttribute("x1")), plot.LABEL + plot.BARS / 2)
        self.assertEqual(tree.getElementsByTagName("text")[0].firstChild.data, "t & u")

    def test_nothing_to_draw_is_no_fault(self):
        xml.dom.minidom.parseString(plot.bars("t", [("a", 0, "0", None)]))


PERF = """    7
\tffffffff81 tcp_sendmsg
\tffffffff82 do_syscall_64
\t     1 writev
\t     2 boost::asio::detail::socket_ops::send(int)
\t     3 treadle::gateway::Connection::write(std::string)
\t     4 treadle::runtime::HostLoop::run()

    7
\t     1 malloc
\t     2 treadle::Buffer::of(std::string)
\t     3 void treadle::core::Dispatcher::send_batches<treadle::store::Item>(int)
\t     4 treadle::runtime::DispatchLoop::turn(treadle::Instant)

    7
\t     1 sqlite3VdbeExec
\t     2 treadle::store::sqlite::Writer::run()

    7
\t     1 clone3

    9
\t     1 _PyEval_EvalFrameDefault
\t     2 [unknown]

    8
\t     1 dictFind
"""


class BudgetTest(unittest.TestCase):
    def test_a_sample_belongs_to_the_innermost_part(self):
        parts, kernel, functions = budget.divide(PERF, {7: "serve", 8: "redis"})
        self.assertEqual(dict(parts), {"gateway": 1, "dispatcher": 1, "store": 1, "other": 1, "executor": 1, "redis": 1})
        self.assertEqual(dict(kernel), {"gateway": 1})
        self.assertIn("dispatcher: treadle::core::Dispatcher::send_batches", functions)
        self.assertIn("store: sqlite3 ...", functions)

    def test_microseconds_are_shares_of_what_the_kernel_accounts(self):
        line = budget.result(PERF, {7: "serve", 8: "redis"}, 60.0)
        self.assertEqual(line["parts_us"]["store"], 10.0)
        self.assertAlmostEqual(sum(line["parts_us"].values()), 60.0)
        self.assertEqual(budget.result("", {}, 1.0), {"error": "perf has no samples"})

    def test_names_and_parts(self):
        for symbol, name, part in [
            ("treadle::gateway::(anonymous namespace)::submit(std::shared_ptr<Batch> const&)", "treadle::gateway::submit", "gateway"),
            ("std::_Function_handler<void (treadle::gateway::X), treadle::store::Y>::_M_invoke", "std::_Function_handler::_M_invoke", None),
            ("treadle::core::PickleMachine::step(int)", "treadle::core::PickleMachine::step", None),
            ("treadle::core::Supervisor::tick(int)", "treadle::core::Supervisor::tick", "supervisor"),
            ("treadle::worker::ExecutorPool::turn(int)", "treadle::worker::ExecutorPool::turn", "supervisor"),
            ("treadle::transport::ZmqWorkerLink::send(int)", "treadle::transport::ZmqWorkerLink::send", "transport")]:
            self.assertEqual((budget.own_name(symbol), budget.part_of(symbol)), (name, part))


class ModelTest(unittest.TestCase):
    def test_what_a_core_carries(self):
        lines = [head("1"), {"figure": "budget", "run": "1", "store": "redis", "mode": "push", "parts_us": {"gateway": 15.0, "store": 10.0, "dispatcher": 2.0, "transport": 3.0, "redis": 25.0},
                             "us_per_task": 90.0}, {"figure": "core", "run": "1", "mode": "push", "workers": 10000, "task_ns": 2000.0, "idle_share": 0.05}]
        values = model.values(results.Results(lines))
        self.assertEqual((values["carries.gateway"], values["carries.dispatcher"], values["carries.redis"], values["carries.redis_4"]), (50000, 100000, 40000, 160000))
        self.assertEqual((values["core.push.10000.tasks_per_s"], values["core.push.10000.idle_share_percent"]), (500000, 5))
        self.assertIsNone(values["carries.executor"])
        self.assertEqual((values["budget.redis.push.store"], values["budget.redis.push.loop"]), (10, 0))

    def test_the_scaling_document_names_values_that_exist(self):
        document = BENCH.parent / "docs" / "scaling.md"
        names = [name.strip() for name in re.findall(r"<!--=([^>]*?)-->", document.read_text())]
        self.assertGreater(len(names), 10)
        self.assertEqual(set(names) - set(model.values(results.Results([]))), set())


if __name__ == "__main__":
    unittest.main()
