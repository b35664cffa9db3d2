"""The wire: grpc in, one engine call, grpc out."""
