//! The local control API: typed requests, a server and a client.
