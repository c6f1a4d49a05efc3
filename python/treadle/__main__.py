"""`python -m treadle VERB`: the verbs of the command line that a client needs."""

import sys

from .cli import main

sys.exit(main(sys.argv[1:]))
