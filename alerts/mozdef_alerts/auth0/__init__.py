"""Rules about Auth0."""
