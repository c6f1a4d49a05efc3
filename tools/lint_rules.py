"""The rules of lint.py. Each takes the Tree and yields (path, line, text). Words that a rule forbids are put together from
pieces here, so that this file does not break its own rules."""
import collections
import pathlib
import re
import shutil
import subprocess

import lint_seed

# Who may include whom: a layer, and all layers below it.
LAYERS = {
    "base": {"base"},
    "core": {"base", "core"},
    "store": {"base", "core", "store"},
    "transport": {"base", "core", "transport"},
    "runtime": {"base", "core", "store", "transport", "runtime"},
    "gateway": {"base", "core", "store", "transport", "runtime", "gateway"},
    "worker": {"base", "core", "store", "transport", "runtime", "worker"},
}
LAYERS["cli"] = {"cli"}.union(*LAYERS.values())
PURE_LAYERS = {"base", "core"}
PURE_FUNCTIONS = {("src/base/sha256.cpp", "openssl/evp.h")}  # of a library, without any of the world behind them

QUOTED = re.compile(r'\s*#\s*include\s+"([^"]+)"')
ANY_INCLUDE = re.compile(r'\s*#\s*include\s+[<"]([^>"]+)[>"]')

WORLD_HEADER = re.compile(
    r"(boost/|zmq|spdlog/|fmt/|sqlite3|openssl/|prometheus/|CLI/|nlohmann/|simdjson|sys/|netinet/|arpa/|netdb\.h|poll\.h|unistd\.h|"
    r"pthread\.h|(thread|mutex|shared_mutex|condition_variable|future|random|iostream|fstream|filesystem)$)")
WORLD_CALL = re.compile(r"\b(steady|system|high_resolution)_clock::now|\bs?rand\(|\brandom_device\b|\bgetenv\(|(?<![\w.:>])time\((nullptr|NULL|0)\)")

# Headers that cost over half a second in every file that sees them.
HEAVY = {
    "boost/asio": re.compile(r"boost/asio"),
    "boost/beast": re.compile(r"boost/beast"),
    "boost/json": re.compile(r"boost/json"),
    "CLI11": re.compile(r"CLI/"),
    "spdlog": re.compile(r"spdlog/"),
    "zmq": re.compile(r"zmq(_addon)?\.h"),
    "prometheus": re.compile(r"prometheus/"),
    "sqlite3": re.compile(r"sqlite3\.h"),
}
HEAVY_TABLE = "tools/heavy_headers.tsv"

# Absent from Debian's libzmq, which is built without the draft API.
DRAFT_ZMQ = re.compile(
    r"\bzmq_poller_\w+|\bzmq_(join|leave|ppoll|connect_peer|disconnect_peer|msg_set_routing_id|msg_routing_id|msg_set_group|msg_group|"
    r"socket_monitor_versioned|socket_get_peer_state|ctx_get_ext|ctx_set_ext)\b|\bzmq::(active_)?poller_t\b|"
    r"\bZMQ_(BUILD_DRAFT_API|SERVER|CLIENT|RADIO|DISH|GATHER|SCATTER|DGRAM|PEER|CHANNEL|ROUTER_NOTIFY|RECONNECT_STOP|HELLO_MSG|"
    r"DISCONNECT_MSG|ZAP_ENFORCE_DOMAIN|HICCUP_MSG|PRIORITY|ONLY_FIRST_SUBSCRIBE)\b|"
    r"\bsocket_type::(server|client|radio|dish|gather|scatter|dgram|peer|channel)\b")

LEFT_OVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
PRIVATE_PATH = re.compile(r"\.\./sha" r"red\b|(^|[^\w.])/(wo" r"rk|ro" r"ot|fa" r"rm)/")
REGISTRY = re.compile(r'"reso' r'lved": *"https?:|\b(registry\.npm' r"js\.org|registry\.yarn" r"pkg\.com|py" r"pi\.org|files\.python" r"hosted\.org|"
                      r"(deb|snapshot|security)\.deb" r"ian\.org|crates\." r"io\b|proxy\.go" r"lang\.org|repo\.ma" r"ven\.apache\.org)")

CODE_SUFFIXES = {".h", ".cpp", ".py", ".sh", ".js", ".ts", ".css", ".html", ".cmake"}
LINES_MAX = 500
CLANG_FORMAT_MAJOR = 14  # Debian 12's; other versions lay code out differently, so only this one judges


def is_cpp(path):
    return path.endswith((".h", ".cpp"))


def layer_of(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "src" else None


def is_test(path):
    return path.endswith("_test.cpp") or path.startswith(("tests/", "bench/"))


def includes(tree, path, pattern=ANY_INCLUDE):
    for number, line in tree.lines(path):
        if m := pattern.match(line):
            yield number, m[1]


def layers_hold(tree):
    for path in tree.files:
        layer = layer_of(path)
        if layer is None or not is_cpp(path):
            continue
        if layer not in LAYERS:
            yield path, 1, f"src/{layer} is not a layer that tools/lint_rules.py knows"
            continue
        for number, header in includes(tree, path, QUOTED):
            other = header.split("/")[0]
            if other in LAYERS and other not in LAYERS[layer]:
                yield path, number, f"{layer} must not include {other} ({header}): includes go down only"


def core_is_pure(tree):
    for path in tree.files:
        if layer_of(path) not in PURE_LAYERS or not is_cpp(path) or is_test(path):
            continue
        for number, header in includes(tree, path):
            if WORLD_HEADER.match(header) and (path, header) not in PURE_FUNCTIONS:
                yield path, number, f"{layer_of(path)} must not include {header}: sockets, clocks, threads, chance and logs belong to the shells"
        for number, line in tree.lines(path):
            if m := WORLD_CALL.search(line.split("//")[0]):
                yield path, number, f"{layer_of(path)} must not call {m[0]}: time and chance are arguments here"


def heavy_uses(tree):
    """Pairs (name of the heavy header, file of src/ that includes it); tests may include what they like."""
    uses = set()
    for path in tree.files:
        if layer_of(path) and is_cpp(path) and not is_test(path):
            uses |= {(name, path) for _, header in includes(tree, path) for name, pattern in HEAVY.items() if pattern.match(header)}
    return uses


def strangers_that_include(tree, header):
    """Files outside the folder of a header that include it."""
    folder = pathlib.PurePosixPath(header).parent
    for path in tree.files:
        if is_cpp(path) and pathlib.PurePosixPath(path).parent != folder:
            if any(f"src/{name}" == header for _, name in includes(tree, path, QUOTED)):
                yield path


def heavy_headers_stay_put(tree):
    allowed = {}
    for number, line in tree.lines(HEAVY_TABLE):
        cells = line.split("\t")
        if line.startswith("#") or not line.strip():
            continue
        if len(cells) != 2 or cells[0] not in HEAVY:
            yield HEAVY_TABLE, number, f"not a row 'header<tab>file' with a header of {', '.join(HEAVY)}"
        else:
            allowed[tuple(cells)] = number
            if stranger := next(strangers_that_include(tree, cells[1]), None):
                yield HEAVY_TABLE, number, f"{cells[1]} is included by {stranger}: a heavy header may not leave its folder"
    uses = heavy_uses(tree)
    for name, path in uses - set(allowed):
        where = next(n for n, header in includes(tree, path) if HEAVY[name].match(header))
        yield path, where, f"{name} is a heavy header; only the files in {HEAVY_TABLE} include it"
    for row in set(allowed) - uses:
        yield HEAVY_TABLE, allowed[row], f"{row[1]} does not include {row[0]} (any more): remove the row"


def no_draft_zmq(tree):
    for path in tree.files:
        if is_cpp(path) or path.endswith("CMakeLists.txt"):
            for number, line in tree.lines(path):
                if m := DRAFT_ZMQ.search(line):
                    yield path, number, f"{m[0]} is draft API, absent from Debian's libzmq"


def no_left_overs(tree):
    for path in tree.files:
        for number, line in tree.lines(path):
            if m := LEFT_OVER.search(line):
                yield path, number, f"left-over: {m[0]}"
            if m := PRIVATE_PATH.search(line):
                yield path, number, f"names a path of a developer's machine: {m[0].strip()}"
            if m := REGISTRY.search(line):
                yield path, number, f"names the address of a package registry: {m[0]}"


def no_dead_files(tree):
    built = "\n".join(tree.text(p) for p in tree.files if p.endswith(("CMakeLists.txt", ".cmake")))
    # The benches of limits and the load driver are compiled by the scripts beside them.
    scripts = "\n".join(tree.text(p) for p in tree.files if p.startswith("bench/") and p.endswith((".py", ".sh")))
    words = set(re.findall(r"[\w./-]+", built + "\n" + scripts))
    names = {w.rsplit("/", 1)[-1] for w in words}
    included = set()
    for path in tree.files:
        if is_cpp(path):
            for _, header in includes(tree, path):
                included |= {f"src/{header}", header, str(pathlib.PurePosixPath(path).parent / header)}
    for path in tree.files:
        name = path.rsplit("/", 1)[-1]
        if path.endswith(".cpp"):
            stem = name[:-4]
            short = re.sub(r"_(fuzz|test|bench)$", "", stem)  # foreach(target ...) add_executable(${target}_fuzz ...)
            if not names & {name, stem, short}:
                yield path, 1, "dead: no CMakeLists.txt names it"
        elif path.endswith(".h") and path not in included:
            yield path, 1, "dead: nothing includes it"


def files_are_small(tree):
    for path in tree.files:
        if pathlib.PurePosixPath(path).suffix in CODE_SUFFIXES and (count := tree.text(path).count("\n")) > LINES_MAX:
            yield path, LINES_MAX, f"{count} lines; over {LINES_MAX} a file is more than one idea: split it"


def readme_shows_the_commands(tree):
    for command in ("./dev run", "./dev test"):
        if command not in tree.text("README.md"):
            yield "README.md", 1, f"does not show {command}"


def layout_is_clang_formats(tree):
    program = shutil.which(f"clang-format-{CLANG_FORMAT_MAJOR}") or shutil.which("clang-format")
    files = [p for p in tree.files if is_cpp(p)]
    if not program or not files or ".clang-format" not in tree.files:
        return
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    if f"version {CLANG_FORMAT_MAJOR}." not in version:
        return
    run = subprocess.run([program, "--dry-run", *files], cwd=tree.root, capture_output=True, text=True)
    places = re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error): ", run.stderr, re.M)
    first, count = {}, collections.Counter()
    for path, line in places:
        first.setdefault(path, int(line))
        count[path] += 1
    for path, line in first.items():
        yield path, line, f"layout differs from clang-format's in {count[path]} places: ./dev fmt"


RULES = [layers_hold, core_is_pure, heavy_headers_stay_put, no_draft_zmq, no_left_overs, no_dead_files, files_are_small,
         readme_shows_the_commands, layout_is_clang_formats, lint_seed.seed_table_is_true]
