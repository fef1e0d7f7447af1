"""The link in the mail that asks something about an order: whoever has it can answer that question, once."""

from datetime import timedelta
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.urls import reverse

from accounts.models.mailed_link import MailedLink, hash_of
from billing.models.order import Order
from billing.models.review import MessageKind, OrderMessage
from billing.models.status import OrderStatus

GOOD_FOR = timedelta(days=14)


class QuestionLink(MailedLink):
    """Bound to one question, and signs nobody in. Whether it still works follows from the order: it does until the
    question is answered, by whatever way, or the order is decided or cancelled, or its days are over. If staff asked
    once more, an answer by the earlier link is one as well.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    question = models.OneToOneField(OrderMessage, models.CASCADE, related_name="link")

    def __str__(self) -> str:
        return f"Link to answer {self.question_id}"

    @property
    def url(self) -> str:
        """What the mail leads to."""
        return settings.PANEL_URL + reverse("billing:question-answer", args=[self.secret])

    def status_in(self, order: Order) -> str:
        """`question` while it works; then `answered`, `over` (nobody waits for an answer any more) or `expired`."""
        later = (message for message in order.messages.all() if message.pk > self.question_id)
        if any(message.kind == MessageKind.ANSWER for message in later):
            return "answered"
        if order.status != OrderStatus.QUESTION:
            return "over"
        return "expired" if self.has_expired else "question"


def give_link(question: OrderMessage) -> QuestionLink:
    """Make the link of a question, in the transaction that asks it."""
    link = QuestionLink(question=question)
    link.renew_link(GOOD_FOR)
    link.save()
    return link


def find_question_link(secret: str) -> QuestionLink | None:
    """The one that carries this secret."""
    links = QuestionLink.objects.select_related("question__order")
    return links.filter(secret_hash=hash_of(secret)).first()
