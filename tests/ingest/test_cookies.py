"""The cookie remembers each offer's last click and impression, bounded and signed; a click beats a view."""

from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from ingest import cookies
from ingest.cookies import CLICK, MAX_ENTRIES, VIEW, Entry, last_visit, read, seen_ms, written
from tests.ingest.fakes import KEYRING, NOW_MS, new_id

OLD, NEW = Entry(CLICK, 7, new_id(7_200_000)), Entry(CLICK, 9, new_id(1_000, 2))
SEEN = Entry(VIEW, 7, new_id(500, 3))


def sent_back(set_cookie: str) -> list[Entry]:
    return read("a=b; " + set_cookie.partition(";")[0] + "; c=d")


def test_what_is_written_is_read_back_newest_first() -> None:
    assert sent_back(written([OLD, SEEN], NEW, secure=True)) == [NEW, OLD, SEEN]


def test_an_offer_has_one_click_and_one_view() -> None:
    again = Entry(CLICK, 7, new_id(0, 4))
    assert sent_back(written([OLD, SEEN], again, secure=True)) == [again, SEEN]


def test_the_oldest_fall_out() -> None:
    entries = [Entry(CLICK, n, new_id(n, n)) for n in range(1, 40)]
    kept = sent_back(written(entries, NEW, secure=True))
    assert kept == [NEW, *(entry for entry in entries if entry.offer_id != 9)][:MAX_ENTRIES]


def test_it_is_for_our_domain_only_and_for_https_where_it_can_be() -> None:
    assert written([], NEW, secure=True).endswith("; Path=/; HttpOnly; SameSite=None; Secure")
    assert written([], NEW, secure=False).endswith("; Path=/; HttpOnly; SameSite=Lax")


def test_a_click_beats_a_younger_impression() -> None:
    assert last_visit([SEEN, OLD], {7}, KEYRING) == OLD


def test_of_several_offers_the_last_click_counts() -> None:
    assert last_visit([OLD, NEW], {7, 9}, KEYRING) == NEW


def test_an_entry_that_we_did_not_sign_is_no_visit() -> None:
    forged = Entry(CLICK, 7, OLD.transaction_id[:-1] + ("0" if OLD.transaction_id[-1] != "0" else "1"))
    assert last_visit([forged, SEEN], {7}, KEYRING) == SEEN
    assert seen_ms([forged], CLICK, 7, KEYRING) == 0


def test_the_last_visit_s_time_is_in_its_id() -> None:
    assert seen_ms([SEEN, OLD], CLICK, 7, KEYRING) == NOW_MS - 7_200_000


def test_each_of_several_cookie_headers_is_read() -> None:
    """HTTP/2 splits them, and not every proxy joins them again."""
    value = written([], OLD, secure=True).partition(";")[0]
    assert cookies.of(CIMultiDict([("Cookie", "a=b"), ("cookie", value)])) == [OLD]


@given(st.text(max_size=300))
def test_any_cookie_header_is_read(header: str) -> None:
    assert len(read(header)) <= MAX_ENTRIES
    assert len(read(f"{cookies.NAME}={header}")) <= MAX_ENTRIES
