"""The command line: flags and configuration files, their checks, the help, and the errors in one line."""
