"""The client verbs of the command line: `treadle run`, `invoke`, `map`, `fn`, `task`, `workers`, `queue`, `top`, `doctor` ...

The binary `treadle` has the verbs of the service, and hands these over to `python3 -m treadle VERB`.
"""

from .main import main

__all__ = ["main"]
