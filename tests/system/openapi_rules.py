"""What OpenAPI 3.1 asks of a document, in our words: a schema of the objects that ours has, and rules that no schema can say.

JSON Schema 2020-12 itself is checked by python3-jsonschema, which carries its meta-schema.
"""

import re

import jsonschema

TEXT = {"type": "string"}
MAP_OF_SCHEMAS = {"type": "object", "additionalProperties": {"$ref": "#/$defs/schema"}}


def closed(needed, **properties):
    """An object of the specification: these members, and extensions."""
    return {
        "type": "object",
        "required": needed.split(),
        "properties": properties,
        "patternProperties": {"^x-": True},
        "additionalProperties": False,
    }


def ref(name):
    return {"$ref": f"#/$defs/{name}"}


def list_of(name, **more):
    return {"type": "array", "items": ref(name) if isinstance(name, str) else name, **more}


OPERATIONS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
DEFS = {
    "schema": {"type": ["object", "boolean"]},
    "info": closed(
        "title version",
        title=TEXT,
        version=TEXT,
        summary=TEXT,
        description=TEXT,
        license={**closed("name", name=TEXT, identifier=TEXT, url=TEXT), "not": {"required": ["identifier", "url"]}},
    ),
    "tag": closed("name", name=TEXT, description=TEXT),
    "server": closed("url", url=TEXT, description=TEXT),
    "path": closed("", summary=TEXT, description=TEXT, **{name: ref("operation") for name in OPERATIONS}),
    "operation": closed(
        "responses",
        operationId=TEXT,
        tags=list_of(TEXT, minItems=1),
        summary=TEXT,
        description=TEXT,
        deprecated={"type": "boolean"},
        parameters=list_of("parameter", uniqueItems=True),
        requestBody=ref("body"),
        responses=ref("responses"),
    ),
    "parameter": {
        **closed(
            "name in schema",
            name=TEXT,
            description=TEXT,
            required={"type": "boolean"},
            schema=ref("schema"),
            **{"in": {"enum": ["path", "query", "header", "cookie"]}},
        ),
        "if": {"properties": {"in": {"const": "path"}}},
        "then": {"required": ["required"], "properties": {"required": {"const": True}}},
    },
    "body": closed("content", content=ref("content"), required={"type": "boolean"}, description=TEXT),
    "content": {"type": "object", "propertyNames": {"pattern": "^[^/ ]+/[^/ ]+$"}, "additionalProperties": ref("media")},
    "media": closed("", schema=ref("schema"), example=True, examples={"type": "object"}),
    "responses": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": "^([1-5][0-9][0-9]|[1-5]XX|default)$"},
        "additionalProperties": ref("response"),
    },
    "response": closed(
        "description",
        description=TEXT,
        content=ref("content"),
        headers={"type": "object", "additionalProperties": closed("schema", schema=ref("schema"), description=TEXT)},
    ),
}
DOCUMENT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **closed(
        "openapi info paths",
        openapi={"pattern": r"^3\.1\.\d+$"},
        info=ref("info"),
        jsonSchemaDialect=TEXT,
        servers=list_of("server"),
        tags=list_of("tag"),
        paths={"type": "object", "propertyNames": {"pattern": "^/"}, "additionalProperties": ref("path")},
        components=closed("", schemas={**MAP_OF_SCHEMAS, "propertyNames": {"pattern": "^[a-zA-Z0-9._-]+$"}}),
    ),
    "$defs": DEFS,
}

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("uuid")
def is_uuid(value):
    return not isinstance(value, str) or bool(re.fullmatch("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value))


def judge(schema, raw):
    """A validator by python3-jsonschema, of values against a schema of this document."""
    return jsonschema.Draft202012Validator({**schema, "components": raw["components"]}, format_checker=FORMATS)


def faults(raw):
    """Each way in which this is no OpenAPI 3.1 document, as text."""
    found = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in jsonschema.Draft202012Validator(DOCUMENT).iter_errors(raw)
    ]
    return found or [*rule_faults(raw)]


def rule_faults(raw):
    tags = {tag["name"] for tag in raw.get("tags", [])}
    seen = set()
    for path, item in raw["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            yield from parameter_faults(where, path, operation)
            if operation.get("operationId") in seen:
                yield f"{where}: a second {operation['operationId']}"
            seen.add(operation.get("operationId"))
            yield from (f"{where}: no tag is called {tag}" for tag in operation.get("tags", []) if tag not in tags)
            if not any(status.startswith("2") for status in operation["responses"]):
                yield f"{where}: no success is described"
    yield from same_paths(raw["paths"])
    for where, one in schemas_in(raw, "#"):
        yield from schema_faults(where, one, raw)


def parameter_faults(where, path, operation):
    named = set(re.findall(r"{([^}]*)}", path))
    parameters = [(one["in"], one["name"]) for one in operation.get("parameters", [])]
    if len(parameters) != len(set(parameters)):
        yield f"{where}: a parameter is there twice"
    if {name for place, name in parameters if place == "path"} != named:
        yield f"{where}: the path has the parameters {sorted(named)}"


def same_paths(paths):
    """Two templates that differ in their names only are the same path."""
    seen = {}
    for path in paths:
        shape = re.sub(r"{[^}]*}", "{}", path)
        if shape in seen:
            yield f"{path} and {seen[shape]} are the same path"
        seen[shape] = path


def schemas_in(node, where):
    """(place, schema) of each schema at the top of a tree of schemas."""
    if where.endswith("/schema"):
        yield where, node
    elif where.endswith("/components/schemas"):
        for name, one in node.items():
            yield f"{where}/{name}", one
    elif isinstance(node, dict):
        for name, one in node.items():
            yield from schemas_in(one, f"{where}/{name}")
    elif isinstance(node, list):
        for number, one in enumerate(node):
            yield from schemas_in(one, f"{where}/{number}")


def schema_faults(where, one, raw):
    try:
        jsonschema.Draft202012Validator.check_schema(one)
    except jsonschema.SchemaError as error:
        yield f"{where}: {error.message}"
        return
    for target in references(one):
        if not target.startswith("#/components/schemas/") or target.rsplit("/", 1)[1] not in raw["components"]["schemas"]:
            yield f"{where}: {target} names nothing"
            return
    for example in one.get("examples", []):
        for error in judge(one, raw).iter_errors(example):
            yield f"{where}: its own example does not fit: {error.message}"


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for one in node.values():
            yield from references(one)
    elif isinstance(node, list):
        for one in node:
            yield from references(one)
