"""Precision profiles: the roundings of an honest implementation."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SpecError


@dataclass(frozen=True)
class Profile:
    """Unit roundoffs of one arithmetic.

    Attributes:
        u: unit roundoff of stored values.
        u_sum: unit roundoff in which products are summed.
        u_in: extra rounding of the operands of matrix products (TF32 keeps 11 bits of them).
        eta: the largest error of an underflow.
        tanh_absolute: absolute error of tanh in units of u, for libraries that compute it as 2 sigmoid(2z) - 1.
    """

    name: str
    u: float
    u_sum: float
    u_in: float
    eta: float
    tanh_absolute: float = 0.0


_HALF32, _HALF64 = 2.0**-24, 2.0**-53

#: Lowest precision last: the order in which a silent downgrade is searched.
PROFILES: dict[str, Profile] = {
    "float64": Profile("float64", _HALF64, _HALF64, 0.0, 2.0**-1022),
    "float32": Profile("float32", _HALF32, _HALF32, 0.0, 2.0**-126),
    "tf32": Profile("tf32", _HALF32, _HALF32, 2.0**-11, 2.0**-126),
    "float16": Profile("float16", 2.0**-11, _HALF32, 2.0**-11, 2.0**-25),
    "bfloat16": Profile("bfloat16", 2.0**-8, _HALF32, 2.0**-8, 2.0**-126),
}


def profile_named(name: str) -> Profile:
    """The profile of that name."""
    if name not in PROFILES:
        raise SpecError(f"unknown precision {name!r}; expected one of {', '.join(PROFILES)}")
    return PROFILES[name]


def rougher_than(name: str) -> list[Profile]:
    """The profiles of lower precision."""
    profiles = list(PROFILES.values())
    return profiles[list(PROFILES).index(name) + 1 :]
