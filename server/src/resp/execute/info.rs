//! The text of `INFO`: Redis's field names with this server's true numbers, and a section of
//! our own. Called by `execute::server`.

use std::fmt::{self, Write};

use super::connection::REDIS_VERSION;
use crate::monitor::{CommandCount, Memory};
use crate::resp::Server;
use crate::service::Status;

/// Where the numbers come from.
pub(super) struct Facts<'a> {
    pub(super) server: &'a Server,
    pub(super) status: &'a Status,
    pub(super) keys: u64,
    /// Of these, the ones of which something expires.
    pub(super) expiring: u64,
}

type Section = fn(&Facts<'_>, &mut String) -> fmt::Result;

/// The section that must be asked for.
const COMMANDS: &str = "commandstats";

const SECTIONS: [(&str, &str, Section); 9] = [
    ("server", "Server", server),
    ("clients", "Clients", clients),
    ("memory", "Memory", memory),
    ("persistence", "Persistence", persistence),
    ("stats", "Stats", stats),
    ("replication", "Replication", replication),
    (COMMANDS, "Commandstats", commands),
    ("granary", "Granary", granary),
    ("keyspace", "Keyspace", keyspace),
];

/// The named sections, or all; a name that is not known adds nothing, as in Redis.
pub(super) fn text(facts: &Facts<'_>, wanted: &[String]) -> String {
    let all = |name: &String| matches!(name.as_str(), "all" | "everything");
    let all = wanted.iter().any(all);
    let usual = all || wanted.is_empty() || wanted.iter().any(|name| name == "default");
    let mut out = String::with_capacity(2048);
    for (name, title, section) in SECTIONS {
        if if name == COMMANDS { all } else { usual } || wanted.iter().any(|wanted| wanted == name)
        {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            write!(out, "# {title}\r\n").expect(TAKES);
            section(facts, &mut out).expect(TAKES);
        }
    }
    out
}

const TAKES: &str = "a String takes every text";

fn server(facts: &Facts<'_>, out: &mut String) -> fmt::Result {
    let uptime = facts.server.started.elapsed().as_secs();
    write!(out, "redis_version:{REDIS_VERSION}\r\n")?;
    write!(out, "granary_version:{}\r\n", env!("CARGO_PKG_VERSION"))?;
    write!(out, "redis_mode:standalone\r\n")?;
    write!(
        out,
        "os:{} {}\r\n",
        std::env::consts::OS,
        std::env::consts::ARCH
    )?;
    write!(out, "arch_bits:{}\r\n", usize::BITS)?;
    write!(out, "process_id:{}\r\n", std::process::id())?;
    write!(out, "run_id:{:040x}\r\n", facts.server.run)?;
    write!(out, "tcp_port:{}\r\n", facts.server.port)?;
    write!(out, "uptime_in_seconds:{uptime}\r\n")?;
    write!(out, "uptime_in_days:{}\r\n", uptime / 86_400)
}

fn clients(facts: &Facts<'_>, out: &mut String) -> fmt::Result {
    write!(
        out,
        "connected_clients:{}\r\n",
        facts.server.metrics.resp_clients.get()
    )?;
    write!(out, "maxclients:{}\r\n", facts.server.limits.connections)?;
    write!(out, "blocked_clients:0\r\n")
}

fn memory(_: &Facts<'_>, out: &mut String) -> fmt::Result {
    let memory = Memory::now();
    write!(out, "used_memory:{}\r\n", memory.resident)?;
    write!(out, "used_memory_human:{}\r\n", human(memory.resident))?;
    write!(out, "used_memory_rss:{}\r\n", memory.resident)?;
    write!(out, "used_memory_rss_human:{}\r\n", human(memory.resident))?;
    write!(out, "used_memory_peak:{}\r\n", memory.peak)?;
    write!(out, "used_memory_peak_human:{}\r\n", human(memory.peak))?;
    write!(out, "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n")
}

fn persistence(_: &Facts<'_>, out: &mut String) -> fmt::Result {
    // The store is open before the listener is, so a client never meets a loading server.
    write!(out, "loading:0\r\naof_enabled:1\r\n")
}

fn stats(facts: &Facts<'_>, out: &mut String) -> fmt::Result {
    let metrics = &facts.server.metrics;
    write!(
        out,
        "total_connections_received:{}\r\n",
        metrics.resp_connections.get()
    )?;
    write!(
        out,
        "total_commands_processed:{}\r\n",
        metrics.resp_commands.get()
    )?;
    write!(out, "total_error_replies:{}\r\n", metrics.resp_errors.get())?;
    write!(out, "total_net_input_bytes:{}\r\n", metrics.resp_read.get())?;
    write!(
        out,
        "total_net_output_bytes:{}\r\n",
        metrics.resp_written.get()
    )?;
    write!(
        out,
        "rejected_connections:{}\r\n",
        metrics.resp_rejected.get()
    )
}

fn replication(_: &Facts<'_>, out: &mut String) -> fmt::Result {
    write!(out, "role:master\r\nconnected_slaves:0\r\n")
}

fn commands(facts: &Facts<'_>, out: &mut String) -> fmt::Result {
    for counted in facts.server.metrics.commands.counted() {
        let CommandCount {
            name,
            calls,
            errors,
            took,
        } = counted;
        let micros = took.as_nanos() as f64 / 1e3;
        let (all, each) = (micros.round() as u64, micros / calls as f64);
        write!(
            out,
            "cmdstat_{name}:calls={calls},usec={all},usec_per_call={each:.2},rejected_calls=0,failed_calls={errors}\r\n"
        )?;
    }
    Ok(())
}

fn granary(facts: &Facts<'_>, out: &mut String) -> fmt::Result {
    let status = facts.status;
    write!(out, "ready:{}\r\n", u8::from(status.ready))?;
    write!(out, "generation:{}\r\n", status.generation)?;
    write!(out, "staged_bytes:{}\r\n", status.staged_bytes)?;
    write!(out, "log_offset:{}\r\n", status.log_offset)?;
    write!(out, "events_accepted:{}\r\n", status.events_accepted)?;
    write!(out, "events_duplicate:{}\r\n", status.events_duplicate)?;
    write!(out, "events_late:{}\r\n", status.events_late)?;
    write!(out, "values_written:{}\r\n", status.values_written)
}

fn keyspace(facts: &Facts<'_>, out: &mut String) -> fmt::Result {
    if facts.keys == 0 {
        return Ok(());
    }
    let (keys, expires) = (facts.keys, facts.expiring);
    write!(out, "db0:keys={keys},expires={expires},avg_ttl=0\r\n")
}

fn human(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        b if b < 1024.0 => format!("{b}B"),
        b if b < 1024.0 * 1024.0 => format!("{:.2}K", b / 1024.0),
        b if b < 1024.0 * 1024.0 * 1024.0 => format!("{:.2}M", b / (1024.0 * 1024.0)),
        b => format!("{:.2}G", b / (1024.0 * 1024.0 * 1024.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::session::tests::server;

    #[test]
    fn sections_are_chosen_by_name() {
        let (server, status) = (server(10), Status::default());
        let facts = Facts {
            server: &server,
            status: &status,
            keys: 5,
            expiring: 2,
        };
        let all = text(&facts, &[]);
        for line in [
            "# Server",
            "loading:0",
            "redis_version:8.0.0",
            "maxclients:10",
        ] {
            assert!(all.contains(&format!("{line}\r\n")), "{line}\n{all}");
        }
        assert!(all.ends_with("# Keyspace\r\ndb0:keys=5,expires=2,avg_ttl=0\r\n"));
        let two = text(&facts, &["keyspace".to_owned(), "replication".to_owned()]);
        assert!(two.starts_with("# Replication\r\nrole:master\r\n"), "{two}");
        assert!(!two.contains("# Server"));
        assert_eq!(text(&facts, &["nothing".to_owned()]), "");
        assert_eq!(
            text(&facts, &["everything".to_owned()])
                .matches("# ")
                .count(),
            9
        );
    }
}
