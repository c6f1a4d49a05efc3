"""treadle fn: the functions that the server has."""

from __future__ import annotations

import argparse
import base64
from typing import Any

from .._pickling import dumps_function
from ..client import Client
from ..function import Function, name_of
from .loading import at_name, from_file, newest
from .output import as_json, pairs, table

_SHOWN = 50  # rows of a list, unless another number is asked for


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    fn = verbs.add_parser("fn", help="functions: register, ls, show, versions, rm",
                          examples="treadle fn register work.py::area\ntreadle fn ls")  # fmt: skip
    kinds = fn.add_subparsers(dest="kind", metavar="WHAT", required=True, parser_class=type(fn))
    register = kinds.add_parser("register", parents=[common], help="send a function; prints its id",
                                examples="treadle fn register work.py::area -o time_limit=60 -o retries=2")  # fmt: skip
    register.add_argument("function", metavar="FILE.py::NAME")
    register.add_argument("--name", help="under which it is found (default: its own)")
    register.add_argument("-o", dest="options", action="append", default=[], metavar="NAME=VALUE", help="an option (docs/api.md)")
    register.set_defaults(do=do_register)
    ls = kinds.add_parser("ls", parents=[common], help="list them, oldest first")
    ls.add_argument("--name", help="only those of this name, newest first")
    ls.add_argument("--limit", type=int, default=_SHOWN, help=f"rows (default: {_SHOWN})")
    ls.set_defaults(do=do_ls)
    for kind, about, do in (("show", "one, and its options", do_show), ("versions", "all registrations of a name, newest first", do_versions),
                            ("rm", "forget one; tasks that were accepted still run", do_rm)):  # fmt: skip
        one = kinds.add_parser(kind, parents=[common], help=about)
        one.add_argument("function", metavar="NAME" if kind == "versions" else "NAME|ID")
        one.set_defaults(do=do)


def do_register(args: argparse.Namespace, client: Client) -> int:
    found = from_file(args.function)
    plain: Any = found._fn if isinstance(found, Function) else found
    options = {**(found._options if isinstance(found, Function) else {}), **pairs(args.options, "-o")}
    body = {"name": args.name or name_of(plain), "payload": base64.b64encode(dumps_function(plain)).decode(), "options": options}
    told = client._transport.call("POST", "/v1/functions", body)
    as_json(told) if args.json else print(told["function_id"])
    return 0


def do_ls(args: argparse.Namespace, client: Client) -> int:
    filters = {"name": args.name} if args.name else {}
    rows = list(client._pages("/v1/functions", "functions", filters, args.limit))
    _print(rows, args.json)
    return 0


def do_versions(args: argparse.Namespace, client: Client) -> int:
    _print(list(client._pages(at_name(args.function, "versions"), "functions", {}, None)), args.json)
    return 0


def _print(rows: list[dict[str, Any]], json_wanted: bool) -> None:
    if json_wanted:
        return as_json(rows)
    head = ("function_id", "name", "payload_bytes", "created")
    print(table(("id", "name", "bytes", "created"), ([row[name] for name in head] for row in rows)))


def do_show(args: argparse.Namespace, client: Client) -> int:
    told = newest(client, args.function)
    if args.json:
        as_json(told)
        return 0
    for name, value in told.items():
        inner = value if isinstance(value, dict) else {}
        print(f"{name:14}" + (", ".join(f"{key}={what}" for key, what in inner.items()) if inner else f"{'-' if value is None else value}"))
    return 0


def do_rm(args: argparse.Namespace, client: Client) -> int:
    told = newest(client, args.function)
    client._transport.call("DELETE", f"/v1/functions/{told['function_id']}")
    as_json({"function_id": told["function_id"]}) if args.json else print(told["function_id"])
    return 0
