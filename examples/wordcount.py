"""Counts the words of a folder of texts: a task counts each file (map), a few tasks add the counts up (reduce).

PYTHONPATH=python python3 examples/wordcount.py --url http://127.0.0.1:8000
"""

import argparse
import pathlib
import sys
import time

from treadle import Client, TreadleError

REDUCERS = 4


def count_words(text):
    """How often each word occurs in a text, as a dict."""
    import collections
    import re

    return dict(collections.Counter(re.findall(r"[a-z]+", text.lower())))


def add_up(counts):
    """The sum of many counts."""
    import collections

    total = collections.Counter()
    for count in counts:
        total.update(count)
    return dict(total)


def main():
    parser = argparse.ArgumentParser(description="word count on a Treadle server")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the server (default %(default)s)")
    parser.add_argument(
        "--folder", default="/usr/share/common-licenses", type=pathlib.Path, help="texts (default %(default)s)"
    )
    options = parser.parse_args()
    files = sorted(path for path in options.folder.iterdir() if path.is_file()) if options.folder.is_dir() else []
    if not files:
        sys.exit(f"wordcount.py: no files in {options.folder}; name a folder of texts with --folder")
    texts = [path.read_text(errors="replace") for path in files]

    begun = time.monotonic()
    with Client(options.url) as client:
        counts = list(client.map(count_words, texts))
        partial = list(client.map(add_up, [counts[i::REDUCERS] for i in range(REDUCERS)]))
        total = client.submit(add_up, partial).result()
    seconds = time.monotonic() - begun

    words = sum(total.values())
    print(f"{words:,} words, {len(total):,} different, in {len(files)} files of {options.folder} ({seconds:.2f} s)")
    for word, n in sorted(total.items(), key=lambda item: (-item[1], item[0]))[:10]:
        print(f"{n:8,}  {word}")
    here = sum(sum(count_words(text).values()) for text in texts)
    if words != here:
        sys.exit(f"wordcount.py: the server counted {words} words, this process {here}")


if __name__ == "__main__":
    try:
        main()
    except TreadleError as error:
        sys.exit(f"wordcount.py: {error}")
