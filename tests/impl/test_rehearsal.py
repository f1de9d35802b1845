"""The rehearsal in docs/rescue.md, line by line, as a reader types it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rescue.md"
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
SHOWN = re.findall(r"^```\n(superblock .*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)


def rehearse(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its first line that fails; nothing of it is left running."""
    assert shutil.which("qemu-io"), "apt-get install qemu-utils"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = subprocess.Popen(
        ["bash", "-e", "-c", script],
        cwd=folder, env={**os.environ, "PATH": path}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = shell.communicate(timeout=120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(script, shell.returncode, out, err)


def test_the_rehearsal_goes_as_the_page_says(tmp_path: Path) -> None:
    done = rehearse(tmp_path, "".join(BLOCKS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verification failed" not in done.stdout
    (shown,) = SHOWN
    before, after = shown.split("...\n")
    assert before in done.stdout
    assert after in done.stdout
    assert done.stdout.count(after) == 2, "before the writeback, and after the undo"


@pytest.mark.parametrize("line", ["writecache writeback ssd.img --origin disk.img\n"])
def test_a_rehearsal_without_a_line_fails(tmp_path: Path, line: str) -> None:
    script = "".join(BLOCKS)
    assert line in script
    assert rehearse(tmp_path, script.replace(line, "")).returncode == 1
