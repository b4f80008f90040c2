"""`roundtrip adjust` without a stack: files, forecasts, and how a collector is asked."""

import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

import roundtrip
from console import adjust_file
from console.adjust_file import Line
from console.adjust_plan import Amount, Defaults, Effect, Plan
from console.adjust_post import ATTEMPTS, Collector, Verdict
from console.adjust_report import Report
from console.adjust_rows import Applied, Known, Row
from schemas.catalog_versions import CatalogVersion, History
from service.errors import No, Unreachable, Usage
from tests.ingest.fakes import CATALOG

ID = "0" * 32
ROW = Row(
    conversion_id="c1",
    transaction_id=ID,
    goal_id=0,
    conversion_unique_id="A",
    reported_at=datetime(2026, 10, 1, tzinfo=UTC),
    offer_id=7,
    status="approved",
    duplicate_of="",
    credited_by="click",
    payout=Decimal("4.00"),
    payout_currency="USD",
    payout_nominal=Decimal("4.00"),
    payout_rule="goal",
    payout_rate=Decimal(1),
    revenue=Decimal("5.00"),
    revenue_currency="EUR",
    revenue_nominal=Decimal("5.00"),
    revenue_rule="goal",
    revenue_rate=Decimal(1),
    sale_amount=Decimal("50.00"),
    sale_currency="USD",
    test=False,
    catalog_version=5,
    adjusted_by="",
    adjusted_at=None,
)
HISTORY = History(
    [CatalogVersion(version=5, applied_at="2026-11-01T00:00:00.000Z", applied_by="t", catalog=CATALOG)]
)
REJECT = {"conversion_unique_id": "A", "status": "rejected"}


def changed(row: Row, **fields: Any) -> Row:
    return msgspec.structs.replace(row, **fields)


UNPAID = changed(ROW, payout=Decimal(0), revenue=Decimal(0))


def planned(
    texts: Sequence[dict[str, str]],
    rows: Sequence[Row] = (ROW,),
    applied: Sequence[str] = (),
    again: str = "",
    at: datetime = datetime(2026, 11, 2, tzinfo=UTC),
) -> list[Effect]:
    """What these lines come to; `applied` are keys of adjustments that were made on the 1st."""
    known = Known()
    for row in rows:
        known.add(changed(row))
    for key in applied:
        known.applied[ID, key] = Applied("r-1", datetime(2026, 11, 1, tzinfo=UTC))
    lines = [Line(number=number, texts=each) for number, each in enumerate(texts, 2)]
    return Plan(known, HISTORY, Defaults(by="Anna", at=at, why="as agreed", again=again)).effects(lines)


# The file


def read(text: str) -> list[Line]:
    return [*adjust_file.lines(iter(text.splitlines(keepends=True)), "f.csv")]


@pytest.mark.parametrize("says", [{"status": "rejected"}, {"action": "release"}, {"payout": "9"}])
def test_what_comes_more_than_120_days_after_the_first_report_changes_nothing(says: dict[str, str]) -> None:
    """Guard: the forecast of an old conversion, which the joiner corrects no more (docs/rules.md 4.16)."""
    texts = [{"conversion_unique_id": "A", **says}]
    (in_time,) = planned(texts, at=ROW.reported_at + timedelta(days=120))
    assert "changes nothing" not in in_time.told
    (late,) = planned(texts, at=ROW.reported_at + timedelta(days=131))
    told = "conversion c1 of order A: first reported 131 days ago, what is stated after 120 changes nothing"
    assert (late.kind, late.told, late.amounts, late.is_open) == ("same", told, (), False)
    assert late.sent  # it is kept, with its reason


def test_the_conversions_of_a_random_id_age_together_others_by_themselves() -> None:
    younger = {
        "conversion_id": "c2",
        "conversion_unique_id": "B",
        "reported_at": ROW.reported_at + timedelta(90),
    }
    texts = [{"conversion_unique_id": "B", "status": "rejected"}]
    at = ROW.reported_at + timedelta(days=131)
    (random,) = planned(texts, [ROW, changed(ROW, **younger)], at=at)
    derived = [changed(row, transaction_id="d" + ID[1:]) for row in (ROW, changed(ROW, **younger))]
    (own,) = planned(texts, derived, at=at)
    assert (random.kind, own.kind) == ("same", "changes")


def test_a_file_may_name_its_columns_as_platforms_do_in_any_order_and_separator() -> None:
    line = Line(number=2, texts={"conversion_unique_id": "A,1", "status": "rejected"})
    for text in (
        'order_id,status\n"A,1",rejected\n',
        "Status ; Order_ID\nrejected; A,1 \n",
        "status\torder_id\nrejected\tA,1",
    ):
        assert read(text) == [line]


def test_lines_are_numbered_as_an_editor_does_and_empty_ones_are_passed_over() -> None:
    found = read('order_id,why\nA,"two\nlines"\n\n,\nB,x\nC\n')
    assert [(line.number, line.texts.get("conversion_unique_id", "")) for line in found] == [
        (2, "A"),
        (6, "B"),
        (7, ""),
    ]
    assert found[2].problem.startswith("1 cells where the head has 2")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no column says what is meant"),
        ("status\napproved\n", "no column says what is meant"),
        ("order_id,colour\nA,red\n", "f.csv:1: unknown column 'colour'"),
        ("order_id,txid\nA,B\n", "f.csv:1: two columns for conversion_unique_id"),
        ('order_id\n"A\n', "f.csv:2: "),
    ],
)
def test_what_is_no_such_file_is_told_and_nothing_of_it_is_sent(text: str, told: str) -> None:
    with pytest.raises(Usage, match=told):
        read(text)


def test_the_same_content_has_the_same_key_whatever_else_changes() -> None:
    first, second = read("order_id,status\nA,approved\nB,approved\n")
    (again,) = read("status,order_id\napproved,A\n")
    assert first.content_key == again.content_key != second.content_key


# The forecast


def test_a_rejection_takes_the_money_back_and_an_approval_gives_it_again() -> None:
    rejected, approved = planned([REJECT, {"conversion_unique_id": "A", "status": "approved"}])
    assert rejected == Effect(
        number=2,
        kind="changes",
        told="conversion c1 of order A: approved -> rejected, payout -4 USD, revenue -5 EUR",
        sent=rejected.sent,
        conversion_id="c1",
        before="approved",
        after="rejected",
        amounts=(Amount("payout", "USD", Decimal(-4)), Amount("revenue", "EUR", Decimal(-5))),
    )
    assert rejected.sent | {"key": ""} == {
        "transaction_id": ID,
        "goal_id": "0",
        "conversion_unique_id": "A",
        "status": "rejected",
        "by": "Anna",
        "why": "as agreed",
        "by_file": "1",
        "key": "",
    }
    assert [each.by for each in approved.amounts] == [4, 5]


@pytest.mark.parametrize(
    ("row", "texts", "amounts"),
    [
        (ROW, {"payout": "7.005"}, [("payout", "3.00")]),
        (ROW, {"payout": "0"}, [("payout", "-4.00")]),
        (changed(ROW, status="rejected", payout=Decimal(0), revenue=Decimal(0)), {"payout": "7"}, []),
        (
            changed(ROW, test=True, payout=Decimal(0), revenue=Decimal(0)),
            {"status": "approved", "test": "1"},
            [],
        ),
        (changed(ROW, credited_by="", payout=Decimal(0), revenue=Decimal(0)), {"status": "approved"}, []),
        (ROW, {"amount": "100"}, [("payout", "4.00"), ("revenue", "-5.00")]),
        (ROW, {"amount": "100", "status": "rejected"}, [("payout", "-4.00"), ("revenue", "-5.00")]),
        (
            ROW,
            {"amount": "1", "currency": "JPY", "status": "rejected"},
            [("payout", "-4"), ("revenue", "-5")],
        ),
        (ROW, {"amount": "0"}, [("payout", "-4.00"), ("revenue", "-5.00")]),
    ],
)
def test_what_is_owed_after_it(row: Row, texts: dict[str, str], amounts: list[tuple[str, str]]) -> None:
    """The catalog's offer 7 pays 8 % of the sale, and takes nothing from the advertiser."""
    (effect,) = planned([{"conversion_unique_id": "A", **texts}], [row])
    assert [(each.side, each.by) for each in effect.amounts] == [(side, Decimal(by)) for side, by in amounts]
    assert not effect.is_open


def test_what_cannot_be_told_here_is_said_to_be_open_and_is_in_no_sum() -> None:
    other_currency = {"amount": "100", "currency": "JPY"}
    stated_before = changed(ROW, status="rejected", payout=Decimal(0), payout_rule="adjustment")
    for texts, row in (
        (other_currency, ROW),
        ({**other_currency, "payout": "7"}, ROW),
        ({"amount": "100"}, changed(ROW, catalog_version=6)),
        ({"status": "approved"}, stated_before),
        ({"action": "create"}, ROW),
        ({"action": "release"}, changed(ROW, adjusted_by="Ben")),
    ):
        (effect,) = planned([{"transaction_id": ID, "conversion_unique_id": "A", **texts}], [row])
        assert (effect.is_open, effect.amounts, bool(effect.sent)) == (True, (), True)


def test_without_its_click_a_conversion_stays_as_it_is_whatever_the_network_states() -> None:
    awaits = changed(UNPAID, credited_by="", status="pending")
    (effect,) = planned([REJECT], [awaits])
    assert (effect.kind, effect.before, effect.after) == ("same", "pending", "pending")
    assert effect.sent
    assert effect.told == "conversion c1 of order A: as it is until its click arrives"


def test_without_a_number_the_conversion_that_counts_is_meant() -> None:
    counts = hashlib.sha256(f"{ID}|0".encode()).hexdigest()[:32]
    other = changed(ROW, conversion_id="c2", conversion_unique_id="B")
    texts = {"transaction_id": ID, "status": "pending"}
    (effect,) = planned([texts], [other, changed(ROW, conversion_id=counts)])
    assert effect.conversion_id == counts
    (unclear,) = planned([texts], [ROW, other])
    assert unclear.told == "it could mean any of 2 conversions: add the order number"
    (alone,) = planned([texts], [ROW, changed(other, duplicate_of="c1")])
    assert alone.conversion_id == "c1"


def test_a_conversion_is_named_by_its_id_a_goal_by_its_name() -> None:
    lead = changed(ROW, conversion_id="c2", goal_id=12, conversion_unique_id="")
    for texts in ({"conversion_id": "C2"}, {"transaction_id": ID, "goal_id": "lead"}):
        (effect,) = planned([{**texts, "status": "rejected"}], [ROW, lead])
        assert (effect.conversion_id, effect.kind) == ("c2", "changes")


def test_what_names_no_conversion_is_wrong_or_waits() -> None:
    twice = [ROW, changed(ROW, conversion_id="c2", transaction_id="1" * 32)]
    for texts, rows, kind, told in (
        ({"status": "rejected"}, (ROW,), "wrong", "it names no conversion"),
        ({"conversion_id": "c9", "status": "rejected"}, (ROW,), "wrong", "there is no conversion 'c9'"),
        (REJECT, (), "wrong", "no conversion here has the order number 'A'"),
        (REJECT, twice, "wrong", "2 conversions have the order number 'A'"),
        ({**REJECT, "status": "aproved"}, (ROW,), "wrong", "status 'aproved': write approved"),
        ({**REJECT, "transaction_id": ID}, (), "waits", "no such conversion is here yet"),
    ):
        (effect,) = planned([texts], rows)
        assert (effect.kind, bool(effect.sent)) == (kind, kind == "waits")
        assert effect.told.startswith(told)


def test_what_was_applied_before_changes_nothing_and_says_so() -> None:
    (effect,) = planned([REJECT])
    (again,) = planned([REJECT], applied=[effect.sent["key"]])
    assert (again.kind, again.sent) == ("again", {})
    assert again.told == "applied before, 2026-11-01 00:00, receipt r-1: nothing to do"
    since = changed(ROW, adjusted_at=datetime(2026, 11, 2, tzinfo=UTC))
    (overtaken,) = planned([REJECT], [since], applied=[effect.sent["key"]])
    assert "stated something else since, which stands" in overtaken.told
    (anew,) = planned([REJECT], applied=[effect.sent["key"]], again=":x")
    assert anew.kind == "changes"


def test_a_line_that_repeats_another_changes_nothing() -> None:
    _, again = planned([REJECT, REJECT])
    assert (again.kind, again.told) == ("again", "repeats line 2: nothing to do")
    _, second = planned([{**REJECT, "key": "1"}, {**REJECT, "key": "2"}])
    assert second.kind == "same"


def test_the_summary_counts_rows_and_money_per_currency(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [ROW, changed(ROW, conversion_id="c2", conversion_unique_id="B", payout_currency="EUR")]
    effects = planned([REJECT, {**REJECT, "conversion_unique_id": "B"}, {**REJECT, "status": "x"}], rows)
    report = Report(is_json=False)
    report.tell(effects)
    assert report.end("nothing was sent") == 1
    assert capsys.readouterr().out.splitlines()[3:] == [
        "3 adjustments: 1 not sent, 2 changed",
        "approved -> rejected: 2 conversions",
        "payout: -4 EUR",
        "payout: -4 USD",
        "revenue: -10 EUR",
        "nothing was sent",
    ]


def test_each_line_s_verdict_is_told_and_what_was_not_accepted_is_in_no_sum(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [ROW, changed(ROW, conversion_id="c2", conversion_unique_id="B")]
    effects = planned([REJECT, {**REJECT, "conversion_unique_id": "B"}], rows)
    accepted = Verdict(outcome="accepted", receipt="r-7")
    refused = Verdict(outcome="refused", reason=210, sentence="the transaction ID is forged")
    assert done(effects, {2: accepted, 3: refused}) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"line 2: accepted, receipt r-7: {effects[0].told}",
        "line 3: refused: the transaction ID is forged",
        "2 adjustments: 1 changed, 1 not accepted",
        "approved -> rejected: 1 conversion",
        "payout: -4 USD",
        "revenue: -5 EUR",
    ]
    assert done(effects, {2: accepted, 3: accepted}) == 0
    assert done(effects, {2: accepted, 3: Verdict(outcome="unavailable")}) == 3


def done(effects: Sequence[Effect], verdicts: dict[int, Verdict]) -> int:
    """The exit code, after all was told."""
    report = Report(is_json=False)
    report.tell(effects, verdicts)
    return report.end("")


# The collector


Answers = Callable[[list[Any]], tuple[int, Any]]


class Edge(http.server.BaseHTTPRequestHandler):
    """A collector that answers what a test says."""

    answers: Answers
    authorizations: list[str]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.authorizations.append(self.headers["Authorization"])
        status, said = type(self).answers(asked)
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def edge() -> Iterator[Callable[[Answers], Collector]]:
    servers = []

    def start(answers: Answers) -> Collector:
        handler = type("Told", (Edge,), {"answers": staticmethod(answers), "authorizations": []})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return Collector(f"http://127.0.0.1:{server.server_port}/", "token of the test", pause_s=0.0)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_is_unavailable_is_sent_again_and_nothing_else(edge: Callable[[Answers], Collector]) -> None:
    asked: list[list[Any]] = []

    def answers(each: list[Any]) -> tuple[int, Any]:
        asked.append(each)
        word = "accepted" if len(asked) > 1 else "unavailable"
        verdicts = [{"outcome": "refused" if one["n"] == "0" else word, "receipt": one["n"]} for one in each]
        return 200, {"outcome": "unavailable", "verdicts": verdicts}

    found = edge(answers).state([{"n": str(n)} for n in range(3)])
    assert [verdict.outcome for verdict in found] == ["refused", "accepted", "accepted"]
    assert asked[1] == [{"n": "1"}, {"n": "2"}]


def test_what_stays_unavailable_is_told(edge: Callable[[Answers], Collector]) -> None:
    asked = []

    def answers(each: list[Any]) -> tuple[int, Any]:
        asked.append(each)
        return 503, {"outcome": "unavailable", "verdicts": [{"outcome": "unavailable", "sentence": "disk"}]}

    (verdict,) = edge(answers).state([{}])
    assert (verdict.outcome, verdict.sentence, len(asked)) == ("unavailable", "disk", ATTEMPTS)


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (401, {"outcome": "refused", "sentence": "the token is wrong"}, "the token is wrong; .*ADJUST_TOKEN"),
        (403, {"outcome": "refused", "sentence": "adjustments are off"}, "adjustments are off"),
        (413, {"outcome": "refused", "sentence": "too long"}, "answered 413: too long"),
        (200, {"verdicts": []}, "gave 0 verdicts on 1"),
        (200, [], "no collector of ours"),
    ],
)
def test_a_no_of_the_collector_is_said_in_its_words(
    edge: Callable[[Answers], Collector], status: int, said: Any, told: str
) -> None:
    with pytest.raises(No, match=told):
        edge(lambda _: (status, said)).state([{}])


def test_a_collector_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="start the same command again"):
        Collector("http://127.0.0.1:9", "token").state([{}])


def test_without_anything_named_it_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert roundtrip.main(["adjust"]) == 2
    assert "name a file, or one conversion" in capsys.readouterr().err
    assert roundtrip.main(["adjust", "f.csv", "--status", "approved"]) == 2
