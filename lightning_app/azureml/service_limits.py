"""Limits of the Azure ML service, which azureml-core doesn't check.

Source: learn.microsoft.com/azure/machine-learning/resource-limits-capacity, 2025-02-05.
"""

METRIC_NAMES = 50  # per run
ROWS = 250  # per request
COLUMNS = 15  # per row
TEXT = 255  # characters of a metric's name, a column's name or a column's value
TAGS = 50  # per run
TAG_NAME = 100  # characters
TAG_VALUE = 1000  # characters
