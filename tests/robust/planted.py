def plant(name): raise SystemExit(name)
