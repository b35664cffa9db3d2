"""Tables: pages of rows from CSV and Parquet, read by processes of their own."""
