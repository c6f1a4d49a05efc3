"""Prints one JSON list of functions pickled by the Python that runs it; other_pythons.json is the union of several (README.md)."""
import base64
import json
import sys

import cloudpickle
import dill


def loop(x):
    total = 0
    for i in range(x):
        total += len(str(i)) * i
    return total


def closure(x):
    def inner(y):
        return x + y

    return inner


samples = []
for library in (dill, cloudpickle):
    for function in (loop, closure, closure(3), lambda a, *b, c=2, **d: (a, b, c, d)):
        payload = base64.b64encode(library.dumps(function)).decode()
        samples.append({"library": library.__name__, "minor": sys.version_info[1], "payload": payload})
print(json.dumps(samples))
