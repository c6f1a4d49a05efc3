"""Lines of results files, by figure: reading, choosing, medians."""
import dataclasses
import json
import statistics


@dataclasses.dataclass
class Cell:
    """All sound lines of one figure in one place (store, mode, slots, or a peer) of one run."""
    run: str
    lines: list

    def values(self, key):
        return [line[key] for line in self.lines if isinstance(line.get(key), (int, float))]

    def median(self, key):
        values = self.values(key)
        return statistics.median(values) if values else None

    def range(self, key):
        values = self.values(key)
        return (min(values), max(values)) if values else None


def read(paths):
    lines = []
    for path in paths:
        with open(path) as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = json.loads(raw)
                except ValueError:
                    raise SystemExit(f"{path}:{number}: not a line of JSON; take it out, or give another file")
                if isinstance(line, dict):
                    lines.append(line)
    return lines


def sound(line):
    failing_allowed = line["figure"] == "failing"
    return not ("error" in line or line.get("errors") or line.get("unfinished") or (line.get("failed") and not failing_allowed))


class Results:
    """Of each figure the newest run that has it. Runs at another scale than 1 only prove that the scripts work: left out."""

    def __init__(self, lines, any_scale=False):
        heads = [line for line in lines if "machine" in line]
        self.runs = {h["run"]: h for h in heads if any_scale or h.get("scale", 1) == 1}
        self.cells, self.broken = {}, []
        for line in lines:
            if "figure" not in line or line.get("run") not in self.runs:
                continue
            if not sound(line):
                self.broken.append(line)
                continue
            key = (line["figure"], line.get("peer") or line.get("store"), line.get("mode"), line.get("workers"))
            cell = self.cells.get(key)
            if cell is None or cell.run < line["run"]:
                cell = self.cells[key] = Cell(line["run"], [])
            if cell.run == line["run"]:
                cell.lines.append(line)

    def get(self, figure, store, mode, workers=2):
        return self.cells.get((figure, store, mode, workers))

    def peer(self, figure, peer, workers=2):
        return self.cells.get((figure, peer, None, workers))
