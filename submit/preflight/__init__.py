"""Checks of a job before anything is sent, without a network and without torch.

    from submit.preflight.checks import check_snapshot

    findings = check_snapshot(Snapshot.of(folder, sdk.ignore_rules), training_arguments)

Each check is a function that returns findings; errors stop the submission, warnings are printed.
"""
