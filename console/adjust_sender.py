"""Sends what a file of adjustments comes to, a request at a time, until the collector is gone."""

import sys
from collections.abc import Sequence
from typing import Final

from console.adjust_plan import Effect
from console.adjust_post import Collector, Verdict
from schemas.adjustments import MOST
from service import adjust_token
from service.errors import Unreachable
from service.progress import Progress
from service.settings import Settings

_NOT_SENT: Final = Verdict(outcome="unavailable", sentence="not sent: the collector was gone")


class Sender:
    """Sends adjustments to the collector. is_gone: it does not answer any more."""

    def __init__(self, settings: Settings) -> None:
        self._collector = Collector(settings.collector, adjust_token.read(settings))
        self._has_answered = False
        self.is_gone = False

    def verdicts(self, effects: Sequence[Effect], progress: Progress) -> dict[int, Verdict]:
        """The collector's, by line; what it never got to is told so. Unreachable if it never answered."""
        verdicts = dict.fromkeys((effect.number for effect in effects), _NOT_SENT)
        for at in range(0, len(effects), MOST):
            part = effects[at : at + MOST]
            try:
                answers = self._collector.state([effect.sent for effect in part])
            except Unreachable as error:
                if not self._has_answered:
                    raise
                self.is_gone = True
                sys.stderr.write(f"roundtrip adjust: {error}\n")
                break
            self._has_answered = True
            verdicts |= {effect.number: answer for effect, answer in zip(part, answers, strict=True)}
            progress.advance(len(part))
        return verdicts
