"""`writecache conform`: verdicts and exit codes, with a live kernel; and a real bisection."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import PROFILE, SUITE, Done, command, trace_of_reference

from writecache_impl import live
from writecache_impl.cli import job, vectors
from writecache_impl.linux import HarnessError, KernelDied, KernelUnavailable, LinuxTarget
from writecache_impl.recording import HungError
from writecache_models.vectors import Op, Trace, VectorError, read_traces, write_traces

WALK = trace_of_reference()
QUICK = ("conform", "--target", f"kernel:{SUITE}", "--seconds", 3, "--bisect", "--steps", 60)
WRONG = (*QUICK, "--profile", "1.4.0", "--seed", "5")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where divergences go; shipped is one short vector."""
    (tmp_path / "shipped").mkdir()
    write_traces(tmp_path / "shipped" / "walk.jsonl", [WALK])
    shipped = [tmp_path / "shipped" / "walk.jsonl"]
    monkeypatch.setattr(vectors, "shipped_vectors", lambda: shipped)
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.chdir(kept)
    return kept


def test_the_reference_alone_is_judged_by_the_shipped_vectors(folder: Path) -> None:
    done = command("conform", "--target", "reference", "--json")
    assert done.code == 0
    assert done.json["vectors"] == {"steps": len(WALK.steps)}
    assert done.json["kernels"] == []
    done = command("conform", "--target", "reference", "--bisect")
    assert f"{len(WALK.steps)} steps; 0 " in done.out


def test_a_shipped_vector_that_diverges_is_a_problem(folder: Path) -> None:
    wrong = replace(WALK, steps=((["open"], {"status": "0 1 1 0"}),))
    write_traces(folder.parent / "shipped" / "walk.jsonl", [wrong])
    done = command("conform", "--target", "reference")
    assert done.code == 1
    assert 'walk: step 0: ["open"]: none of' in done.err


def test_a_kernel_that_does_as_the_reference_is_fine(folder: Path) -> None:
    done = command("conform", "--target", f"kernel:{SUITE}", "--steps", 60, "--json")
    assert done.code == 0
    assert sorted(done.json) == [
        *("diverged", "divergences", "kept", "kernels", "not_judged", "seed", "vectors")
    ]
    (kernel,) = done.json["kernels"]
    assert sorted(kernel) == [
        *("divergences", "hangs", "kernel", "log_entries", "non_canonical", "panics", "problem"),
        *("release", "seconds", "steps", "target", "traces"),
    ]
    assert kernel["steps"] >= 60
    assert f"kernel {SUITE}: seed {done.json['seed']}\n" in done.err
    assert list(folder.iterdir()) == []


def test_a_kernel_is_judged_by_its_path(folder: Path) -> None:
    from writecache_impl.linux import locate

    image = locate(SUITE)
    target = f"kernel:{image.path}"
    done = command(*QUICK, "--target", target, "--modules", image.modules_dir)
    assert done.code == 0


def test_a_divergence_is_shrunk_kept_and_replayed_by_its_seed(folder: Path) -> None:
    first = command(*[x for x in WRONG if x not in ("--seed", "5")], "--json")
    assert first.code == 1
    assert first.json["divergences"] >= 1
    assert first.json["diverged"][0]["divergence"]["step"] == 0
    (file,) = map(Path, first.json["kept"])
    (kept,) = read_traces(file)
    # The newer options are refused by the older target at once: nothing smaller is left.
    assert kept.ops == [["open"]]
    assert command("vectors", "check", file).code == 0
    assert command("vectors", "check", "--profile", "1.4.0", file).code == 1
    file.unlink()
    second = command(*WRONG[:-1], first.json["seed"], "--json")
    assert second.json["kept"] == first.json["kept"]
    assert list(read_traces(file)) == [kept]


def test_a_seed_is_no_path(folder: Path) -> None:
    done = command(*WRONG[:-1], "../a/b")
    assert done.code == 1
    (file,) = folder.iterdir()
    assert "/" not in file.name
    assert "[" not in file.name


def test_a_divergence_that_cannot_be_written_is_a_divergence_still(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, traces: Sequence[Trace]) -> None:
        raise VectorError(f"{path}: No space left on device")

    monkeypatch.setattr(job, "write_traces", full)
    done = command(*WRONG)
    assert done.code == 1
    assert "not kept: divergence-" in done.err
    assert '{"op": ["open"], "status": "0 ' in done.err
    assert not done.out.endswith(" 0 divergences\n")
    assert list(folder.iterdir()) == []


def test_a_divergence_outlives_the_kernel_that_should_shrink_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def target(*_: object, **__: object) -> LinuxTarget:
        if boots.pop(0):
            return LinuxTarget(SUITE)
        raise KernelUnavailable("gone")

    boots = [True, False]
    monkeypatch.setattr(live, "LinuxTarget", target)
    done = command(*WRONG)
    assert (done.code, boots) == (1, [])
    assert len(list(folder.iterdir())) == 1


def test_without_a_kernel_nothing_is_judged(folder: Path) -> None:
    done = command("conform", "--target", "kernel:/nosuch", "--json", "--bisect")
    assert done.code == 125
    assert list(done.json["not_judged"]) == ["/nosuch"]
    assert "kernel /nosuch: not judged: '/nosuch' is no suite" in done.err


def test_a_name_that_no_kernel_has_is_told_at_once() -> None:
    for bisect, code in (([], 2), (["--bisect"], 129)):
        done = command("conform", "--target", "kernel:nosuch", *bisect)
        assert (done.code, done.out) == (code, "")
        assert "'nosuch' is no suite" in done.err


def test_a_path_without_a_kernel_is_told_at_once() -> None:
    done = command("conform", "--target", "reference", "--target", "kernel:/nosuch")
    assert done.is_refusal()
    assert "/nosuch: there is no such kernel" in done.err


def test_a_program_that_is_no_kernel_is_not_judged(folder: Path) -> None:
    program = folder.parent / "linux"
    program.write_text("#!/bin/sh\necho not a kernel\nexit 4\n")
    program.chmod(0o700)
    done = command("conform", "--target", f"kernel:{program}", "--bisect")
    assert done.code == 125
    assert "exit 4: not a kernel" in done.err


def recorder(*results: Trace | Exception) -> Callable[..., Trace]:
    left = list(results)

    def record(_target: LinuxTarget, _trace: Trace, _ops: object = None) -> Trace:
        result = left.pop(0) if left else results[-1]
        if isinstance(result, Exception):
            raise result
        return result

    return record


DIVERGES = replace(WALK, steps=(*WALK.steps[:2], (["flush"], {"status": "0 63 1 0"})))
OP: Op = ["flush"]


@pytest.mark.parametrize("loss", [KernelDied("exit 1", "bad luck"), HarnessError("x\nbad luck")])
@pytest.mark.parametrize(("played", "code"), [(WALK, 3), (DIVERGES, 1)])
def test_what_was_played_before_a_kernel_was_lost_is_judged(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    loss: Exception,
    played: Trace,
    code: int,
) -> None:
    monkeypatch.setattr(live, "record", recorder(played, loss))
    done = command("conform", "--target", f"kernel:{SUITE}", "--json")
    assert done.code == code
    assert done.json["kernels"][0]["steps"] == (len(WALK.steps) if played is WALK else 2)
    assert done.json["kernels"][0]["problem"] in (None, loss.args[0].splitlines()[-1])
    assert bool(done.json["not_judged"]) == (code == 3)


def test_a_kernel_that_only_hangs_is_not_judged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = HungError(replace(WALK, steps=()), OP)
    monkeypatch.setattr(live, "record", recorder(hang))
    done = command("conform", "--target", f"kernel:{SUITE}", "--seconds", 1, "--json")
    assert done.code == 3
    assert done.json["kernels"][0]["hangs"] > 0


@pytest.mark.parametrize(("profile", "code"), [((), 125), (("--profile", PROFILE), 0)])
def test_a_release_that_names_no_version_needs_a_profile(
    folder: Path, monkeypatch: pytest.MonkeyPatch, profile: tuple[str, ...], code: int
) -> None:
    def release(target: LinuxTarget) -> str:
        target.machine()
        return "6.1²"

    monkeypatch.setattr(LinuxTarget, "kernel_version", property(release))
    assert command(*QUICK, *profile).code == code


def git(where: Path, *words: str) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.c"}
    who |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.c"}
    no_files = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", *words],
        cwd=where,
        env={**os.environ, **who, **no_files},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return f"{done.stdout}{done.stderr}exit {done.returncode}"


@pytest.fixture
def history(tmp_path: Path) -> Callable[[list[str]], Path]:
    """Makes a repository whose commits hold these words in the file `arguments`."""

    def make(contents: list[str]) -> Path:
        where = tmp_path / "history"
        where.mkdir()
        git(where, "init", "--quiet", "--initial-branch", "main")
        for number, content in enumerate(contents):
            # The number: commits alike would be one.
            (where / "arguments").write_text(f"--seed {number} {content}\n")
            git(where, "add", "arguments")
            git(where, "commit", "--quiet", "--message", f"c{number}")
            git(where, "tag", f"c{number}")
        return where

    return make


def bisect(where: Path, good: str, bad: str) -> str:
    code = "from writecache_impl.cli import main; main()"
    program = shlex.join([sys.executable, "-c", code, "conform", "--bisect", "--steps", "20"])
    kept = where.parent
    git(where, "bisect", "start", bad, good)
    return git(where, "bisect", "run", "sh", "-c", f"{program} -o {kept} $(cat arguments)")


FINE = f"--target kernel:{SUITE} --profile {PROFILE}"
FAULTY = f"--target kernel:{SUITE} --profile 1.4.0"
ABSENT = "--target kernel:/nosuch"


def test_a_bisection_finds_the_commit(history: Any) -> None:
    where = history([FINE, FINE, FINE, FAULTY, FAULTY, FAULTY])
    said = bisect(where, "c0", "c5")
    assert f"{git(where, 'rev-parse', 'c3').split()[0]} is the first bad commit" in said
    assert said.endswith("exit 0")


def test_a_bisection_skips_what_cannot_be_judged(history: Any) -> None:
    where = history([FINE, FINE, ABSENT, FAULTY])
    said = bisect(where, "c0", "c3")
    assert "first bad commit could be any of" in said
    for name, suspected in (("c1", False), ("c2", True), ("c3", True)):
        assert (git(where, "rev-parse", name).split()[0] in said.split("any of:")[1]) == suspected


def test_a_bisection_ends_on_a_usage_error(history: Any) -> None:
    where = history([FINE, "--nosuch", "--nosuch", FAULTY])
    said = bisect(where, "c0", "c3")
    assert "first bad commit" not in said
    assert "writecache: No such option" in said
    assert not said.endswith("exit 0")


def test_every_verdict_has_its_code(folder: Path) -> None:
    codes: dict[str, Done] = {
        "fine": command(*QUICK),
        "problems": command(*WRONG),
        "usage": command(*QUICK, "--nosuch"),
        "not judged": command("conform", "--bisect", "--target", "kernel:/nosuch"),
    }
    assert {name: done.code for name, done in codes.items()} == {
        "fine": 0,
        "problems": 1,
        "usage": 129,
        "not judged": 125,
    }
