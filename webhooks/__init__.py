"""Events that others are told of by webhooks: subscriptions, deliveries, and the calls that send them."""
