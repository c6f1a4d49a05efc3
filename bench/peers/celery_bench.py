"""Celery over Redis, prefork. 'celery' = pickle (so that bytes go through), 'celery-json' = throughput and latency with json."""
import contextlib
import os
import pathlib
import sys
import time

import common

HERE = pathlib.Path(__file__).resolve().parent
PORT = 9300


def make_for(ser, prefetch):
    @contextlib.contextmanager
    def make(workers):
        env = {"SER": ser, "PREFETCH": str(prefetch), "CELERY_REDIS": f"redis://127.0.0.1:{PORT}/0", "C_FORCE_ROOT": "1"}
        r = common.redis_server(PORT)
        w = common.start([sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-P", "prefork", "-c", str(workers),
                          "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "error"], "/tmp/peer-celery.log", env, cwd=HERE)
        import celery_app
        celery_app.app.conf.update(task_serializer=ser, result_serializer=ser)
        try:
            class P:
                submit = staticmethod(lambda f, a: getattr(celery_app, f).apply_async((a,)))
                wait = staticmethod(lambda hs: [h.get(timeout=60) for h in hs])
            P.wait([P.submit("noop", None)])
            yield P
        finally:
            common.stop([w, r])
    return make


if __name__ == "__main__":
    # Prefetch 1 made this Celery crawl (18 to 130 of 200 10 ms naps in 12 s, timers on or off); 2 did not.
    # The client caches its broker connection, so every server start gets a process of its own.
    os.chdir(HERE)
    ser, kind = sys.argv[1:3]
    if kind == "fast":
        common.suite(make_for(ser, 64), "celery-" + ser, n=3000, only=["throughput", "latency"] + (["payload"] if ser == "pickle" else []))
    else:
        w = int(sys.argv[3])
        with common.lock(), make_for(ser, 2)(w) as peer:
            common.sleeps(peer, "celery-" + ser, w)
    sys.stdout.flush()
    os._exit(0)
