"""Content by digest: immutable bytes, durable before anybody hears of them."""
