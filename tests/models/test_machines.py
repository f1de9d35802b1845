"""The state machines: nothing goes wrong with all repairs, and what is missing is found."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from writecache_models.machines import ContractError, WorldMachine
from writecache_models.world import Setting
from writecache_spec.profile import PROFILES
from writecache_spec.repairs import Repair
from writecache_spec.units import ByteCount

QUICK = settings(
    max_examples=30, stateful_step_count=50, deadline=None,
    suppress_health_check=list(HealthCheck), print_blob=False,
)  # fmt: skip


class Torn(WorldMachine):
    """Blocks of two sectors."""

    setting = Setting(PROFILES["1.6.0"].repaired(), "0", 3, 4, ByteCount(1024))


class Failing(WorldMachine):
    """Disks that fail."""

    failures = 2
    n_clients = 3


class Old(WorldMachine):
    """The early 1.4.0, mended, in a hurry."""

    setting = Setting(
        PROFILES["1.4.0-bullseye"].repaired(), "4 high_watermark 0 low_watermark 0", 2, 2
    )


@pytest.mark.parametrize("machine", [WorldMachine, Torn, Failing, Old])
def test_nothing_goes_wrong_with_all_repairs(machine: type[WorldMachine]) -> None:
    run_state_machine_as_test(machine, settings=QUICK)  # type: ignore[no-untyped-call]


def test_a_missing_repair_is_found() -> None:
    class Missing(WorldMachine):
        setting = Setting(
            PROFILES["1.6.0"].repaired(without=frozenset({Repair.FUA_COMMITS})), "0", 2, 2
        )
        n_clients = 1

    with pytest.raises(ContractError, match="write_fua"):
        run_state_machine_as_test(Missing, settings=settings(QUICK, max_examples=500))  # type: ignore[no-untyped-call]
