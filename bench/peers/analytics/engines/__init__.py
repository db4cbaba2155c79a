"""The rivals: one module each, with `run(source, result)` that reads the log and writes the
features, or `run(source, spine, result)` at the instants of a spine. `python -m engines MODULE
PATH...` runs one and prints its seconds, imports left out. Here: what all of them compute."""

OURS = ["granary", "granary-own"]
ENGINES = [*OURS, "duckdb", "polars", "pandas"]

TYPES = [
    "add_to_cart",
    "app_open",
    "apply_coupon",
    "email_open",
    "order_cancelled",
    "page_view",
    "payment_failed",
    "purchase",
    "push_notification_open",
    "rating_given",
    "remove_from_cart",
    "review_submitted",
    "search",
    "ticket_closed",
    "ticket_created",
    "view_product",
    "wishlist_add",
]
GAP_MINUTES = 30
# Window in days, hop of its start in seconds.
WINDOWS = [(7, 3_600), (30, 86_400), (90, 86_400)]
# Of the rows of a spine, in days: their instants are midnights, to which hops of a day are exact.
SPINE_WINDOWS = [30, 90]
