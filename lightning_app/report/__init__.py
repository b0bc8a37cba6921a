"""The report: one HTML file that shows a run, or compares several; no network, no server, no JavaScript."""
