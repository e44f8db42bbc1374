"""The web process: HTTP intake behind granian, in the dialects that shippers speak as they are."""
