"""What a job is, where it is kept and how it runs; knows nothing of grpc."""
