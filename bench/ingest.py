"""What durable intake costs, in one run: beside a bare view, at half rate, for a huge POST, on a full database, beside Alerta.

`python bench/ingest.py [--only ingest,half-rate,big,flat,alerta] [--database sqlite|postgresql|both] [--seconds 5] [--rounds 1]`

What counts are ratios and bounds, see docs/performance.md. The last line is JSON. The exit code is 1 when a
part could not be measured, with --strict also when a goal was missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import alerta, big_post, flat, half_rate, rates, servers, wrk  # noqa: E402  # after the path is set
from bench.goals import Results  # noqa: E402

PARTS = ("ingest", "half-rate", "big", "flat", "alerta")


def main() -> int:
    """Measure the parts that were asked for."""
    given = _arguments()
    if problem := wrk.missing():
        print(problem, file=sys.stderr)
        return 1
    kinds = list(servers.KINDS) if given.database == "both" else [given.database]
    results = Results()
    with tempfile.TemporaryDirectory(prefix="opsbridge-bench-") as folder:
        work = Path(folder)
        measures: dict[str, Callable[[Results], None]] = {
            "ingest": lambda r: rates.measure(r, work, kinds, given.seconds, given.rounds),
            "half-rate": lambda r: half_rate.measure(r, work, kinds, given.seconds),
            "big": lambda r: big_post.measure(r, work, kinds, given.rounds),
            "flat": lambda r: flat.measure(r, work, kinds, max(3, given.rounds), given.stored),
            "alerta": lambda r: alerta.measure(r, work, kinds, given.seconds, given.rounds),
        }
        for part in given.only:
            results.part(part, measures[part])
    return results.end(strict=given.strict)


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--only", type=_parts, default=PARTS, help=f"parts, by commas: {','.join(PARTS)}")
    options.add_argument("--database", choices=[*servers.KINDS, "both"], default="both")
    options.add_argument("--seconds", type=int, default=5, help="length of one load")
    options.add_argument(
        "--rounds", type=int, default=1, help="repetitions; the median, or the worst, counts"
    )
    options.add_argument(
        "--stored", type=int, default=1_000_000, help="episodes in the full database of `flat`"
    )
    options.add_argument("--strict", action="store_true", help="exit with 1 when a goal is missed")
    return options.parse_args()


def _parts(text: str) -> tuple[str, ...]:
    wanted = tuple(text.split(","))
    if unknown := set(wanted) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return wanted


if __name__ == "__main__":
    raise SystemExit(main())
