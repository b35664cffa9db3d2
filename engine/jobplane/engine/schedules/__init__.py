"""Schedules: jobs submitted by the clock."""
