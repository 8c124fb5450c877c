"""The message that a chat-like service shows: title, text, fields, link, and a colour by level.

    renderer    renders the operator's templates, or the default message where there are none
    default     the default message: what a person needs, also of an alert without a log line
    digest      what the default message of a digest shows: numbers, times, most frequent values, samples
    highlights  which parts of `data` and `syscheck` inform a person most
    markup      escapes alert text for a service's markup
    limits      cuts a message to a service's limits
    message     the message itself
    dashboard   the link to the alert in the Wazuh dashboard

A service module turns the message into its service's JSON: see `workers/integrations/chat.py`.
"""
