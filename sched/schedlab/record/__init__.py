"""What a run leaves behind: tables, metrics and run directories."""
