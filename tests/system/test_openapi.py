"""/openapi.json is OpenAPI 3.1, its schemas mean what their checker here checks, and the service keeps to it: every
operation is hit, with requests that the document allows and with broken ones.
"""

import collections
import copy
import os

import hypothesis
import openapi
import openapi_inputs
import openapi_rules
import pytest
import schema
import wire
from v1 import V1

CASES = int(os.environ.get("TREADLE_OPENAPI_CASES", "15"))  # of each kind, for each operation


@pytest.fixture(scope="module")
def document(server):
    return openapi.of(server)


def test_the_document_is_openapi_3_1(document):
    assert openapi_rules.faults(document.raw) == []
    assert len(document.operations) >= 28 and len(document.raw["components"]["schemas"]) >= 29


FAULTS = {
    "no version": lambda raw: raw.pop("openapi"),
    "another version": lambda raw: raw.update(openapi="3.0.3"),
    "a member that there is not": lambda raw: raw["info"].update(titel="x"),
    "a path without its slash": lambda raw: raw["paths"].update({"v1/x": {}}),
    "the same path by another name": lambda raw: raw["paths"].update({"/status/{id}": {}}),
    "an operation id twice": lambda raw: raw["paths"]["/v1/stats"]["get"].update(operationId="v1_workers"),
    "a tag of nowhere": lambda raw: raw["paths"]["/v1/stats"]["get"].update(tags=["x"]),
    "a path parameter that is not told": lambda raw: raw["paths"]["/v1/tasks/{task_id}"]["get"].pop("parameters"),
    "no answers": lambda raw: raw["paths"]["/v1/stats"]["get"].pop("responses"),
    "an answer without words": lambda raw: raw["paths"]["/v1/stats"]["get"]["responses"]["200"].pop("description"),
    "a status that is none": lambda raw: raw["paths"]["/v1/stats"]["get"]["responses"].update({"2": {"description": ""}}),
    "a reference to nothing": lambda raw: raw["components"]["schemas"].pop("Options"),
    "a schema that is none": lambda raw: raw["components"]["schemas"]["Task"].update(type="thing"),
    "an example that does not fit": lambda raw: raw["components"]["schemas"]["Problem"]["examples"][0].pop("code"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_document_is_found(document, name):
    raw = copy.deepcopy(document.raw)
    FAULTS[name](raw)
    assert openapi_rules.faults(raw) != []


def test_the_checker_of_answers_agrees_with_jsonschema(document):
    """schema.py, which judges each answer of the system tests, against python3-jsonschema on broken examples."""
    verdicts = collections.Counter()

    @settings(200)
    @hypothesis.given(hypothesis.strategies.data())
    def compare(data):
        name = data.draw(hypothesis.strategies.sampled_from(sorted(document.raw["components"]["schemas"])))
        described = document.raw["components"]["schemas"][name]
        value = openapi_inputs.mutated(data.draw, described["examples"][0])
        fits = openapi_rules.judge(described, document.raw).is_valid(value)
        try:
            schema.check(value, described, document.raw)
        except (AssertionError, ValueError) as error:
            # The checker wants more: members of answers that are not described are faults to it, times are exact.
            strict = "is not described" in str(error) or "Z" in str(value)
            assert not fits or strict, (name, value, error)
            verdicts["refused"] += 1
        else:
            assert fits, (name, value)
            verdicts["taken"] += 1

    compare()
    assert verdicts["refused"] > 50 and verdicts["taken"] > 10, verdicts


# -- every operation -------------------------------------------------------------------------------------------------------


def double(x=1, **_):
    return x * 2


def settings(cases):
    """The same cases each time, so that a failure of CI can be looked at."""
    return hypothesis.settings(
        max_examples=cases, derandomize=True, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )


@pytest.fixture(scope="module")
def inputs(server, document):
    """Requests about functions and tasks of this server, in each state."""
    v1 = V1(server)

    def fail():
        raise ValueError("no luck")

    def opaque():
        return b"no JSON"

    ended = [v1.submit(v1.register(f), group="ended") for f in (double, fail, opaque)]
    for task in ended:
        v1.ended(task)
    code = wire.text(wire.as_main(double))
    cursor = v1.ok("GET", "/v1/tasks?limit=1")["next_cursor"]
    pools = {
        "name": ["double", "fail", "nobody knows"],
        "payload": openapi_inputs.arguments(),
        "octets": [wire.bare(one) for one in openapi_inputs.arguments()],
        "queue": ["nobody"],
        "source": ["def f(x=1):\n    return x\n"],
        "cursor": [cursor],
        "the group": ["ended", "nobody knows"],  # in a path: one whose tasks have ended, so that its stream does
        "secrets": [["DB"], []],
        "env": [{"A": "1"}, {}],
    }
    made = openapi_inputs.Inputs(document, pools)
    made.ended = ended
    made.of_functions = openapi_inputs.Inputs(document, {**pools, "payload": [code, code.replace("\n", "")]})
    return made


def maker(server, inputs, operation):
    """Bodies that register a function carry one; all others carry arguments. What an operation before has deleted or
    cancelled is there anew.
    """
    v1 = V1(server)
    # Calls with generated options are to be accepted, not run: no worker serves this queue.
    functions = [v1.register(double, queue="nobody"), v1.register(double, queue="nobody", retries=2)]
    waiting = [v1.submit(functions[0]) for _ in range(8)]
    functions.append("71ed469b-bc52-45d5-89ae-b21aa40760c9")
    inputs.pools["function_id"] = functions
    inputs.pools["name_or_id"] = ["double", "nobody knows", *functions]
    inputs.pools["task_id"] = [*inputs.ended, *waiting, "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13"]
    return inputs.of_functions if "register" in operation.name else inputs


def drive(server, strategy, cases, judge):
    """Sends the generated requests; returns the statuses that came, and judges each."""
    statuses = collections.Counter()

    @settings(cases)
    @hypothesis.given(strategy)
    def run(sent):
        reply = openapi_inputs.send(server, sent)
        statuses[reply.status] += 1
        hypothesis.note(f"{sent!r}\n  -> {reply!r}")
        assert reply.status < 500, (sent, reply)
        judge(sent, reply)

    run()
    return statuses


def taken(sent, reply):
    """What the document allows is not malformed."""
    assert reply.status not in (400, 405, 413, 415), (sent, reply)


def refused(sent, reply):
    """What it does not allow is a fault of the client's; a broken request may also happen to be allowed."""
    if sent.wrong:
        assert 400 <= reply.status < 500, (sent, reply)


def test_each_operation_takes_what_the_document_allows(server, document, inputs):
    """Fails, too, if an operation of the table never succeeded."""
    found, faults = {}, []
    for operation in document.operations:
        try:
            found[operation.name] = drive(server, maker(server, inputs, operation).valid(operation), CASES, taken)
        except Exception as fault:
            faults.append(f"{operation.name}: {fault}")
    assert not faults, "\n".join(faults)
    never = [name for name, statuses in found.items() if not any(200 <= status < 300 for status in statuses)]
    assert never == [] and len(found) == len(document.operations)
    checked = {name for name, _ in openapi.COUNTS}
    assert {one.name for one in document.operations if one.path.startswith("/v1/")} <= checked
    print({name: dict(statuses) for name, statuses in found.items()})


def test_each_operation_refuses_what_the_document_does_not_allow(server, document, inputs):
    found, faults = {}, []
    for operation in document.operations:
        try:
            found[operation.name] = drive(server, maker(server, inputs, operation).broken(operation), 2 * CASES, refused)
        except Exception as fault:
            faults.append(f"{operation.name}: {fault}")
    assert not faults, "\n".join(faults)
    assert all(any(400 <= status < 500 for status in found[one.name]) for one in document.operations if one.path.startswith("/v1/"))
    assert server.run(double, 21) == 42
    print({name: dict(statuses) for name, statuses in found.items()})


def test_an_unknown_query_parameter_is_an_error_on_every_route_of_v1(server, document):
    asked = 0
    for operation in document.operations:
        path = operation.path
        for one in operation.parameters("path"):
            path = path.replace("{%s}" % one["name"], "71ed469b-bc52-45d5-89ae-b21aa40760c9")
        reply = server.call(operation.method, f"{path}?wiat=5", {} if "requestBody" in operation.about else None)
        if path.startswith("/v1/"):
            assert reply.status == 400 and reply.json["detail"].startswith('There is no query parameter "wiat"'), reply
            asked += 1
    assert asked >= 18
    reply = server.post("/v1/tasks?delay=5", {"function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9"})
    assert reply.status == 400 and "with JSON they are fields of the body" in reply.json["detail"], reply
