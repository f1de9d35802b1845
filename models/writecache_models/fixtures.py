"""Where the shipped vectors are: inside the installed package, or in the checkout."""

from pathlib import Path


def shipped_vectors() -> list[Path]:
    """The vector files that come with the project, in the order of their names."""
    package = Path(__file__).resolve().parent
    for folder in (package / "fixtures", package.parents[1] / "tests" / "vectors"):
        if folder.is_dir():
            return sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.xz")])
    return []
