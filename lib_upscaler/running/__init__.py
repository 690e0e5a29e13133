"""Networks run over pictures: on a device, in a precision, whole or in tiles, within the memory allowed."""
