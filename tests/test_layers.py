"""The import rule notices what breaks it."""

from layers import ALLOWED, main, wrong_imports, wrong_in_engine


def test_imports_go_one_way() -> None:
    assert main() == 0


def test_an_import_against_the_rule_is_noticed() -> None:
    assert wrong_imports("writecache_spec", "from writecache_models import kernel") == [
        (1, "writecache_models")
    ]
    assert wrong_imports("writecache_spec", "import hypothesis") == [(1, "hypothesis")]
    assert wrong_imports("writecache_impl", "import writecache_spec") == []
    assert set(ALLOWED) == {f"writecache_{root}" for root in ("spec", "models", "proofs", "impl")}


def test_the_engine_shares_with_the_reference_only_how_tables_and_sizes_are_read() -> None:
    for module in ("writecache_models.contract", "writecache_spec.commit", "writecache_impl.live"):
        assert wrong_in_engine(f"import {module}") == [(1, module)]
    assert wrong_in_engine("from writecache_spec.layout import MAGIC\nimport numpy, mmap") == []
