"""Take more memory than one process may have."""

held = []
while True:
    held.append(bytearray(1 << 24))
