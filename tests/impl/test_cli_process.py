"""The program among other processes: streams that close or fill, terminals, interrupts."""

import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import SUITE, processes_naming, program, program_line, trace_of_reference

from writecache_impl.judging import Judges
from writecache_models.vectors import write_traces

WALK = trace_of_reference()


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    write_traces(tmp_path / "walk.jsonl", [WALK] * 300)
    return tmp_path / "walk.jsonl"


@pytest.mark.parametrize("words", [("show",), ("show", "--json"), ("check",)])
def test_a_reader_that_goes_away_ends_the_program_quietly(
    walk: Path, words: tuple[str, ...]
) -> None:
    line = program_line("vectors", *words, walk)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        if words != ("check",):
            running.stdout.readline()
        running.stdout.close()
        said = running.stderr.read()
    assert (running.returncode, said) == (141, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["vectors check", "vectors show --json", "kernel list"])
def test_closed_streams_change_no_verdict(tmp_path: Path, closed: str, words: str) -> None:
    write_traces(tmp_path / "one.jsonl", [WALK])
    file = [] if words.startswith("kernel") else [str(tmp_path / "one.jsonl")]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *program_line(*words.split(), *file)],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "words",
    ["vectors check", "vectors check --json", "vectors show", "vectors show --json", "--help"],
)
def test_a_full_disk_under_the_output_is_one_line(walk: Path, words: str) -> None:
    file = [] if words == "--help" else [walk]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            program_line(*words.split(), *file),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = "writecache: standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_what_a_terminal_cannot_show_is_escaped() -> None:
    done = program("vectors", "check", "/nosuch-é", environment={"PYTHONIOENCODING": "ascii"})
    assert (done.code, done.err) == (2, "writecache: /nosuch-\\xe9: No such file or directory\n")


def test_traces_are_utf8_whatever_the_terminal(tmp_path: Path) -> None:
    trace = trace_of_reference("é", ops=[["open"]])
    write_traces(tmp_path / "v", [trace])
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    done = program("vectors", "show", "--json", tmp_path / "v", environment=ascii_only)
    assert done.out == (tmp_path / "v").read_text()


def _read_to_the_end(terminal: int) -> bytes:
    said = b""
    while True:
        try:
            said += os.read(terminal, 1 << 16)
        except OSError:
            return said


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_on_a_terminal_alone(walk: Path, terminal: bool) -> None:
    ours, theirs = pty.openpty()
    error = theirs if terminal else subprocess.PIPE
    line = program_line("vectors", "check", walk)
    # A variable that makes other programs colour what goes into a file.
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}
    with (
        ThreadPoolExecutor(1) as reader,
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=error, env=environment) as running,
    ):
        os.close(theirs)
        # A terminal that nobody reads is soon full, and whoever writes to it waits.
        shown = reader.submit(_read_to_the_end, ours)
        _, piped = running.communicate()
        said = shown.result() if terminal else piped
    os.close(ours)
    assert running.returncode == 0
    assert (b"judging" in said) == terminal
    assert terminal or said == b""


@contextmanager
def started(*arguments: object, where: Path) -> Iterator[subprocess.Popen[str]]:
    """A program in a process group of its own, as a shell would start it."""
    with subprocess.Popen(
        program_line(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(where)},
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def wait_for_children(running: subprocess.Popen[str], seconds: float = 20) -> None:
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    bound = time.monotonic() + seconds
    while not children.read_text().strip() and time.monotonic() < bound:
        time.sleep(0.01)


ENDLESS = "#!/bin/sh\nsleep 60\n"


def interruptible(tmp_path: Path) -> dict[str, list[object]]:
    """Commands that would take long."""
    many = tmp_path / "many.jsonl"
    write_traces(many, [WALK] * 3000)
    script = tmp_path / "script.sh"
    script.write_text(ENDLESS)
    recording = ["vectors", "record", "--kernel", SUITE, "--count", 9999]
    return {
        "check": ["vectors", "check", many],
        "coverage": ["vectors", "coverage", many],
        "conform": ["conform", "--target", f"kernel:{SUITE}", "-o", tmp_path, "--bisect"],
        "conform shipped": ["conform", "--target", "reference"],
        "record": [*recording, "-o", tmp_path / "recorded"],
        "run": ["kernel", "run", SUITE, script],
    }


@pytest.mark.parametrize(
    "name", ["check", "coverage", "conform", "conform shipped", "record", "run"]
)
@pytest.mark.parametrize(
    ("end", "number", "line"),
    [
        (os.killpg, signal.SIGINT, "interrupted"),
        (os.kill, signal.SIGINT, "interrupted"),
        (os.kill, signal.SIGTERM, "ended by SIGTERM"),
    ],
    ids=["group", "alone", "terminated"],
)
def test_a_signal_ends_a_command_and_its_children(
    tmp_path: Path,
    name: str,
    end: Callable[[int, int], None],
    number: signal.Signals,
    line: str,
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with started(*interruptible(tmp_path)[name], where=work) as running:
        wait_for_children(running)
        time.sleep(0.3)
        end(running.pid, number)
        _, said = running.communicate(timeout=20)
    assert running.returncode == 128 + number
    assert said.splitlines()[-1] == f"writecache: {line}"
    assert "Traceback" not in said
    assert "Warning" not in said
    bound = time.monotonic() + 10
    while time.monotonic() < bound and (processes_naming(str(tmp_path)) or any(work.iterdir())):
        time.sleep(0.05)
    assert processes_naming(str(tmp_path)) == []
    assert list(work.iterdir()) == []
    assert not (tmp_path / "recorded").exists()


def test_an_interrupted_fetch_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(ENDLESS)
    apt.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with started("kernel", "fetch", SUITE, where=tmp_path) as running:
        wait_for_children(running)
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=20)
    assert (running.returncode, said) == (130, "writecache: interrupted\n")
    assert processes_naming(str(apt)) == []
    home = tmp_path / "cache" / "writecache-reference" / "kernels" / SUITE
    assert [path.name for path in home.iterdir()] == ["lock"]


def test_judges_end_at_once_where_nobody_waits_for_them() -> None:
    begun = time.monotonic()

    def give_up() -> None:
        with Judges(2) as judges:
            futures = [judges.submit(WALK) for _ in range(2000)]
            futures[0].result()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert time.monotonic() - begun < 5


def test_a_judge_that_is_killed_is_no_verdict(walk: Path) -> None:
    write_traces(walk, [WALK] * 3000)
    with started("vectors", "check", "--jobs", 1, walk, where=walk.parent) as running:
        bound = time.monotonic() + 20
        while time.monotonic() < bound:
            for line in processes_naming("spawn_main"):
                pid = line.split()[0]
                if Path(f"/proc/{pid}/stat").read_text().split()[3] == str(running.pid):
                    os.kill(int(pid), signal.SIGKILL)
                    bound = 0
            time.sleep(0.02)
        out, said = running.communicate(timeout=20)
    assert (running.returncode, out) == (3, "")
    assert said == "writecache: a judging process was ended from outside\n"
