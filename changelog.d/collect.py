"""Moves the fragments in this folder under *Unreleased* in CHANGELOG.md.

python changelog.d/collect.py            moves them
python changelog.d/collect.py --check    only says what is wrong with them: exit code 1
"""

import sys
from pathlib import Path
from textwrap import fill
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
HEADING: Final = "## Unreleased\n"


def fragments(folder: Path) -> dict[Path, str]:
    """The text of each fragment; raises ValueError for one that is not one paragraph."""
    found = {}
    for path in sorted(folder.glob("*.md")):
        if path.name == "README.md":
            continue
        text = path.read_text().strip()
        if not text or "\n\n" in text or text.startswith(("-", "#")):
            raise ValueError(f"{path.name} is not one paragraph without a dash")
        found[path] = " ".join(text.split())
    return found


def collected(changelog: str, lines: list[str]) -> str:
    """A changelog with lines at the end of *Unreleased*; raises ValueError where it has none.

    >>> collected("# Changelog\\n\\n## Unreleased\\n\\n- Old.\\n", ["New."])
    '# Changelog\\n\\n## Unreleased\\n\\n- Old.\\n- New.\\n'
    """
    before, heading, after = changelog.partition(HEADING)
    if not heading:
        raise ValueError(f"no heading {HEADING.strip()!r}")
    section, released, older = after.partition("\n## ")
    items = [fill(f"- {line}", 100, subsequent_indent="  ") for line in lines]
    return f"{before}{heading}{section.rstrip()}\n" + "\n".join([*items, ""]) + released + older


def main(arguments: list[str]) -> int:
    """Collect, or check."""
    try:
        found = fragments(FOLDER)
        changelog = FOLDER.parent / "CHANGELOG.md"
        text = collected(changelog.read_text(), list(found.values()))
    except ValueError as error:
        print(f"collect: {error}", file=sys.stderr)
        return 1
    if arguments != ["--check"]:
        changelog.write_text(text)
        for path in found:
            path.unlink()
    print(f"{len(found)} fragments")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
