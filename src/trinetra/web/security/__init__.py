"""Access to the web: passwords, sessions, tokens, throttling, one-time links, OpenID Connect."""
