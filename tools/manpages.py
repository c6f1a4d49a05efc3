#!/usr/bin/python3
"""Man pages from the texts of --help: treadle(1), and treadle-VERB(1) for each verb.

    tools/manpages.py BINARY FOLDER      writes FOLDER/*.1 and prints their names
"""
import os
import pathlib
import re
import subprocess
import sys

LINKS = {"task_dispatcher": "treadle-dispatcher", "push_worker": "treadle-worker", "pull_worker": "treadle-worker"}


def help_of(binary, *verb):
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run([binary, *verb, "--help"], capture_output=True, text=True, check=True, env=env).stdout


def verbs_of(text):
    """{verb: what it does}, in the order of `treadle --help`."""
    return dict(re.findall(r"^  ([a-z]+) {2,}(\S.*)$", text, re.M))


def escaped(text):
    """The text as roff would have it: no line of it is a command."""
    lines = [line.replace("\\", "\\e").replace("-", "\\-") for line in text.splitlines()]
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in lines)


def page(name, version, about, text, see):
    related = ", ".join(f"\\fB{escaped(one)}\\fR(1)" for one in see)
    return f""".TH {escaped(name).upper()} 1 "" "treadle {version}" "Treadle"
.SH NAME
{escaped(name)} \\- {escaped(about)}
.SH DESCRIPTION
.nf
{escaped(text.strip())}
.fi
.SH SEE ALSO
{related}
"""


def pages(binary):
    """{file name: text}"""
    version = subprocess.run([binary, "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    text = help_of(binary)
    verbs = verbs_of(text)
    made = {"treadle.1": page("treadle", version, "runs Python functions as a service", text, [f"treadle-{verb}" for verb in verbs])}
    for verb, about in verbs.items():
        made[f"treadle-{verb}.1"] = page(f"treadle-{verb}", version, about, help_of(binary, verb), ["treadle"])
    for link, target in LINKS.items():
        made[f"{link}.1"] = f".so man1/{target}.1\n"
    return made


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binary, folder = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages(binary).items():
        (folder / name).write_text(text)
        print(name)


if __name__ == "__main__":
    main()
