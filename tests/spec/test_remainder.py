"""What device-mapper maps next of a request of which a part was taken."""

import pytest
from builders import request

from writecache_spec.events import Op
from writecache_spec.profile import PROFILES
from writecache_spec.remainder import remainder
from writecache_spec.repairs import Repair

WHOLE = request(Op.READ, 10, 8)
EARLY = PROFILES["1.6.0-6.1-amd64"]


@pytest.mark.parametrize("profile", [PROFILES["1.6.0"], EARLY, EARLY.repaired()])
def test_where_nothing_was_copied_it_is_what_follows(profile: object) -> None:
    assert remainder(profile, WHOLE, WHOLE, 3) == request(Op.READ, 13, 5)  # type: ignore[arg-type]
    assert remainder(profile, WHOLE, WHOLE, 8) is None  # type: ignore[arg-type]


def test_what_was_copied_is_forgotten_and_the_repair_remembers_it() -> None:
    passed_on = request(Op.READ, 12, 6)
    # Two sectors copied, three passed on: three are left, and begin two sectors too early.
    assert remainder(EARLY, WHOLE, passed_on, 3) == request(Op.READ, 13, 3)
    mended = EARLY._replace(repairs=frozenset({Repair.REMAINDER_IS_THE_END}))
    assert remainder(mended, WHOLE, passed_on, 3) == request(Op.READ, 15, 3)
    assert remainder(EARLY, WHOLE, passed_on, 6) is None
