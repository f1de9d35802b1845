"""Where each function of the described kernel source is in the specification, and what covers it.

    python docs/kernel_functions.py           writes docs/kernel_functions.md

Generated from docstrings: a function of the kernel has its place where a docstring of `spec/` names
it in backquotes, a function's or else a module's.  What covers a place are the tests and theorems
that use a name which it defines.  `LEFT_OUT` says why the others have none; a name that is in
neither is an error, and so is one that is in both.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
SPEC: Final = ROOT / "spec" / "writecache_spec"
PAGE: Final = ROOT / "docs" / "kernel_functions.md"

_NAMES: Final = """
__writeback_throttle __writecache_endio_pmem __writecache_endio_ssd __writecache_writeback_pmem
__writecache_writeback_ssd activate_cleaner bio_copy_block cache_sector calculate_memory_size
clear_seq_count dm_writecache_exit dm_writecache_init init_memory memcpy_flushcache_optimized
memory_data memory_entry persistent_memory_claim persistent_memory_flush_cache
persistent_memory_invalidate_cache persistent_memory_page persistent_memory_page_offset
persistent_memory_release process_cleaner_mesg process_flush_mesg process_flush_on_suspend_mesg sb
ssd_commit_flushed ssd_commit_superblock wc_add_block wc_lock wc_unlock
write_original_sector_seq_count writecache_add_to_freelist writecache_alloc_entries
writecache_autocommit_timer writecache_commit_flushed writecache_copy_endio writecache_ctr
writecache_discard writecache_disk_flush writecache_dtr writecache_end_io writecache_endio_thread
writecache_entry_is_committed writecache_error writecache_find_entry writecache_flush
writecache_flush_all_metadata writecache_flush_entry writecache_flush_region
writecache_flush_thread writecache_flush_work writecache_free_entry writecache_has_error
writecache_insert_entry writecache_io_hints writecache_iterate_devices writecache_map
writecache_max_age_timer writecache_message writecache_notify_io writecache_offload_bio
writecache_poison_lists writecache_pop_from_freelist writecache_read_metadata writecache_resume
writecache_schedule_autocommit writecache_status writecache_suspend writecache_unlink
writecache_verify_watermark writecache_wait_for_ios writecache_wait_for_writeback
writecache_wait_on_freelist writecache_writeback writecache_writeback_endio
"""
KERNEL: Final = _NAMES.split()
"""The functions of dm-writecache 1.4.0, and the macros that act as such."""

_ADDRESS: Final = "an address in mapped memory: places are sectors and block numbers here"
_CPU_CACHE: Final = "the processor's cache under memory that is mapped page by page: no content"
_MODULE: Final = "loading the module, and taking things down: no state of a cache"
LEFT_OUT: Final = {
    "dm_writecache_exit": _MODULE,
    "dm_writecache_init": _MODULE,
    "writecache_dtr": _MODULE,
    "persistent_memory_release": _MODULE,
    "memory_data": _ADDRESS,
    "memory_entry": _ADDRESS,
    "sb": _ADDRESS,
    "persistent_memory_page": _ADDRESS,
    "persistent_memory_page_offset": _ADDRESS,
    "persistent_memory_flush_cache": _CPU_CACHE,
    "persistent_memory_invalidate_cache": _CPU_CACHE,
    "memcpy_flushcache_optimized": "how a block is stored: the effect `StoreBlock` is that it is",
    "wc_lock": "one event of `step` is what happens from here",
    "wc_unlock": "to here",
    "writecache_io_hints": "the block layer refuses what is misaligned: "
    "`models/writecache_models/requests.py` does",
    "writecache_iterate_devices": "for device-mapper's limits, which the block size sets",
}
"""Functions that the specification has no place for, and why."""


class Place(NamedTuple):
    """A function or class of the specification, or a whole module."""

    module: str
    name: str | None

    def __str__(self) -> str:
        return f"`{self.module}`" if self.name is None else f"`{self.module}.{self.name}`"


def named(docstring: str | None) -> set[str]:
    """The kernel's functions that a docstring names.

    >>> sorted(named("Describes `writecache_flush` and `sb`; not `writecache_flsh`."))
    ['sb', 'writecache_flush']
    """
    return set(re.findall(r"`(\w+)`", docstring or "")).intersection(KERNEL)


def places() -> dict[str, list[Place]]:
    """Where each kernel function is named: in functions, or else in modules."""
    in_functions: dict[str, list[Place]] = {}
    in_modules: dict[str, list[Place]] = {}
    for path in sorted(SPEC.glob("*.py")):
        tree = ast.parse(path.read_text())
        for kernel in named(ast.get_docstring(tree)):
            in_modules.setdefault(kernel, []).append(Place(path.stem, None))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for kernel in named(ast.get_docstring(node)):
                    in_functions.setdefault(kernel, []).append(Place(path.stem, node.name))
    return {
        kernel: [*in_modules.get(kernel, ()), *in_functions.get(kernel, ())]
        for kernel in KERNEL
        if kernel in in_functions or kernel in in_modules
    }


def users() -> dict[str, set[str]]:
    """By name that the specification defines, with its module: the files that import it."""
    found: dict[str, set[str]] = {}
    folders = (ROOT / "tests", ROOT / "proofs" / "writecache_proofs" / "families")
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        for module, name in _imports(path):
            found.setdefault(f"{module}.{name}", set()).add(path.stem)
            found.setdefault(module, set()).add(path.stem)
    return found


def _imports(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("writecache_spec."):
            for name in node.names:
                yield str(node.module).partition(".")[2], name.name


def covering(place: Place, known: dict[str, set[str]]) -> list[str]:
    """Tests and families of theorems that use a place: the function, or its module.

    What is reached only through `step` is judged by every test that plays a machine.
    """
    exact = known.get(f"{place.module}.{place.name}", set()) if place.name else set()
    own = {f"test_{place.module}"}.intersection(path.stem for path in ROOT.glob("tests/*/*.py"))
    return sorted(own | (exact or known.get(place.module, set())))


def page() -> str:
    """The table."""
    where, known = places(), users()
    missing = [name for name in KERNEL if name not in where and name not in LEFT_OUT]
    both = [name for name in LEFT_OUT if name in where or name not in KERNEL]
    if missing or both:
        raise SystemExit(f"without a place: {missing}; left out for nothing: {both}")
    lines = [
        "# Kernel functions and their places",
        "",
        f"{len(KERNEL)} functions of dm-writecache 1.4.0: {len(where)} are described,"
        f" {len(LEFT_OUT)} left out.",
        "Written by `python docs/kernel_functions.py`, from docstrings and imports.",
        "Beside what is named here everything is judged by recorded vectors (`tests/vectors/`), by",
        "live kernels and by the machines in `models/`, through `step`.",
        "",
        "| kernel | specification | tests and families of theorems that import from there |",
        "|---|---|---|",
    ]
    for kernel in KERNEL:
        at = where.get(kernel, [])
        covered = sorted({name for place in at for name in covering(place, known)})
        described = ", ".join(map(str, at)) or f"left out: {LEFT_OUT.get(kernel)}"
        lines.append(f"| `{kernel}` | {described} | {', '.join(covered)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.name}: {len(KERNEL)} functions", file=sys.stderr)
