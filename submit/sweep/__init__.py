"""Sweeps: the same training many times, with hyper-parameters that HyperDrive draws."""
