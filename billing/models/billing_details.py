"""Where a customer's invoices go. It is read for billing and for nothing else; a test holds the other apps off it."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts import audit
from accounts.models import Customer
from billing.countries import COUNTRIES
from billing.models.of_sale import of_customer
from billing.models.order import Order
from billing.models.payment import Payment
from billing.models.subscription import Subscription
from billing.tax import BuyerTax
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models import User

ADDRESS = ("name", "company", "street", "city", "region", "postcode", "country")
MOST_RECIPIENTS = 5


class VatState(models.TextChoices):
    NONE = "none", "No VAT id"
    UNCHECKED = "unchecked", "Not checked yet"
    VALID = "valid", "Valid"
    INVALID = "invalid", "Not valid"


class BillingDetails(models.Model):
    """One row a customer, from when somebody enters it; until then the address of the newest order stands in for it
    (`details_of`). What VIES said of the VAT id stays with it until another is entered.
    """

    customer = models.OneToOneField("accounts.Customer", models.CASCADE, related_name="billing_details")
    name = models.CharField(max_length=100)
    company = models.CharField(max_length=100, blank=True)
    street = models.CharField(max_length=200)
    city = models.CharField(max_length=100)
    region = models.CharField(max_length=100, blank=True)
    postcode = models.CharField(max_length=20)
    country = models.CharField(max_length=2)
    reference = models.CharField(max_length=100, blank=True, help_text="What the customer wants on invoices.")
    recipients = ArrayField(models.EmailField(max_length=254), size=MOST_RECIPIENTS, default=list, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    vat_id = models.CharField("VAT id", max_length=20, blank=True, help_text="With its prefix, no spaces.")
    vat_is_valid = models.BooleanField(null=True, help_text="What VIES said; empty: not answered yet.")
    vat_checked_at = models.DateTimeField(null=True)
    vat_consultation = models.CharField(
        max_length=40, blank=True, help_text="VIES's number of this check, which proves it to a tax office."
    )
    vat_last_invalid = models.CharField(
        max_length=20,
        blank=True,
        help_text="The last that VIES found not valid; entered again it waits for the answer.",
    )
    vat_next_ask_at = models.DateTimeField(null=True)
    vat_attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name_plural = "billing details"
        indexes = [
            models.Index(
                fields=["vat_next_ask_at"],
                condition=Q(vat_next_ask_at__isnull=False),
                name="billing_details_vat_to_ask",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(country__regex=r"^[A-Z]{2}$"), name="billing_details_country_form"
            ),
            models.CheckConstraint(
                condition=Q(vat_id__regex=r"^([A-Z]{2}[0-9A-Z]{2,18})?$"), name="billing_details_vat_id_form"
            ),
            models.CheckConstraint(
                condition=~Q(vat_id="") | Q(vat_is_valid=None, vat_next_ask_at=None),
                name="billing_details_only_a_vat_id_is_checked",
            ),
            models.CheckConstraint(
                condition=Q(vat_is_valid=None) | Q(vat_checked_at__isnull=False),
                name="billing_details_vat_checked_when",
            ),
            models.CheckConstraint(
                condition=Q(recipients__len__lte=MOST_RECIPIENTS), name="billing_details_recipients_few"
            ),
        ]

    def __str__(self) -> str:
        return f"Billing details of {self.customer_id}"

    @property
    def vat_state(self) -> VatState:
        if not self.vat_id:
            return VatState.NONE
        if self.vat_is_valid is None and self.vat_id == self.vat_last_invalid:
            return VatState.INVALID
        return {None: VatState.UNCHECKED, True: VatState.VALID, False: VatState.INVALID}[self.vat_is_valid]

    @property
    def counts_as_business(self) -> bool:
        """A VAT id counts by its form until VIES says that it is not valid; from then on, until VIES says that it is."""
        return self.vat_state in (VatState.UNCHECKED, VatState.VALID)

    @property
    def buyer(self) -> BuyerTax:
        return BuyerTax(self.country, self.postcode, self.counts_as_business)

    @property
    def country_name(self) -> str:
        return dict(COUNTRIES).get(self.country, self.country)


def details_of(customer: Customer) -> BillingDetails:
    """The customer's row, or one that is not saved, with the address of the newest order; empty where there is none."""
    if row := BillingDetails.objects.filter(customer=customer).first():
        return row
    return details_from(customer, Order.objects.filter(customer=customer).order_by("-placed_at").first())


def details_from(customer: Customer, order: Order | None) -> BillingDetails:
    """A row that is not saved, with the address of this order."""
    address = {field: getattr(order, field) for field in ADDRESS} if order else {}
    return BillingDetails(customer=customer, **address)


def lock_orders(customer: Customer) -> None:
    """Bring changes of the details and of what is due for open orders into one line, until the unit of work ends. The
    orders come first, as wherever an order starts its service.
    """
    orders = Order.objects.select_for_update(no_key=True).filter(customer=customer)
    list(orders.order_by("pk").values_list("pk"))
    Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)


def change_details(customer: Customer, fields: dict[str, Any], *, by: "User") -> BillingDetails:
    """Set the fields of the form; the same again changes nothing. A new VAT id is asked about at VIES; open orders that
    nothing was paid for are taxed anew. One that is not valid is asked about again where it is saved again.
    """
    from billing.tasks import check_vat_id
    from billing.taxing import tax_open_sales_anew

    with unit_of_work():
        lock_orders(customer)
        row = details_of(customer)
        changed = {name for name, value in fields.items() if getattr(row, name) != value}
        if "vat_id" in fields and row.vat_is_valid is False:
            changed.add("vat_id")
        if not changed and row.pk:
            return row
        if "vat_id" in changed:
            _begin_anew(row, fields["vat_id"])
        for name, value in fields.items():
            setattr(row, name, value)
        row.changed_at = timezone.now()
        row.save()
        # Which fields, but nothing of what stands in them: the audit trail outlives the address.
        audit.record(
            "billing.change",
            by=by,
            customer=customer,
            subject=customer.username,
            after={"fields": sorted(changed)},
        )
        if row.vat_next_ask_at:
            check_vat_id.delay_on_commit(row.pk)
        if changed & {"country", "postcode", "vat_id"}:
            tax_open_sales_anew(customer, by=by)
        return row


def _begin_anew(row: BillingDetails, vat_id: str) -> None:
    """Forget what VIES said, except that the id of before was not valid."""
    if row.vat_is_valid is False:
        row.vat_last_invalid = row.vat_id
    elif row.vat_is_valid and row.vat_id == row.vat_last_invalid:
        row.vat_last_invalid = ""
    row.vat_is_valid, row.vat_checked_at, row.vat_consultation, row.vat_attempts = None, None, "", 0
    row.vat_next_ask_at = timezone.now() if vat_id else None


def forget_old_details() -> int:
    """Erase the details of customers whose last service, order and payment lie the legal years back, counted from the
    end of the year; returns how many.
    """
    now = timezone.now()
    until = now.replace(
        year=now.year - settings.INVOICE_YEARS, month=1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    mine = {"customer": OuterRef("customer")}
    recent = (
        Exists(Subscription.objects.filter(Q(ended_at=None) | Q(ended_at__gte=until), **mine)),
        Exists(Order.objects.filter(placed_at__gte=until, **mine)),
        Exists(Payment.objects.filter(of_customer(OuterRef("customer")), at__gte=until)),
    )
    rows = BillingDetails.objects.filter(changed_at__lt=until)
    for each in recent:
        rows = rows.exclude(each)
    return rows.delete()[0]
