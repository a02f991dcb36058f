"""The guard: where a capture may go, and the only way for it to get there.

`address` classifies, `allow` and `hostname` read what operators and pages write, `policy` decides (with `resolver` and
`pins`), `proxy` opens a `channel` per capture, whose connections (`exchange`, `relay`, `wire`, `http1`, `chunked`) dial
(`dialer`) nothing but what was decided. What happened is in the channel's `records`.
"""
