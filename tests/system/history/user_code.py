"""The function that chaos runs: it notes its start and its end outside the system, one line in one write."""


def work(path, key, seconds, raises, padding=""):
    import os
    import time

    nonce = os.urandom(8).hex()
    try:
        import treadle

        attempt = treadle.current_task().attempt
    except Exception:  # run by a test itself, or by a worker of another's making
        attempt = 0

    def note(word):
        line = f"{word} {key} {nonce} {os.getpid()} {time.monotonic_ns()} {attempt}\n".encode()
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)

    note("start")
    time.sleep(seconds)
    note("end")
    if raises:
        raise ValueError(f"{key} {nonce}")
    return [key, nonce]
