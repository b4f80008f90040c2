"""Refusals are written within a bounded rate, without secrets and personal data; every ending is answered."""

import msgspec
import pytest

from ingest import answers
from ingest.answers import ENDINGS, Ending, Face, Result
from ingest.refusals import BURST, MAX_QUERY, RATE, shown
from schemas.reasons import Reason
from tests.ingest.fakes import Bench, get

SECRETS = (
    "email=someone%40home.example&user_name=al&user_id=u1&security_token=s1&secure=s2&verification_token=s3&sig=s4"
    "&ip=203.0.113.9&conv_ip=203.0.113.9&EMAIL=x&contact=someone@home.example"
)


async def test_a_refusal_shows_what_was_asked_without_secrets_and_personal_data() -> None:
    bench = Bench()
    await bench.edge.answer(get(f"/postback?transaction_id=bad&amount=1&{SECRETS}"))
    (refusal,) = bench.kafka.refusals()
    assert (refusal.path, refusal.outcome, refusal.reason) == ("/postback", "refused", 210)
    assert refusal.query == (
        "transaction_id=bad&amount=1&email=***&user_name=***&user_id=***&security_token=***&secure=***"
        "&verification_token=***&sig=***&ip=***&conv_ip=***&EMAIL=***&contact=***"
    )
    assert (refusal.ip, refusal.edge, refusal.at) == ("198.51.100.7", "edge-1", "2026-11-23T12:00:00.000Z")


async def test_above_the_rate_refusals_are_only_counted() -> None:
    bench = Bench()
    for _ in range(int(BURST) + 50):
        await bench.edge.answer(get("/pixel?transaction_id=bad"))
    assert len(bench.kafka.refusals()) == BURST
    assert bench.count("roundtrip_refusals_total", reason="210") == BURST + 50
    assert bench.count("roundtrip_refusals_unwritten_total") == 50
    bench.seconds += 1
    for _ in range(50):
        await bench.edge.answer(get("/pixel?transaction_id=bad"))
    assert len(bench.kafka.refusals()) == BURST + RATE


async def test_a_refusal_that_kafka_cannot_take_changes_no_answer() -> None:
    bench = Bench()
    bench.kafka.gone = "away"
    assert (await bench.edge.answer(get("/pixel?transaction_id=bad"))).status == 400


@pytest.mark.parametrize("path", ["/favicon.ico", "/wp-login.php?log=admin"])
async def test_what_is_no_event_is_counted_and_not_written_down(path: str) -> None:
    bench = Bench()
    assert (await bench.edge.answer(get(path))).status == 404
    assert bench.kafka.records == []
    assert bench.count("roundtrip_requests_total", endpoint="none", ending="unknown_path") == 1


def test_a_shown_query_is_bounded() -> None:
    assert len(shown([("a", "ü" * 5_000)])) == MAX_QUERY


def test_every_ending_has_its_row() -> None:
    assert set(ENDINGS) == set(Ending)


@pytest.mark.parametrize("face", list(Face))
@pytest.mark.parametrize("ending", list(Ending))
def test_every_ending_has_an_answer_in_every_face(face: Face, ending: Ending) -> None:
    found = answers.answer(face, Result(ending=ending, reason=Reason.OVER_LIMIT, detail="a;\r\nb"))
    assert found.status == ENDINGS[ending].status
    assert found.headers["Cache-Control"] == "no-store"
    assert ("Retry-After" in found.headers) == (ending in (Ending.UNAVAILABLE, Ending.OVERLOADED))
    if face is Face.GIF:
        assert found.body == answers.GIF
    if face is Face.HASOFFERS:
        assert found.body.count(b"\n") == 1
        assert found.body.startswith(
            b"success=true;" if ENDINGS[ending].outcome == "accepted" else b"success=false;"
        )
    if face is Face.VERDICT:
        assert msgspec.json.decode(found.body)["outcome"] == ENDINGS[ending].outcome
