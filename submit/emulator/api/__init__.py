"""The REST interfaces of the emulated service, one file each."""
