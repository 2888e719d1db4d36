"""`make bench`: every benchmark in this folder, as one table of ratios."""

import argparse
import importlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


def main(arguments=None):
    """Run the named benchmarks, all where none is named, and print a line for each measurement."""
    from table import COLUMNS

    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="tests/benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which to run: {', '.join(known)} (all)")
    parser.add_argument("--torch", default=sys.executable, metavar="PYTHON", help="a Python that has PyTorch (this)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each way to train (all cores)")
    parser.add_argument("--seeds", type=int, default=3, help="of the long races of training (3)")
    options = parser.parse_args(arguments)
    if min(options.threads, options.seeds) < 1:
        parser.error("--threads and --seeds are whole numbers from 1")
    unknown = set(options.names) - set(known)
    if unknown:
        sys.exit(f"no benchmark is called {', '.join(unknown)}; known are {', '.join(known)}.")
    print(COLUMNS)
    for name in known:
        if not options.names or name in options.names:
            for row in importlib.import_module(f"bench_{name}").rows(options):
                print(row, flush=True)


if __name__ == "__main__":  # the workers of a sweep import this file too
    main()
