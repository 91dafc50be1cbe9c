"""From a score to a decision, and whether it is published (contract 6, docs/policy.md).

Everything that a policy can answer is worked out when it is loaded; routing an event is a search in a handful of
edges and a lookup.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from scoring.policy_file import PolicyError, parse, read
from scoring.policy_model import Band, PolicyFile
from scoring.profile import Profile

__all__ = ["Band", "Policy", "PolicyError", "Route"]

DAY_MS: Final = 86_400_000
_NO_BAND: Final = -1


class Route(NamedTuple):
    """What becomes of a score.

    Attributes:
        decision: The decision, as the action topic's name has it with `_` for `-`.
        confidence: HIGH, MEDIUM or LOW.
        publish: Whether the decision goes to its action topic.
        band: The band of the decision; for a review that of the score; for a rules decision the one that was decided.
    """

    decision: str
    confidence: str
    publish: bool
    band: str


class Policy:
    """A checked policy, ready to route. Immutable.

    Attributes:
        name: Its name.
        version: `<name>@<8 hex digits>`: what is hashed is the effective policy, not the file's looks.
        bands: The bands in rising order.
        decisions: All decisions that it can give: those of the bands, then that of the review.
        file: The fields as they were given.

    Example:
        >>> policy = Policy.load("default")
        >>> policy.route(Profile(), 0.9, True, "PAGE_VISIT", 0)
        Route(decision='contact_now', confidence='HIGH', publish=True, band='contact_now')
        >>> policy.route(Profile(), 0.9, False, "PAGE_VISIT", 0)  # the rules: no higher than the cap
        Route(decision='nurture', confidence='LOW', publish=True, band='nurture')
    """

    __slots__ = (
        "_always",
        "_by_band",
        "_by_rules",
        "_by_segment",
        "_edges",
        "_rank",
        "_repeat_ms",
        "_segment_edges",
        "bands",
        "decisions",
        "file",
        "name",
        "version",
    )

    def __init__(self, file: PolicyFile) -> None:
        self.file = file
        self.name = file.name
        self.version = f"{file.name}@{_digest(file)[:8]}"
        self.bands = file.bands
        names = [band.decision for band in file.bands]
        self.decisions = (*names, file.review.decision) if file.review else tuple(names)
        self._always = file.always_publish
        self._repeat_ms = file.repeat_after_days * DAY_MS
        self._rank: dict[str | None, int] = {name: rank for rank, name in enumerate(names)}
        self._edges = [band.below for band in file.bands if band.below is not None]
        cap = len(names) - 1 if file.fallback.cap is None else names.index(file.fallback.cap)
        self._by_rules = [min(rank, cap) for rank in range(len(names))]
        self._by_band = [_routes(name, "LOW", name) for name in names]
        rule = file.confidence
        self._segment_edges = sorted({*self._edges, rule.high_from, rule.high_below, *rule.low})
        self._by_segment = [self._model_routes(score) for score in (-1.0, *self._segment_edges)]

    @classmethod
    def load(cls, name_or_path: str | Path) -> "Policy":
        """Loads a policy that ships, by its name, or a TOML file.

        Raises:
            PolicyError: With all faults; refuse to start.
        """
        return cls(read(name_or_path))

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], source: str = "(given)") -> "Policy":
        """A policy from what its file would contain.

        Raises:
            PolicyError: With all faults.
        """
        return cls(parse(dict(data), source))

    def route(self, profile: Profile, score: float, by_model: bool, event_type: str, occurred_at: int) -> Route:
        """Routes one score; pure.

        Args:
            profile: The lead's profile: its last published decision counts.
            score: The published score, 0 to 1; of a rules decision the rule score.
            by_model: Whether the model gave it.
            event_type: The event's type.
            occurred_at: When the event occurred, in ms since 1970.
        """
        if by_model:
            kept, published = self._by_segment[bisect_right(self._segment_edges, score)]
        else:
            rank = self._by_rules[bisect_right(self._edges, score)]
            held = self._rank.get(profile.last_action_band, _NO_BAND)
            kept, published = self._by_band[max(rank, held)]
        if profile.last_action != published.decision:  # the first, another, or one that the policy does not know
            return published
        last_action_at = profile.last_action_at
        if last_action_at is None or occurred_at - last_action_at >= self._repeat_ms or event_type in self._always:
            return published
        return kept

    def record_action(self, profile: Profile, route: Route, occurred_at: int) -> None:
        """Notes a published decision in the profile; the time of the last publication never goes back."""
        profile.last_action = route.decision
        profile.last_action_band = route.band
        last_action_at = profile.last_action_at
        if last_action_at is None or occurred_at > last_action_at:
            profile.last_action_at = occurred_at

    def band(self, score: float) -> str:
        """The decision of the band that a score lies in."""
        return self.bands[bisect_right(self._edges, score)].decision

    def confidence(self, score: float) -> str:
        """The confidence of a model score."""
        rule = self.file.confidence
        if score >= rule.high_from or score < rule.high_below:
            return "HIGH"
        return "LOW" if rule.low[0] <= score < rule.low[1] else "MEDIUM"

    def _model_routes(self, score: float) -> tuple[Route, Route]:
        band, confidence = self.band(score), self.confidence(score)
        review = self.file.review
        if review is not None and confidence in review.confidence:
            return _routes(review.decision, confidence, band)
        return _routes(band, confidence, band)


def _routes(decision: str, confidence: str, band: str) -> tuple[Route, Route]:
    return Route(decision, confidence, False, band), Route(decision, confidence, True, band)


def _digest(file: PolicyFile) -> str:
    effective = file.model_dump(mode="json")
    effective["always_publish"] = sorted(effective["always_publish"])
    if effective["review"]:
        effective["review"]["confidence"] = sorted(set(effective["review"]["confidence"]))
    return hashlib.sha256(json.dumps(effective, sort_keys=True).encode()).hexdigest()
