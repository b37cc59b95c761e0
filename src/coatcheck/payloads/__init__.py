"""From payloads to bytes and back: encoding, compression, bodies, integrity."""
