"""Requests that let the bytes of images out: the certificates of those that are signed are asked for beforehand."""

from collections.abc import Callable

from moorage.api.request import Elsewhere, Outcome, Request
from moorage.images.signatures.at_hand import AtHand, NotAtHand
from moorage.images.signatures.certificates import Certificates


def certified(request: Request, act: Callable[[Certificates | None], Outcome]) -> Outcome:
    """
    What `act` answers, with the certificates that it wants at hand. It is called anew for each that is not yet, in a
    transaction of its own each time.
    """
    if request.rooms.certificates is None:
        return act(None)
    at_hand = AtHand(request.rooms.certificates)

    def go_on(_: object) -> Outcome:
        try:
            return act(at_hand)
        except NotAtHand as wanted:
            id = wanted.id
            return Elsewhere(lambda: at_hand.fetch(id), go_on)

    return go_on(None)
