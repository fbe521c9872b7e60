//! Messages and their bytes: versioned, bounded, strict; and the signed envelope.
