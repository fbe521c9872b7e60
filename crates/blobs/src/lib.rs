//! Content-addressed data on disk and its exchange over a stream.
