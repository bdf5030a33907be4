"""Classes of instructions, theorems, witnesses and reports."""
