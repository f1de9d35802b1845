"""Which kernels there are: Debian suites, what was fetched of them, kernels somebody built.

A fetched kernel is a directory of its own under the user's cache directory (suite, then package
version) with a `kernel.json` that says what it is. A suite moves on; what was fetched stays and
can be named by its release or its package's version too.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

RECORD = "kernel.json"
CURRENT = "current"
MODULES_HOME = Path("usr/lib/uml/modules")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A release of Debian whose kernel, with dm-writecache, can be run here."""

    name: str
    own_libc: bool = False
    """Its kernel needs a newer libc than a host may have: run it with the suite's own."""
    emulated_release: str | None = None
    """Debian's name of the release whose ordinary kernel runs in an emulated machine, which has
    persistent memory; None: the suite has the release's name, its kernel is a user-mode one."""

    @property
    def release(self) -> str:
        """Debian's name of the release."""
        return self.emulated_release or self.name


SUITES = (
    Suite(name="bullseye"),
    Suite(name="bookworm"),
    Suite(name="trixie", own_libc=True),
    Suite(name="sid", own_libc=True),
    Suite(name="bookworm-pmem", emulated_release="bookworm"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelImage:
    """A kernel that can be run, and where its modules are (None: everything is built in)."""

    name: str
    path: Path
    modules_dir: Path | None = None
    release: str | None = None
    package: str | None = None
    target: str | None = None
    """The target's version, known once the kernel has run."""
    emulator: Path | None = None
    """Where the emulator was unpacked that this kernel needs; None for a user-mode kernel."""

    def modules(self, names: Iterable[str]) -> list[Path]:
        """Return the module files to insert, in order; built-in ones need none."""
        if self.modules_dir is None:
            return []
        index = self.modules_dir / "modules.dep"
        if not index.exists():
            return _modules_of_tree(self.modules_dir, names)
        wanted: dict[Path, None] = {}
        needs = dict(
            line.split(":", 1)
            for line in index.read_text(errors="replace").splitlines()
            if ":" in line
        )
        files = {_module_name(file): file for file in needs}
        for name in names:
            file = files.get(name)
            if file is not None:  # what the index does not name is built in
                # modules.dep lists what a module needs in reverse order of insertion
                for part in (*reversed(needs[file].split()), file):
                    wanted[self.modules_dir / part] = None
        return list(wanted)


def _module_name(path: str) -> str:
    return Path(path).name.partition(".")[0].replace("_", "-")


def _modules_of_tree(tree: Path, names: Iterable[str]) -> list[Path]:
    """Find modules in a tree without an index; what one needs is said in the module itself."""
    found = {_module_name(path.name): path for path in sorted(tree.rglob("*.ko"))}
    wanted: dict[Path, None] = {}

    def want(name: str) -> None:
        path = found.get(name)
        if path is None or path in wanted:
            return
        for needed in needs(path.read_bytes()):
            want(needed)
        wanted[path] = None

    for name in names:
        want(_module_name(name))
    return list(wanted)


def needs(module: bytes) -> list[str]:
    """Return the names of the modules that a module needs.

    >>> needs(b"...\\0depends=dm-mod,netfs\\0..."), needs(b"\\0depends=\\0"), needs(b"")
    (['dm-mod', 'netfs'], [], [])
    """
    words = module.partition(b"\0depends=")[2].partition(b"\0")[0].decode()
    return [_module_name(word) for word in words.split(",") if word]


def cache_root() -> Path:
    """Return the directory of all fetched kernels."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "writecache-reference" / "kernels"


def suite_named(name: str) -> Suite | None:
    """Return the suite of this name."""
    return next((suite for suite in SUITES if suite.name == name), None)


def fetched(directory: Path) -> KernelImage | None:
    """Return the kernel that was fetched into a directory, None if there is none."""
    try:
        record = json.loads((directory / RECORD).read_text())
        image = KernelImage(
            name=record["name"],
            path=directory / record["path"],
            modules_dir=directory / record["modules_dir"],
            release=record["release"],
            package=record["package"],
            target=record["target"],
            emulator=_inside(directory, record.get("emulator")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    usable = os.access(image.path, os.R_OK if image.emulator else os.X_OK)
    return image if usable else None


def _inside(directory: Path, place: str | None) -> Path | None:
    return None if place is None else directory / place


def record(directory: Path, image: KernelImage) -> None:
    """Write what a directory holds, paths relative to it; readers see the old or the new record."""
    data = asdict(image)
    for key in ("path", "modules_dir", "emulator"):
        if data[key] is not None:
            data[key] = os.path.relpath(data[key], directory)
    partial = directory / f"{RECORD}.{os.getpid()}"
    partial.write_text(json.dumps(data, indent=1) + "\n")
    partial.replace(directory / RECORD)


def remember_target(image: KernelImage, target: str) -> None:
    """Note a fetched kernel's target version, learnt by running it."""
    for directory in image.path.parents:
        known = fetched(directory)
        if known is not None and known.path == image.path and known.target != target:
            with suppress(OSError):  # a cache that cannot be written still serves
                record(directory, replace(known, target=target))


def current(suite: Suite) -> KernelImage | None:
    """Return the suite's kernel that was fetched last, None without one."""
    return fetched((cache_root() / suite.name / CURRENT).resolve())


def kernels() -> list[KernelImage]:
    """Return every fetched kernel, suite by suite in their order."""
    found: list[KernelImage] = []
    for suite in SUITES:
        records = sorted((cache_root() / suite.name).glob(f"*/{RECORD}"))
        images = (fetched(path.parent) for path in records if not path.parent.is_symlink())
        found += [image for image in images if image is not None]
    return found


def is_fetched_name(name: str) -> bool:
    """Tell whether a name is that of a suite or a fetched version, which bring their modules."""
    return suite_named(name) is not None or any(
        name in (image.release, image.package) for image in kernels()
    )
