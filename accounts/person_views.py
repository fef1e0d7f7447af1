"""A person's own account: recovery codes, where they are signed in."""

import time
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import account_changes, devices, factors, lifting
from accounts.access import asks_again

CODES_UNTIL = "recovery_codes_until"
CODES_SECONDS = 10 * 60


@require_safe
@never_cache
@asks_again
def recovery_codes(request: Any) -> HttpResponse:
    """Shown once; the browser that saw them may fetch them as a file for a while."""
    codes = factors.show_recovery_codes(request.user)
    if codes is None:
        raise Http404
    if codes:
        request.session[CODES_UNTIL] = time.time() + CODES_SECONDS
    wanted_by = request.session.pop(factors.WANTED_BY, "")
    return render(request, "mfa/recovery_codes/index.html", {"codes": codes, "next": wanted_by})


@require_safe
@never_cache
@asks_again
def recovery_codes_download(request: Any) -> HttpResponse:
    codes = factors.unused_recovery_codes(request.user)
    if codes is None:
        raise Http404
    if request.session.get(CODES_UNTIL, 0) < time.time():
        raise PermissionDenied("These codes were shown once already. Make new ones if they are lost.")
    answer = render(request, "mfa/recovery_codes/download.txt", {"codes": codes}, content_type="text/plain")
    answer["Content-Disposition"] = 'attachment; filename="recovery-codes.txt"'
    return answer


@require_safe
def session_list(request: Any) -> HttpResponse:
    context = {
        "sessions": devices.devices_of(request.user),
        "current": request.session.session_key,
        "changes": account_changes.latest(request.user),
    }
    return render(request, "accounts/session_list.html", context)


@require_POST
@asks_again(form_on="../")
def session_end(request: Any) -> HttpResponse:
    """`which`: the id of one of the person's sessions; without it all others than this one."""
    which = request.POST.get("which", "")
    if which and not which.isdecimal():
        raise Http404
    ended = devices.end_sessions(request, int(which) if which else None)
    if which and not ended:
        raise Http404
    messages.success(request, "Signed out there." if ended else "You are signed in nowhere else.")
    return redirect("usersessions_list")


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def factor_lift(request: Any, token: str) -> HttpResponse:
    """The link in the mail. It takes a button, because mail filters follow links."""
    lift = lifting.lift_of(token)
    if lift is None:
        raise Http404
    if request.method == "POST":
        lifting.stop_lift(lift, by=lift.user)
        return redirect(request.path)
    return render(request, "accounts/factor_lift.html", {"lift": lift})
