"""Descriptions of instruction set architectures (data)."""
