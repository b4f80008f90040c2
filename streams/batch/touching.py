"""Which conversions a late visit may change, where many share an identifier.

A conversion is credited to the last click before it. A new visit that is not the newest may be that of what
was stated between it and the next one; one that is the newest, that of all that was stated after it. In the
usual order nothing was, and the look costs one seek.
"""

from collections.abc import Sequence
from typing import Final

from schemas.facts import Click, Impression
from streams.rules import credit
from streams.state import layout
from streams.state.bundles import Bundle
from streams.state.contents import Contents

AT_ONCE: Final = 200  # bundles that a batch decides because of late visits; of more each waits for its turn,
# once, however many visits come meanwhile: else reading statements ahead of clicks would cost their product


def bundles(state: Contents, transaction_id: str, visits: Sequence[Click | Impression]) -> list[Bundle]:
    """What the state holds that these new visits may be credited with; each once."""
    found: dict[Bundle, None] = {}
    for type_, window_ms in ((Click, credit.CLICK_MS), (Impression, credit.VIEW_MS)):
        moments = [credit.moment(visit)[0] for visit in visits if isinstance(visit, type_)]
        if moments:
            first, last = min(moments), max(moments)
            stated = state.stated(transaction_id, first - credit.GRACE_MS, last + window_ms)
            if stated:
                kind = layout.CLICK if type_ is Click else layout.IMPRESSION
                until = state.next_visit_ms(transaction_id, kind, last)
                found |= {each: None for ms, each in stated if ms + credit.GRACE_MS < until}
    return list(found)
