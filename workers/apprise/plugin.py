"""Opens URLs of Apprise. A plugin makes HTTP requests for one kind of service; the schema of the URL names it.

Refused are plugins that open sockets or run programs, because they would bypass address guard, proxy, certificates and
time limit; URLs with several targets, because a retry would send to all of them again; and URLs with `template=`,
because what is in that file of the worker would be sent.

Apprise is imported when the first URL is opened: it takes half a second and 20 MiB.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from common.errors import TransportError
from common.outcome import Reason
from workers.apprise.sessions import Exchanges, through

if TYPE_CHECKING:
    from apprise.plugins.base import NotifyBase

    from workers.calls import Request

NOT_BY_HTTP: Final = frozenset(
    {
        *("amqp", "aprs", "blink1", "dbus", "email", "glib", "gnome", "growl", "irc", "macosx", "mqtt", "nostr"),
        *("rsyslog", "smpp", "syslog", "windows", "xmpp"),
    }
)
"""Modules of `apprise.plugins` that do not use HTTP, or not alone. A test compares them with what modules import."""

INSTEAD: Final = {"email": "email", "syslog": "syslog", "rsyslog": "syslog"}
"""Courier's own service for what a refused module does."""

TEXT, MARKDOWN, HTML = "text", "markdown", "html"
"""The formats of messages, as Apprise names them."""

APP: Final = "Wazuh"
"""The name of the sender, where a service shows one."""

_PLUGINS: Final = "apprise.plugins."


class PluginError(ValueError):
    """Raised if a URL cannot be used. The text says why and quotes nothing of the URL."""


class PluginFacts(NamedTuple):
    """What a message for a plugin may contain. Lengths are in characters; a `title_chars` of 0 means no title."""

    name: str
    format: str
    title_chars: int
    body_chars: int


def open_plugin(url: str) -> NotifyBase:
    """Return the plugin for a URL. It is not thread-safe, and must be used inside `sessions.through` only.

    Raises PluginError, and ModuleNotFoundError if Apprise is not installed.
    """
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415 — an optional package, and slow to import

    log = logging.getLogger("apprise")
    log.disabled = True  # its lines quote responses and parts of URLs; Courier logs each failed attempt itself
    asset = AppriseAsset(
        app_id=APP,
        app_desc=APP,
        app_url="",
        http_redirects=False,
        image_url_mask="",  # its images would be loaded from Apprise's repository
        image_url_logo="",
        image_path_mask=False,
    )
    url = url.strip()
    kind = _kind_of(url.partition("://")[0].lower())
    if kind:
        _check_module(kind.__module__)
    try:
        with through(Exchanges(_refuse)):
            plugin = Apprise.instantiate(url, asset=asset, suppress_exceptions=False)
    except Exception:  # noqa: BLE001 — plugins raise many types, and their texts quote the URL
        plugin = None
    if plugin is None:
        raise PluginError(_not_accepted(kind))
    _never_log_out(type(plugin))
    _check_module(type(plugin).__module__)  # the URL may be one of https:// that a service gives itself
    if _reads_a_file(plugin):
        raise PluginError(
            "has template=, but Courier does not let a URL choose a file of the worker whose content is sent: remove "
            "it, and write the message with templates of Courier"
        )
    plugin.retry = 0  # also if the URL says otherwise, as below; the length counts each retry as a target
    if len(plugin) > 1:
        raise PluginError(
            f"names {len(plugin)} targets: write one integration for each, so that a retry for one of them does not "
            "send to the others again"
        )
    plugin.throttle = _do_not_wait  # type: ignore[method-assign]  # the rate limits of Courier apply
    plugin.redirects = False
    return plugin


def facts_of(plugin: NotifyBase) -> PluginFacts:
    """Return what a message for a plugin may contain."""
    return PluginFacts(
        str(plugin.service_name),
        str(plugin.resolve_format().value),
        max(plugin.title_maxlen, 0),
        plugin.body_maxlen,
    )


def _kind_of(schema: str) -> type[NotifyBase] | None:
    from apprise.manager_plugins import NotificationManager  # noqa: PLC0415 — as above

    plugins = NotificationManager()  # type: ignore[no-untyped-call]  # its metaclass has no types
    return plugins[schema] if schema in plugins else None  # noqa: SIM401 — it is no dictionary and has no get


def _check_module(module: str) -> None:
    name = module.removeprefix(_PLUGINS).partition(".")[0]
    if not module.startswith(_PLUGINS) or name in NOT_BY_HTTP:
        instead = f'; use service = "{INSTEAD[name]}"' if name in INSTEAD else ""
        raise PluginError(f"is for {name}, which Courier refuses because it does not use HTTP{instead}")


def _never_log_out(kind: type[NotifyBase]) -> None:
    """Remove the destructor of a plugin and its base classes.

    It would log out by a request of its own: outside of `sessions.through`, so without address guard, proxy and time
    limit, and in whatever thread the plugin is deleted.
    """
    for one in kind.__mro__:
        if one.__module__.startswith(_PLUGINS) and "__del__" in vars(one):
            del one.__del__  # type: ignore[attr-defined]  # the line above looks for it


def _reads_a_file(plugin: NotifyBase) -> bool:
    """Return whether the plugin would send the content of a file. `keyfile` is one that it signs with."""
    from apprise import AppriseAttachment  # noqa: PLC0415 — as above

    files = (
        value for name, value in vars(plugin).items() if name != "keyfile" and isinstance(value, AppriseAttachment)
    )
    return any(len(one) for one in files)


def _not_accepted(kind: type[NotifyBase] | None) -> str:
    if kind is None:
        return "names no service of Apprise: see https://appriseit.com/services/"
    if not kind.enabled:
        return f"is for {kind.service_name}, for which Apprise needs a package that is not installed"
    return f"is not accepted by Apprise as one of {kind.service_name}: see {kind.setup_url}"


def _refuse(_: Request) -> NoReturn:
    """Replace sending while a plugin is made."""
    raise TransportError(Reason.INTERNAL, "no requests now")


def _do_not_wait(*_: object, **__: object) -> None:
    """Replace the pauses between the requests of a plugin, which sleep."""
