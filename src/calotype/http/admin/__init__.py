"""`/admin/v1`: the operator's API. It is there only where `CALOTYPE_ADMIN__TOKEN` is set."""
