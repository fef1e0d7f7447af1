"""Settings of the panel, driven by the environment, with defaults that run. docs/settings.md names them all."""

from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from mxpanel import schedule

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# The installation
PANEL_URL = env.str("PANEL_URL", "http://localhost:8000").rstrip("/")
PRODUCT_NAME = env.str("PRODUCT_NAME", "mxpanel")
MAIL_DOMAIN = env.str("MAIL_DOMAIN", "mxpanel.test")
SPF_INCLUDE = env.str("SPF_INCLUDE", f"_spf.{MAIL_DOMAIN}")
SUPPORT_EMAIL = env.str("SUPPORT_EMAIL", f"support@{MAIL_DOMAIN}")
PAYMENT_INSTRUCTIONS = env.str(
    "PAYMENT_INSTRUCTIONS",
    "Transfer the amount to our bank account and give the reference that stands here. "
    "Write to us for the account's details.",
)
# Who sells
SELLER_NAME = env.str("SELLER_NAME", "") or PRODUCT_NAME  # as on invoices
SELLER_STREET = env.str("SELLER_STREET", "")
SELLER_CITY = env.str("SELLER_CITY", "")
SELLER_POSTCODE = env.str("SELLER_POSTCODE", "")
SELLER_COUNTRY = env.str("SELLER_COUNTRY", "").strip().upper()  # ISO 3166 alpha-2
SELLER_VAT_ID = env.str("SELLER_VAT_ID", "").replace(" ", "").upper()
TAX = env.bool("TAX", False)  # prices are net, and tax is added to them (billing.tax)
TAX_OSS = env.bool("TAX_OSS", True)  # false: consumers of other member states pay the seller's rate
INVOICE_DUE_DAYS = env.int("INVOICE_DUE_DAYS", 14)
CHANGE_DUE_DAYS = env.int("CHANGE_DUE_DAYS", 7)  # for paying an upgrade, or a service that is to be had back
SERVICE_KEPT_DAYS = env.int("SERVICE_KEPT_DAYS", 60)  # in which a customer can have back what has ended
RENEWAL_AHEAD_YEARLY = env.int("RENEWAL_AHEAD_YEARLY", 7)  # days from its invoice to its being charged
RENEWAL_AHEAD_MONTHLY = env.int("RENEWAL_AHEAD_MONTHLY", 3)
RENEWAL_RETRY_DAYS = env.list(
    "RENEWAL_RETRY_DAYS", int, [1, 3, 5, 7]
)  # after the day on which it was declined
DUNNING_NOTICE_DAYS = env.int("DUNNING_NOTICE_DAYS", 3)  # from telling that something stops to stopping it
DUNNING_STOP_SENDING_DAYS = env.int("DUNNING_STOP_SENDING_DAYS", 10)  # these three: after it was to be paid
DUNNING_STOP_RECEIVING_DAYS = env.int("DUNNING_STOP_RECEIVING_DAYS", 24)
DUNNING_HAND_OVER_DAYS = env.int("DUNNING_HAND_OVER_DAYS", 45)  # staff decide then
INVOICE_YEARS = env.int("INVOICE_YEARS", 10)  # how long the law wants invoices and billing details kept
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])

# Security
DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", "django-insecure-set-SECRET_KEY-before-anybody-else-can-reach-this")
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=["bXhwYW5lbCBkZWZhdWx0IGtleSwgbm90IHNlY3JldCE="])
if PANEL_URL.startswith("https://") and not {"SECRET_KEY", "ENCRYPTION_KEYS"} <= env.ENVIRON.keys():
    # The defaults stand in public: with them anybody signs in as anybody.
    raise ImproperlyConfigured("PANEL_URL is https: set SECRET_KEY and ENCRYPTION_KEYS (docs/settings.md).")
_host = urlsplit(PANEL_URL).hostname or "localhost"
_https = PANEL_URL.startswith("https://")
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=[_host, "localhost", "127.0.0.1"] if not _https else [_host]
)
CSRF_TRUSTED_ORIGINS = [PANEL_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = _https
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
# Files may hold passwords: they stay in memory, never on a disk. A larger one (a file of mailboxes has at most 20 MB)
# is passed over.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = (20 << 20) + (64 << 10)

# The house
INSTALLED_APPS = [
    "mxpanel.apps.PanelConfig",
    "delivery",
    "domains",
    "billing",
    "accounts",
    "foundation",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "mxpanel.apps.DevicesConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "django_htmx",
    "csp",
    "mxpanel.apps.StaffAdminConfig",
]
MIDDLEWARE = [
    "mxpanel.health.HealthMiddleware",
    "foundation.request_id.RequestIdMiddleware",
    "foundation.client_address.ForwardedMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "mxpanel.api.ApiMiddleware",
    "mxpanel.hostile.HostileInputMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "accounts.devices.SeenMiddleware",
    "mxpanel.caching.PrivateCacheMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.audit.AuditMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.access.AskAgainMiddleware",
    "foundation.limits.LimitMiddleware",
]
ROOT_URLCONF = "mxpanel.urls"
WSGI_APPLICATION = "mxpanel.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mxpanel.public.product",
            ],
        },
    },
]
FORM_RENDERER = "foundation.forms.FormRenderer"

# Data. Redis holds only what may be lost.
DATABASES = {"default": env.db_url("DATABASE_URL", "postgresql://mxpanel@127.0.0.1:5432/mxpanel")}
DATABASES["default"]["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE", 60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# A side that vanished is noticed within a minute, by either: for the server, that ends the session of a worker and
# with it the lock that its sync holds.
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
    **DATABASES["default"].get("OPTIONS", {}),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.str("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    # Rate limits and used codes live here, so they neither open nor break without Redis.
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache",
        "OPTIONS": {"MAX_ENTRIES": 200_000},
    },
    # Hints only: every use must survive that Redis is away.
    "volatile": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    },
}

# Tasks
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", REDIS_URL)
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_DB_REUSE_MAX = 2**31  # Celery closes no connection by itself; mxpanel.celery lets old ones go
CELERY_TASK_DEFAULT_QUEUE = "panel"
CELERY_TASK_ROUTES = {
    "domains.tasks.sync_server": {"queue": "servers"},
    # What may take long, or waits for a server that failed: it must never delay the others' changes.
    "domains.tasks.sync_slow_server": {"queue": "slow"},
    "domains.tasks.rebuild_server": {"queue": "slow"},
    "domains.tasks.digest_server": {"queue": "slow"},
    "domains.tasks.compare_server": {"queue": "slow"},
    "domains.tasks.take_over_server": {"queue": "slow"},
    "domains.tasks.pull_server": {"queue": "slow"},
    # Each waits for Stripe, some twice.
    "billing.tasks.look_at_checkout": {"queue": "slow"},
    "billing.tasks.look_at_card_setup": {"queue": "slow"},
    "billing.tasks.look_at_card": {"queue": "slow"},
    "billing.tasks.delete_at_stripe": {"queue": "slow"},
    "billing.tasks.send_card_refund": {"queue": "slow"},
    "billing.tasks.work_stripe_event": {"queue": "slow"},
    "billing.tasks.check_vat_id": {"queue": "slow"},  # for VIES
    # Many mailboxes at once, by slices of seconds that ask for the next one: neither sweeps nor mail servers wait.
    "domains.tasks.import_mailboxes": {"queue": "bulk"},
    "domains.tasks.work_on_bulk_change": {"queue": "bulk"},
    "accounts.tasks.make_data_export": {"queue": "bulk"},
    # Each look may wait some ten seconds for strangers' name servers, and sweeps and mails must not wait with it.
    "domains.tasks.check_domain": {"queue": "dns"},
    # Customers' own targets, which may hang as long as they please.
    "accounts.tasks.call_webhook": {"queue": "webhooks"},
}
CELERY_TASK_PUBLISH_RETRY = False  # a lost hint is found by the sweep; a page must not wait for the broker
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "max_retries": 0,  # of a connection: a hint fails at once, a worker has its own patience
    "visibility_timeout": 300,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "health_check_interval": 10,
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BEAT_SCHEDULE = schedule.SCHEDULE
CANARIES = schedule.CANARIES
CELERY_TIMEZONE = "UTC"

# E-mail that the panel itself sends
EMAIL_URL = env.str("EMAIL_URL", "smtp://127.0.0.1:25")
if EMAIL_URL.startswith("outbox:"):
    EMAIL_BACKEND = "foundation.outbox.OutboxBackend"
    OUTBOX_DIR = urlsplit(EMAIL_URL).path
else:
    vars().update(env.email_url_config(EMAIL_URL))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", f"{PRODUCT_NAME} <{SUPPORT_EMAIL}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# People
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
# NIST SP 800-63B: length and a list of common ones, no rules of composition.
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "foundation.passwords.MaximumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "accounts:home"
LOGOUT_REDIRECT_URL = "home"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # so two cookies are all there are
SESSION_COOKIE_AGE = 14 * 24 * 3600
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if _https else "http"
ACCOUNT_RATE_LIMITS = {  # none bites below 20 sign-ups and 30 sign-ins a minute from one address
    "signup": "40/m/ip",
    "login": "60/m/ip",
    "login_failed": "60/m/ip,30/5m/key",
    "reset_password": "20/m/ip,5/m/key",
    "reset_password_from_key": "20/m/ip",
    "change_password": "10/m/user",
    "confirm_email": "1/3m/key",
    "manage_email": "10/m/user",
    "reauthenticate": "10/m/user",
}
ACCOUNT_SIGNUP_FORM_HONEYPOT_FIELD = "website"  # who fills it in is told that all went well, and nothing has
ACCOUNT_FORMS = {"signup": "accounts.forms.SignUpForm"}
# Times a minute that a form may be sent; allauth's own above count for each address, account and person.
FORM_LIMITS = {
    "account_signup": {"network": 120},
    "account_login": {"network": 300},
    "account_reset_password": {"network": 60},
    "account_email_verification_sent": {"network": 60},
    "accounts:account-delete": {"network": 60, "person": 20},
    "accounts:data-export-ask": {"network": 60, "person": 6},
    "accounts:email-change-ask": {"address": 30, "network": 90, "person": 20},
    "accounts:key-add": {"person": 20},
    "accounts:webhook-add": {"person": 20},
    "accounts:webhook-test": {"person": 30},
    "accounts:delivery-send-again": {"person": 30},
    "billing:day-book": {"person": 20},
    "billing:receivable-list": {"person": 20},
    "billing:failed-payment-list": {"person": 20},
    "billing:recurring-revenue": {"person": 20},
    "billing:customer-ledger": {"person": 20},
    "billing:refund-give": {"person": 60},
    "billing:credit-grant": {"person": 60},
    "billing:credit-take-back": {"person": 60},
    "billing:free-months-give": {"person": 60},
    "billing:free-months-withdraw": {"person": 60},
    "billing:order-place": {"address": 60, "network": 180, "person": 60},
    "billing:coupon-use": {"address": 30, "network": 90, "person": 10},
    "billing:order-pay": {"address": 60, "network": 180, "person": 30},
    "billing:invoice-pay": {"address": 60, "network": 180, "person": 30},
    "billing:plan-change": {"person": 20},
    "billing:period-change": {"person": 20},
    "billing:plan-keep": {"person": 20},
    "billing:subscription-come-back": {"person": 20},
    "billing:details-change": {"person": 10},
    "billing:card-add": {"address": 60, "network": 180, "person": 30},
    "billing:check-ask": {"person": 60},
    "billing:report-file": {"person": 120},
    "billing:question-answer": {"address": 30, "network": 120},
    "domains:domain-add": {"address": 60, "network": 180, "person": 60},
    "domains:bulk-add": {"address": 30, "network": 90, "person": 30},
    "domains:domain-check": {"address": 60, "network": 180, "person": 60},
    "domains:import-add": {"address": 20, "network": 60, "person": 20},
    "domains:mailbox-invite": {"address": 60, "network": 180, "person": 60},
    "domains:owner-password": {"address": 30, "network": 120},
}
API_READS, API_WRITES = env.int("API_READS", 100), env.int("API_WRITES", 20)  # a minute for each key
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["mxpanel.api.PanelKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],  # accounts.api.view.ApiView asks for the right of each method
    "DEFAULT_RENDERER_CLASSES": ["foundation.api.EnvelopeRenderer"],
    "DEFAULT_PARSER_CLASSES": ["foundation.api.BodyParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "foundation.api.OneAnswer",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "foundation.api.on_error",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "API of the panel",
    "DESCRIPTION": "What a person may do on the pages, a program may do here.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
}
MFA_ADAPTER = "accounts.adapter.SecondFactorAdapter"
MFA_TOTP_ISSUER = PRODUCT_NAME
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RATE_LIMITS = {"webauthn_login": "60/m/ip"}
MFA_FORMS = {
    "authenticate": "accounts.factor_forms.SignInCodeForm",
    "reauthenticate": "accounts.factor_forms.AskedAgainCodeForm",
    "add_webauthn": "accounts.factor_forms.PasskeyAddForm",
    "edit_webauthn": "accounts.factor_forms.PasskeyRenameForm",
}

# Outside services. Without a key a service is off.
FRAUDRECORD_URL = env.str("FRAUDRECORD_URL", "https://www.fraudrecord.com/api/")
FRAUDRECORD_API_KEY = env.str("FRAUDRECORD_API_KEY", "")
FRAUDRECORD_DEADLINE = env.float("FRAUDRECORD_DEADLINE", 10.0)
# Countries (ISO 3166, of the postal address) about whose customers nothing is sent; staff look at their orders.
FRAUDRECORD_OFF_COUNTRIES = [
    code.strip().upper() for code in env.list("FRAUDRECORD_OFF_COUNTRIES", default=[])
]
FRAUDRECORD_REVIEW_COUNT = env.int("FRAUDRECORD_REVIEW_COUNT", 1)  # from so many reports on, staff look
FRAUDRECORD_HOLD_VALUE = env.int("FRAUDRECORD_HOLD_VALUE", 10)  # held where all three are reached
FRAUDRECORD_HOLD_RELIABILITY = env.int("FRAUDRECORD_HOLD_RELIABILITY", 5)
FRAUDRECORD_HOLD_COUNT = env.int("FRAUDRECORD_HOLD_COUNT", 2)
REVIEW_SECOND_AMOUNT = env.float("REVIEW_SECOND_AMOUNT", 0.0)  # from this price on two decide; 0: never
REVIEW_SECOND_RISK = env.str("REVIEW_SECOND_RISK", "")  # the same from this risk on
if REVIEW_SECOND_RISK not in ("", "elevated", "high"):
    raise ImproperlyConfigured("REVIEW_SECOND_RISK is elevated, high, or empty.")
STRIPE_API_BASE = env.str("STRIPE_API_BASE", "https://api.stripe.com").rstrip("/")
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", "")
STRIPE_WEBHOOK_SECRET = env.str("STRIPE_WEBHOOK_SECRET", "")
STRIPE_DEADLINE = env.float("STRIPE_DEADLINE", 10.0)
# Where Stripe's payment pages are: the policy of a page that leads there has to name it.
STRIPE_CHECKOUT_ORIGIN = env.str(
    "STRIPE_CHECKOUT_ORIGIN",
    "https://checkout.stripe.com" if STRIPE_API_BASE == "https://api.stripe.com" else STRIPE_API_BASE,
)
# Whether a VAT id may be asked about, and where
VIES = env.bool("VIES", False)
VIES_URL = env.str("VIES_URL", "https://ec.europa.eu/taxation_customs/vies/rest-api").rstrip("/")
GEOIP_FILE = env.str("GEOIP_FILE", "")  # countries of networks, in MaxMind's format; the operator's own copy
WEBHOOK_TEST_TARGETS = env.list(
    "WEBHOOK_TEST_TARGETS", default=[]
)  # host:port, also of loopback and without TLS
DNS_NAMESERVERS = env.list("DNS_NAMESERVERS", default=[])
# Seconds for one call of a mail server's agent, in all: while the server is well, from the slow queue once a call
# has failed, and for the last page of a rebuild, which swaps everything in.
AGENT_FAST_DEADLINE = env.float("AGENT_FAST_DEADLINE", 3.0)
AGENT_DEADLINE = env.float("AGENT_DEADLINE", 10.0)
AGENT_SWAP_DEADLINE = env.float("AGENT_SWAP_DEADLINE", 120.0)

# Alarms: from when on something is wrong enough for staff (domains.alarms)
ALARM_BEHIND_SECONDS = env.float("ALARM_BEHIND_SECONDS", 60.0)
ALARM_SILENT_SECONDS = env.float("ALARM_SILENT_SECONDS", 120.0)
ALARM_MISSED_CANARIES = env.int("ALARM_MISSED_CANARIES", 6)
ALARM_DISK_PERCENT = env.float("ALARM_DISK_PERCENT", 5.0)
ALARM_DISK_GB = env.float("ALARM_DISK_GB", 2.0)
ALARM_QUEUE = env.int("ALARM_QUEUE", 1_000)
ALARM_CERTIFICATE_DAYS = env.int("ALARM_CERTIFICATE_DAYS", 14)

# Language, time, static files
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
LANGUAGES = [("en-gb", "English")]
STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", str(BASE_DIR / "staticfiles"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# Logs: to the terminal, scrubbed of secrets
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "scrubbed": {
            "()": "foundation.scrubbing.ScrubbingFormatter",
            "format": "{asctime} {levelname} {name} {of_request}{message}",
            "style": "{",
        },
    },
    "filters": {"of_request": {"()": "foundation.request_id.RequestIdFilter"}},
    "handlers": {
        "terminal": {"class": "logging.StreamHandler", "formatter": "scrubbed", "filters": ["of_request"]},
    },
    "root": {"handlers": ["terminal"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        "celery": {"level": "WARNING"},
        "urllib3.connection": {
            "level": "ERROR"
        },  # it warns of odd headers with the whole URL, which may hold a secret
        "stripe": {"level": "WARNING"},  # below that it writes down every call
        "weasyprint": {"level": "ERROR"},  # its warnings quote what stands on invoices
        "weasyprint.progress": {"level": "WARNING"},  # below that it writes down every step of every PDF
    },
}
