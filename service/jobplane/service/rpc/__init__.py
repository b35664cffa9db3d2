"""What every call goes through, whatever it asks for."""
