"""SDK v1, azureml-core: everything in submit that uses it. ``submit.v1.sdk`` is its implementation of submit.interface.

azureml-core is imported inside the functions, so that a wrong command line is reported without it.
"""
