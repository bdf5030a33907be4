"""How numbers of the machine are shown: hexadecimal, with decimal beside."""


def digits(value: int, width: int) -> str:
    """Hexadecimal with as many digits as the width has; a single bit is `0` or `1`."""
    return str(value) if width == 1 else f"0x{value:0{(width + 3) // 4}X}"


def number(value: int, width: int) -> str:
    """`0xFFFF (65535, -1)`: signed too where that differs; plain digits below ten are enough."""
    if width == 1 or value < 10:
        return digits(value, width)
    signed = f", {value - (1 << width)}" if value >> (width - 1) else ""
    return f"{digits(value, width)} ({value}{signed})"
