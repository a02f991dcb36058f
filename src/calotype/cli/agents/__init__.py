"""The tools of agents over MCP: `tools` is what they take, `answers` what they give; `server` speaks the protocol."""
