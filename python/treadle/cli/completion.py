"""treadle completion: the words of the command line for a shell, made from the parser itself."""

from __future__ import annotations

import argparse
import os
from typing import Any

# What the binary has besides; it says so itself, and `treadle --help` lists all.
SERVICE_VERBS = ("serve", "gateway", "dispatcher", "worker", "why", "version")


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    completion = verbs.add_parser("completion", help="print what makes a shell complete the words of treadle",
                                  examples='eval "$(treadle completion bash)"\ntreadle completion fish | source')  # fmt: skip
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    completion.set_defaults(do=do_completion, needs_parser=True)


def do_completion(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    words = words_of(parser)
    words[""] = sorted([*words[""], *SERVICE_VERBS])
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell](words), end="")
    return 0


def words_of(parser: argparse.ArgumentParser, path: str = "") -> dict[str, list[str]]:
    """{"fn ls": ["--limit", ...]}: what may follow each path of verbs."""
    found: dict[str, list[str]] = {path: []}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                found[path].append(name)
                found.update(words_of(sub, f"{path} {name}".strip()))
        else:
            found[path] += [word for word in action.option_strings if word.startswith("--")]
            found[path] += [str(choice) for choice in action.choices or ()] if not action.option_strings else []
    return found


def _cases(words: dict[str, list[str]]) -> str:
    return "".join(f"    '{path}') words='{' '.join(follow)}' ;;\n" for path, follow in words.items() if follow)


_SHELL = """\
_treadle() {
  local path=${COMP_WORDS[*]:1:2} words=''
  [ "$COMP_CWORD" -le 2 ] && path=${COMP_WORDS[*]:1:COMP_CWORD-1}
  case $path in
CASES    *) case ${COMP_WORDS[1]} in
CASES1      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
  [ ${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
  return 0
}
complete -F _treadle treadle
"""


def _bash(words: dict[str, list[str]]) -> str:
    ones = {path: follow for path, follow in words.items() if path and " " not in path}
    return _SHELL.replace("CASES1", _cases(ones)).replace("CASES", _cases(words))


def _zsh(words: dict[str, list[str]]) -> str:
    return f"autoload -U +X bashcompinit && bashcompinit\n{_bash(words)}"


def _fish(words: dict[str, list[str]]) -> str:
    lines = ["complete -c treadle -f"]
    for path, follow in words.items():
        seen = " and ".join(f"__fish_seen_subcommand_from {word}" for word in path.split()) or "__fish_use_subcommand"
        for word in follow:
            what = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            lines.append(f"complete -c treadle -n '{seen}' {what}")
    return os.linesep.join(lines) + os.linesep
