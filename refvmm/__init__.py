"""The reference virtual machine monitor: derived from a description, run beside the bare machine."""
