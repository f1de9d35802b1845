"""The demonstration of a rescue comes to its end, and would not if a file were lost."""

from pathlib import Path

import pytest

from writecache_impl.rescue import demo, guest


def test_a_rescue_brings_everything_home(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert demo.main(["--kernel", "bookworm", "--seconds", "1"]) == demo.FINE
    said = capsys.readouterr().out
    assert "the origin, without the cache: all" in said
    assert "both devices are, to the byte, what they were" in said


def test_a_lost_file_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"a": guest.content("a 1"), "journal": guest.journal_line(1)}
    monkeypatch.setattr(demo, "read_file", lambda _image, name: there.get(name, b""))
    safe = {"journal": "1"}
    assert demo.missing(Path("x"), safe) == []
    assert demo.missing(Path("x"), {"journal": "2"}) == ["journal"]
    assert demo.missing(Path("x"), {"a": "0" * 64, "journal": "1"}) == ["a"]
    with pytest.raises(demo.FailedError, match="1 of 1"):
        demo.promised_files(Path("x"), {"b": "0" * 64}, "here")


def test_without_its_programs_it_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "NEEDED", ("nosuch",))
    assert demo.main([]) == demo.NOT_JUDGED
