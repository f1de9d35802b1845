"""Which kernel a name means: a suite, a version that was fetched, a file that somebody built."""

import os
from contextlib import suppress
from pathlib import Path

from .errors import KernelUnavailable, KernelUnknown
from .fetch import fetch
from .suites import SUITES, KernelImage, current, kernels, suite_named

LONGEST_NAME = 1000
"""Characters of a kernel's name that an error repeats."""


def locate(name: str | os.PathLike[str], modules: str | None = None) -> KernelImage:
    """Return the kernel of a suite, a fetched version or a file; fetch a suite that is not there.

    Raises KernelUnavailable, whose message is one line.
    """
    text = os.fspath(name)
    suite = suite_named(text)
    if suite is not None:
        return current(suite) or fetch(suite)
    for image in kernels():
        if text in (image.release, image.package):
            return image
    if _is_file(text):
        return _built(Path(os.path.expanduser(text)).resolve(), modules)
    known = ", ".join(suite.name for suite in SUITES)
    shown = text if len(text) < LONGEST_NAME else f"{text[:60]}..."
    raise KernelUnknown(
        f"{shown!r} is no suite ({known}), no version of a fetched kernel and no file"
    )


def check_name(name: str) -> None:
    """Raise KernelUnknown for a name that `locate` does not know; nothing is fetched."""
    if suite_named(name) is None:
        locate(name)


def _is_file(text: str) -> bool:
    with suppress(OSError):  # a name too long for a file
        return Path(os.path.expanduser(text)).is_file()
    return False


def _built(path: Path, modules: str | None) -> KernelImage:
    """Describe a kernel somebody built."""
    if not os.access(path, os.X_OK):
        raise KernelUnavailable(f"{path} cannot be executed")
    if modules is not None:
        directory: Path | None = Path(os.path.expanduser(modules)).resolve()
        if not (directory and directory.is_dir()):
            raise KernelUnavailable(f"{modules} is no directory of modules")
    else:
        directory = _modules_beside(path)
    return KernelImage(name=str(path), path=path, modules_dir=directory)


def _modules_beside(path: Path) -> Path | None:
    """Find the modules of a built kernel: installed beside it, or in its build tree."""
    beside = path.parent
    for pattern in ("modules.dep", "modules/modules.dep", "modules/*/modules.dep"):
        for index in sorted(beside.glob(pattern)):
            return index.parent
    for index in sorted(beside.glob("lib/modules/*/modules.dep")):
        return index.parent
    return beside if (beside / "drivers" / "md").is_dir() else None
