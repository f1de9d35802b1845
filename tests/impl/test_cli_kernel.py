"""`writecache kernel`: fetch, list, run."""

import os
from pathlib import Path

import pytest
from commands import SUITE, command

from writecache_impl.linux import SUITES, locate


def test_the_list_says_what_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    release = locate(SUITE).release
    done = command("kernel", "list", "--json")
    assert (done.code, done.err) == (0, "")
    assert {row["suite"] for row in done.json} == {suite.name for suite in SUITES}
    (row,) = (row for row in done.json if row["suite"] == SUITE and row.get("current"))
    assert sorted(row) == [*("current", "fetched", "kernel", "package", "path", "suite", "target")]
    assert row["kernel"] == release
    assert str(row["path"]) in command("kernel", "list").out


def test_with_an_empty_cache_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = command("kernel", "list", "--json")
    assert done.json == [{"suite": suite.name, "fetched": False} for suite in SUITES]
    assert command("kernel", "list").out.count("not fetched") == len(SUITES)


def test_what_is_there_need_not_be_fetched() -> None:
    image = locate(SUITE)
    done = command("kernel", "fetch", SUITE)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{SUITE}: Linux {image.release}, writecache 1.6.0\n"
    assert command("kernel", "fetch", SUITE, "--json").json == [
        {"suite": SUITE, "kernel": image.release, "target": "1.6.0"}
    ]


def test_without_apt_nothing_can_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    done = command("kernel", "fetch", SUITE)
    assert done.is_refusal(3)
    assert "apt-get is not installed" in done.err
    assert command("kernel", "fetch", "--json", SUITE).json == [
        {"suite": SUITE, "problem": "apt-get is not installed"}
    ]
    assert command("vectors", "record", "--kernel", SUITE, "-o", "/dev/null").is_refusal(3)


def test_without_a_network_nothing_can_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = 'Acquire::http::Proxy "http://127.0.0.1:9";\nAcquire::https::Proxy "{0}";\n'
    (tmp_path / "apt.conf").write_text(nobody.replace("{0}", "http://127.0.0.1:9"))
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = command("kernel", "fetch", SUITE)
    assert done.is_refusal(3)
    assert "cannot be fetched" in done.err


def test_a_cache_that_cannot_be_written_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert command("kernel", "fetch", SUITE).is_refusal(3)


def test_a_script_runs_in_the_kernel_and_gives_its_exit_status(tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text(
        "uname -r; test -b $ORIGIN && test -b $CACHE && cat /sys/block/ubd[ab]/size && "
        'echo "$@" && exit 7\n'
    )
    done = command(
        *("kernel", "run", "--origin-mib", 3, "--cache-mib", 2, SUITE, script, "word"),
        *("--", "--bisect"),
    )
    release = locate(SUITE).release
    assert (done.code, done.out) == (7, f"{release}\n6144\n4096\nword --bisect\n")


def test_a_script_that_kills_the_kernel_is_a_problem(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("open('/proc/sysrq-trigger', 'w').write('c')\n")
    done = command("kernel", "run", SUITE, script)
    assert done.code == 1
    assert "sysrq triggered crash" in done.err


def test_a_script_that_does_not_end_is_a_problem(tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("echo begun; sleep 60\n")
    done = command("kernel", "run", "--timeout", 1, SUITE, script)
    assert (done.code, done.out) == (1, "begun\n")
    assert done.err.endswith("writecache: the script did not end within 1 s\n")


@pytest.mark.parametrize("path", ["~nosuch/linux", "[/x]"])
def test_a_kernel_that_was_not_built_is_a_commit_to_be_skipped(path: str, tmp_path: Path) -> None:
    done = command("conform", "-o", tmp_path, "--bisect", "--target", f"kernel:{path}")
    assert done.code == 125
    assert f"kernel {path}: not judged: " in done.err


@pytest.mark.parametrize("name", ["x" * 5000, "6.1²", "9" * 5000])
def test_a_name_that_is_no_kernel_ends_a_bisection(name: str, tmp_path: Path) -> None:
    done = command("conform", "-o", tmp_path, "--bisect", "--target", f"kernel:{name}")
    assert done.code == 129
    assert "is no suite" in done.err


def test_a_cache_whose_name_looks_like_markup_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "[" / "x]"
    (home / "writecache-reference").mkdir(parents=True)
    there = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kernels = home / "writecache-reference" / "kernels"
    kernels.symlink_to(there / "writecache-reference" / "kernels")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    done = command("kernel", "list")
    assert (done.code, done.err) == (0, "")


def test_without_a_kernel_no_script_runs() -> None:
    assert command("kernel", "run", "nosuch", __file__).is_refusal(2)
