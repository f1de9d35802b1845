"""Every function of the described kernel source has a place, or a reason why it has none."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent.parent / "docs" / "kernel_functions.py"


@pytest.fixture
def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kernel_functions", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(table: ModuleType) -> None:
    assert table.PAGE.read_text() == table.page(), "run: python docs/kernel_functions.py"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KERNEL", ["writecache_map", "writecache_unheard_of"]),
        ("LEFT_OUT", {"writecache_map": "in the specification"}),
        ("LEFT_OUT", {"writecache_unheard_of": "not in the kernel"}),
    ],
)
def test_a_function_without_a_place_is_an_error(
    table: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(table, name, value)
    with pytest.raises(SystemExit, match="without a place"):
        table.page()


def test_what_covers_a_place_uses_it(table: ModuleType) -> None:
    users = table.users()
    flush = table.Place("commit", "commit_flushed")
    assert "test_commit" in table.covering(flush, users)
    assert table.covering(table.Place("no_such_module", None), users) == []
