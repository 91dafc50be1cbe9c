"""What a simulation is asked for."""

import hashlib
from dataclasses import dataclass

import numpy as np

DAY_MS = 86_400_000
DEFAULT_START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
_LATEST_MS = 29_348_006_400_000  # 2900-01-01: what is malformed by lying in the future lies in 2999


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """A simulation: the same parameters give the same records, byte for byte.

    Attributes:
        leads: How many leads there are; 1 to 10,000,000.
        events: How many records are written in all, duplicates and malformed ones among them; up to 20,000,000.
        seed: Of all chance; 0 and above.
        duplicates: Share of the records that are a record sent before, again.
        malformed: Share of the records that the scorer must not accept.
        late: Share of the records that are sent after events that occurred later.
        start_ms: Where the simulated time line begins, in ms since 1970; 1970 or later.
        days: How long it is; it ends before the year 2900.

    Raises:
        ValueError: A value is out of its range; the message names all that are.
    """

    leads: int = 1000
    events: int = 10_000
    seed: int = 0
    duplicates: float = 0.0
    malformed: float = 0.0
    late: float = 0.0
    start_ms: int = DEFAULT_START_MS
    days: float = 90.0

    def __post_init__(self) -> None:
        shares = ("duplicates", "malformed", "late")
        faults = [
            f"{name} is {getattr(self, name)}, allowed: 0 to 1" for name in shares if not 0 <= getattr(self, name) <= 1
        ]
        for name, low, high in (
            ("leads", 1, 10**7),
            ("events", 0, 2 * 10**7),
            ("seed", 0, 2**63 - 1),
            ("days", 0.001, 36_500),
        ):
            if not low <= getattr(self, name) <= high:
                faults.append(f"{name} is {getattr(self, name)}, allowed: {low} to {high}")
        if not 0 <= self.start_ms <= self.start_ms + self.days * DAY_MS < _LATEST_MS:
            faults.append("the time line leaves the years 1970 to 2899")
        if not faults and self.duplicates + self.malformed + self.late > 1:
            faults.append("duplicates, malformed and late together are more than 1")
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def span_ms(self) -> int:
        """Length of the time line."""
        return int(self.days * DAY_MS)

    @property
    def end_ms(self) -> int:
        """Its first millisecond that no event has."""
        return self.start_ms + self.span_ms

    def stream(self, purpose: str) -> np.random.Generator:
        """The random numbers for one purpose, independent of all others, of every parameter's own."""
        return np.random.Generator(np.random.PCG64(int.from_bytes(self._digest(purpose, 16))))

    @property
    def name(self) -> str:
        """Twelve hexadecimal digits that no other simulation has: its event ids begin with them."""
        return self._digest("name", 6).hex()

    def _digest(self, purpose: str, size: int) -> bytes:
        world = (self.leads, self.events, self.seed, self.start_ms, float(self.days))
        shares = (float(self.duplicates), float(self.malformed), float(self.late))
        return hashlib.blake2b(f"{world} {shares} {purpose}".encode(), digest_size=size).digest()
