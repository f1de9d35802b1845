"""A processor with more state than an old user-mode kernel keeps: the kernel runs all the same."""

from pathlib import Path

import pytest

from writecache_impl.linux import usermode, xstate
from writecache_impl.linux.compiled import shared_object
from writecache_impl.linux.errors import KernelDied, KernelUnavailable
from writecache_impl.linux.suites import KernelImage
from writecache_impl.linux.target import LinuxTarget

OLD = "bookworm"


@pytest.fixture
def cpu_with_amx(tmp_path: Path) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx512f amx_bf16 amx_tile amx_int8\n\n")
    return path


@pytest.fixture
def cpu_without(tmp_path: Path) -> Path:
    path = tmp_path / "cpuinfo-without"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx512f pku\n\n")
    return path


def image(release: str | None) -> KernelImage:
    return KernelImage(name="built", path=Path("/linux"), release=release)


def test_only_an_old_kernel_on_such_a_processor_needs_it(
    cpu_with_amx: Path, cpu_without: Path
) -> None:
    assert xstate.prefix(image("6.12.1"), cpu_without) == []
    assert xstate.prefix(image("7.2.7"), cpu_with_amx) == []
    assert xstate.prefix(image("6.12.1"), cpu_without.with_name("none")) == []
    for release in ("6.12.1", "5.10.46", None):
        env, preloaded = xstate.prefix(image(release), cpu_with_amx)
        assert env.endswith("/env")
        assert Path(preloaded.removeprefix("LD_PRELOAD=")).exists()


def boots(monkeypatch: pytest.MonkeyPatch, cpu_info: Path) -> str:
    monkeypatch.setattr(usermode, "prefix", lambda image: xstate.prefix(image, cpu_info))
    with LinuxTarget(OLD) as target:
        return target.kernel_version


def test_an_old_kernel_runs_with_it_on_any_processor(
    cpu_with_amx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert boots(monkeypatch, cpu_with_amx).startswith("6.1.")


def test_without_it_an_old_kernel_runs_where_the_state_is_short_and_only_there(
    cpu_without: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if xstate.has_long_state():
        with pytest.raises(KernelDied, match="panic"):
            boots(monkeypatch, cpu_without)
    else:
        assert boots(monkeypatch, cpu_without).startswith("6.1.")


def test_what_a_compiler_is_needed_for_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.c"
    source.write_text("not C")
    monkeypatch.setattr("writecache_impl.linux.compiled.cache_root", lambda: tmp_path / "kernels")
    with pytest.raises(KernelUnavailable, match=r"does not build a thing: .*error"):
        shared_object(source, "a thing")
    assert not list((tmp_path / "plugins").iterdir())
    monkeypatch.setattr("writecache_impl.linux.compiled.COMPILERS", ("no-such-compiler",))
    with pytest.raises(KernelUnavailable, match=r"no C compiler \(gcc\) to build a thing with"):
        shared_object(source, "a thing")
