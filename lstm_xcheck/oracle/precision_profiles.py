"""Precision profiles: the roundings of an honest implementation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import SpecError


@dataclass(frozen=True)
class Profile:
    """Unit roundoffs of one arithmetic.

    Attributes:
        u: unit roundoff of stored values.
        u_sum: unit roundoff in which products are summed and activations evaluated.
        u_in: extra rounding of the operands of matrix products (TF32 keeps 11 bits of them, perhaps by truncation).
        eta: the largest error of an underflow.
        tanh_absolute: absolute error of tanh in units of u, for libraries that compute it as 2 sigmoid(2z) - 1.
        resolution: half a unit of the last digit that observed outputs were printed with; 0 where they have all digits.
        operand_bits: significant bits of an operand that is exact, so that `u_in` does not apply; 0 if it always does.
    """

    name: str
    u: float
    u_sum: float
    u_in: float
    eta: float
    tanh_absolute: float = 0.0
    operand_bits: int = 0
    resolution: float = 0.0

    @property
    def is_low(self) -> bool:
        """Whether values are stored in 16 bits."""
        return self.u > 2.0**-20

    @property
    def underflows_often(self) -> bool:
        """Whether numbers near 1 times the roundoff are subnormal, as in float16."""
        return self.eta > 2.0**-60


_HALF32, _HALF64 = 2.0**-24, 2.0**-53

#: Lowest precision last: the order in which a silent downgrade is searched.
PROFILES: dict[str, Profile] = {
    "float64": Profile("float64", _HALF64, _HALF64, 0.0, 2.0**-1022),
    "float32": Profile("float32", _HALF32, _HALF32, 0.0, 2.0**-126),
    "tf32": Profile("tf32", _HALF32, _HALF32, 2.0**-10, 2.0**-126, operand_bits=11),
    "float16": Profile("float16", 2.0**-11, _HALF32, 2.0**-11, 2.0**-25, operand_bits=11),
    "bfloat16": Profile("bfloat16", 2.0**-8, _HALF32, 2.0**-8, 2.0**-126, operand_bits=8),
}
#: Sums in the storage precision. Only a result that declares one (`computed_in`) is judged by it: such sums may be so
#: far off that the worst case proves nothing.
DECLARED: dict[str, Profile] = {
    f"{name}-own": replace(PROFILES[name], name=f"{name}-own", u_sum=PROFILES[name].u)
    for name in ("float16", "bfloat16")
}


def profile_named(name: str) -> Profile:
    """The profile of that name."""
    known = PROFILES | DECLARED
    if name not in known:
        raise SpecError(f"unknown precision {name!r}; expected one of {', '.join(known)}")
    return known[name]


def rougher_than(name: str) -> list[Profile]:
    """The profiles of lower precision that a backend may use without saying so."""
    profiles = list(PROFILES.values())
    return profiles[list(PROFILES).index(name.removesuffix("-own")) + 1 :]
