"""A Django project's URLs and views: sessions, forms with CSRF protection, uploads, streaming, files, the admin site."""

import asyncio

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.urls import path, reverse
from django.views.decorators.csrf import csrf_exempt


def show_path(request, rest):
    return JsonResponse({"path": rest, "q": request.GET.get("q")})


def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))


def form(request):
    if request.method == "POST":
        return JsonResponse({"name": request.POST["name"]})
    return HttpResponse(get_token(request))


@csrf_exempt
def upload(request):
    file = request.FILES["file"]
    return JsonResponse({"name": file.name, "size": sum(len(part) for part in file.chunks())})


def stream(request):
    return StreamingHttpResponse((f"{number} " for number in range(4)), content_type="text/plain")


async def slow(request):
    await asyncio.sleep(0.01)
    return HttpResponse(str(await User.objects.acount()))


def source(request):
    return FileResponse(open(__file__, "rb"), content_type="text/plain")


def moved(request):
    return redirect(reverse("path", args=["a b/é"]))


def about(request):
    return JsonResponse({"uri": request.build_absolute_uri(), "debug": settings.DEBUG, "secure": request.is_secure()})


urlpatterns = [
    path("path/<path:rest>", show_path, name="path"),
    path("admin/", admin.site.urls),
    *(path(view.__name__, view) for view in (count, form, upload, stream, slow, source, moved, about)),
]
