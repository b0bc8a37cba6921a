"""What is checked of a job before anything is sent: no network, no torch.

    findings = check_snapshot(Snapshot.of(folder), training_arguments)

Each check is a function from what was given to findings; errors stop the submission, warnings are shown.
"""
