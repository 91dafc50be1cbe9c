"""What the events say besides their kind: pages, and the parts of a profile that a form or a clerk fills in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.simulation.journeys import DEMO_REQUEST, PAGE_VISIT, PROFILE_UPDATE, Journeys
from producer.simulation.leads import Integers, Leads
from producer.simulation.parameters import Parameters

Profile = tuple[str | None, int | None, int | None]
"""E-mail address, headcount and creation time (ms from the start of the time line), None where not said."""

_SITE = "https://www.example.com"
_PAGES = (
    "/",
    "/product",
    "/pricing",
    "/blog/first-steps",
    "/blog/release",
    "/docs",
    "/customers",
    "/about",
    "/careers",
)
_PAGE_SHARES = (0.2, 0.2, 0.16, 0.1, 0.08, 0.12, 0.06, 0.05, 0.03)
_NO_PAGE = -1
_DEMO_PAGE = len(_PAGES)
_URLS = [*(_SITE + page for page in _PAGES), _SITE + "/demo", None]  # the last one is that of _NO_PAGE

# Shares of registrations. Below the 5 % at which the scorer's stream gates call a source incomplete.
_WITHOUT_EMAIL = 0.02
_WITHOUT_HEADCOUNT = 0.02
_UNKNOWN_HEADCOUNT = 0.05  # said to be 0
_WITHOUT_CREATED = 0.01


@dataclass(frozen=True)
class Attributes:
    """Pages of all events, profiles of those that are profile updates."""

    page: NDArray[np.int8]
    by_index: dict[int, Profile]

    def pages(self, indices: Integers) -> list[str | None]:
        """The pages of these events."""
        return [_URLS[page] for page in self.page[indices].tolist()]

    def profile(self, index: int) -> Profile:
        """The attributes that a profile update carries."""
        return self.by_index[index]


def attributes(parameters: Parameters, leads: Leads, journeys: Journeys) -> Attributes:
    """Draws the attributes of all events."""
    rng = parameters.stream("attributes")
    page = rng.choice(len(_PAGES), len(journeys.kind), p=_PAGE_SHARES).astype(np.int8)
    page[journeys.kind != PAGE_VISIT] = _NO_PAGE
    page[journeys.kind == DEMO_REQUEST] = _DEMO_PAGE
    return Attributes(page, _profiles(rng, parameters, leads, journeys))


def _profiles(rng: np.random.Generator, parameters: Parameters, leads: Leads, journeys: Journeys) -> dict[int, Profile]:
    indices = np.flatnonzero(journeys.kind == PROFILE_UPDATE)
    lead, first = journeys.lead[indices], journeys.first[indices]
    chance = rng.random((3, len(indices)))
    # A registration says nearly everything; a later update one or two things, and the headcount of the day.
    with_email = np.where(first, chance[0] >= _WITHOUT_EMAIL, chance[0] < 0.3)
    with_headcount = np.where(first, chance[1] >= _WITHOUT_HEADCOUNT, chance[1] < 0.8)
    with_created = first & (chance[2] >= _WITHOUT_CREATED)
    headcount = np.where(
        first, leads.headcount[lead], leads.headcount[lead] * rng.normal(1, 0.1, len(lead)).clip(0.5, 2)
    )
    headcount[first & (rng.random(len(lead)) < _UNKNOWN_HEADCOUNT)] = 0
    columns = (
        indices,
        lead,
        with_email,
        with_headcount,
        headcount.astype(np.int64),
        with_created,
        leads.created_ms[lead],
    )
    return {
        index: (
            f"contact{of}@company-{parameters.seed}-{of}.example" if says_email else None,
            people if says_headcount else None,
            created if says_created else None,
        )
        for index, of, says_email, says_headcount, people, says_created, created in zip(
            *(column.tolist() for column in columns), strict=True
        )
    }
