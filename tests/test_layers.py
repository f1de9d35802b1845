"""The import rule notices what breaks it."""

from layers import ALLOWED, main, wrong_imports


def test_imports_go_one_way() -> None:
    assert main() == 0


def test_an_import_against_the_rule_is_noticed() -> None:
    assert wrong_imports("writecache_spec", "from writecache_models import kernel") == [
        (1, "writecache_models")
    ]
    assert wrong_imports("writecache_spec", "import hypothesis") == [(1, "hypothesis")]
    assert wrong_imports("writecache_impl", "import writecache_spec") == []
    assert set(ALLOWED) == {f"writecache_{root}" for root in ("spec", "models", "proofs", "impl")}
