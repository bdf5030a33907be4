"""The reference virtual machine monitor (not written yet)."""
