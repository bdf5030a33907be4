"""The description language: grammar, syntax tree, typed IR, meaning, engines without a solver."""
