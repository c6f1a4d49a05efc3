# Part 2 of 7: which pickler reads and writes what, and failure objects (docs/decisions/0005-failure-object.md).

# ---- pickling ------------------------------------------------------------------------------------------------------


class Picklers:
    """Which pickler reads and writes what; __main__ of the function that is current."""

    def __init__(self):
        import dill
        import dill._dill
        self.dill = dill
        self._dill_module = dill._dill
        self._dill_loads, self._dill_dumps = dill.loads, dill.dumps
        self.cloudpickle = _import_optional("cloudpickle")

    def versions(self):
        found = {"dill": getattr(self.dill, "__version__", "unknown")}
        if self.cloudpickle is not None:
            found["cloudpickle"] = getattr(self.cloudpickle, "__version__", "unknown")
        return found

    def enter(self, main):
        sys.modules["__main__"] = main
        self._dill_module._main_module = main

    def loads(self, data, names_main):
        # dill would look up the class of the root object in __main__ by name; classes sent by value are not there.
        return self._dill_loads(data, ignore=True) if names_main else _pickle_loads(data)

    def original(self, error):
        """The pickle of the exception itself, for a client that may have its class; b"" if there is none or it is large."""
        try:
            data = _pickle_dumps(error, 4)
            if b"__main__" in data:
                data = b""
        except BaseException:
            data = b""
        try:
            if not data and self.cloudpickle is not None:
                data = self.cloudpickle.dumps(error, 4)
        except BaseException:
            return b""
        return data if len(data) <= ORIGINAL_KEPT else b""

    def dumps(self, value, from_sdk=False):
        """(bytes, made_by) such that a client with dill alone can use the object; raises if there is no way.

        The SDK has cloudpickle: classes that it sent by value come back to it as the very same.
        """
        try:
            data = _pickle_dumps(value, 4)
            if type(value) in PLAIN or b"__main__" not in data:
                return data, BY_PICKLE
        except (Exception, SystemExit):
            pass
        if from_sdk and self.cloudpickle is not None:
            try:
                data = self.cloudpickle.dumps(value, 4)
                if not names_main(data):
                    return data, BY_CLOUDPICKLE
            except Exception:
                pass
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                data = self._dill_dumps(value, recurse=True)
                if not names_main(data):
                    return data, BY_DILL
                first = None
            except Exception as error:
                first = error
            if self.cloudpickle is not None:
                try:
                    data = self.cloudpickle.dumps(value, 4)
                    if not names_main(data):
                        return data, BY_CLOUDPICKLE
                except Exception as error:
                    first = first or error
        raise first or TypeError("it refers to names of __main__, which no client has")


def names_main(data):
    """Whether the stream refers to a global of module __main__ (the string alone, as in a class's __module__, does not count)."""
    memo, recent = {}, [None, None]
    for opcode, arg, _ in pickletools.genops(data):
        name = opcode.name
        if name == "GLOBAL":
            module, _, attribute = arg.partition(" ")
            if module == "__main__" or arg == "__builtin__ __main__":
                return True
            recent = [None, None]
        elif name == "STACK_GLOBAL":
            if recent[0] == "__main__":
                return True
            recent = [None, None]
        elif name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            memo[len(memo) if name == "MEMOIZE" else arg] = recent[1]
        elif name in ("BINGET", "LONG_BINGET"):
            recent = [recent[1], memo.get(arg)]
        else:
            recent = [recent[1], arg if isinstance(arg, str) else None]
    return False


# ---- failures ------------------------------------------------------------------------------------------------------


def safe_text(value, maker=str):
    try:
        return maker(value)
    except BaseException as error:
        return "<%s of %s raised %s>" % (maker.__name__, type(value).__name__, type(error).__name__)


def clip(text):
    if len(text) > TEXT_KEPT:
        text = text[: TEXT_KEPT // 2] + "\n...\n" + text[-TEXT_KEPT // 2:]
    return text.encode("utf-8", "backslashreplace")


def _unicode(text):
    data = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def _constant(value):
    if isinstance(value, str):
        return _unicode(value)
    if isinstance(value, bytes):
        return b"B" + struct.pack("<I", len(value)) + value
    return b"J" + struct.pack("<i", value)


def failure_stream(base, text, attributes):
    """The pickle of an instance of a subclass of `base`, without bytecode (docs/decisions/0005-failure-object.md)."""
    method = b"cbuiltins\ngetattr\nh\x00"
    parts = [b"\x80\x02cbuiltins\ntype\n", _unicode("FunctionFailedException"),
             ("c%s\n%s\n" % (base.__module__, base.__qualname__)).encode(), b"\x85}(",
             _unicode("__module__"), _unicode("builtins"),
             _unicode("__str__"), b"cbuiltins\ngetattr\n", _unicode(text), b"q\x00", _unicode("__str__"), b"\x86R",
             _unicode("__contains__"), method, _unicode("__contains__"), b"\x86R",
             b"u\x87Rh\x00\x85R}("]
    for name, value in attributes.items():
        parts += [_unicode(name), _constant(value)]
    return b"".join(parts) + b"ub."


class Failures:
    """Makes failure objects; remembers per exception type which base a client can subclass, create and import."""

    def __init__(self, worker_id):
        self._worker = worker_id
        self._bases = {}

    def stream(self, error, message, text, task, original=b""):
        attributes = {"error_code": 500, "task_id": task, "worker_id": self._worker, "error_message": message}
        kind = type(error)
        base = self._bases.get(kind)
        if base is None:
            base = self._bases[kind] = self._find_base(kind, attributes)
            if len(self._bases) > 1000:
                self._bases.clear()
        if original:
            attributes["original"] = original
        return failure_stream(base, text, attributes)

    def _find_base(self, kind, attributes):
        for base in kind.__mro__:
            if base in (BaseException, object):
                break
            if issubclass(base, BaseException) and self._works(base, attributes):
                return base
        return RuntimeError

    @staticmethod
    def _works(base, attributes):
        try:
            module = sys.modules.get(base.__module__)
            if base.__module__ == "__main__" or getattr(module, base.__qualname__, None) is not base:
                return False
            made = _pickle_loads(failure_stream(base, "probe text", attributes))
            repr(made)
            return (isinstance(made, base) and str(made) == "probe text" and "probe" in made
                    and all_equal(made, attributes))
        except BaseException:
            return False


def all_equal(made, attributes):
    for name, value in attributes.items():
        if getattr(made, name, None) != value:
            return False
    return True


class Failed(Exception):
    """What the executor itself has to say about a task; `kind` is a number of core::ErrorKind."""

    def __init__(self, kind, error, note=None):
        self.kind, self.error, self.note = kind, error, note


def missing_module_note(error):
    name = (getattr(error, "name", None) or "it").partition(".")[0]
    debian = sys.prefix == "/usr" and os.path.isdir("/usr/lib/python3/dist-packages")
    command = "apt-get install python3-%s" % name.replace("_", "-") if debian else "%s -m pip install %s" % (sys.executable, name)
    return (". The worker's Python %s (%s) has no module %s: install it there (%s), or name the directory that holds it (--path DIR)"
            % (sys.version.split()[0], sys.executable, name, command))
