//! End to end, over the built binary and real clients. One binary, one comment per module.

#![allow(unreachable_pub, reason = "a test binary has no callers outside")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod oracle; // the demo features again, from the raw tables, by other code
mod support; // a data directory, the command line over it, a server

mod access; // who may do what, at both doors
mod agreement; // RESP = HTTP = command line = the raw tables, now and in the past
mod arrows; // the architecture, held against manifests, sources and ARCHITECTURE.md
mod backup; // everything in one file, and back
mod browser; // the page in headless Chromium
mod building; // builds that go on from the one before
mod clients; // Redis clients of other languages
mod cli; // exit codes, skipped stages, errors that say what to do
mod crash; // kill -9 at any moment
mod datasets; // ranges, what was known when, versions made again
mod doors; // the same events through every door
mod dialects; // what clients of other servers get
mod duckdb; // the same features by SQL in another engine
mod erasure; // one entity, gone
mod events; // events sent to a running server
mod ingest; // our own layout of the raw files and the log, at every stage of its making
mod kills; // kill -9 again and again, under load
mod network; // TLS, and clients that are slow or too many
mod openapi; // the document against the server, by Schemathesis
mod operations; // what an operator sees
mod original; // the original system's registry and feature groups
mod redis; // plain keys against a real Redis
mod values; // written values, through every door
mod training; // spines and labels, against the raw tables
mod verify; // served values against their recomputation, and one that is altered
