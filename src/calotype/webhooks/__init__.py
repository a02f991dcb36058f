"""Webhooks: messages that a user asked for, kept until his receiver has taken them or the schedule has ended.

`destination` reads the URL, `table` keeps deliveries, `courier` claims what is due and `sender` makes one try through
the guard's policy, signed as `signature` says; `schedule` is when to try again. Nothing here knows what a message is
about.
"""
