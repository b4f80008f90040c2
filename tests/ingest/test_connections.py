"""A connection: what a shop does not percent-encode is read as it was meant; nothing else is touched."""

import json

import pytest

from tests.ingest.fakes import new_id
from tests.ingest.serving import serving

ID = new_id()


@pytest.mark.parametrize(
    ("raw", "read"), [("Müller", "Müller"), ("M%C3%BCller", "Müller"), ("100 €", None), ("名前", "名前")]
)
async def test_what_was_not_percent_encoded_is_read_as_if_it_was(raw: str, read: str | None) -> None:
    async with serving() as served:
        line = f"GET /postback?transaction_id={ID}&adv_sub={raw} HTTP/1.1\r\n".encode()
        found = await served.raw(line + b"Host: t\r\nConnection: close\r\n\r\n")
        if read is None:  # a space ends the line's second word, for everybody
            assert found.startswith(b"HTTP/1.0 400 ")
            return
        assert found.startswith(b"HTTP/1.1 200 ")
        (fact,) = served.bench.facts()
    assert fact.adv_sub == read


async def test_headers_and_bodies_are_left_as_they_are() -> None:
    body = json.dumps({"transaction_id": ID, "adv_sub": "Müller", "promo_code": "名"}, ensure_ascii=False)
    head = (
        f"POST /postback?adv_sub2=Jürgen HTTP/1.1\r\nHost: t\r\nConnection: close\r\nUser-Agent: Käse\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n"
    )
    async with serving() as served:
        assert (await served.raw((head + body).encode())).startswith(b"HTTP/1.1 200 ")
        (fact,) = served.bench.facts()
    assert (fact.adv_sub, fact.adv_sub2, fact.promo_code) == ("Müller", "Jürgen", "名")
