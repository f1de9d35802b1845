"""What people expect of a repository: it is there, and it agrees with itself."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    groups = PROJECT["dependency-groups"]
    lines = [line for group in groups.values() for line in group if isinstance(line, str)]
    return {normal(name): version for name, version in (line.split("==") for line in lines)}


def test_what_development_pins_is_locked() -> None:
    locked = {normal(name): version for name, version in LOCKED.items()}
    assert len(locked) > len(pinned()) > 10
    assert {name: locked.get(name) for name in pinned()} == pinned(), "run: make lock"


def test_the_lock_names_no_host() -> None:
    assert "/" not in (ROOT / "constraints.txt").read_text()


def test_every_extra_is_in_the_development_environment() -> None:
    for extra, lines in PROJECT["project"]["optional-dependencies"].items():
        for line in lines:
            name = re.split(r"[<>=\[]", line)[0]
            assert normal(name) in pinned(), f"{extra}: {name}"


def test_the_citation_has_the_version() -> None:
    text = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {PROJECT['project']['version']}\n" in text
    assert f"\nlicense: {PROJECT['project']['license']}\n" in text


def test_a_finding_is_reported_with_a_symptom_that_there_is() -> None:
    from writecache_models.finding import Symptom

    text = (ROOT / ".github/ISSUE_TEMPLATE/finding.yml").read_text()
    for symptom in Symptom:
        assert f"        - {symptom.value}\n" in text


@pytest.fixture
def collect() -> ModuleType:
    spec = importlib.util.spec_from_file_location("collect", ROOT / "changelog.d/collect.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fragments_become_lines(
    collect: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "changelog.d"
    folder.mkdir()
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- Old.\n\n## 0.1\n")
    (folder / "README.md").write_text("# No fragment\n")
    (folder / "a.md").write_text("New,\nand more.\n")
    monkeypatch.setattr(collect, "FOLDER", folder)
    assert collect.main(["--check"]) == 0
    assert collect.main([]) == 0
    text = (tmp_path / "CHANGELOG.md").read_text()
    assert text == "# Changelog\n\n## Unreleased\n\n- Old.\n- New, and more.\n\n## 0.1\n"
    assert [path.name for path in folder.iterdir()] == ["README.md"]


@pytest.mark.parametrize("text", ["", "- With a dash.", "# A heading", "Two.\n\nParagraphs."])
def test_what_is_no_fragment_is_refused(
    collect: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    folder = tmp_path / "changelog.d"
    folder.mkdir()
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## Unreleased\n")
    (folder / "a.md").write_text(text)
    monkeypatch.setattr(collect, "FOLDER", folder)
    assert collect.main([]) == 1
    assert changelog.read_text() == "# Changelog\n\n## Unreleased\n"


def test_the_fragments_that_there_are_can_be_collected(collect: ModuleType) -> None:
    assert collect.main(["--check"]) == 0
