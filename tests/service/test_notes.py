"""A note beside a committed offset, as librdkafka hands it on."""

import confluent_kafka as ck
import pytest

from service.kafka.records import note_of


class RunsOn:
    """Another client's note, with what lay behind it in memory."""

    @property
    def metadata(self) -> str:
        return b"\x80: a pointer, or what was there before\xff".decode()


def test_a_note_that_is_no_text_is_none() -> None:
    with pytest.raises(UnicodeDecodeError):
        RunsOn().metadata  # noqa: B018  as the library's own attribute does
    assert note_of(RunsOn()) == ""


@pytest.mark.parametrize(("said", "note"), [("receipt-6 é", "receipt-6 é"), ("", "")])
def test_any_other_is_read_as_it_was_said(said: str, note: str) -> None:
    assert note_of(ck.TopicPartition("clicks", 0, 1, said)) == note
