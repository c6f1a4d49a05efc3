"""A page in a real browser calls functions by fetch: of the service's own origin, of one that is allowed, of one that is not."""

import http.server
import json
import os
import threading

import browser as chromium
import pytest
from v1 import V1

# CI has one; it fails without.
pytestmark = pytest.mark.skipif(
    not chromium.program() and not os.environ.get("CI"), reason="no Chromium here (tools/packages.tsv)"
)

SOURCE = """
def divide(a, by):
    if by == 0:
        raise ZeroDivisionError("by nothing")
    return a / by
"""
NOTE = """
def note(path):
    with open(path, "a") as file:
        file.write("x")
"""
# What a page has after a call: everything that a script may read of the answer.
CALL = """(async () => {
  const answer = await fetch(%(url)s, {method: "POST", headers: %(headers)s, body: %(body)s});
  return {status: answer.status, kind: answer.headers.get("Content-Type"), location: answer.headers.get("Location"),
    body: await answer.json()};
})().catch(error => ({failed: String(error)}))"""


@pytest.fixture(scope="module")
def browser():
    one = chromium.Browser()
    yield one
    one.close()


@pytest.fixture(scope="module")
def other_origin():
    """A site of somebody else: it serves one page, and says at which address."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>a page of somebody else</title>")

        def log_message(self, *_):
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{site.server_port}"
    site.shutdown()
    site.server_close()


def register(server, name, source):
    return V1(server).ok("POST", "/v1/functions", {"name": name, "source": source}, status=201)["function_id"]


def call(browser, url, body, kind="application/json"):
    words = {"url": url, "headers": {"Content-Type": kind}, "body": json.dumps(body)}
    return browser.run(CALL % {name: json.dumps(word) for name, word in words.items()})


def test_a_page_of_the_service_calls_a_function(server, browser):
    register(server, "divide", SOURCE)
    browser.open(f"{server.url}/docs")
    assert "treadle" in browser.run("document.title").lower()
    answer = call(browser, "/v1/functions/divide/invoke", {"args": [84], "kwargs": {"by": 2}})
    assert answer["status"] == 200 and answer["body"]["result"] == 42, answer
    assert answer["body"]["status"] == "COMPLETED" and answer["kind"] == "application/json"


def test_an_exception_is_a_problem_with_type_message_and_traceback(server, browser):
    register(server, "divide", SOURCE)
    browser.open(f"{server.url}/docs")
    answer = call(browser, "/v1/functions/divide/invoke", {"args": [1, 0]})
    assert answer["status"] == 422 and answer["kind"] == "application/problem+json", answer
    problem = answer["body"]
    assert problem["code"] == "function-failed" and problem["detail"] == "ZeroDivisionError: by nothing"
    error = problem["error"]
    assert error["type"] == "ZeroDivisionError" and error["message"] == "by nothing", error
    assert error["traceback"].startswith("Traceback") and "in divide" in error["traceback"], error


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_page_of_another_origin_is_refused_and_nothing_runs(server, browser, other_origin, runs, kind):
    """text/plain is sent without a question before: the service itself must refuse it."""
    register(server, "note", NOTE)
    browser.open(other_origin)
    answer = call(browser, f"{server.url}/v1/functions/note/invoke", {"args": [runs.name]}, kind)
    assert answer == {"failed": "TypeError: Failed to fetch"}
    browser.open(f"{server.url}/docs")
    assert call(browser, "/v1/functions/note/invoke", {"args": [runs.name]})["status"] == 200
    assert runs.lines() == ["x"]  # the second call's: the first one never ran


def test_a_page_of_an_allowed_origin_has_answers_and_problems(serve, browser, other_origin):
    server = serve("-w", 1, "--allow-origin", other_origin)
    register(server, "divide", SOURCE)
    browser.open(other_origin)
    url = f"{server.url}/v1/functions/divide/invoke"
    answer = call(browser, url, {"args": [84, 2]})
    assert answer["status"] == 200 and answer["body"]["result"] == 42, answer
    assert call(browser, url, {"args": [1, 0]})["body"]["error"]["type"] == "ZeroDivisionError"
    later = call(browser, url + "?wait=0", {"args": [84, 2]})
    assert later["status"] == 202 and later["location"] == f"/v1/tasks/{later['body']['task_id']}", later
    assert call(browser, f"{server.url}/v1/functions/nobody/invoke", {})["body"]["code"] == "not-found"
