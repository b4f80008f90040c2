"""Hostile requests: whatever is sent, the answer is in the table, and a fact can be read."""

from typing import Any
from urllib.parse import urlencode

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import body, caller, device, parameters, redirect
from ingest.answers import ENDINGS, Ending
from ingest.gate import BodyFault
from ingest.routes import PATHS
from schemas import facts
from schemas.facts import MAX_RECORD_BYTES
from tests.chance import tries
from tests.ingest.fakes import CATALOG, NEWER, Bench, get, new_id

NAMES = sorted(
    {n for table in (parameters.VISIT, parameters.CONVERSION) for f, a in table.items() for n in (f, *a)}
)
nasty = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            new_id(),
            new_id(seed=2),
            new_id(keyring=NEWER),
            "7",
            "42",
            "0",
            "-1",
            "9" * 40,
            "1e999",
            "NaN",
            "\0",
            "\r\n",
            "\U0001d7d5",
            "\u0663",
            "x" * 3000,
            "ü" * 900,
            "2026-11-23T10:00:00",
            "https://shop.example/{a}",
            "[::1",
            "☃" * 700,
        ]
    ),
)
pairs = st.lists(st.tuples(st.sampled_from([*NAMES, "x", "a", "format", ""]), nasty), max_size=12)
raw_bytes = st.binary(max_size=300).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
header_values = st.one_of(
    raw_bytes, st.sampled_from(["1", "rt=c7." + new_id(), "rt=" + "c7." * 999, "198.51.100.7, x"])
)
header_names = st.sampled_from(
    [
        "Cookie",
        "Referer",
        "User_Agent",
        "Accept",
        "Accept_Language",
        "Host",
        "Sec_GPC",
        "Sec_CH_UA",
        "Content_Type",
        "X_Forwarded_For",
        "X_Forwarded_Proto",
        "CF_IPCountry",
        "Sec_Fetch_Dest",
        "Sec_Purpose",
    ]
)
paths = st.sampled_from([*PATHS, "/ABC123/2CTPL", "/", "", "//", "/click/", "*"])


def query_of(stated: list[tuple[str, str]]) -> str:
    return urlencode(stated, errors="replace")


@settings(max_examples=tries(200), deadline=None)
@given(
    path=paths,
    query=st.one_of(pairs.map(query_of), raw_bytes),
    stated=st.dictionaries(header_names, header_values, max_size=5),
    method=st.sampled_from(["GET", "GET", "HEAD", "POST", "BREW"]),
    sent=st.one_of(
        st.just(b""),
        st.binary(max_size=200),
        st.sampled_from(list(BodyFault)),
        pairs.map(lambda p: query_of(p).encode()),
    ),
)
async def test_every_request_ends_in_the_table_and_every_fact_can_be_read(
    path: str, query: str, stated: dict[str, str], method: str, sent: Any
) -> None:
    bench = Bench(proxies=("198.51.100.0/24",))
    asked = msgspec.structs.replace(get(f"{path}?{query}", **stated), method=method, body=sent)
    found = await bench.edge.answer(asked)
    assert found.status in {302, *(kind.status for kind in ENDINGS.values())}
    assert found.status != ENDINGS[Ending.BUG].status
    for name, value in found.headers.items():
        assert (name + value).isascii()
        assert not set(value) & {"\r", "\n", "\0"}
    for topic, key, record in bench.records():
        assert len(record) < MAX_RECORD_BYTES
        if topic != "refusals":
            assert facts.decode(topic, record).transaction_id.encode() == key
    bench.kafka.refusals()


@settings(max_examples=tries(150), deadline=None)
@given(st.text(max_size=200), st.sampled_from(["", "https://shop.example/", "https://", "//shop.example"]))
def test_a_deep_link_stays_on_the_offer_s_hosts(rest: str, start: str) -> None:
    offer = CATALOG.offers[0]
    found = redirect.destination(CATALOG, offer, 42, (start + rest, 0))
    assert found.template is not None
    assert offer.admits_host(found.template.host)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ).map(lambda found: repr(found).encode()),
    ),
    st.sampled_from(["", body.FORM, body.JSON, "x/y"]),
)
def test_a_body_is_pairs_of_texts_or_unreadable(sent: bytes, kind: str) -> None:
    try:
        found = body.pairs(sent, kind)
    except body.Unreadable:
        return
    for name, value in found:
        (name + value).encode()


def test_the_largest_fact_is_far_below_what_kafka_takes() -> None:
    texts = 20 * parameters.MAX_TEXT + caller.MAX_REFERER + device.MAX_CHARACTERS + 8_192 + 4_096
    assert (texts * 6) + parameters.MAX_PARAMS_BYTES * 6 < MAX_RECORD_BYTES  # 6: a control character in JSON
