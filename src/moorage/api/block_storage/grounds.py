"""What a call that takes an attachment away is decided by: what it knows itself, or what Compute says when asked."""

from collections.abc import Callable

from moorage.api.request import Elsewhere, Outcome, Request
from moorage.volumes.attachments.guard import Grounds, Unasked
from moorage.volumes.compute import ComputeUnsure, Question, Word

MOST_ASKED = 3  #: questions of one call; an attachment that is another one each time is not waited for


def decided(request: Request, decide: Callable[[Request, Grounds], Outcome]) -> Outcome:
    """
    What `decide` does, in transactions of its own. Where it has to know what Compute says, that is asked between two
    of them: the later one looks at everything again, and asks again if the attachment is not what was asked about.
    """
    return _decided(request, decide, Grounds(request.rooms.settings.volumes.no_compute))


def _decided(request: Request, decide: Callable[[Request, Grounds], Outcome], known: Grounds) -> Outcome:
    try:
        return decide(request, known)
    except Unasked as unasked:
        question = unasked.question
    if len(known.said) == MOST_ASKED:
        raise ComputeUnsure(instance=question.instance, reason="cannot be asked as fast as the attachment changes")

    def go_on(word: Word | None) -> Outcome:
        return _decided(request, decide, Grounds(known.no_compute, (*known.said, (question, word))))

    return Elsewhere(lambda: _asked(request, question), go_on)


def _asked(request: Request, question: Question) -> Word | None:
    compute = request.rooms.compute
    return compute.ask(question.instance, question.volume) if compute is not None else None
