"""The offline tools on real block devices, in a live kernel."""

from pathlib import Path

from commands import command


def test_devices_in_use_are_refused_and_idle_ones_are_brought_home() -> None:
    script = Path(__file__).with_name("on_devices.py")
    done = command("kernel", "run", "bookworm", script, "--origin-mib", 4, "--cache-mib", 2)
    assert done.code == 0, done.out + done.err
