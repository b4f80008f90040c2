"""Rule 7: the first of these that applies gives status and reason."""

from collections.abc import Iterator, Sequence

import msgspec

from proof.expected.book import Catalogs, goal_in, in_force, meaning, offer_in
from proof.expected.credit import too_long_ago
from proof.expected.identity import Group
from proof.expected.merge import last_of
from proof.expected.permission import barred
from proof.expected.words import Heard, Statement, Visit
from schemas.durations import to_ms
from schemas.reasons import Reason

Verdict = tuple[str, int]


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion, as far as its status rests on it. lacking: why its worth cannot be told, else 0."""

    catalogs: Catalogs
    group: Group
    speaking: Sequence[Heard]
    made_by: Heard
    visit: Visit | None
    lacking: int
    needs_number: bool


def status_of(scene: Scene) -> Verdict:
    """Status and reason."""
    return next(_ladder(scene))


def _ladder(scene: Scene) -> Iterator[Verdict]:  # noqa: C901, PLR0912  the rules' own list, in its order
    visit, said = scene.visit, scene.made_by.said
    if visit is None:
        yield "pending", Reason.AWAITING_CLICK
        return
    yield from _by_network(scene)
    if scene.made_by.forbidden:
        yield "rejected", [one for one in scene.speaking if one.forbidden][-1].forbidden
    catalog = in_force(scene.catalogs, visit, said)[1]
    offer = offer_in(catalog, visit.offer_id)
    if reason := barred(scene.catalogs, visit, scene.made_by.goal_id):
        yield "rejected", reason
    if offer is None:
        yield "rejected", Reason.UNKNOWN_OFFER
        return
    goal = goal_in(offer, scene.made_by.goal_id)
    if goal is None:
        yield "rejected", Reason.UNKNOWN_GOAL
        return
    is_click = visit.kind == "click"
    if too_long_ago(scene.catalogs, visit, said):
        yield "rejected", Reason.OUTSIDE_CLICK_WINDOW if is_click else Reason.OUTSIDE_VIEW_WINDOW
    if is_click and max(0, said.occurred_ms - visit.occurred_ms) < to_ms(offer.min_time):
        yield "rejected", Reason.TOO_SOON
    if scene.group.ambiguous:
        yield "rejected", Reason.AMBIGUOUS_STATEMENT
    if not scene.group.counts:
        yield "rejected", Reason.DUPLICATE_CONVERSION
    if said.test:
        yield "rejected", Reason.TEST_CONVERSION
    word = str(last_of(scene.speaking, "status") or "")
    stated = meaning(catalog, offer, word) if word else ""
    if stated == "rejected":
        yield "rejected", Reason.STATED_BY_ADVERTISER
    if scene.needs_number:
        yield "pending", Reason.ORDER_NUMBER_MISSING
    if stated is None:
        yield "pending", Reason.UNKNOWN_STATUS_WORD
    if stated == "pending":
        yield "pending", Reason.STATED_BY_ADVERTISER
    if visit.is_bot and offer.bots != "count":
        yield "pending", Reason.BOT_CLICK
    if scene.lacking:
        yield "pending", scene.lacking
    if goal.confirm == "postback" and _is_only_browsers(scene.speaking):
        yield "pending", Reason.NO_CONFIRMATION
    if stated == "approved":
        yield "approved", Reason.NONE
    if goal.approval == "manual":
        yield "pending", Reason.NEEDS_APPROVAL
    created = [one.said for one in scene.speaking if one.said.action == "create"]
    yield "approved", _reason_of(created[-1]) if created else Reason.NONE


def _is_only_browsers(speaking: Sequence[Heard]) -> bool:
    return all(one.said.kind in {"pixel", "iframe"} for one in speaking if one.is_report)


def _by_network(scene: Scene) -> Iterator[Verdict]:
    """The network's own word, unless nobody can tell what it means."""
    words = [one.said for one in scene.speaking if one.said.kind == "adjustment" and one.said.status]
    if words and not scene.group.ambiguous:
        if words[-1].status == "approved" and scene.lacking:
            yield "pending", scene.lacking
        yield words[-1].status, _reason_of(words[-1])


def _reason_of(said: Statement) -> int:
    if not said.by_file:
        return Reason.ADJUSTMENT
    return Reason.CREATED_BY_UPLOAD if said.action == "create" else Reason.UPDATED_BY_UPLOAD
