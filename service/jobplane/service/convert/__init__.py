"""Wire to domain and back: pure functions, `x_from_wire` and `x_to_wire`."""
