# Part 6 of 7: environments: virtual environments of requirements, built once for each worker's machine, and evicted by size.

# ---- environments --------------------------------------------------------------------------------------------------

LOG_SHOWN = 60 << 10     # bytes of a build's log that are shown


def hold_environment(lock):
    """For the life of this process: whoever evicts leaves it alone."""
    fcntl.flock(os.open(lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), fcntl.LOCK_SH)


def build_environment(job):
    """The exit code of a builder: 0 if the environment is there. What it says on stdout is for people."""
    os.makedirs(job["cache"], 0o700, exist_ok=True)
    found = os.stat(job["cache"])
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        print("%s is not this user's alone, so others could choose what runs; take another folder (--env-cache), or chmod go-w" % job["cache"])
        return 1
    folder = job["cache"] + "/" + job["name"]
    lock = os.open(folder + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not is_complete(folder):
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever builds it now is waited for; nobody uses what is not complete
        if not is_complete(folder):
            make_environment(folder, job)
    os.utime(folder + ".json")  # used now
    evict_environments(job["cache"], job["name"], job["most_bytes"])
    return 0


def is_complete(folder):
    return os.path.exists(folder + ".json") and os.path.exists(folder + "/bin/python")


def make_environment(folder, job):
    import subprocess

    shutil.rmtree(folder, ignore_errors=True)
    begun = time.monotonic()
    with open(folder + ".log", "wb") as log:
        for argv in build_steps(folder, job):
            log.write(("$ " + " ".join(argv) + "\n").encode())
            log.flush()
            code = subprocess.call(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            if code != 0:
                print("%s ended with code %d; the log is %s.log\n%s" % (os.path.basename(argv[0]), code, folder, end_of(folder + ".log")))
                shutil.rmtree(folder, ignore_errors=True)
                _exit_now(1)
    if sys.prefix != sys.base_prefix:  # a virtual environment sees its base's packages, not those of the one it is made in
        import site

        with open(site_packages(folder) + "/_treadle_parent.pth", "w") as file:
            file.writelines(path + "\n" for path in site.getsitepackages())
    facts = {"requirements": job["requirements"], "python": sys.executable, "bytes": bytes_below(folder),
             "seconds": round(time.monotonic() - begun, 3)}
    with open(folder + ".json.new", "w") as file:
        json.dump(facts, file)
    os.rename(folder + ".json.new", folder + ".json")
    print("built in %.1f s, %d bytes; the log is %s.log" % (facts["seconds"], facts["bytes"], folder))


def build_steps(folder, job):
    offline = ["--no-index", "--find-links", job["wheelhouse"]] if job["wheelhouse"] else []
    what = offline + ["--"] + job["requirements"]
    yield [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", folder]
    uv = shutil.which("uv")
    if uv:
        yield [uv, "pip", "install", "--python", folder + "/bin/python"] + what
    else:
        yield [sys.executable, "-m", "pip", "--python", folder + "/bin/python", "install", "--disable-pip-version-check", "--no-input"] + what


def site_packages(folder):
    return "%s/lib/python%d.%d/site-packages" % ((folder,) + sys.version_info[:2])


def end_of(path):
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, 2) - LOG_SHOWN))
        return file.read().decode("utf-8", "replace")


def bytes_below(folder):
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            total += os.lstat(os.path.join(path, name)).st_blocks * 512
    return total


def evict_environments(cache, mine, most_bytes):
    """The least recently used go, until all together fit; never one that a worker uses."""
    known = []
    for name in os.listdir(cache):
        if not name.endswith(".json"):
            continue
        try:
            with open(cache + "/" + name) as file:
                known.append((os.stat(cache + "/" + name).st_mtime, name[:-5], int(json.load(file)["bytes"])))
        except (OSError, ValueError, KeyError, TypeError):
            known.append((0.0, name[:-5], 0))  # of no use to anybody
    total = sum(size for _, _, size in known)
    for _, name, size in sorted(known):
        if total <= most_bytes:
            return
        if name != mine and remove_environment(cache + "/" + name):
            total -= size
            print("evicted", name)


def remove_environment(folder):
    lock = os.open(folder + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(folder + ".json")
        shutil.rmtree(folder, ignore_errors=True)
        return True
    except OSError:
        return False
    finally:
        os.close(lock)


def _exit_now(code):
    sys.stdout.flush()
    _exit(code)
