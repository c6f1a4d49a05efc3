"""The reference at the end of docs/sdk.md is what the docstrings say. `python3 python/tests/test_sdk_docs.py` writes it anew."""

import inspect
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "sdk.md"
BEGIN = "## Reference\n"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "python"))

import treadle  # noqa: E402


def signature(value):
    """Without annotations, which the text tells."""
    try:
        plain = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    empty = inspect.Parameter.empty
    parameters = [one.replace(annotation=empty) for one in plain.parameters.values() if one.name != "self"]
    return str(plain.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def entry(title, value):
    text = inspect.getdoc(value)
    assert text, f"{title} has no docstring"
    return f"- `{title}`: " + " ".join(text.split())


def reference():
    lines = [BEGIN]
    for name in treadle.__all__:
        value = getattr(treadle, name)
        error = inspect.isclass(value) and issubclass(value, BaseException)
        lines.append(entry(name if error else name + signature(value), value))
        if not inspect.isclass(value) or error:
            continue
        for method, member in vars(value).items():
            if method.startswith("_"):
                continue
            if isinstance(member, property):
                lines.append(entry(f"{name}.{method}", member))
            elif callable(member):
                lines.append(entry(f"{name}.{method}{signature(member)}", member))
    return "\n".join(lines) + "\n"


def test_reference():
    page = PAGE.read_text()
    assert BEGIN + page.partition(BEGIN)[2] == reference(), "run python3 python/tests/test_sdk_docs.py"


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(BEGIN)[0] + reference())
