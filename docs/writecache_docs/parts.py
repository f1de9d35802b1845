"""What is generated, by the name under which pages ask for it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from writecache_docs import (
    commands,
    findings,
    layout,
    lifecycle,
    proofs,
    protocol,
    versions,
)

_DOCS: Final = Path(__file__).resolve().parents[1]


def _beside(*names: str) -> str:
    """A table of contents of those pages that there are."""
    there = "\n".join(name for name in names if (_DOCS / f"{name}.md").exists())
    return f"```{{toctree}}\n:maxdepth: 1\n\n{there}\n```" if there else ""


def _from_root(name: str) -> str:
    """A page of the repository's top folder, without its title."""
    text = (_DOCS.parent / name).read_text()
    return text.partition("\n")[2].strip()


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "superblock-table": layout.superblock_table,
    "superblock-figure": layout.superblock_figure,
    "entry-table": layout.entry_table,
    "entry-figure": layout.entry_figure,
    "device-figure": layout.device_figure,
    "hex-dump": layout.hex_dump,
    "superblock-errors": partial(protocol.members_table, "layout", "SuperblockError"),
    "size-errors": partial(protocol.members_table, "layout", "SizeError"),
    "events": protocol.events_table,
    "effects": protocol.effects_table,
    "reasons": partial(protocol.members_table, "effects", "Reason"),
    "state": protocol.state_tables,
    "invariants": partial(protocol.functions_table, "invariants"),
    "repairs": protocol.repairs_table,
    "operations": protocol.contents,
    "block-life": lifecycle.blocks_figure,
    "block-changes": lifecycle.blocks_matrix,
    "phase-changes": lifecycle.phases_matrix,
    "proof-summary": proofs.summary,
    "proof-assumptions": proofs.assumptions,
    "proof-statements": proofs.statements,
    "version-differences": versions.differences,
    "version-common": versions.common,
    "commands": commands.index,
    "exit-codes": commands.exit_codes,
    "kit-pages": partial(
        _beside, "conformance-kit", "line-protocol", "nbd-target", "dmtest-and-lvm2"
    ),
    "contributing": partial(_from_root, "CONTRIBUTING.md"),
    "changelog": partial(_from_root, "CHANGELOG.md"),
    "security": partial(_from_root, "SECURITY.md"),
}
"""Parts of pages."""


def whole_pages() -> dict[str, str]:
    """Pages that are generated whole, by path."""
    return {**protocol.pages(), **findings.pages(), **commands.pages()}
