"""The console: one web page for whoever is on call (`courier console`).

The server is Tornado's, in one process with one event loop. Every blocking call, which is every call of Redis, runs in
a thread (`Console.read`). Pages are HTML from the server and work without JavaScript; a short script keeps the
overview current and shows times in the browser's zone.

    security   who may do what: login, headers, Host, origin
    wrong_logins  slows down who guesses the password
    handler    PageHandler, the base of all pages: login, errors, forms, the log of changes
    rendering  templates; every value is escaped, cut and made printable unless a filter says otherwise
    live       server-sent events: a topic renders fragments once for all visitors and sends those that changed
    console    what all handlers share: settings, connection, threads, the overview
    alert_search  explains one alert: the only part that reads files of the manager, in one thread and with a time limit
    charts     the drawing of latencies
    delivery_tests  `courier test` for visitors, in threads of its own
    pages/     one module a page: a handler that reads a model of `ops.admin` and renders a template
    routes     path → page

To add a page: write the read model in `ops/admin` (the command with `--json` uses the same), a handler in `pages/`, a
template in `templates/`, a line in `routes.PAGES`, and a test in `tests/ops/console/` that asks the real server.
"""
