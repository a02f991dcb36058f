"""The laboratory: a real server and a real Chromium in a network namespace whose internet is another one.

`namespace` and `wiring` make the two networks, `internet` and `hostile_dns` answer for every address there is, `watch`
sees every packet that leaves, `judge` says which of them were not allowed to, `laboratory` puts it together.
"""
