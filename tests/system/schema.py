"""Holds a JSON value against a schema of /openapi.json: as much of JSON Schema as those schemas use."""

import re
import uuid

TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and v == v // 1,
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}
KEYWORDS = {
    "type", "enum", "description", "default", "examples", "format", "pattern", "properties", "required", "items",
    "additionalProperties", "oneOf", "anyOf", "not", "minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems", "maxItems", "$ref",
}  # fmt: skip
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def check(value, schema, document, at="$"):
    """Asserts that the value is what the schema says."""
    assert set(schema) <= KEYWORDS, f"{at}: the checker does not know {set(schema) - KEYWORDS}"
    if "$ref" in schema:
        schema = named(schema["$ref"], document)
    if "oneOf" in schema:
        assert sum(holds(value, one, document) for one in schema["oneOf"]) == 1, f"{at}: fits not just one of {schema['oneOf']}"
    if "anyOf" in schema:
        assert any(holds(value, one, document) for one in schema["anyOf"]), f"{at}: fits none of {schema['anyOf']}"
    if "not" in schema:
        assert not holds(value, schema["not"], document), f"{at}: fits {schema['not']}"
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(TYPES[one](value) for one in types), f"{at}: {value!r} is not {types}"
    if "enum" in schema:
        assert value in schema["enum"], f"{at}: {value!r} is not one of {schema['enum']}"
    if TYPES["number"](value):
        assert value >= schema.get("minimum", value) and value <= schema.get("maximum", value), f"{at}: {value}"
        assert "exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"], f"{at}: {value}"
    if isinstance(value, str):
        check_text(value, schema, at)
    if isinstance(value, list):
        assert len(value) >= schema.get("minItems", 0) and len(value) <= schema.get("maxItems", len(value)), at
        for i, one in enumerate(value):
            check(one, schema.get("items", {}), document, f"{at}[{i}]")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        missing = set(schema.get("required", [])) - set(value)
        assert not missing, f"{at}: missing {missing}"
        for name, one in value.items():
            assert name in known or not known or schema.get("additionalProperties"), f"{at}: {name} is not described"
            check(one, known.get(name, {}), document, f"{at}.{name}")


def holds(value, schema, document):
    try:
        check(value, schema, document)
    except (AssertionError, ValueError):
        return False
    return True


def check_text(value, schema, at):
    assert schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)), f"{at}: {value!r}"
    assert "pattern" not in schema or re.search(schema["pattern"], value), f"{at}: {value!r}"
    if schema.get("format") == "uuid":
        uuid.UUID(value)
    if schema.get("format") == "date-time":
        assert DATE_TIME.fullmatch(value), f"{at}: {value!r}"


def named(reference, document):
    prefix = "#/components/schemas/"
    assert reference.startswith(prefix), reference
    return document["components"]["schemas"][reference[len(prefix) :]]
