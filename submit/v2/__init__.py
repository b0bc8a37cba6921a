"""SDK v2, azure-ai-ml: everything in submit that uses it. ``submit.v2.sdk`` is its implementation of submit.interface.

azure-ai-ml is imported inside the functions, so that a wrong command line is reported without it.
"""
