"""What the tests need around the client: real servers, a misbehaving server, and a plain WebSocket client."""
