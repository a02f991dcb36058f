"""Many pictures in one go: what to capture (`sources`), where to put it (`names`), how (`engines`), and who is told
(`progress`, `sheet`); `run` brings them together."""
