"""`make bench`: every benchmark in this folder, as one table of ratios."""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


def main(names):
    """Run the named benchmarks, all where none is named, and print a line for each measurement."""
    known = sorted(path.stem for path in HERE.glob("bench_*.py"))
    unknown = set(names) - {name.removeprefix("bench_") for name in known}
    if unknown:
        sys.exit(f"no benchmark is called {', '.join(unknown)}; known are {', '.join(n[6:] for n in known)}.")
    print(f"{'what':44} {'ours':>12} {'limit':>12} {'the usual way':>14} {'ratio':>7}")
    for name in known:
        if names and name.removeprefix("bench_") not in names:
            continue
        bench = importlib.import_module(name)
        for what, ours, limit, usual in bench.rows():
            ratio = f"{usual / ours:.1f} x" if usual else ""
            usual = f"{usual:.1f} ms" if usual else ""
            limit = f"<= {limit:g} ms" if limit else ""
            print(f"{what:44} {ours:>9.2f} ms {limit:>12} {usual:>14} {ratio:>7}", flush=True)


if __name__ == "__main__":  # the workers of a sweep import this file too
    main(sys.argv[1:])
