"""Requests made from /openapi.json by hypothesis: such as it allows, and the same ones broken somewhere.

`valid(operation)` and `broken(operation)` are strategies of `Sent`. Which of the broken ones are really wrong is
not guessed: python3-jsonschema says whether what was sent fits the document.
"""

import copy
import json
import string
import urllib.parse

import openapi_rules
import wire
from hypothesis import strategies as st

OCTETS = "application/octet-stream"
SMALL = 0.02  # seconds that a request may be held: the document allows a minute
WORDS = st.text(string.ascii_letters + "._-", min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
STRANGE = st.sampled_from([None, True, -1, 0, 2**31, 2**63, 10**30, 1.5, -0.0, 1e308, "", "x", "\0", "ü" * 200, [], [[]], {}, {"a": None}])


class Sent:
    """One request, and whether the document allows it."""

    def __init__(self, operation, path, query, headers, body, wrong):
        self.operation, self.headers, self.body, self.wrong = operation, headers, body, wrong
        self.target = path + ("?" + urllib.parse.urlencode(query) if query else "")

    def __repr__(self):
        return f"{self.operation.method} {self.target} {self.headers} {self.body!r:.600} ({self.wrong or 'allowed'})"


class Inputs:
    """`pools`: {name of a parameter or property: values that mean something to the service under test}."""

    def __init__(self, document, pools):
        self.raw, self.pools = document.raw, pools

    # -- values of a schema ------------------------------------------------------------------------------------------

    def values(self, schema, name=""):
        if "$ref" in schema:
            return self.values(self.raw["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], name)
        if name == "wait":
            return st.sampled_from([0, SMALL / 2, SMALL])
        if name in self.pools:
            return st.sampled_from(self.pools[name])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        return st.one_of([getattr(self, kind)(schema) for kind in kinds]) if kinds else JSON

    def null(self, schema):
        return st.none()

    def boolean(self, schema):
        return st.booleans()

    def integer(self, schema):
        return st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1))

    def number(self, schema):
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        return st.integers(int(least) + ("exclusiveMinimum" in schema), int(schema["maximum"])) | st.floats(
            least, schema["maximum"], exclude_min="exclusiveMinimum" in schema, allow_subnormal=False
        )

    def string(self, schema):
        if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: "\n" not in text)
        if schema.get("format") == "uuid":
            return st.uuids().map(str)
        if schema.get("format") == "date-time":
            return st.datetimes().map(lambda instant: instant.isoformat() + "Z")
        return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 20), 20))

    def array(self, schema):
        least = schema.get("minItems", 0)
        return st.lists(self.values(schema.get("items", {})), min_size=least, max_size=min(schema.get("maxItems", 4), least + 3))

    def object(self, schema):
        known = schema.get("properties", {})
        if not known:
            more = schema.get("additionalProperties")
            return st.dictionaries(WORDS, self.values(more) if isinstance(more, dict) else JSON, max_size=2)
        needed = {*schema.get("required", []), *{"wait"}.intersection(known)}
        must = {name: self.values(known[name], name) for name in sorted(needed)}
        may = {name: self.values(one, name) for name, one in known.items() if name not in must}
        made = st.fixed_dictionaries(must, optional=may)
        together = {name: schema[name] for name in ("anyOf", "oneOf", "not") if name in schema}  # what single members cannot tell
        return made.filter(openapi_rules.judge(together, self.raw).is_valid) if together else made

    # -- requests ----------------------------------------------------------------------------------------------------

    def fits(self, parameter_or_media, value):
        return openapi_rules.judge(parameter_or_media["schema"], self.raw).is_valid(value)

    def path(self, draw, operation):
        path = operation.path
        for one in operation.parameters("path"):
            name = "the group" if one["name"] == "group" else one["name"]
            value = draw(self.values(one["schema"], name))
            path = path.replace("{%s}" % one["name"], urllib.parse.quote(value, safe=""))
        return path

    def query(self, draw, operation, raw_body):
        found = {}
        for one in operation.parameters("query"):
            of_raw = "raw body" in one["description"]
            needed = one["name"] == ("function_id" if raw_body else "wait")
            if needed or not of_raw and draw(st.booleans()):
                found[one["name"]] = draw(self.values(one["schema"], one["name"]))
        if "follow" in found:
            found["follow"] = 0  # with 1 an answer has no end as long as something waits
        return found

    def parts(self, draw, operation):
        """(path, query, headers, body as a value; bytes for octets; None for no body), all as the document allows."""
        contents = operation.about.get("requestBody", {}).get("content", {})
        headers, body = {}, None
        if contents:
            kind = draw(st.sampled_from(sorted(contents)))
            headers["Content-Type"] = kind
            body = draw(st.sampled_from(self.pools["octets"])) if kind == OCTETS else draw(self.values(contents[kind]["schema"], kind))
        for one in operation.parameters("header"):
            if draw(st.booleans()):
                headers[one["name"]] = draw(WORDS)
        return self.path(draw, operation), self.query(draw, operation, isinstance(body, bytes)), headers, body

    def valid(self, operation):
        @st.composite
        def one(draw):
            path, query, headers, body = self.parts(draw, operation)
            return Sent(operation, path, query, headers, encoded(body), "")

        return one()

    def broken(self, operation):
        ways = [self.break_path, self.break_query]
        if "requestBody" in operation.about:
            ways = [self.break_body] * 3 + [self.break_text, self.break_query]

        @st.composite
        def one(draw):
            path, query, headers, body = self.parts(draw, operation)
            return draw(st.sampled_from(ways))(draw, operation, path, query, headers, body)

        return one()

    def break_path(self, draw, operation, path, query, headers, body):
        """Another id in the path: none of ours, or no id at all."""
        path = operation.path
        wrong = ""
        for one in operation.parameters("path"):
            value = draw(st.sampled_from(["x", "71ed469b", "{}", "%", "ü", "71ED469B-BC52-45D5-89AE-B21AA40760C9", "0" * 300, "a b\0"]))
            if one["name"] == "group":
                value += " that nobody knows"  # "x" may be the group of a task that waits for ever
            path = path.replace("{%s}" % one["name"], urllib.parse.quote(value, safe=""))
            if not self.fits(one, value):
                wrong = f"{one['name']} is {value!r}"
        return Sent(operation, path, query, headers, encoded(body), wrong)

    def break_query(self, draw, operation, path, query, headers, body):
        name = draw(st.sampled_from([*(one["name"] for one in operation.parameters("query")), "surprise"]))
        value = draw(st.sampled_from(["", "-1", "x", "1e9", "61", "0x10", "nan", "%", "\0", "9" * 30, "1001", "ü"]))
        known = {one["name"]: one for one in operation.parameters("query")}.get(name)
        wrong = "" if known and self.fits(known, as_typed(value, known["schema"])) else f"{name} is {value!r}"
        if not known and not operation.path.startswith("/v1/"):
            wrong = ""  # the seed's routes let pass what they do not know
        return Sent(operation, path, {**query, name: value}, headers, encoded(body), wrong)

    def break_body(self, draw, operation, path, query, headers, body):
        if isinstance(body, bytes):
            body = draw(st.binary(max_size=40))
            return Sent(operation, path, query, headers, body, "no pickle")
        body = hurried(mutated(draw, body), body)
        media = operation.about["requestBody"]["content"]["application/json"]
        told = without_null(body)
        if isinstance(told, dict) and isinstance(told.get("options"), dict):
            told["options"] = without_null(told["options"])
        errors = [error.message for error in openapi_rules.judge(media["schema"], self.raw).iter_errors(told)]
        return Sent(operation, path, query, headers, encoded(body), "; ".join(errors))

    def break_text(self, draw, operation, path, query, headers, body):
        """A body that is no JSON, or not what its Content-Type says."""
        text = encoded(body) or b""
        start = draw(st.integers(0, max(len(text) - 1, 0)))
        bad = draw(st.sampled_from([b"", text[:start], b"\xff" + text, text + b"x", b"[" * 2000, b'{"a":' * 500, b"{'a': 1}", b"null", b'"x"']))
        headers = {**headers, "Content-Type": draw(st.sampled_from(["application/json", "text/plain", "application/json; charset=x"]))}
        return Sent(operation, path, query, headers, bad, "no JSON object")


def mutated(draw, body):
    """A copy of a value with one place of it changed: another value, a member more, or one less."""
    body = copy.deepcopy(body)
    at = draw(st.sampled_from(places(body)))
    how = draw(st.sampled_from(["replace", "replace", "drop", "add"]))
    if not at:
        return draw(STRANGE) if how == "replace" else {**body, draw(WORDS): draw(STRANGE)}
    inside = body
    for step in at[:-1]:
        inside = inside[step]
    if how == "drop":
        del inside[at[-1]]
    elif how == "add" and isinstance(inside[at[-1]], dict):
        inside[at[-1]][draw(WORDS)] = draw(STRANGE)
    else:
        inside[at[-1]] = draw(STRANGE)
    return body


def hurried(body, before):
    """The body without a wait that a test has no time for; one that is malformed stays."""
    if isinstance(body, dict) and "wait" in before:
        wait = body.get("wait")
        if wait is None or type(wait) in (int, float) and SMALL < wait <= 60:
            body["wait"] = SMALL
    return body


def places(value, at=()):
    found = [at]
    if isinstance(value, (dict, list)) and len(at) < 4:
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(inner, (*at, step))
    return found


def encoded(body):
    return body if body is None or isinstance(body, bytes) else json.dumps(body).encode()


def as_typed(text, schema):
    """What a query value is to its schema: a number where one is asked for and it reads as one."""
    if schema.get("type") not in ("integer", "number") and "enum" not in schema:
        return text
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text


def without_null(value):
    """A member that is null is as if it were absent."""
    return {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value


def send(client, sent):
    return client.call(sent.operation.method, sent.target, sent.body, headers=sent.headers)


def arguments():
    """Texts of pickled arguments, in the forms that clients send."""
    return [wire.args(), wire.args(1, x="y"), wire.args(3).replace("\n", "")]
