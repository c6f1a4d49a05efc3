"""Data of every older version (tests/upgrade) open in this one; those of a newer one are refused in one sentence."""

import sqlite3
import sys

import pytest
import upgrade
from server import Server, run

VERSIONS = sorted(path for path in upgrade.FILES.iterdir() if path.is_dir())


def test_there_is_data_of_older_versions():
    assert VERSIONS
    for folder in VERSIONS:
        assert {path.name for path in folder.iterdir()} == {"sqlite.tar.gz", "sqlite.json", "redis.jsonl", "redis.json"}
        assert upgrade.size(folder) < 50_000


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_a_data_directory_of_an_older_version(folder, tmp_path):
    expected = upgrade.unpack_sqlite(folder, tmp_path / "data")
    server = Server(tmp_path, "-w", 1)
    try:
        upgrade.judge(server, expected)
        server.kill()  # and what the upgrade wrote is as durable as all else
        server.start()
        for task, outcome in {**expected["ended"], **expected["waiting"]}.items():
            assert upgrade.ended(server, task) == outcome
    finally:
        server.close()


@pytest.mark.sleepy  # the session of the dispatcher that was killed has to lapse
@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_a_redis_of_an_older_version(folder, redis, fleet):
    expected = upgrade.unpack_redis(folder, redis)
    gateway = fleet.gateway()
    fleet.dispatcher("local", "-w", 1)
    upgrade.judge(gateway, expected)


def test_a_newer_data_directory_is_refused_in_one_sentence(tmp_path):
    upgrade.unpack_sqlite(VERSIONS[-1], tmp_path)
    database = sqlite3.connect(tmp_path / "treadle.db")
    database.execute("PRAGMA user_version = 99")
    database.commit()
    database.close()
    before = upgrade.digest(tmp_path / "treadle.db")
    code, out, err = run("serve", "--port", 0, "--data-dir", tmp_path, "--python", sys.executable)
    assert code == 2 and out == "" and err.count("\n") == 1, (code, out, err)
    assert "was written by a newer treadle (schema 99" in err and "--data-dir" in err
    assert upgrade.digest(tmp_path / "treadle.db") == before


def test_a_newer_redis_is_refused_in_one_sentence(redis):
    redis.cli("hset", "treadle:meta", "schema", 99, "partitions", 1)
    for role in (("gateway", "--port", 0), ("dispatcher", "-m", "push", "-p", 0)):
        code, out, err = run(*role, "--store", redis.url)
        told = [line for line in err.splitlines() if "store.weak" not in line]  # which says that it keeps nothing on disk
        assert code == 2 and out == "" and len(told) == 1, (code, out, err)
        assert "holds the data of another treadle (schema 99" in err, err
    assert redis.lines("keys", "*") == ["treadle:meta"]
