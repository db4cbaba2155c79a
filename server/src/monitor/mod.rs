//! What the server counts about itself. Both doors count here; `/metrics` and `INFO` read it.
//! Labels come from route templates and the registry, never from requests.

mod commands; // how long RESP commands take
mod feast; // what a Feast feature server counts
mod metrics; // counters and latencies of both doors
mod process; // memory of this process, as the kernel tells it
mod status; // the service's status as gauges

pub use commands::{CommandCount, CommandMetrics, Counts};
pub use feast::FeastMetrics;
pub use metrics::{Metrics, RouteMetrics};
pub use process::Memory;
