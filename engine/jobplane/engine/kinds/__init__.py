"""What can be run: one folder a kind. Kinds know no store, no grpc and not each other."""
