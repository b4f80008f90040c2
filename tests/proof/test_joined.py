"""What is held against the undisturbed run and the truth: each way to differ is named."""

from collections.abc import Callable

import msgspec
import pytest

from proof import expected, histories, joined
from proof.histories import Histories, Told
from proof.joined import Outcome, Standing
from schemas import times
from schemas.decisions import RULES_RELEASE, Case, Conversion, Notice, Quarantine, case_key
from schemas.facts import AnyFact, Click, Postback
from service.kafka import Record

NAME = "06cv0000000000000000000000000000"
CATALOGS = dict(enumerate(histories.catalogs(), 1))
AT = "2026-11-23T11:00:00.000Z"


def common(number: int) -> dict[str, object]:
    at = times.from_ms(times.to_ms(AT) + number)
    return {
        "receipt_id": f"{histories.EPOCH}-{number}",
        "transaction_id": NAME,
        "received_at": at,
        "occurred_at": at,
        "edge": "e",
        "catalog_version": 1,
        "offer_id": 8,
    }


FACTS: list[AnyFact] = [
    Click(**common(1), affiliate_id=43, advertiser_id=1),  # type: ignore[arg-type]
    Postback(**common(2), kind="postback"),  # type: ignore[arg-type]
]
TOLD = Histories({NAME: Told(NAME, FACTS, is_random=True)}, FACTS)


def conversion(**changed: object) -> Conversion:
    (one,) = expected.read(FACTS, CATALOGS)
    given: dict[str, object] = {
        "conversion_id": "c1",
        "occurred_at": AT,
        "received_at": AT,
        "conversion_unique_id": one.number,
        "observed_by": one.kinds,
    }
    same = ("status", "reason", "affiliate_id", "payout", "revenue", "payout_currency", "revenue_currency")
    given |= {name: getattr(one, name) for name in (*same, "observations")}
    return msgspec.convert(given | changed, Conversion)


def case(facts: int = 2, **changed: object) -> Case:
    version = RULES_RELEASE << 32 | facts
    return Case(
        transaction_id=NAME, goal_id=0, version=version, decided_at=AT, conversions=(conversion(**changed),)
    )


def notice(status: str = "approved", identity: str = "n1") -> Notice:
    return msgspec.convert(
        {
            **dict.fromkeys(("version", "offer_id"), 0),
            "notice_id": identity,
            "transaction_id": NAME,
            "conversion_id": "c1",
            "affiliate_id": 43,
            "subscription": "s",
            "status": status,
            "url": "u",
            "decided_at": AT,
        },
        Notice,
    )


KEY = case_key(NAME, 0)
GOOD = Outcome({KEY: Standing(case(), 1, case().version)}, {("c1", "approved")}, {"n1": notice()}, [])


def with_case(facts: int = 2, **changed: object) -> Outcome:
    found = case(facts, **changed)
    stated = GOOD.stated | {("c1", found.conversions[0].status)}
    return GOOD._replace(cases={KEY: Standing(found, 1, found.version)}, stated=stated)


def with_notice(status: str) -> Outcome:
    stated = {("c1", "approved"), ("c1", status)}
    return GOOD._replace(notices={"n1": notice(), "n2": notice(status, "n2")}, stated=stated)


def test_nothing_differs_where_all_is_the_same() -> None:
    assert list(joined.differences(GOOD, GOOD, TOLD, CATALOGS)) == []


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (lambda: with_case(aff_sub="other"), "differs: "),
        (lambda: with_case(status="pending"), "untrue, differs: "),
        (lambda: GOOD._replace(cases={}), "missing: "),
        (lambda: GOOD._replace(cases={**GOOD.cases, b"other:1": GOOD.cases[KEY]}), "unexpected: other:1"),
        (lambda: with_case(1), "version fell: "),
        (lambda: GOOD._replace(cases={KEY: GOOD.cases[KEY]._replace(contents=2)}), "two contents: "),
        (lambda: GOOD._replace(cases={KEY: GOOD.cases[KEY]._replace(kept=1)}), "compacted: "),
        (lambda: GOOD._replace(notices={}), "notice missing: "),
        (lambda: with_notice("rejected"), "notice unexplained: "),
        (
            lambda: GOOD._replace(notices={"n1": notice(), "n2": notice("pending", "n2")}),
            "notice of nothing: ",
        ),
        (
            lambda: GOOD._replace(
                quarantined=[
                    Quarantine(
                        identity="q",
                        reader="joiner",
                        reason=215,
                        topic="clicks",
                        partition=0,
                        offset=1,
                        at=AT,
                    )
                ]
            ),
            "quarantined: 215",
        ),
    ],
)
def test_each_difference_is_named(found: Callable[[], Outcome], line: str) -> None:
    every = list(joined.differences(found(), GOOD, TOLD, CATALOGS))
    assert any(each.startswith(line) for each in every), every


def test_an_empty_case_is_as_good_as_none() -> None:
    empty = msgspec.structs.replace(case(), conversions=(), goal_id=9)
    more = GOOD._replace(cases={**GOOD.cases, b"empty:9": Standing(empty, 1, empty.version)})
    assert list(joined.differences(more, GOOD, TOLD, CATALOGS)) == []


def test_the_greatest_version_stands_wherever_it_lies() -> None:
    def sent(offset: int, each: Case) -> Record:
        return Record("conversions", 0, offset, 0, KEY, msgspec.json.encode(each))

    found = joined.outcome([sent(0, case(2)), sent(1, case(1))], [], [])
    assert found.cases[KEY] == Standing(case(2), 1, case(1).version)
    found = joined.outcome([sent(0, case(2)), sent(1, case(2, aff_sub="x"))], [], [])
    assert found.cases[KEY].contents == 2


def test_a_duplicate_need_not_be_told_though_it_was_another_on_the_way_undisturbed() -> None:
    """Rejected for something else it was told as rejected, before the other order made it a duplicate."""
    standing = Standing(case(status="rejected", reason=12), 1, case().version)
    plain = Outcome({case_key(NAME, 0, ""): standing}, {("c1", "rejected")}, {"n1": notice("rejected")}, [])
    assert list(joined._untold(plain._replace(notices={}), plain)) == []
    missed = msgspec.structs.replace(standing.case, conversions=(conversion(status="rejected", reason=214),))
    stood = plain._replace(cases={case_key(NAME, 0, ""): standing._replace(case=missed)})
    assert list(joined._untold(stood._replace(notices={}), stood)) == [f"notice missing: {NAME} rejected"]


def test_what_was_told_under_an_earlier_id_was_told_once() -> None:
    """The same affiliate hears nothing again where an order number gives the conversion another ID."""
    earlier = msgspec.structs.replace(notice(identity="n0"), conversion_id="c0")
    found = GOOD._replace(notices={"n0": earlier})
    assert list(joined._untold(found, GOOD)) == []
    for other in ({"affiliate_id": 44}, {"status": "rejected"}, {"conversion_id": "c1"}):
        told = msgspec.structs.replace(earlier, **other)
        assert list(joined._untold(GOOD._replace(notices={"n0": told}), GOOD)) == [
            f"notice missing: {NAME} approved"
        ]


def test_a_notice_of_a_state_on_the_way_is_explained() -> None:
    """Before the click had come the conversion was pending; after it, approved."""
    waited = msgspec.structs.replace(notice("pending", "n2"), affiliate_id=0)
    found = GOOD._replace(
        notices={"n1": notice(), "n2": waited}, stated={("c1", "approved"), ("c1", "pending")}
    )
    assert list(joined.differences(found, GOOD, TOLD, CATALOGS)) == []


def test_who_had_a_conversion_may_be_told_that_it_is_rejected_and_must_be() -> None:
    """The conversion is another's now; else its former affiliate was told last of an approval."""
    former = msgspec.structs.replace(notice(identity="n0"), affiliate_id=44, subscription="x", version=1)
    reversal = msgspec.structs.replace(former, notice_id="n2", status="rejected", version=2)
    held = frozenset({("c1", 44)})
    found = GOOD._replace(notices={**GOOD.notices, "n0": former, "n2": reversal}, held=held)
    assert list(joined._not_taken_back(found)) == []
    assert [line for line in joined.differences(found, GOOD, TOLD, CATALOGS) if "rejected" in line] == []
    nobodys = found._replace(held=frozenset())
    assert any(
        line.startswith("notice of nothing") for line in joined.differences(nobodys, GOOD, TOLD, CATALOGS)
    )
    again = msgspec.structs.replace(former, version=3)
    silent = found._replace(notices={**found.notices, "n0": again})
    assert list(joined._not_taken_back(silent)) == [f"not taken back: {NAME} 44 approved"]


def test_it_may_be_taken_back_under_the_id_that_it_had_last_but_one_for_one() -> None:
    """A number joined it: then the click of another came, and the numbered one was rejected."""
    former = msgspec.structs.replace(
        notice(identity="n0"), conversion_id="c8", affiliate_id=44, subscription="x", version=1
    )
    heirs = msgspec.structs.replace(former, notice_id="n2", conversion_id="c9", status="rejected", version=3)
    found = GOOD._replace(notices={**GOOD.notices, "n0": former, "n2": heirs})
    assert list(joined._not_taken_back(found)) == []
    another = msgspec.structs.replace(former, notice_id="n3", conversion_id="c7")
    two = found._replace(notices={**found.notices, "n3": another})
    assert list(joined._not_taken_back(two)) == [f"not taken back: {NAME} 44 approved"]
    told = msgspec.structs.replace(heirs, notice_id="n4", status="approved", version=2)
    own = found._replace(notices={**found.notices, "n4": told})
    assert list(joined._not_taken_back(own)) == [f"not taken back: {NAME} 44 approved"]
