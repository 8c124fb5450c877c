"""Release checks and files: known vulnerabilities, and the bills of materials with licences."""
