"""Processes that work end with their block, even within a message that a pipe does not hold."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import time
from writecache_impl.judging import Workers

if __name__ == "__main__":
    with Workers(2) as workers:
        for _ in range(100):
            workers.submit(bytes, 1 << 26)
        time.sleep(1.5)
    print("ended")
"""


def test_workers_that_are_sending_much_end_with_their_block(tmp_path: Path) -> None:
    """Without closing their pipes it waited for ever, three times of three."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    line = [sys.executable, str(program)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "ended\n", done.stderr
