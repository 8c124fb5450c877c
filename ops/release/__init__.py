"""What is checked and written for a release: known vulnerabilities, and the bills of materials with their licences."""
