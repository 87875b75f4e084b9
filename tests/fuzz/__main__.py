"""`python -m tests.fuzz`: run random programs plainly and captured, and write a test for each kind of difference.

    python -m tests.fuzz                               the 2,000 programs of .ci/run
    python -m tests.fuzz --programs 100000 --seed 7    more, and others

The exit status is 1 where a program was told apart. The tests are written to build/fuzz.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.cpython.__main__ import ENVIRONMENT
from tests.fuzz.campaign import Campaign

FOLDER = Path(__file__).parents[2] / "build" / "fuzz"


def run() -> int:
    """Explore, print, write tests, and answer the exit status."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--programs", type=int, default=2000)
    line.add_argument("--seed", type=int, default=0, help="the first seed; each stands for a chunk of programs")
    line.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    line.add_argument("--minutes", type=float, default=float("inf"), help="start no more chunks after this time")
    line.add_argument("--tests", type=Path, default=FOLDER, help="where tests are written")
    args = line.parse_args()
    campaign = Campaign(args.programs, args.seed, args.jobs, args.minutes * 60)
    campaign.report = lambda text: print(text, file=sys.stderr, flush=True)
    campaign.run()
    for number, finding in enumerate(campaign.findings.values()):
        args.tests.mkdir(parents=True, exist_ok=True)
        (args.tests / f"test_fuzz_{finding.seed}_{number}.py").write_text(finding.test)
    print(f"{campaign.explored} programs: {len(campaign.findings)} kinds of difference", end="")
    print(f", with tests in {args.tests}; {campaign.repeated} repetitions" if campaign.findings else "")
    return bool(campaign.findings)


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        arguments = [sys.executable, "-m", "tests.fuzz", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, **ENVIRONMENT})
    sys.exit(run())
