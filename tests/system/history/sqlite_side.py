"""The embedded store as the checker sees it: a trigger writes each change of a state to a table that only grows."""

import pickle
import sqlite3
import uuid

import wire
from history.model import Change, Final

STATES = ("QUEUED", "CLAIMED", "RUNNING", "COMPLETED", "FAILED")
KINDS = ("", "FunctionFailed", "Timeout", "Crashed", "WorkerLost", "PoisonTask", "Cancelled", "Expired")
LOG = """
CREATE TABLE history_log(n INTEGER PRIMARY KEY, id BLOB, state INTEGER, token INTEGER);
CREATE TRIGGER history_insert AFTER INSERT ON tasks BEGIN
  INSERT INTO history_log(id, state, token) VALUES(new.id, new.state, new.token);
END;
CREATE TRIGGER history_update AFTER UPDATE OF state, token ON tasks BEGIN
  INSERT INTO history_log(id, state, token) VALUES(new.id, new.state, new.token);
END;
"""


def install_log(path):
    """Into the database of a server that has stopped."""
    with sqlite3.connect(path) as db:
        db.executescript(LOG)
    db.close()


def read(path):
    """(changes, finals), after everything has stopped."""
    db = sqlite3.connect(path)
    changes = [
        Change(str(uuid.UUID(bytes=task)), STATES[state], f"{token & (2**64 - 1):016x}" if token else "")
        for task, state, token in db.execute("SELECT id, state, token FROM history_log ORDER BY n")
    ]
    finals = {}
    query = (
        "SELECT id, state, error_kind, idempotency_key IS NOT NULL, results.bytes, error_message FROM tasks "
        "LEFT JOIN results USING(seq)"
    )
    for task, state, kind, idem, result, message in db.execute(query):
        task = str(uuid.UUID(bytes=task))
        finals[task] = Final(task, STATES[state], kind_name(kind), value_of(STATES[state], result, message), bool(idem))
    db.close()
    return changes, finals


def kind_name(number):
    return KINDS[number] if number is not None and number < len(KINDS) else str(number or "")


def value_of(status, result, message):
    """[key, nonce] of a result, or of the text of the exception that user code raised."""
    if status == "COMPLETED" and result:
        return list(pickle.loads(result))
    words = (message.decode(errors="replace") if isinstance(message, bytes) else message or "").split()
    return [int(words[0]), words[1]] if status == "FAILED" and len(words) == 2 and words[0].isdigit() else None


def value_of_text(status, armored, message):
    return value_of(status, wire.bare(armored) if armored else None, message)
