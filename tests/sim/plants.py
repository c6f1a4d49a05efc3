#!/usr/bin/python3
"""Makes the planted copies of core and store sources for treadle_sim_planted, and the list of plants.

    plants.py TABLE SRC OUT     reads TABLE (plants.tsv), copies the sources that it names from SRC to OUT with every
                                plant built in and switched off, and writes OUT/plant_list.h

A row is: name, what is broken, file, text, replacement. The text has to stand in the file exactly once, so that a plant
cannot rot unseen: who changes the line is told by the build, and moves the plant along. \\n stands for a new line;
PLANT in a replacement is true while the plant of the row is switched on.
"""
import pathlib
import sys


def rows_of(table):
    for number, line in enumerate(table.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        cells = [cell.replace("\\n", "\n") for cell in line.split("\t")]
        if len(cells) != 5:
            sys.exit(f"{table}:{number}: a row has 5 cells with tabs between them, this one has {len(cells)}")
        yield number, *cells


def plant(texts, src, table):
    names = {}
    for number, name, broken, file, old, new in rows_of(table):
        text = texts.get(file) or (src / file).read_text()
        if text.count(old) != 1:
            sys.exit(f"{table}:{number}: plant {name}: its text stands in {file} {text.count(old)} times, not once; move it to the line that keeps this promise now:\n{old}")
        names.setdefault(name, broken)
        texts[file] = text.replace(old, new.replace("PLANT", f"(::treadle::plant::active == ::treadle::plant::{name})"))
    return names


def main():
    table, src, out = (pathlib.Path(p) for p in sys.argv[1:4])
    texts = {}
    names = plant(texts, src, table)
    for file, text in texts.items():
        path = out / file.replace("/", "_")
        path.write_text(f'#include "plant_list.h"\n#line 1 "{src / file}"\n{text}')
    enum = "".join(f"  {name},\n" for name in names)
    list_ = "".join(f'    {{"{name}", "{broken}"}},\n' for name, broken in names.items())
    (out / "plant_list.h").write_text(
        f"#pragma once\nnamespace treadle::plant {{\nenum Name : int {{\n  none,\n{enum}}};\nextern int active;\n"
        f'struct Entry {{\n  const char* name;\n  const char* broken;\n}};\ninline constexpr Entry kAll[] = {{\n    {{"none", ""}},\n{list_}}};\n}}  // namespace treadle::plant\n')


if __name__ == "__main__":
    main()
