"""The pure core: profile, features, gates, rules, policy, budget, breaker, model."""
