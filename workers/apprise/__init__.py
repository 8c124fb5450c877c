"""What Courier uses of Apprise (github.com/caronc/apprise, BSD-2-Clause), an optional package for many more services.

plugin.py    opens a hook_url: which plugin it is, what its messages may contain, and which ones are refused
sessions.py  leads all HTTP requests of a plugin to Courier's own transport

Only a plugin's own `notify` is called. What is around it in Apprise is left out: its retries and time limits
(`apprise/dispatch.py`) and its result, which knows success, failure and time-out but no HTTP status.
"""
