"""Names of files that would lead out of their folder, or that no file can have."""

LEAD_OUT = ("../out", "a/../../out", "..", "a/..", "/etc/out", "a//b", "", "a/", "./out", "a\0b")
TOO_LONG = "n" * 300
