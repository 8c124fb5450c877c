"""Templates of messages and bodies: Jinja2 in its sandbox, reduced to a language that is safe on hostile alerts.

The producer compiles a template to check it (`environment.check`), a worker compiles it once for each integration and
renders it for each alert (`environment.Compiler`). This package imports nothing by itself: Jinja2 is slow to import,
and most processes only carry a `source.TemplateSource`.

What bounds a template, whatever the alert says:

- **Language** (`language`): the syntax is an allow-list. There are no calls, macros, imports or blocks, so `range` and
  the methods of objects do not exist. Loops nest two deep.
- **Access** (`values`): `a.b` reads a member of the alert and nothing else; Python's attributes cannot be reached. A
  text counts up to MAX_TEXT_CHARS, a list up to MAX_ITEMS.
- **Filters** (`filters`): an allow-list of functions whose time is linear in their input.
- **Size and time** (`environment`): the output is counted while it is generated, and each filter and each pass of a
  loop looks at the CPU time that has been used.
- **Escaping**: each value that a template prints is escaped for the service. The text around it is the operator's own
  and stays as it is. `raw` keeps a text from being escaped, and takes only a text that the template itself contains.
"""
