"""Mutation testing: small changes of the product's sources, each of which some check must notice."""
