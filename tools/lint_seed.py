"""The rule about docs/seed.md: one row for each statement of docs/seed-report.md, that says where it is and which test shows it. What a row
names must exist; so a function or a test that is renamed or removed is found here, and the table cannot quietly shrink."""
import re

TABLE = "docs/seed.md"
REPORT = "docs/seed-report.md"
ROWS_MIN = 145
REASON_MIN = 20  # letters of the reason behind "differs:"

QUOTED_CODE = re.compile(r"`([^`]+)`")
SEPARATOR = re.compile(r"\|[\s:|-]+\|$")
REPORT_NAME = re.compile(r"[A-Za-z]+(?:_[A-Za-z]+)+")  # handle_registration, TASK_FAILED: the report's own words
CPP_TEST = r"\bTEST(?:_F|_P)?\(\s*{},\s*{}\s*\)"
PY_TEST = r"^\s*def {}\("


def rows(tree):
    """(line, cells) of each row of the tables, without headings."""
    heading = True  # until a separator: what a table begins with
    for number, line in tree.lines(TABLE):
        if not line.startswith("|"):
            heading = True
        elif SEPARATOR.match(line):
            heading = False
        elif not heading:
            yield number, [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def code_of(tree, path):
    """The text of a file; of C++ without comments, which outlive what they speak of."""
    text = tree.text(path)
    return re.sub(r"//[^\n]*", "", text) if path.endswith((".cpp", ".h")) else text


def has_name(tree, path, name):
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", code_of(tree, path)) is not None


def has_test(tree, path, name):
    if path.endswith(".py"):
        return re.search(PY_TEST.format(re.escape(name)), tree.text(path), re.M) is not None
    suite, dot, case = name.partition(".")
    return bool(dot) and re.search(CPP_TEST.format(re.escape(suite), re.escape(case)), tree.text(path)) is not None


def faults_of(tree, cell, has, what):
    """What is wrong with a cell of files, each followed by at least one name in it."""
    path, named = None, True
    for word in QUOTED_CODE.findall(cell):
        if "/" in word:
            if not named:
                yield f"{path} stands without a {what}"
            path, named = word, False
            if path not in tree.files:
                yield f"there is no file {path}"
        elif path is None:
            yield f"{word} stands without a file before it"
            return
        else:
            named = True
            if path in tree.files and not has(tree, path, word):
                yield f"{path} has no {what} {word}"
    if path is None:
        yield f"names no file with a {what}"
    elif not named:
        yield f"{path} stands without a {what}"


def faults_of_row(tree, cells):
    if len(cells) != 3 or not cells[0]:
        yield "a row has three cells: the statement, where it is, the test that shows it"
        return
    _, where, shown = cells
    shown, differs, reason = shown.partition("differs:")
    if differs and len(re.sub(r"\W", "", reason)) < REASON_MIN:
        yield "'differs:' needs its reason"
    if where or not differs:
        yield from faults_of(tree, where, has_name, "name")
    if shown.strip() or not differs:
        yield from faults_of(tree, shown, has_test, "test")


def seed_table_is_true(tree):
    found = list(rows(tree))
    if len(found) < ROWS_MIN:
        yield TABLE, 1, f"has {len(found)} rows; {ROWS_MIN} statements of the seed's report are the least"
    for number, cells in found:
        for fault in faults_of_row(tree, cells):
            yield TABLE, number, fault
    statements = "\n".join(cells[0] for _, cells in found)
    for number, line in tree.lines(REPORT):
        for name in REPORT_NAME.findall(line):
            if not re.search(rf"(?<!\w){name}(?!\w)", statements):
                yield REPORT, number, f"no row of {TABLE} speaks of {name}"
