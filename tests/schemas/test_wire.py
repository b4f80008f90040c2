"""JSON that is nested too deep, or no text, is what other broken bytes are."""

import msgspec
import pytest

from schemas import catalog_reader, decisions, facts

DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize("topic", sorted(decisions.TYPES))
def test_a_decision(topic: str) -> None:
    with pytest.raises(msgspec.DecodeError, match="nested"):
        decisions.decode(topic, DEEP)


@pytest.mark.parametrize("topic", sorted(facts.TYPES))
def test_a_fact(topic: str) -> None:
    with pytest.raises(facts.Malformed, match="nested"):
        facts.decode(topic, DEEP)


def test_a_catalog_version() -> None:
    with pytest.raises(msgspec.DecodeError, match="nested"):
        catalog_reader.Reader().read(DEEP)


@pytest.mark.parametrize("topic", sorted(decisions.TYPES))
def test_broken_text(topic: str) -> None:
    with pytest.raises(msgspec.DecodeError, match="UTF-8"):
        decisions.decode(
            topic, b'{"transaction_id":"\xb0","identity":"\xb0","refusal_id":"\xb0","notice_id":"\xb0"}'
        )
